package hub

import (
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// party is a signed-in connection, as the router sees it. Its methods return at once.
type party interface {
	send(wire.Envelope)
	close(code int, reason string)
}

// who is a device: cuids belong to their account.
type who struct{ account, cuid string }

// member is a device that is signed in, or was a moment ago.
type member struct {
	who
	name     string
	instance string
	conn     party       // nil while away
	away     *time.Timer // runs out when its calls are given up
	call     *talk       // the live call it is in
}

// talk is a call with its lock.
type talk struct {
	mu   sync.Mutex
	lane lane
	from who
	to   who
	name string // of the caller
	pic  string // the caller's image
	ring *time.Timer
}

type router struct {
	log     *slog.Logger
	ring    time.Duration
	record  func(outcome.Result)
	mu      sync.Mutex
	members map[who]*member
	calls   map[string]*talk // by account and id, live and those ended within the last minute
	stopped bool
}

func newRouter(ring time.Duration, record func(outcome.Result), log *slog.Logger) *router {
	return &router{log: log, ring: ring, record: record, members: map[who]*member{}, calls: map[string]*talk{}}
}

func (r *router) count() (devices, calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		if m.conn != nil {
			devices++
		}
		if m.call != nil && m.call.from == m.who {
			calls++
		}
	}
	return devices, calls
}

// owner is the connection that holds a cuid, and the instance it proved; nil when nobody does.
func (r *router) owner(w who) (party, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[w]; m != nil && m.conn != nil {
		return m.conn, m.instance
	}
	return nil, ""
}

// join makes conn the one owner of a cuid; welcome is sent first, then what is known of the calls that the device
// believes in. It fails when another owner than was seen got there first, or the hub stops.
func (r *router) join(w who, name, instance string, seen, conn party, welcome wire.Envelope, calls []string) bool {
	r.mu.Lock()
	m := r.members[w]
	if m == nil {
		m = &member{who: w}
	}
	if r.stopped || m.conn != seen {
		r.mu.Unlock()
		return false
	}
	r.members[w] = m
	if m.conn != nil {
		m.conn.close(wire.CloseReplaced, "the same device signed in again")
	}
	if m.away != nil {
		m.away.Stop()
		m.away = nil
	}
	m.name, m.instance, m.conn = name, instance, conn
	conn.send(welcome)
	left := m.call
	r.mu.Unlock()

	for _, id := range calls {
		if t := r.find(w.account, id); t != nil && t.has(w) {
			if left == t {
				left = nil
			}
			t.mu.Lock()
			r.tell(t, w)
			t.mu.Unlock()
		}
	}
	if left != nil { // the device came back without the call that it was in
		r.happen(left, news{partyGone, w.cuid, ""})
	}
	return true
}

