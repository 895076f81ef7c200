// Package cluster is how hubs talk to one another over a [Bus]: what they say and ask ([Message]), and what each
// claims, so that one of them has a device, a call or an alarm.
//
// What is said can be lost with a connection, and a claim is only a hint: who needs to be sure asks. Sending never
// waits; asking waits for as long as its context allows. It holds no lock and starts nothing. Only the hub imports it.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"intercom/hub/bus"
	"intercom/internal/event"
)

// Bus is what joins hubs. hub/nats has the real one, hub/hubtest one in memory for tests.
type Bus interface {
	// Name is this hub's, one of its own in the cluster.
	Name() string
	// Serve hands over what the others say, until ctx ends. The handler is called by one goroutine, in the order in
	// which each of the others spoke, and must return at once.
	Serve(ctx context.Context, h bus.Handler) error
	// Send tells one hub something: in order, at most once, without waiting. The token comes back if nobody is there.
	Send(to string, m []byte, token string) error
	// Ask asks one hub, [bus.ErrNobody] when it is not there.
	Ask(ctx context.Context, to string, m []byte) ([]byte, error)
	// AskAll asks all others, and gives the first answer that is not empty; bus.ErrNobody when there is none in time.
	AskAll(ctx context.Context, m []byte) ([]byte, error)
	// Tell says something to all others, at most once, without waiting.
	Tell(m []byte) error
	// Peers reports whether other hubs are there; when not sure, it says yes.
	Peers() bool

	// Claim writes a key if it is at this revision, 0 when it is not there; [bus.ErrTaken] otherwise. It gives the new
	// revision.
	Claim(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Claimed reads a key; revision 0 when it is not there.
	Claimed(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Release takes a key away if it is still at this revision.
	Release(ctx context.Context, key string, revision uint64) error

	// Renew keeps this hub's lease, for bus.LeaseTime from now. [bus.ErrFenced] when it had run out in between: others
	// may have taken what this hub held.
	Renew(ctx context.Context) error
}

// Times of questions.
const (
	AskTime    = 1500 * time.Millisecond // for one hub, and for the store of claims
	AskAllTime = 150 * time.Millisecond  // for all hubs
)

// Handler is who hears the others. Its methods return at once.
type Handler interface {
	// Heard takes what another hub says.
	Heard(m Message)
	// Asked answers a question; an empty answer is none. It may reply later.
	Asked(m Message, reply func(answer string))
	// Undelivered says that a hub was not there to hear m, of which only the account, the call and the cuid are known.
	Undelivered(hub string, m Message)
}

// Hubs are the hubs of the cluster, as one of them sees the others.
type Hubs struct {
	bus Bus
	log *slog.Logger
}

// New joins the hubs of a bus.
func New(b Bus, log *slog.Logger) *Hubs { return &Hubs{b, log} }

// Self is the name of this hub.
func (h *Hubs) Self() string { return h.bus.Name() }

// Peers reports whether other hubs are there; when not sure, it says yes.
func (h *Hubs) Peers() bool { return h.bus.Peers() }

// Serve hands over what the others say, until ctx ends.
func (h *Hubs) Serve(ctx context.Context, to Handler) error { return h.bus.Serve(ctx, ears{to}) }

// ears reads for a [Handler] what comes over the bus. What cannot be read is of a hub of another version.
type ears struct{ to Handler }

func (e ears) Heard(b []byte) {
	var m Message
	if json.Unmarshal(b, &m) == nil {
		e.to.Heard(m)
	}
}

func (e ears) Asked(b []byte, reply func([]byte)) {
	var m Message
	if json.Unmarshal(b, &m) == nil {
		e.to.Asked(m, func(answer string) { reply([]byte(answer)) })
	}
}

func (e ears) Undelivered(hub, token string) { e.to.Undelivered(hub, ofToken(token)) }

// Send says something to one hub. If nobody is there, that comes back: see [Handler].
func (h *Hubs) Send(to string, m Message) error {
	m.Hub = h.Self()
	err := h.bus.Send(to, m.bytes(), m.token())
	if err != nil {
		h.log.Debug("another hub cannot be told", event.Hub(to), "err", err)
	}
	return err
}

// Tell says something to all other hubs, which they hear at most once.
func (h *Hubs) Tell(m Message) {
	m.Hub = h.Self()
	_ = h.bus.Tell(m.bytes())
}

// Ask asks one hub; [bus.ErrNobody] when it is not there.
func (h *Hubs) Ask(ctx context.Context, to string, m Message) (string, error) {
	m.Hub = h.Self()
	answer, err := h.bus.Ask(ctx, to, m.bytes())
	return string(answer), err
}

// AskAll asks all other hubs; "" when none answers.
func (h *Hubs) AskAll(ctx context.Context, m Message) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, AskAllTime)
	defer cancel()
	m.Hub = h.Self()
	answer, err := h.bus.AskAll(ctx, m.bytes())
	if errors.Is(err, bus.ErrNobody) {
		return "", nil
	}
	return string(answer), err
}

// Locate says which other hub has a device, "" for none. With hint, its claim is believed.
func (h *Hubs) Locate(ctx context.Context, account, cuid string, hint bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, AskTime)
	defer cancel()
	if hint {
		hub, revision, err := h.Holder(ctx, DeviceClaim(account, cuid))
		if err == nil && revision != 0 && hub != h.Self() {
			return hub, nil
		}
	}
	return h.AskAll(ctx, Message{Kind: Holds, Account: account, CUID: cuid})
}

// Claim takes a claim that is at this revision, 0 when nobody has it; [bus.ErrTaken] otherwise. It gives the new
// revision.
func (h *Hubs) Claim(ctx context.Context, key string, revision uint64) (uint64, error) {
	return h.bus.Claim(ctx, key, []byte(h.Self()), revision)
}

// Holder says which hub has a claim; revision 0 for none.
func (h *Hubs) Holder(ctx context.Context, key string) (hub string, revision uint64, err error) {
	value, revision, err := h.bus.Claimed(ctx, key)
	return string(value), revision, err
}

// Release gives a claim up, if it is still at this revision; [bus.ErrTaken] if it is not.
func (h *Hubs) Release(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, AskTime)
	defer cancel()
	return h.bus.Release(ctx, key, revision)
}
