package hub

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"intercom/hub/bus"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// This file finds what is elsewhere: devices at other hubs, the owners of calls, and calls that lost theirs.

// search looks for a callee at other hubs and asks the one that has it to make it ring. A claim is a hint, the open
// socket is the truth: when the hint is wrong, all are asked before anybody says offline.
func (r *router) search(t *talk, w who, e wire.Envelope, hint bool) {
	hub, err := r.locate(w, hint)
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.lane.leg(w.cuid); t.lane.ended() || g.state != offered || t.at[w.cuid] != nil { // it came by itself
		return
	}
	var o outcome.Outcome
	switch {
	case err != nil:
		o = outcome.Of(outcome.Failed, outcome.NetworkLost)
	case hub == "":
		o = outcome.Of(outcome.Missed, outcome.Offline)
	default:
		t.at[w.cuid] = &place{hub: hub}
		s := slip{Kind: kOffer, Hub: r.name, Account: w.account, CUID: w.cuid, Call: t.lane.Call, Env: &e}
		if r.bus.Send(hub, s.bytes(), s.token()) == nil {
			t.at[w.cuid].away = time.AfterFunc(askBus, func() { t.unheard(w, hub) })
			return
		}
		o = outcome.Of(outcome.Failed, outcome.NetworkLost)
	}
	acts, _ := t.lane.step(news{what: refused, by: w.cuid, outcome: o}, time.Now())
	t.perform(acts)
}

// unheard says that a hub did not say in time whether it makes a callee ring.
func (t *talk) unheard(w who, hub string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.at[w.cuid]
	if g := t.lane.leg(w.cuid); p == nil || p.hub != hub || p.away == nil || t.lane.ended() || g == nil || g.state != offered {
		return
	}
	p.away = nil
	acts, _ := t.lane.step(news{what: refused, by: w.cuid, outcome: outcome.Of(outcome.Failed, outcome.NetworkLost), told: true}, time.Now())
	t.perform(acts)
}

// taken says that a hub makes a callee ring.
func (t *talk) taken(cuid, hub string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.at[cuid]; p != nil && p.hub == hub && p.away != nil {
		p.away.Stop()
		p.away = nil
	}
	if g := t.lane.leg(cuid); g != nil && g.state == gone { // it was stopped in between
		t.perform(t.lane.stands(cuid, time.Now()))
	}
}

// refusedBy says that a hub cannot make a callee ring. One that is not there after all may be elsewhere.
func (t *talk) refusedBy(w who, s slip) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, g := t.at[w.cuid], t.lane.leg(w.cuid)
	if p == nil || p.hub != s.Hub || g == nil || g.state != offered || t.lane.ended() {
		return
	}
	if p.away != nil {
		p.away.Stop()
	}
	delete(t.at, w.cuid)
	if s.Outcome.Reason == outcome.Offline && !s.Final {
		e := t.lane.incoming(g, time.Now())
		t.r.background(func() { t.r.search(t, w, e, false) })
		return
	}
	acts, _ := t.lane.step(news{what: refused, by: w.cuid, outcome: s.Outcome}, time.Now())
	t.perform(acts)
}

// locate says which other hub has a device, "" for none. The hint is its claim.
func (r *router) locate(w who, hint bool) (string, error) {
	ctx, cancel := context.WithTimeout(r.ctx, askBus)
	defer cancel()
	if hint {
		value, revision, err := r.bus.Claimed(ctx, deviceClaim(w))
		if hub := holder(value); err == nil && revision != 0 && hub != r.name {
			return hub, nil
		}
	}
	return r.askAll(ctx, slip{Kind: kHolds, Hub: r.name, Account: w.account, CUID: w.cuid})
}

// askAll asks all other hubs; "" when none answers.
func (r *router) askAll(ctx context.Context, s slip) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askAll)
	defer cancel()
	answer, err := r.bus.AskAll(ctx, s.bytes())
	if errors.Is(err, bus.ErrNobody) {
		return "", nil
	}
	return string(answer), err
}

