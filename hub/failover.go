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
	"intercom/wire"
)

// This file is how calls outlive their hubs: owners of calls are found, and calls that lost theirs are adopted.

// arrived sets right what a device that signed in and the cluster believe of its calls.
func (r *router) arrived(m *session, h hello, was legRef, resumed bool) {
	named := false
	for _, ref := range h.Calls {
		named = named || ref.Call == was.id
		c := r.find(m.account, ref.Call)
		switch {
		case c != nil && c.has(m.cuid):
			r.hold(m, legRef{ref.Call, r.hubs.Self()}, c)
			c.back(m.cuid, r.hubs.Self(), resumed && ref.Call == was.id)
		case ref.Call == was.id && was.owner != "":
			r.hubs.Send(was.owner, cluster.Message{Kind: cluster.Back, Account: m.account, CUID: m.cuid, Call: ref.Call,
				Final: resumed})
		case ref.Ticket != "" || r.hubs.Peers():
			r.seek(m, ref)
		}
	}
	if was.id != "" && !named && !resumed { // it came back without the call that it was in
		r.departed(m.who, was, true)
	} else if was.id != "" && !named { // its session went on: the call began while the hello was on its way
		if c := r.find(m.account, was.id); c != nil && was.owner == r.hubs.Self() {
			c.back(m.cuid, r.hubs.Self(), true)
		} else if was.owner != "" {
			r.hubs.Send(was.owner, cluster.Message{Kind: cluster.Back, Account: m.account, CUID: m.cuid, Call: was.id,
				Final: true})
		}
	}
}

// departed tells the owner of a device's call that the device is gone.
func (r *router) departed(w who, of legRef, forGood bool) {
	if of.id == "" || of.owner == "" {
		return
	}
	if of.owner != r.hubs.Self() {
		r.hubs.Send(of.owner, cluster.Message{Kind: cluster.Gone, Account: w.account, CUID: w.cuid, Call: of.id,
			Final: forGood})
	} else if c := r.find(w.account, of.id); c != nil {
		c.left(w.cuid, r.hubs.Self(), forGood)
	}
}

// seek finds the owner of a call that a device names, or adopts the call. What the device says of it meanwhile waits.
func (r *router) seek(m *session, c wire.CallRef) {
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
		held := m.held.Take(c.Call)
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
func (r *router) tellResult(m *session, id string) bool {
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
		if hub, err := r.hubs.AskAll(ctx, cluster.Message{Kind: cluster.Owns, Account: w.account, CUID: w.cuid,
			Call: c.Call}); err == nil && hub != "" {
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
	if !r.owned.add(c) { // the other party was here first
		return
	}
	r.liveCalls.Add(1)
	r.log.Info("call adopted", event.Call(k.Call), event.Account(w.account), event.CUID(k.From), event.Peer(k.To))
	c.at[w.cuid] = &place{hub: r.hubs.Self()}
	peer := who{w.account, k.Peer(w.cuid)}
	c.next(call.Begin{})
	r.mu.Lock()
	m := r.sessions[peer]
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
				r.hubs.Send(hub, cluster.Message{Kind: cluster.Adopted, Account: peer.account, CUID: peer.cuid,
					Call: k.Call})
			}
		})
	}
}

// adoptedBy says that a call of a device here has a new owner.
func (r *router) adoptedBy(w who, call, owner string) {
	r.mu.Lock()
	m := r.sessions[w]
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
	m := r.sessions[w]
	if m == nil || m.call.id != call {
		r.mu.Unlock()
		return
	}
	owner, answered := m.call.owner, m.answered
	if answered == nil {
		m.call = legRef{}
	}
	r.mu.Unlock()
	r.log.Warn("the hub of a call is gone", event.Call(call), event.Account(w.account), event.CUID(w.cuid),
		event.Hub(owner))
	if b, err := wire.Body[wire.AnsweredBody](wire.Envelope{B: answered}); answered != nil && err == nil {
		r.seek(m, wire.CallRef{Call: call, Ticket: b.Ticket})
		return
	}
	r.changed(w)
	m.send(wire.Reply(wire.Envelope{Call: call}, fault.New(fault.NotParty)))
}

// takeLateHangUp handles the end of a call that nobody here knows, told with its ticket: its hub was gone when it
// ended. It reports whether that is what it was.
func (r *router) takeLateHangUp(m *session, e wire.Envelope) bool {
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
