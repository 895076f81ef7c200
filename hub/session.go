package hub

import (
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// conn is a signed-in connection, as the router sees it. Its methods return at once.
type conn interface {
	send(wire.Envelope)
	close(code int, reason string)
	alive(within time.Duration) bool // answers within a time; the only one that waits
}

// who is a device: cuids belong to their account.
type who struct{ account, cuid string }

// legRef is a call that a device is in, and the hub that owns it.
type legRef struct{ id, owner string }

// session is a device that is signed in here, or was a moment ago: its session goes on when its connection does not.
type session struct {
	who
	log      *slog.Logger
	name     string
	instance string
	revision uint64 // of its claim; 0 while the bus could not be asked

	// Under the router's lock.
	call     legRef          // the live call that it is in
	caller   string          // of that call, if it rings here or rang
	ringing  bool            // that call rings here
	state    *wire.StateBody // what it says of itself; nil before it does
	offered  uint64          // version of the settings that it was given last in this session
	agent    string
	grant    access.Grant // that it came in by
	since    time.Time
	answered json.RawMessage // what it was told at the answer, with the ticket
	last     legRef          // the one before, for what comes late
	seeking  []string        // calls whose owner is being looked for
	held     wire.Backlog    // what it said about a call whose owner is being looked for
	drop     *time.Timer     // ends the session of one that is away
	refusals int             // of doors that it wanted opened outside a call
	expiry   *time.Timer     // ends the session of one that came in by a token

	mu      sync.Mutex // below the router's
	session string
	conn    conn // nil while away
	out     wire.Outbox
	in      wire.Inbox
}

// send gives the device a message: now, and again when it comes back and has not had it.
func (m *session) send(e wire.Envelope) {
	if !m.fits(e) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Ack = m.in.Last()
	if wire.Numbered(e) {
		e = m.out.Push(e)
	}
	if m.conn != nil {
		m.conn.send(e)
	}
}

// reply answers a request of the device: with an error, or a body, or that it is done. One without a number wants an
// error only.
func (m *session) reply(to wire.Envelope, body any, err *fault.Error) {
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

// fits reports whether clients take a message of this size. All that a device is told passes here: one message too
// large would end its connection, and if it had a number, each one after that, too. Whoever makes messages sees to it
// that they fit; this is the last gate.
func (m *session) fits(e wire.Envelope) bool {
	if !e.Fits() {
		m.log.Error("a message is too large for its device, and is dropped", "type", string(e.T),
			event.Call(e.Call), event.Account(m.account), event.CUID(m.cuid))
		return false
	}
	return true
}

// stamp acknowledges what the device said so far in a message that has no number.
func (m *session) stamp(e wire.Envelope) wire.Envelope {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Ack = m.in.Last()
	return e
}

// heard notes a message of the device, and reports whether it is new.
func (m *session) heard(e wire.Envelope) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.out.Acked(e.Ack)
	return m.in.Fresh(e)
}

func (m *session) online() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn != nil
}

// attach gives the session a new connection, and closes the one before. When the client can resume its session it gets
// what it missed, after the welcome; otherwise it begins a new one.
func (m *session) attach(c conn, resume *wire.Resume, re uint64, body wire.WelcomeBody) (resumed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		m.conn.close(wire.CloseReplaced, "the same device signed in again")
	}
	m.conn = c
	var missed []wire.Envelope
	if resume != nil && m.session != "" && resume.Session == m.session {
		missed, resumed = m.out.After(resume.Seq)
	}
	if resumed {
		body.Resumed, body.Ack = true, m.in.Last()
	} else {
		m.session, m.out, m.in = access.Random(), wire.Outbox{}, wire.Inbox{}
	}
	body.Session = m.session
	e := wire.New(wire.Welcome, "", body)
	e.Re = re
	if m.fits(e) {
		c.send(e)
	}
	for _, e := range missed {
		e.Ack = m.in.Last()
		c.send(e)
	}
	return resumed
}

// detach takes the connection away if it is still this one.
func (m *session) detach(c conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != c {
		return false
	}
	m.conn = nil
	return true
}

func (m *session) close(code int, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		m.conn.close(code, reason)
		m.conn = nil
	}
}
