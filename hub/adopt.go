package hub

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"intercom/hub/bus"
	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// This file finds what is elsewhere: devices at other hubs, the owners of calls, and calls that lost theirs.

// search looks for a callee at other hubs and asks the one that has it to make it ring. A claim is a hint, the open
// socket is the truth: when the hint is wrong, all are asked before anybody says offline.
func (r *router) search(c *ownedCall, w who, e wire.Envelope, hint bool) {
	hub, err := r.hubs.Locate(r.ctx, w.account, w.cuid, hint)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.offering(w.cuid) || c.at[w.cuid] != nil { // it came by itself
		return
	}
	o := outcome.Of(outcome.Failed, outcome.NetworkLost)
	switch {
	case err != nil:
	case hub == "":
		o = outcome.Of(outcome.Missed, outcome.Offline)
	default:
		c.at[w.cuid] = &place{hub: hub}
		offer := cluster.Message{Kind: cluster.Offer, Account: w.account, CUID: w.cuid, Call: c.key.id, Env: &e}
		if r.hubs.Send(hub, offer) == nil {
			c.at[w.cuid].away = time.AfterFunc(cluster.AskTime, func() { c.unheard(w.cuid, hub) })
			return
		}
	}
	c.next(call.Unavailable{By: w.cuid, Outcome: o})
}

// offering reports whether a callee was offered the call and has not said yet that it rings. The lock is held.
func (c *ownedCall) offering(cuid string) bool {
	g := c.state.Leg(cuid)
	return g != nil && g.Phase == call.Offered && !c.state.Ended()
}

// unheard says that a hub did not say in time whether it makes a callee ring.
func (c *ownedCall) unheard(cuid, hub string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.at[cuid]; p != nil && p.hub == hub && p.away != nil && c.offering(cuid) {
		p.away = nil
		c.next(call.Unavailable{By: cuid, Outcome: outcome.Of(outcome.Failed, outcome.NetworkLost), Unsure: true})
	}
}

// taken says that a hub makes a callee ring.
func (c *ownedCall) taken(cuid, hub string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.at[cuid]; p != nil && p.hub == hub {
		p.here()
	}
	if g := c.state.Leg(cuid); g != nil && g.Phase == call.Over { // it was stopped in between
		c.next(call.CatchUp{By: cuid})
	}
}

// refusedBy says that a hub cannot make a callee ring. One that is not there after all may be elsewhere.
func (c *ownedCall) refusedBy(hub, cuid string, o outcome.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.at[cuid]
	if p == nil || p.hub != hub || !c.offering(cuid) {
		return
	}
	p.here()
	delete(c.at, cuid)
	if o.Reason == outcome.Offline {
		e := c.state.Incoming(c.state.Leg(cuid), time.Now())
		c.r.background(func() { c.r.search(c, who{c.key.account, cuid}, e, false) })
		return
	}
	c.next(call.Unavailable{By: cuid, Outcome: o})
}

// recall sets right what a device that signed in and the cluster believe of its calls.
func (r *router) recall(m *member, h hello, was legRef, resumed bool) {
	named := false
	for _, ref := range h.Calls {
		named = named || ref.Call == was.id
		c := r.find(m.account, ref.Call)
		switch {
		case c != nil && c.has(m.cuid):
			r.hold(m, legRef{ref.Call, r.hubs.Self()}, c)
			c.back(m.cuid, r.hubs.Self(), resumed && ref.Call == was.id)
		case ref.Call == was.id && was.owner != "":
			r.hubs.Send(was.owner, cluster.Message{Kind: cluster.Back, Account: m.account, CUID: m.cuid, Call: ref.Call, Final: resumed})
		case ref.Ticket != "" || r.hubs.Peers():
			r.seek(m, ref)
		}
	}
	if was.id != "" && !named && !resumed { // it came back without the call that it was in
		r.away(m.who, was, true)
	} else if was.id != "" && !named { // its session went on: the call began while the hello was on its way
		if c := r.find(m.account, was.id); c != nil && was.owner == r.hubs.Self() {
			c.back(m.cuid, r.hubs.Self(), true)
		} else if was.owner != "" {
			r.hubs.Send(was.owner, cluster.Message{Kind: cluster.Back, Account: m.account, CUID: m.cuid, Call: was.id, Final: true})
		}
	}
}