// Undelivered says that a hub was not there to hear what it was told about a party of a call.
func (r *router) Undelivered(hub, token string) {
	account, call, cuid := tokenOf(token)
	if t := r.find(account, call); t != nil {
		t.mu.Lock()
		p, g := t.at[cuid], t.lane.leg(cuid)
		offering := g != nil && g.state == offered && p != nil && p.hub == hub
		if p != nil && p.hub == hub && !t.lane.ended() && !offering {
			t.missing(cuid, false)
		}
		t.mu.Unlock()
		if offering {
			t.refusedBy(who{account, cuid}, slip{Hub: hub, Outcome: outcome.Of(outcome.Missed, outcome.Offline)})
		}
		return
	}
	r.orphaned(who{account, cuid}, call)
}

// recall sets right what a device that signed in and the cluster believe of its calls.
func (r *router) recall(m *member, h hello, was legRef, resumed bool) {
	named := false
	for _, c := range h.Calls {
		named = named || c.Call == was.id
		t := r.find(m.account, c.Call)
		switch {
		case t != nil && t.lane.has(m.cuid):
			r.hold(m, legRef{c.Call, r.name}, t)
			t.back(m.cuid, r.name, resumed && c.Call == was.id)
		case c.Call == was.id && was.owner != "":
			r.send(was.owner, slip{Kind: kBack, Account: m.account, CUID: m.cuid, Call: c.Call, Final: resumed})
		case c.Ticket != "" || r.bus.Peers():
			r.seek(m, c)
		}
	}
	if was.id != "" && !named && !resumed { // it came back without the call that it was in
		r.away(m.who, was, true)
	} else if was.id != "" && !named { // its session went on: the call began while the hello was on its way
		if t := r.find(m.account, was.id); t != nil && was.owner == r.name {
			t.back(m.cuid, r.name, true)
		} else if was.owner != "" {
			r.send(was.owner, slip{Kind: kBack, Account: m.account, CUID: m.cuid, Call: was.id, Final: true})
		}
	}
}

// hold notes that a device is in a call that lives.
func (r *router) hold(m *member, call legRef, t *talk) {
	t.mu.Lock()
	live := !t.lane.ended()
	if g := t.lane.leg(m.cuid); g != nil && g.state == gone {
		live = false
	}
	t.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if live && m.call.id == "" {
		m.call = call
	}
}

