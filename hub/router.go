package hub

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"intercom/hub/access"
	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// router carries what is said between [parties] and the calls that this hub owns, here and at other hubs.
type router struct {
	*parties
	requests requests
	signOuts *signOuts
	tickets  *access.Signer
	times    Times
	record   func(account string, r outcome.Result)
	recorded func(account, call string) (outcome.Result, bool)
	servers  func(account, cuid, call string) []wire.ICEServer

	pairs quota[pairOf] // of calls that a device places

	liveCalls atomic.Int64
	cutOff    atomic.Bool // the bus does not answer
	born      time.Time
	pulse     atomic.Int64 // when the hub last looked after its lease, in nanoseconds since born: wall clocks jump
}

func newRouter(s Settings, log *slog.Logger) *router {
	reg := newRegistrar(s, log)
	r := &router{
		parties: &parties{registrar: reg}, requests: requests{reg, s.Note},
		signOuts: &signOuts{log: log, hubs: reg.hubs, ended: s.Ended, expel: reg.expel},
		tickets:  s.Secret.For("call ticket"), times: s.Times, servers: s.Servers,
		record: s.Record, recorded: s.Recorded, born: time.Now(),
	}
	r.pairs.rate, r.rings.rate = pairRate, ringRate
	if r.servers == nil {
		r.servers = func(string, string, string) []wire.ICEServer { return nil }
	}
	reg.calls = r
	return r
}

// receive handles a message of a device here about a call. A reply that comes from elsewhere comes by itself.
func (r *router) receive(m *session, e wire.Envelope) {
	r.mu.Lock()
	c, owner := r.find(m.account, e.Call), ""
	switch {
	case c != nil:
	case e.Call == "":
	case slices.Contains(m.seeking, e.Call): // its owner is being looked for
		if m.held.Room(e) {
			m.held.Add(e)
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
func (r *router) forward(m *session, owner string, e wire.Envelope) {
	said := cluster.Message{Kind: cluster.Said, Account: m.account, CUID: m.cuid, Call: e.Call, Env: &e}
	if r.hubs.Send(owner, said) != nil {
		r.orphaned(m.who, e.Call)
		m.reply(e, nil, fault.New(fault.HubDegraded))
	}
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
		if err := r.requests.mayOpen(c, w); err != nil {
			return err
		}
	case wire.Capabilities:
		if !r.requests.mayBeOpened(c, w) {
			return nil // the peer is not told of a door that it may not open
		}
	}
	c.apply(said)
	return nil
}
