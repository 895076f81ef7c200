package hub

import (
	"intercom/hub/cluster"
	"intercom/internal/outcome"
	"intercom/wire"
)

// listener takes what the other hubs say and ask; see [cluster.Handler].
type listener struct{ *router }

// Heard takes what another hub says.
func (r listener) Heard(m cluster.Message) {
	w := who{m.Account, m.CUID}
	switch m.Kind {
	// The owner of a call, about a device here.
	case cluster.Offer:
		r.offered(m)
	case cluster.Deliver:
		if m.Env != nil && !r.deliver(w, *m.Env) {
			r.hubs.Send(m.Hub, cluster.Message{Kind: cluster.Gone, Account: m.Account, CUID: m.CUID, Call: m.Call})
		}
	case cluster.Adopted:
		r.adoptedBy(w, m.Call, m.Hub)
	case cluster.Leaves:
		r.orphaned(w, m.Call)

	// The hub of a party, about a call of this one.
	case cluster.Said:
		r.saidElsewhere(m)
	case cluster.Taken, cluster.Refuse, cluster.Gone, cluster.Back:
		if c := r.find(m.Account, m.Call); c != nil {
			c.heard(m)
		}

	// Any hub, about its devices and sessions.
	case cluster.Watch:
		r.presence.WatchedBy(m.Hub, m.Account)
	case cluster.Devices:
		r.reported(m)
	case cluster.Counts:
		r.devices.learned(m.Hub, m.Text)
	case cluster.Ended:
		r.signOuts.learn(m)
	}
}

// heard takes what the hub of a party says.
func (c *ownedCall) heard(m cluster.Message) {
	switch m.Kind {
	case cluster.Taken:
		c.taken(m.CUID, m.Hub)
	case cluster.Refuse:
		c.refusedBy(m.Hub, m.CUID, m.Outcome)
	case cluster.Gone:
		c.left(m.CUID, m.Hub, m.Final)
	case cluster.Back:
		c.back(m.CUID, m.Hub, m.Final)
	}
}

// offered makes a device here ring for another hub.
func (r listener) offered(m cluster.Message) {
	if m.Env == nil {
		return
	}
	b, err := wire.Body[wire.IncomingBody](*m.Env)
	if err != nil {
		return
	}
	answer := cluster.Message{Kind: cluster.Refuse, Account: m.Account, CUID: m.CUID, Call: m.Call}
	switch r.ring(who{m.Account, m.CUID}, b.From, legRef{m.Call, m.Hub}, *m.Env) {
	case rang:
		answer.Kind = cluster.Taken
	case absent:
		answer.Outcome = outcome.Of(outcome.Missed, outcome.Offline)
	case busy:
		answer.Outcome = outcome.Of(outcome.Declined, outcome.Busy)
	case yours:
		answer.Outcome = outcome.Of(outcome.Cancelled, outcome.ByCaller)
	}
	r.hubs.Send(m.Hub, answer)
}

// saidElsewhere handles what a party at another hub says about a call of this one.
func (r listener) saidElsewhere(m cluster.Message) {
	if m.Env == nil {
		return
	}
	err := r.heardFrom(r.find(m.Account, m.Call), who{m.Account, m.CUID}, *m.Env)
	if m.Env.ID != 0 || err != nil {
		e := wire.Reply(*m.Env, err)
		reply := cluster.Message{Kind: cluster.Deliver, Account: m.Account, CUID: m.CUID, Call: m.Call, Env: &e}
		r.hubs.Send(m.Hub, reply)
	}
}

// Asked answers a question of another hub.
func (r listener) Asked(m cluster.Message, reply func(string)) {
	w := who{m.Account, m.CUID}
	switch m.Kind {
	case cluster.Holds:
		if r.online(w) {
			reply(r.hubs.Self())
		}
	case cluster.Owns:
		if r.find(m.Account, m.Call) != nil {
			reply(r.hubs.Self())
		}
	case cluster.Live:
		switch live, known := r.live(w, m.Call); {
		case live:
			reply(inCall)
		case known:
			reply(notSo)
		}
	case cluster.Party:
		reply(reconciler(r).confirmParty(w, m.Call))
	case cluster.Seated:
		reply(r.seated(w, m.Call))
	case cluster.Yield:
		r.background(func() { reply(r.yield(w, m.Text)) })
	}
}

// Undelivered says that a hub was not there to hear what it was told about a party of a call.
func (r listener) Undelivered(hub string, m cluster.Message) {
	if c := r.find(m.Account, m.Call); c != nil {
		c.unreachable(hub, m.CUID)
	} else {
		r.orphaned(who{m.Account, m.CUID}, m.Call)
	}
}

// unreachable says that the hub of a party is gone.
func (c *ownedCall) unreachable(hub, cuid string) {
	c.mu.Lock()
	p := c.at[cuid]
	there := p != nil && p.hub == hub
	offering := there && c.offering(cuid)
	if there && !offering && !c.state.Ended() {
		c.disconnected(cuid, false)
	}
	c.mu.Unlock()
	if offering {
		c.refusedBy(hub, cuid, outcome.Of(outcome.Missed, outcome.Offline))
	}
}
