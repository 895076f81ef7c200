package hub

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"intercom/hub/access"
	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/hub/presence"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/internal/tasks"
	"intercom/wire"
)

// router knows the devices that are signed in at this hub and the calls that it owns, and carries what is said between
// them, here and at other hubs.
type router struct {
	log      *slog.Logger
	hubs     *cluster.Hubs
	access   *access.Directory
	ended    *access.Ended
	tickets  *access.Signer
	times    Times
	record   func(account string, r outcome.Result)
	recorded func(account, call string) (outcome.Result, bool)
	note     func(account, cuid string, n wire.NoteBody) error // nil for nothing
	servers  func(account, cuid, call string) []wire.ICEServer

	presence *presence.Presence
	devices  *devices

	ctx         context.Context // ends when the hub does
	cancel      context.CancelFunc
	work        tasks.Group // what waits for other hubs
	liveCalls   atomic.Int64
	cutOff      atomic.Bool // the bus does not answer
	endsUnsaved atomic.Bool // who signed out cannot be written down
	born        time.Time
	pulse       atomic.Int64 // when the hub last looked after its lease, in nanoseconds since born: wall clocks jump

	mu      sync.Mutex
	members map[who]*member
	calls   map[callKey]*ownedCall // live, and those ended within the last minute
	signing map[who]chan struct{}
	stopped bool
}

func newRouter(cfg Settings, log *slog.Logger) *router {
	r := &router{log: log, hubs: cluster.New(cfg.Bus, log), access: cfg.Access, ended: cfg.Ended, tickets: cfg.Secret.For("call ticket"), times: cfg.Times,
		record: cfg.Record, recorded: cfg.Recorded, note: cfg.Note, members: map[who]*member{}, calls: map[callKey]*ownedCall{}, signing: map[who]chan struct{}{}}
	if r.servers = cfg.Servers; r.servers == nil {
		r.servers = func(string, string, string) []wire.ICEServer { return nil }
	}
	r.presence, r.devices, r.born = presence.New(local{r}, local{r}, cfg.Access), newDevices(r.hubs, cfg.Access), time.Now()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// background runs what has to wait for another hub.
func (r *router) background(f func()) { r.work.Go(f) }

func (r *router) count() (devices, calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		if m.online() {
			devices++
		}
	}
	return devices, int(r.liveCalls.Load())
}

// online reports whether a device is signed in here.
func (r *router) online(w who) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[w]
	return m != nil && m.online()
}

func (r *router) find(account, id string) *ownedCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[callKey{account, id}]
}

func (r *router) forget(c *ownedCall) {
	r.mu.Lock()
	if r.calls[c.key] == c {
		delete(r.calls, c.key)
	}
	r.mu.Unlock()
	if c.claim != 0 {
		r.background(func() { r.release(cluster.CallClaim(c.key.account, c.key.id), c.claim) })
	}
}

// rung says whether a device here rings.
type rung int

const (
	rang   rung = iota
	absent      // it is not signed in here
	busy        // it is in another call
	yours       // it calls the caller, and its call is the one that counts
)

// ring makes a device here ring, unless it is busy. Busy or not is decided under the router's lock: two calls cannot
// both find it free.
func (r *router) ring(w who, from string, of legRef, e wire.Envelope) rung {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[w]
	switch {
	case m == nil || !m.online():
		return absent
	case m.call == of: // said twice
		return rang
	case m.call.id == "" && m.state != nil && m.state.DND:
		return busy
	case m.call.id != "":
		// Both call each other, at two hubs at once: the call with the smaller id is the one; both hubs see it so. The
		// device that lost drops its own call when it is told of this one.
		if own := r.calls[callKey{w.account, m.call.id}]; own == nil || own.caller() != w.cuid || own.target != from {
			return busy
		} else if m.call.id < of.id {
			return yours
		}
	}
	m.call, m.caller, m.ringing = of, from, true
	r.changed(w)
	m.send(e)
	return rang
}

// deliver gives a message to a device here; false says that it is not. The end of its call makes it free.
func (r *router) deliver(w who, e wire.Envelope) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[w]
	if m == nil {
		return false
	}
	switch {
	case m.call.id != e.Call:
	case e.T == wire.Ended:
		m.call, m.last, m.answered = legRef{}, m.call, nil
		r.changed(w)
	case e.T == wire.Answered:
		m.answered, m.ringing = e.B, false
		r.changed(w)
	}
	m.send(e)
	return true
}

// receive handles a message of a device here about a call. A reply that comes from elsewhere comes by itself.
func (r *router) receive(m *member, e wire.Envelope) {
	r.mu.Lock()
	c, owner := r.calls[callKey{m.account, e.Call}], ""
	switch {
	case c != nil:
	case e.Call == "":
	case slices.Contains(m.seeking, e.Call): // its owner is being looked for
		if len(m.held) < wire.KeptMessages {
			m.held = append(m.held, e)
		}
		r.mu.Unlock()
		return
	case m.call.id == e.Call:
		owner = m.call.owner
	case m.last.id == e.Call && m.last.owner != r.hubs.Self():
		owner = m.last.owner
	}
	r.mu.Unlock()
	switch {
	case owner != "":
		r.forward(m, owner, e)
	case e.T == wire.Invite && c == nil:
		if err := r.invite(m, e); err != nil {
			m.reply(e, nil, err)
		}
	case c == nil && r.takeLateHangUp(m, e):
	default:
		m.reply(e, nil, r.heardFrom(c, m.who, e))
	}
}

// forward gives what a device says about a call to the hub that owns it.
func (r *router) forward(m *member, owner string, e wire.Envelope) {
	said := cluster.Message{Kind: cluster.Said, Account: m.account, CUID: m.cuid, Call: e.Call, Env: &e}
	if r.hubs.Send(owner, said) != nil {
		r.orphaned(m.who, e.Call)
		m.reply(e, nil, fault.New(fault.HubDegraded))
	}
}

func (m *member) reply(to wire.Envelope, body any, err *fault.Error) {
	if to.ID == 0 && err == nil {
		return
	}
	e := wire.Reply(to, err)
	if err == nil && body != nil {
		e = wire.New(wire.OK, to.Call, body)
		e.Re = to.ID
	}
	m.send(e)
}

// heardFrom handles what a party, here or elsewhere, says about a call that this hub owns. The error is for it alone.
func (r *router) heardFrom(c *ownedCall, w who, e wire.Envelope) *fault.Error {
	if c == nil || !c.has(w.cuid) {
		return fault.New(fault.NotParty) // the same for what never was and for what is not its own
	}
	said, err := call.Said(w.cuid, e)
	if err != nil {
		return err
	}
	switch e.T {
	case wire.Ringing:
		if w.cuid == c.caller() {
			return fault.In(fault.NotParty, "t", "Only the called device can say that it rings.")
		}
	case wire.Door:
		if err := r.mayOpen(c, w); err != nil {
			return err
		}
	case wire.Capabilities:
		if !r.mayBeOpened(c, w) {
			return nil // the peer is not told of a door that it may not open
		}
	}
	c.apply(said)
	return nil
}