// hold notes that a device is in a call that lives.
func (r *router) hold(m *member, of legRef, c *ownedCall) {
	c.mu.Lock()
	g := c.state.Leg(m.cuid)
	live := !c.state.Ended() && (g == nil || g.Phase != call.Over)
	c.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if live && m.call.id == "" {
		m.call = of
	}
}

// seek finds the owner of a call that a device names, or adopts the call. What the device says of it meanwhile waits.
func (r *router) seek(m *member, c wire.CallRef) {
	if r.tellResult(m, c.Call) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(m.seeking, c.Call) {
		return
	}
	m.seeking = append(m.seeking, c.Call)
	r.background(func() {
		owner := r.findOrAdopt(m.who, c)
		if own := r.find(m.account, c.Call); owner == r.hubs.Self() && own != nil {
			r.hold(m, legRef{c.Call, owner}, own)
			own.back(m.cuid, r.hubs.Self(), false)
		}
		r.mu.Lock()
		switch {
		case owner != "" && (m.call.id == "" && owner != r.hubs.Self() || m.call.id == c.Call):
			m.call = legRef{c.Call, owner}
		case owner == "" && m.call.id == c.Call: // it was lost for good
			m.call, m.answered = legRef{}, nil
		}
		m.seeking = slices.DeleteFunc(m.seeking, func(id string) bool { return id == c.Call })
		var held []wire.Envelope
		m.held = slices.DeleteFunc(m.held, func(e wire.Envelope) bool {
			if e.Call == c.Call {
				held = append(held, e)
			}
			return e.Call == c.Call
		})
		r.mu.Unlock()
		if owner != "" && owner != r.hubs.Self() {
			r.hubs.Send(owner, cluster.Message{Kind: cluster.Back, Account: m.account, CUID: m.cuid, Call: c.Call})
		}
		for _, e := range held {
			r.receive(m, e)
		}
	})
}

// tellResult tells a device the result of a call that was recorded long ago: a ticket does not bring it back.
func (r *router) tellResult(m *member, id string) bool {
	result, ok := r.recorded(m.account, id)
	if ok = ok && (result.From == m.cuid || result.To == m.cuid); ok {
		r.deliver(m.who, call.Ended(result))
	}
	return ok
}

// findOrAdopt finds the hub that owns a call; this one, if it adopted it now; "" if nobody does and nobody can.
func (r *router) findOrAdopt(w who, c wire.CallRef) string {
	ctx, cancel := context.WithTimeout(r.ctx, cluster.AskTime)
	defer cancel()
	if r.hubs.Peers() {
		if hub, err := r.hubs.AskAll(ctx, cluster.Message{Kind: cluster.Owns, Account: w.account, CUID: w.cuid, Call: c.Call}); err == nil && hub != "" {
			return hub
		}
	}
	k, ok := r.openTicket(w, c)
	if !ok {
		return ""
	}
	// Several hubs may want it: the claim decides.
	key := cluster.CallClaim(w.account, c.Call)
	revision := uint64(0)
	for range joinTries {
		got, err := r.hubs.Claim(ctx, key, revision)
		if err == nil || !errors.Is(err, bus.ErrTaken) { // without the bus there is nobody to share it with
			r.adopt(w, k, got)
			return r.hubs.Self()
		}
		hub, at, err := r.hubs.Holder(ctx, key)
		if err != nil {
			continue
		}
		if at != 0 && hub != r.hubs.Self() {
			_, err := r.hubs.Ask(ctx, hub, cluster.Message{Kind: cluster.Owns, Account: w.account, Call: c.Call})
			if !errors.Is(err, bus.ErrNobody) {
				return hub
			}
		}
		revision = at
	}
	return ""
}

// openTicket checks a ticket: it must be ours, and about this call and this device.
func (r *router) openTicket(w who, c wire.CallRef) (k call.Ticket, ok bool) {
	b, ok := r.tickets.Open(c.Ticket)
	if !ok || len(c.Ticket) > wire.MaxTicket || json.Unmarshal(b, &k) != nil {
		return k, false
	}
	return k, k.Has(w.account, w.cuid, c.Call, time.Now()) && r.access.Account(k.Account) != nil
}

