package hub

import (
	"context"
	"time"

	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/internal/outcome"
	"intercom/wire"
)

// This file finds callees at other hubs, and makes them ring there.

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

// onlineAnywhere reports whether a device has its place at this hub or, as far as these say, at another.
func (r *router) onlineAnywhere(ctx context.Context, account, cuid string) bool {
	r.mu.Lock()
	here := r.sessions[who{account, cuid}] != nil
	r.mu.Unlock()
	if here || !r.hubs.Peers() {
		return here
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
	defer cancel()
	_, revision, err := r.hubs.Holder(ctx, cluster.DeviceClaim(account, cuid))
	return err == nil && revision != 0
}
