package hub

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/internal/event"
	"intercom/internal/outcome"
	"intercom/wire"
)

// ownedCall is a call that this hub owns: its state behind a lock, its timers, and where its parties are. The rules are
// in package call.
type ownedCall struct {
	r       *router
	key     callKey
	parties []string // the caller, then all who are called
	target  string   // the only one called; "" for several, and for an adopted call

	mu       sync.Mutex
	state    call.State
	at       map[string]*place
	timers   map[call.Timer]*time.Timer
	claim    uint64 // revision of the claim of an adopted call
	refusals int    // of wishes to open a door
}

type callKey struct{ account, id string }

// place is where a party is.
type place struct {
	hub  string      // "" while nobody knows
	away *time.Timer // runs while it is disconnected, or while its hub has not said that it rings
}

func (r *router) newCall(account string, s call.State) *ownedCall {
	c := &ownedCall{r: r, key: callKey{account, s.Call}, parties: []string{s.From}, state: s, at: map[string]*place{},
		timers: map[call.Timer]*time.Timer{}}
	for _, g := range s.Legs {
		c.parties = append(c.parties, g.CUID)
	}
	return c
}

func (c *ownedCall) caller() string       { return c.parties[0] }
func (c *ownedCall) has(cuid string) bool { return slices.Contains(c.parties, cuid) }

// apply applies an event.
func (c *ownedCall) apply(e call.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next(e)
}

// next applies an event and performs the actions. An action that fails is an event too. The lock is held.
func (c *ownedCall) next(e call.Event) {
	for events := []call.Event{e}; len(events) > 0; events = events[1:] {
		var acts []call.Action
		c.state, acts = call.Next(c.state, events[0], time.Now())
		for _, a := range acts {
			if failed := c.perform(a); failed != nil {
				events = append(events, failed)
			}
		}
	}
}

// perform does what the rules want.
func (c *ownedCall) perform(a call.Action) (failed call.Event) {
	switch a := a.(type) {
	case call.Offer:
		return c.offer(a)
	case call.Send:
		c.send(a.To, a.Message)
	case call.SendAnswered:
		if a.To == c.caller() {
			c.uncount()
		}
		c.send(a.To, wire.New(wire.Answered, c.key.id,
			wire.AnsweredBody{Peer: a.Peer, Ticket: c.ticket(), LimitMS: c.state.Plan.Limit.Milliseconds()}))
	case call.SendServers:
		if servers := c.r.servers(c.key.account, a.To, c.key.id); len(servers) > 0 {
			c.send(a.To, wire.New(wire.Servers, c.key.id, wire.ServersBody{ICEServers: servers}))
		}
	case call.SetTimer:
		c.setTimer(a)
	case call.StopTimer:
		c.stopTimer(a.Timer)
	case call.Report:
		c.report(a.Result)
	}
	return nil
}

// uncount gives the caller its calls back: those that are answered do not count, and neither do those that reached
// nobody.
func (c *ownedCall) uncount() {
	for _, callee := range c.parties[1:] {
		c.r.pairs.giveBack(pairOf{who{c.key.account, c.caller()}, callee})
	}
}

func (c *ownedCall) setTimer(a call.SetTimer) {
	c.stopTimer(a.Timer)
	var timer *time.Timer
	timer = time.AfterFunc(a.After, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timers[a.Timer] == timer { // else it was stopped as it went off
			delete(c.timers, a.Timer)
			c.next(call.Expired{Timer: a.Timer})
		}
	})
	c.timers[a.Timer] = timer
}

// stopTimer stops one timer, or all for "".
func (c *ownedCall) stopTimer(name call.Timer) {
	for t, timer := range c.timers {
		if name == "" || name == t {
			timer.Stop()
			delete(c.timers, t)
		}
	}
}

