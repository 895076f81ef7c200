package hub

import (
	"maps"
	"slices"
	"time"

	"intercom/hub/bus"
	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/wire"
)

// This file is how a hub stops, and how it lets all go that it may not hold any more.

func (r *registrar) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// stop ends the calls that are not answered, tells all to come back, and closes. Answered calls go on: their parties
// hold tickets.
func (r *router) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	for _, c := range r.owned.all() {
		c.apply(call.Shutdown{})
		c.handOver()
	}
	r.closeAll(wire.CloseRestart, "the hub restarts")
}

// handOver tells the hubs of the parties elsewhere that this one stops.
func (c *ownedCall) handOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.Live() {
		return
	}
	for cuid, p := range c.at {
		if p.hub != "" && p.hub != c.r.hubs.Self() {
			c.r.hubs.Send(p.hub, cluster.Message{Kind: cluster.Leaves, Account: c.key.account, CUID: cuid,
				Call: c.key.id})
		}
	}
}

// end stops what waits for other hubs, and the clocks of the calls.
func (r *router) end() {
	r.cancel()
	for _, c := range r.owned.takeAll() {
		c.silence()
	}
	r.presence.Close()
	r.work.Wait()
}

// fence gives up all that this hub holds, because its lease ran out and others may hold it now. Nothing is recorded:
// the calls are their new owners'.
func (r *router) fence() {
	r.mu.Lock()
	calls := r.owned.takeAll()
	members := slices.Collect(maps.Values(r.sessions))
	for _, m := range members {
		r.remove(m)
	}
	r.mu.Unlock()
	for _, m := range members {
		m.close(wire.CloseRestart, "the hub was away")
	}
	for _, c := range calls {
		c.silence()
	}
	r.liveCalls.Store(0)
}

// fenceIfStale fences a hub that could not look after its lease for longer than that lasts: it was frozen. Whatever
// comes first after the thaw asks.
func (r *router) fenceIfStale() {
	last, now := r.pulse.Load(), int64(time.Since(r.born))
	if last == 0 || now-last < int64(bus.LeaseTime) {
		return
	}
	if r.pulse.CompareAndSwap(last, now) {
		r.log.Warn("this hub was frozen; its devices sign in again")
		r.fence()
	}
}