// adopt makes this hub the owner of a call from its ticket. The other party is looked for, and has a while to come.
func (r *router) adopt(w who, k call.Ticket, claim uint64) {
	c := r.newCall(k.Account, call.Adopt(k))
	c.claim = claim
	c.mu.Lock()
	defer c.mu.Unlock()
	r.mu.Lock()
	if r.calls[c.key] != nil { // the other party was here first
		r.mu.Unlock()
		return
	}
	r.calls[c.key] = c
	r.mu.Unlock()
	r.liveCalls.Add(1)
	r.log.Info("call adopted", event.Call(k.Call), event.Account(w.account), event.CUID(k.From), event.Peer(k.To))
	c.at[w.cuid] = &place{hub: r.hubs.Self()}
	peer := who{w.account, k.Peer(w.cuid)}
	c.next(call.Begin{})
	r.mu.Lock()
	m := r.members[peer]
	here := m != nil && m.online() && m.call.id == k.Call
	if here {
		m.call.owner = r.hubs.Self()
	}
	r.mu.Unlock()
	if here {
		c.at[peer.cuid] = &place{hub: r.hubs.Self()}
		return
	}
	c.disconnected(peer.cuid, false)
	if r.hubs.Peers() {
		r.background(func() {
			if hub, err := r.hubs.Locate(r.ctx, peer.account, peer.cuid, true); err == nil && hub != "" {
				r.hubs.Send(hub, cluster.Message{Kind: cluster.Adopted, Account: peer.account, CUID: peer.cuid, Call: k.Call})
			}
		})
	}
}

// adoptedBy says that a call of a device here has a new owner.
func (r *router) adoptedBy(w who, call, owner string) {
	r.mu.Lock()
	m := r.members[w]
	if m == nil || m.call.id != call || !m.online() || r.stopped {
		r.mu.Unlock()
		return
	}
	m.call.owner = owner
	r.mu.Unlock()
	r.hubs.Send(owner, cluster.Message{Kind: cluster.Back, Account: w.account, CUID: w.cuid, Call: call, Final: true})
}

// orphaned says that the owner of a device's call is gone. An answered call is adopted with the ticket that passed
// through here; one that was not answered has failed.
func (r *router) orphaned(w who, call string) {
	r.mu.Lock()
	m := r.members[w]
	if m == nil || m.call.id != call {
		r.mu.Unlock()
		return
	}
	owner, answered := m.call.owner, m.answered
	if answered == nil {
		m.call = legRef{}
	}
	r.mu.Unlock()
	r.log.Warn("the hub of a call is gone", event.Call(call), event.Account(w.account), event.CUID(w.cuid), event.Hub(owner))
	if b, err := wire.Body[wire.AnsweredBody](wire.Envelope{B: answered}); answered != nil && err == nil {
		r.seek(m, wire.CallRef{Call: call, Ticket: b.Ticket})
		return
	}
	r.changed(w)
	m.send(wire.Reply(wire.Envelope{Call: call}, fault.New(fault.NotParty)))
}

// takeLateHangUp handles the end of a call that nobody here knows, told with its ticket: its hub was gone when it ended. It
// reports whether that is what it was.
func (r *router) takeLateHangUp(m *member, e wire.Envelope) bool {
	b, err := wire.Body[wire.HangUpBody](e)
	if e.T != wire.HangUp || err != nil {
		return false
	}
	if r.tellResult(m, e.Call) {
		m.reply(e, nil, nil)
		return true
	}
	c := wire.CallRef{Call: e.Call, Ticket: b.Ticket}
	if _, ok := r.openTicket(m.who, c); !ok {
		return false
	}
	r.background(func() {
		switch owner := r.findOrAdopt(m.who, c); {
		case owner != "" && owner != r.hubs.Self():
			r.forward(m, owner, e)
		default: // this hub has it now, or nobody can
			m.reply(e, nil, r.heardFrom(r.find(m.account, e.Call), m.who, e))
		}
	})
	return true
}