// leave says that a connection is gone. A device in a call has a moment to come back; for good means that it has not.
func (r *router) leave(w who, conn party, forGood bool) {
	r.mu.Lock()
	m := r.members[w]
	if m == nil || m.conn != conn {
		r.mu.Unlock()
		return
	}
	m.conn = nil
	t := m.call
	if t == nil || r.stopped {
		delete(r.members, w)
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	t.mu.Lock()
	grace := UnansweredGrace
	if t.lane.talks() {
		grace = wire.ResumeGrace
	}
	t.mu.Unlock()
	if forGood {
		grace = 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.conn == nil && m.call == t {
		m.away = time.AfterFunc(grace, func() { r.giveUp(m, t) })
	}
}

// UnansweredGrace is how long a party of a call that is not answered yet may be away; the devices wait as long.
const UnansweredGrace = 4 * time.Second

func (r *router) giveUp(m *member, t *talk) {
	r.mu.Lock()
	away := m.conn == nil
	r.mu.Unlock()
	if away {
		r.happen(t, news{partyGone, m.cuid, ""})
	}
}

func (r *router) find(account, id string) *talk {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[account+"/"+id]
}

func (t *talk) has(w who) bool { return t.from == w || t.to == w }

func (t *talk) other(w who) who {
	if w == t.from {
		return t.to
	}
	return t.from
}

// invite starts a call; the same invite twice starts one.
func (r *router) invite(from who, id string, b wire.InviteBody) *fault.Error {
	if err := wire.CheckReceiver(b.To, from.cuid); err != nil {
		return err
	}
	if err := wire.CheckContext(b.Context); err != nil {
		return err
	}
	if err := wire.CheckImage(b.InitiatorImage); err != nil {
		return err
	}
	if raw, err := hex.DecodeString(id); err != nil || len(raw) != 16 {
		return fault.In(fault.InvalidCall, "call", "The call id must be 128 random bits as 32 hexadecimal digits.")
	}
	to := who{from.account, b.To}
	now := time.Now()
	t := &talk{from: from, to: to, pic: b.InitiatorImage}
	t.lane.Result = outcome.Result{Call: id, From: from.cuid, To: b.To, Context: b.Context, InvitedAt: outcome.At(now)}

	// The call is locked before others can find it. Busy or not is decided under the router's lock: two invites cannot
	// both find a device free.
	t.mu.Lock()
	defer t.mu.Unlock()
	r.mu.Lock()
	if old := r.calls[from.account+"/"+id]; old != nil {
		r.mu.Unlock()
		if old.from != from || old.to != to {
			return fault.New(fault.NotParty)
		}
		old.mu.Lock()
		r.tell(old, from)
		old.mu.Unlock()
		return nil
	}
	caller, callee := r.members[from], r.members[to]
	if r.stopped || caller == nil {
		r.mu.Unlock()
		return fault.New(fault.HubDegraded)
	}
	if c := caller.call; c != nil {
		r.mu.Unlock()
		if c.from == to { // both call each other: the first invite is the call
			return fault.New(fault.Conflict)
		}
		return fault.New(fault.CallInProgress)
	}
	t.name = caller.name
	r.calls[from.account+"/"+id] = t
	var end outcome.Outcome
	switch {
	case callee == nil || callee.conn == nil:
		end = outcome.Of(outcome.Missed, outcome.Offline)
	case callee.call != nil:
		end = outcome.Of(outcome.Declined, outcome.Busy)
	default:
		caller.call, callee.call = t, t
	}
	r.mu.Unlock()

	if end != (outcome.Outcome{}) {
		t.lane.Finish(end, "hub", now)
		r.finish(t)
		return nil
	}
	t.ring = time.AfterFunc(r.ring, func() { r.happen(t, news{what: noAnswer}) })
	r.tell(t, to)
	return nil
}

// happen passes an event through the call's lane and tells both sides what follows. It reports whether it did anything.
func (r *router) happen(t *talk, n news) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.lane.step(n, time.Now()) {
		return false
	}
	switch {
	case t.lane.ended():
		r.finish(t)
	case n.what == answered:
		t.ring.Stop()
		r.tell(t, t.from)
		r.tell(t, t.to)
	}
	return true
}

// finish writes the record of an ended call, frees both devices and tells them. The call's lock is held.
func (r *router) finish(t *talk) {
	if t.ring != nil {
		t.ring.Stop()
	}
	r.record(t.lane.Result)
	r.log.Info("call ended", "call", t.lane.Call, "cuid", t.from.cuid, "peer", t.to.cuid, "status", t.lane.Status, "reason", t.lane.Reason)
	r.mu.Lock()
	for _, w := range []who{t.from, t.to} {
		if m := r.members[w]; m != nil && m.call == t {
			m.call = nil
			if m.conn == nil {
				delete(r.members, w)
			}
		}
	}
	r.mu.Unlock()
	r.tell(t, t.from)
	if t.ring != nil { // the callee of a call that never rang was never told of it
		r.tell(t, t.to)
	}
	time.AfterFunc(wire.RememberEnded, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.calls, t.from.account+"/"+t.lane.Call)
	})
}