// offer makes a callee ring, here or at another hub.
func (c *ownedCall) offer(a call.Offer) (failed call.Event) {
	w := who{c.key.account, a.To}
	unavailable := func(s outcome.Status, r outcome.Reason) call.Event {
		return call.Unavailable{By: a.To, Outcome: outcome.Of(s, r)}
	}
	if acct := c.r.access.Account(c.key.account); acct != nil && !acct.MayCall(c.caller(), a.To) {
		return unavailable(outcome.Declined, outcome.NotAllowed)
	}
	switch c.r.ring(w, c.caller(), legRef{c.key.id, c.r.hubs.Self()}, a.Message) {
	case rang:
		c.at[a.To] = &place{hub: c.r.hubs.Self()}
		return nil
	case busy:
		return unavailable(outcome.Declined, outcome.Busy)
	case yours:
		return unavailable(outcome.Cancelled, outcome.ByCaller)
	}
	if !c.r.hubs.Peers() {
		return unavailable(outcome.Missed, outcome.Offline)
	}
	c.r.background(func() { c.r.search(c, w, a.Message, true) })
	return nil
}

// send gives a party a message, wherever it is. The lock is held.
func (c *ownedCall) send(cuid string, e wire.Envelope) {
	p := c.at[cuid]
	if p == nil { // an adopted call's other party, which has not been found yet
		return
	}
	w := who{c.key.account, cuid}
	if p.hub == c.r.hubs.Self() {
		c.r.deliver(w, e)
		return
	}
	m := cluster.Message{Kind: cluster.Deliver, Account: w.account, CUID: w.cuid, Call: c.key.id, Env: &e}
	if c.r.hubs.Send(p.hub, m) != nil && !c.state.Ended() {
		c.disconnected(cuid, false)
	}
}

// UnansweredGrace is how long a party of a call that is not answered yet may be disconnected; the devices wait as long.
const UnansweredGrace = 4 * time.Second

// disconnected starts a party's grace period; forGood skips it. The lock is held.
func (c *ownedCall) disconnected(cuid string, forGood bool) {
	p := c.at[cuid]
	if p == nil {
		p = &place{}
		c.at[cuid] = p
	}
	grace := UnansweredGrace
	switch {
	case forGood:
		grace = 0
	case p.away != nil:
		return
	case c.state.Adopted && p.hub == "":
		grace = wire.AdoptGrace
	case c.state.Live():
		grace = wire.ResumeGrace
	}
	p.here()
	p.away = time.AfterFunc(grace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p.away != nil && c.at[cuid] == p {
			c.next(call.Lost{By: cuid})
		}
	})
}

// here stops the timer of a place.
func (p *place) here() {
	if p.away != nil {
		p.away.Stop()
		p.away = nil
	}
}

// left says that a party's connection to a hub is gone.
func (c *ownedCall) left(cuid, hub string, forGood bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.at[cuid]; p != nil && p.hub == hub && !c.state.Ended() {
		c.disconnected(cuid, forGood)
	}
}

// back says that a party is at a hub. It is brought up to date, unless its session was resumed and it missed nothing.
func (c *ownedCall) back(cuid, hub string, resumed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.at[cuid]
	if p == nil {
		p = &place{}
		c.at[cuid] = p
	}
	p.here()
	moved := p.hub != hub
	p.hub = hub
	if !resumed || moved {
		c.next(call.CatchUp{By: cuid})
	}
}

// report records the result. The call stays for a while, for those who come late.
func (c *ownedCall) report(r outcome.Result) {
	switch r.Outcome {
	case outcome.Of(outcome.Missed, outcome.Offline), outcome.Of(outcome.Failed, outcome.NetworkLost):
		c.uncount()
	}
	c.r.log.Info(event.CallEnded, event.Call(r.Call), event.Account(c.key.account), event.CUID(r.From),
		event.Peer(r.To),
		"status", string(r.Status), "reason", string(r.Reason))
	c.r.record(c.key.account, r)
	for _, p := range c.at {
		p.here()
	}
	c.r.liveCalls.Add(-1)
	time.AfterFunc(wire.RememberEnded, func() { c.r.forget(c) })
}

// silence stops all that the call would do by itself.
func (c *ownedCall) silence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopTimer("")
	for _, p := range c.at {
		p.here()
	}
}

// ticket proves the answered call to any hub of the cluster.
func (c *ownedCall) ticket() string {
	b, err := json.Marshal(c.state.Ticket(c.key.account))
	if err != nil { // a ticket holds only what JSON can say
		return ""
	}
	return c.r.tickets.Sign(b)
}
