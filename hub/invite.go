package hub

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"

	"intercom/hub/access"
	"intercom/hub/call"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// invite starts a call, which this hub owns. It replies, unless it gives an error.
func (r *router) invite(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.InviteBody](e)
	if err != nil {
		return err
	}
	if raw, err := hex.DecodeString(e.Call); err != nil || len(raw) != 16 {
		return fault.In(fault.InvalidCall, "call", "The call id must be 128 random bits as 32 hexadecimal digits.")
	}
	if r.tellResult(m, e.Call) { // it had an end, of which the device had not heard
		m.reply(e, nil, nil)
		return nil
	}
	state, err := r.plan(m.who, b)
	if err != nil {
		return err
	}
	for _, g := range state.Legs {
		if err := r.pairs.may(pairOf{m.who, g.CUID}); err != nil {
			return err
		}
	}
	state.Image = b.InitiatorImage
	state.Result = outcome.Result{Call: e.Call, From: m.cuid, To: b.To.String(), Context: b.Context,
		InvitedAt: outcome.At(time.Now())}
	for i := range state.Legs {
		state.Legs[i].Servers = r.servers(m.account, state.Legs[i].CUID, e.Call)
	}

	// The call is locked before others can find it.
	c := r.newCall(m.account, state)
	c.at[m.cuid] = &place{hub: r.hubs.Self()}
	if len(state.Legs) == 1 {
		c.target = state.Legs[0].CUID
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return fault.New(fault.HubDegraded)
	}
	if id := m.call.id; id != "" {
		called := c.target != "" && m.caller == c.target
		r.mu.Unlock()
		if called { // both call each other: the first invite is the call
			return fault.New(fault.Conflict)
		}
		return fault.New(fault.CallInProgress)
	}
	c.state.Name = m.name
	m.call, m.caller, m.ringing = legRef{e.Call, r.hubs.Self()}, "", false
	r.changed(m.who)
	r.owned.add(c)
	r.mu.Unlock()
	r.liveCalls.Add(1)
	m.reply(e, wire.InvitedBody{RingMS: state.Plan.Ring.Milliseconds(), CallerMS: state.Plan.Caller.Milliseconds()},
		nil)
	c.next(call.Begin{})
	return nil
}

// pairOf is a device, and another that it calls.
type pairOf struct {
	who
	callee string
}

// plan checks an invite and says who is to ring, how and how long.
func (r *router) plan(from who, b wire.InviteBody) (call.State, *fault.Error) {
	var s call.State
	acct := r.access.Account(from.account)
	if acct == nil {
		return s, fault.New(fault.MissingAccount)
	}
	to, mode, each := []string(b.To), b.Mode, wire.Millis(b.EachMS)
	if len(to) == 1 {
		if g := acct.Group(to[0]); g != nil {
			to, mode, each = g.Members, g.Mode, g.Each.Std()
			to = slices.DeleteFunc(slices.Clone(to), func(c string) bool { return c == from.cuid })
		}
	}
	if err := call.CheckInvite(from.cuid, to, b); err != nil {
		return s, err
	}
	p := call.Plan{Ring: r.times.Ring, Caller: r.times.Caller, Ack: r.times.Ack, Limit: acct.Limit(from.cuid)}
	if asked := wire.Millis(b.MaxDurationMS); asked > 0 && (p.Limit == 0 || asked < p.Limit) {
		p.Limit = asked
	}
	if mode == wire.Sequence {
		p.Each = cmp.Or(each, access.EachTime)
		p.Ring = min(p.Each*time.Duration(len(to)), MaxRing)
		p.Caller = max(p.Caller, p.Ring+r.times.Caller-r.times.Ring)
	}
	s.Plan = p
	for _, c := range to {
		s.Legs = append(s.Legs, call.Leg{CUID: c, Auto: acct.MayBeAnswered(from.cuid, c)})
	}
	return s, nil
}

// MaxRing is the longest that a call may ring, also in a sequence.
const MaxRing = 2 * time.Minute