// tell says to one party how its call stands. The call's lock is held.
func (r *router) tell(t *talk, w who) {
	l := &t.lane
	switch {
	case l.ended():
		r.send(w, wire.New(wire.Ended, l.Call, wire.EndedBody{Result: l.Result, Error: code(l.Outcome)}))
	case l.AnsweredAt != nil:
		r.send(w, wire.Envelope{T: wire.Answered, Call: l.Call})
	case w == t.to:
		left := r.ring - time.Since(*l.InvitedAt)
		r.send(w, wire.New(wire.Incoming, l.Call, wire.IncomingBody{From: t.from.cuid, Name: t.name, Context: l.Context, InitiatorImage: t.pic, RingMS: left.Milliseconds()}))
	}
}

func (r *router) send(w who, e wire.Envelope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[w]; m != nil && m.conn != nil {
		m.conn.send(e)
	}
}

// receive handles a message of a party about a call. The error is for the sender alone.
func (r *router) receive(w who, e wire.Envelope) *fault.Error {
	if e.T == wire.Invite {
		b, err := wire.Body[wire.InviteBody](e)
		if err != nil {
			return err
		}
		return r.invite(w, e.Call, b)
	}
	n, relay, err := read(w, e)
	if err != nil {
		return err
	}
	t := r.find(w.account, e.Call)
	if t == nil || !t.has(w) {
		return fault.New(fault.NotParty) // the same for what never was and for what is not its own
	}
	if n.what == rang && w != t.to {
		return fault.In(fault.NotParty, "t", "Only the called device can say that it rings.")
	}
	if relay {
		t.mu.Lock()
		if !t.lane.ended() {
			if n.what == rang {
				t.lane.step(n, time.Now())
			}
			r.send(t.other(w), wire.Envelope{T: e.T, Call: e.Call, B: e.B})
		}
		t.mu.Unlock()
		return nil
	}
	if !r.happen(t, n) { // too late, or said twice: the sender is told how it stands
		t.mu.Lock()
		r.tell(t, w)
		t.mu.Unlock()
	}
	return nil
}

// read turns a message into news for the lane, and says whether the other party gets the message itself.
func read(w who, e wire.Envelope) (n news, relay bool, err *fault.Error) {
	n.by = w.cuid
	switch e.T {
	case wire.Ringing:
		n.what = rang
		return n, true, checkSDP(e)
	case wire.SDP:
		return n, true, checkSDP(e)
	case wire.ICE:
		b, err := wire.Body[wire.ICEBody](e)
		if err == nil && len(b.Candidate) > wire.MaxCandidate {
			err = fault.New(fault.TooLarge)
		}
		return n, true, err
	case wire.Answer:
		n.what = answered
	case wire.Decline:
		b, err := wire.Body[wire.DeclineBody](e)
		n.what, n.reason = declined, b.Reason
		return n, false, err
	case wire.Cancel:
		b, err := wire.Body[wire.CancelBody](e)
		n.what, n.reason = cancelled, b.Reason
		return n, false, err
	case wire.HangUp:
		b, err := wire.Body[wire.HangUpBody](e)
		n.what, n.reason = hungUp, b.Reason
		return n, false, err
	default:
		return n, false, fault.In(fault.BadMessage, "t", "The hub does not know this message; see docs/protocol.md.")
	}
	return n, false, nil
}

func checkSDP(e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.SDPBody](e)
	if err == nil && len(b.SDP) > wire.MaxSDP {
		err = fault.New(fault.TooLarge)
	}
	return err
}

// stop ends everything, each call with its outcome.
func (r *router) stop() {
	r.mu.Lock()
	r.stopped = true
	var live []*talk
	for _, m := range r.members {
		if m.call != nil && m.call.from == m.who {
			live = append(live, m.call)
		}
	}
	r.mu.Unlock()
	for _, t := range live {
		r.happen(t, news{what: hubStops})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		if m.conn != nil {
			m.conn.send(wire.New(wire.GoAway, "", wire.GoAwayBody{SpreadMS: Spread.Milliseconds()}))
			m.conn.close(wire.CloseRestart, "the hub restarts")
		}
	}
}