// seek finds the owner of a call that a device names, or adopts the call. What the device says of it meanwhile waits.
func (r *router) seek(m *member, c wire.CallRef) {
	if r.known(m, c.Call) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(m.seeking, c.Call) {
		return
	}
	m.seeking = append(m.seeking, c.Call)
	r.background(func() {
		owner := r.owner(m.who, c)
		if t := r.find(m.account, c.Call); owner == r.name && t != nil {
			r.hold(m, legRef{c.Call, owner}, t)
			t.back(m.cuid, r.name, false)
		}
		r.mu.Lock()
		switch {
		case owner != "" && (m.call.id == "" && owner != r.name || m.call.id == c.Call):
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
		if owner != "" && owner != r.name {
			r.send(owner, slip{Kind: kBack, Account: m.account, CUID: m.cuid, Call: c.Call})
		}
		for _, e := range held {
			r.receive(m, e)
		}
	})
}

// known tells a device the result of a call that was recorded long ago: a ticket does not bring it back.
func (r *router) known(m *member, call string) bool {
	result, ok := r.recorded(m.account, call)
	if ok = ok && (result.From == m.cuid || result.To == m.cuid); ok {
		r.deliver(m.who, ended(result))
	}
	return ok
}

// owner finds the hub that owns a call; this one, if it adopted it now; "" if nobody does and nobody can.
func (r *router) owner(w who, c wire.CallRef) string {
	ctx, cancel := context.WithTimeout(r.ctx, askBus)
	defer cancel()
	if r.bus.Peers() {
		if hub, err := r.askAll(ctx, slip{Kind: kOwns, Hub: r.name, Account: w.account, CUID: w.cuid, Call: c.Call}); err == nil && hub != "" {
			return hub
		}
	}
	k, ok := r.openTicket(w, c)
	if !ok {
		return ""
	}
	// Several hubs may want it: the claim decides.
	key := callClaim(callKey{w.account, c.Call})
	revision := uint64(0)
	for range joinTries {
		got, err := r.bus.Claim(ctx, key, r.value(), revision)
		if err == nil || !errors.Is(err, bus.ErrTaken) { // without the bus there is nobody to share it with
			r.adopt(w, k, got)
			return r.name
		}
		value, at, err := r.bus.Claimed(ctx, key)
		if err != nil {
			continue
		}
		if hub := holder(value); at != 0 && hub != r.name {
			_, err := r.bus.Ask(ctx, hub, slip{Kind: kOwns, Hub: r.name, Account: w.account, Call: c.Call}.bytes())
			if !errors.Is(err, bus.ErrNobody) {
				return hub
			}
		}
		revision = at
	}
	return ""
}

// TicketTime is how long after the answer a call can be adopted.
const TicketTime = 24 * time.Hour

// openTicket checks a ticket: it must be ours, and about this call and this device.
func (r *router) openTicket(w who, c wire.CallRef) (ticket, bool) {
	var k ticket
	b, ok := r.tickets.Open(c.Ticket)
	if !ok || len(c.Ticket) > wire.MaxTicket || json.Unmarshal(b, &k) != nil {
		return k, false
	}
	return k, k.Account == w.account && k.Call == c.Call && time.Since(k.AnsweredAt) < TicketTime && (k.From == w.cuid || k.To == w.cuid) && r.access.Account(k.Account) != nil
}

// adopt makes this hub the owner of a call from its ticket. The other party is looked for, and has a while to come.
func (r *router) adopt(w who, k ticket, claim uint64) {
	l := lane{plan: plan{limit: k.Limit}, legs: []leg{{cuid: k.To, state: talking}}, lead: k.To, adopted: true}
	l.Result = outcome.Result{Call: k.Call, From: k.From, To: k.To, Context: k.Context, InvitedAt: outcome.At(k.InvitedAt), RingingAt: k.RingingAt, AnsweredAt: outcome.At(k.AnsweredAt)}
	t := r.newTalk(k.Account, l)
	t.claim = claim
	t.mu.Lock()
	defer t.mu.Unlock()
	r.mu.Lock()
	if r.calls[t.key] != nil { // the other party was here first
		r.mu.Unlock()
		return
	}
	r.calls[t.key] = t
	r.mu.Unlock()
	r.liveCalls.Add(1)
	r.log.Info("call adopted", "call", k.Call, "cuid", k.From, "peer", k.To)
	t.at[w.cuid] = &place{hub: r.name}
	peer := who{w.account, k.From}
	if peer == w {
		peer.cuid = k.To
	}
	t.perform(t.lane.watch(k.Limit - time.Since(k.AnsweredAt)))
	r.mu.Lock()
	m := r.members[peer]
	here := m != nil && m.online() && m.call.id == k.Call
	if here {
		m.call.owner = r.name
	}
	r.mu.Unlock()
	if here {
		t.at[peer.cuid] = &place{hub: r.name}
		return
	}
	t.missing(peer.cuid, false)
	if r.bus.Peers() {
		r.background(func() {
			if hub, err := r.locate(peer, true); err == nil && hub != "" {
				r.send(hub, slip{Kind: kAdopted, Account: peer.account, CUID: peer.cuid, Call: k.Call})
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
	r.send(owner, slip{Kind: kBack, Account: w.account, CUID: w.cuid, Call: call, Final: true})
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
	r.log.Warn("the hub of a call is gone", "call", call, "cuid", w.cuid, "peer", owner)
	if b, err := wire.Body[wire.AnsweredBody](wire.Envelope{B: answered}); answered != nil && err == nil {
		r.seek(m, wire.CallRef{Call: call, Ticket: b.Ticket})
		return
	}
	r.presence.touch(w)
	m.send(wire.Reply(wire.Envelope{Call: call}, fault.New(fault.NotParty)))
}

// late handles the end of a call that nobody here knows, told with its ticket: its hub was gone when it ended. It
// reports whether that is what it was.
func (r *router) late(m *member, e wire.Envelope) bool {
	b, err := wire.Body[wire.HangUpBody](e)
	if e.T != wire.HangUp || err != nil {
		return false
	}
	if r.known(m, e.Call) {
		m.reply(e, nil, nil)
		return true
	}
	c := wire.CallRef{Call: e.Call, Ticket: b.Ticket}
	if _, ok := r.openTicket(m.who, c); !ok {
		return false
	}
	r.background(func() {
		switch owner := r.owner(m.who, c); {
		case owner != "" && owner != r.name:
			r.forward(m, owner, e)
		default: // this hub has it now, or nobody can
			m.reply(e, nil, r.heardFrom(r.find(m.account, e.Call), m.who, e))
		}
	})
	return true
}
