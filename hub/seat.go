package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"intercom/hub/access"
	"intercom/hub/bus"
	"intercom/hub/call"
	"intercom/hub/cluster"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// A device has one seat in the cluster: the claim of its cuid, and the connection at the hub that holds it. This file
// gives seats and takes them.

const (
	askOwner  = 2 * time.Second        // how long the owner of a cuid has to prove that it is there
	askHub    = askOwner + time.Second // the same through its hub
	joinTries = 5
)

// hello is a sign-in whose credentials are good.
type hello struct {
	wire.HelloBody
	re    uint64
	grant access.Grant
	end   time.Time    // of its token; zero for one that came in by the key itself
	place *reservation // nil for one that had a seat
}

// enter gives a device its seat: this connection is from now on the one owner of its cuid. It is told welcome, and then
// what it missed or how its calls stand.
func (r *router) enter(ctx context.Context, w who, h hello, c conn, welcome wire.WelcomeBody) (*member, *fault.Error) {
	done, err := r.alone(ctx, w)
	if err != nil {
		return nil, fault.New(fault.HubDegraded)
	}
	defer done()
	r.mu.Lock()
	m := r.members[w]
	r.mu.Unlock()
	if m != nil {
		if m.instance != h.Instance && m.alive() {
			return nil, fault.New(fault.AlreadySignedIn)
		}
		return r.seat(w, h, c, welcome, m.revision)
	}
	p, ferr := r.devices.reserve(ctx, w, h)
	if ferr != nil {
		return nil, ferr
	}
	defer r.devices.free(p)
	revision, ferr := r.claim(ctx, w, h.Instance)
	if ferr != nil {
		return nil, ferr
	}
	h.place = p
	m, ferr = r.seat(w, h, c, welcome, revision)
	if ferr != nil && revision != 0 {
		r.release(cluster.DeviceClaim(w.account, w.cuid), revision)
	}
	return m, ferr
}

// alone waits until nobody else signs in with this cuid here.
func (r *router) alone(ctx context.Context, w who) (done func(), err error) {
	for {
		r.mu.Lock()
		other := r.signing[w]
		if other == nil {
			mine := make(chan struct{})
			r.signing[w] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.signing, w)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// claim takes the cuid in the cluster. While the bus is away the seat is given without a claim, which is made good
// later.
func (r *router) claim(ctx context.Context, w who, instance string) (uint64, *fault.Error) {
	key := cluster.DeviceClaim(w.account, w.cuid)
	var other string
	var revision uint64
	for range joinTries {
		bctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
		got, err := r.hubs.Claim(bctx, key, revision)
		if err == nil {
			cancel()
			return got, nil
		}
		if errors.Is(err, bus.ErrTaken) {
			other, revision, err = r.hubs.Holder(bctx, key)
		}
		cancel()
		if err != nil {
			return 0, r.claimLater(ctx, w, instance, err)
		}
		if revision != 0 && other != r.hubs.Self() {
			if err := r.askToYield(ctx, other, w, instance); err != nil {
				return 0, err
			}
		}
	}
	return 0, fault.New(fault.AlreadySignedIn) // others are always faster
}

// claimLater lets a device in without a claim, while the store of claims does not answer. Other hubs that can be asked
// are asked.
func (r *router) claimLater(ctx context.Context, w who, instance string, why error) *fault.Error {
	r.log.Warn("a device is let in without a claim: the bus does not answer", event.Account(w.account),
		event.CUID(w.cuid), "err", why)
	if !r.hubs.Peers() {
		return nil
	}
	hub, err := r.hubs.AskAll(ctx, cluster.Message{Kind: cluster.Holds, Account: w.account, CUID: w.cuid})
	if err != nil || hub == "" {
		return nil
	}
	return r.askToYield(ctx, hub, w, instance)
}

const (
	yielded = "yielded"
	stays   = "stays"
)

// askToYield asks the hub that holds a cuid to give it up. A hub that is gone has.
func (r *router) askToYield(ctx context.Context, hub string, w who, instance string) *fault.Error {
	ctx, cancel := context.WithTimeout(ctx, askHub)
	defer cancel()
	answer, err := r.hubs.Ask(ctx, hub, cluster.Message{Kind: cluster.Yield, Account: w.account, CUID: w.cuid, Text: instance})
	switch {
	case errors.Is(err, bus.ErrNobody):
		return nil
	case err != nil: // it is there and does not answer: frozen, perhaps; its lease will tell
		return fault.New(fault.HubDegraded)
	case answer == yielded:
		return nil
	}
	return fault.New(fault.AlreadySignedIn)
}

// yield gives a cuid up to another hub, unless another device holds it and is alive.
func (r *router) yield(w who, instance string) string {
	ctx, cancel := context.WithTimeout(r.ctx, askHub)
	defer cancel()
	done, err := r.alone(ctx, w)
	if err != nil {
		return stays
	}
	defer done()
	r.mu.Lock()
	m := r.members[w]
	r.mu.Unlock()
	if m == nil {
		return yielded
	}
	if m.instance != instance && m.alive() {
		return stays
	}
	m.close(wire.CloseReplaced, "the same device signed in again")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(m)
	return yielded
}

// alive asks the device for a sign of life.
func (m *member) alive() bool {
	m.mu.Lock()
	c := m.conn
	m.mu.Unlock()
	asked, ok := c.(interface{ alive(time.Duration) bool })
	return ok && asked.alive(askOwner)
}

// seat puts the device on its seat. While it waited for it, what it came in by may have been taken away: whoever takes it
// away looks at the seats afterwards ([router.expel]).
func (r *router) seat(w who, h hello, c conn, welcome wire.WelcomeBody, revision uint64) (*member, *fault.Error) {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return nil, fault.New(fault.HubDegraded)
	}
	if !r.stands(w.account, h.grant) {
		r.mu.Unlock()
		return nil, fault.New(fault.Credentials)
	}
	m := r.members[w]
	if m == nil {
		m = &member{who: w}
		r.members[w] = m
		r.devices.seated(w, h.place)
	}
	if m.drop != nil {
		m.drop.Stop()
		m.drop = nil
	}
	resume := h.Resume
	if m.instance != h.Instance {
		resume = nil
	}
	m.name, m.instance, m.grant, m.revision, m.agent = h.Name, h.Instance, h.grant, revision, h.Agent
	m.since = time.Now().UTC().Truncate(time.Millisecond)
	resumed := m.attach(c, resume, h.re, welcome)
	if !resumed {
		m.offered = 0
	}
	r.expire(m, h.end)
	was := m.call
	r.mu.Unlock()
	if !resumed {
		r.presence.Unwatch(watcher{r, m})
	}
	r.changed(w)
	r.recall(m, h, was, resumed)
	return m, nil
}

// leave says that a connection is gone. The session goes on for a while; for good means that it does not.
func (r *router) leave(m *member, c conn, forGood bool) {
	r.mu.Lock()
	if !m.detach(c) || r.members[m.who] != m { // it has another one already
		r.mu.Unlock()
		return
	}
	was := m.call
	if forGood || r.stopped {
		r.drop(m)
	} else {
		m.drop = time.AfterFunc(wire.SessionGrace, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.members[m.who] == m && !m.online() {
				r.drop(m)
			}
		})
	}
	r.mu.Unlock()
	r.changed(m.who)
	r.away(m.who, was, forGood)
}

// away tells the owner of a device's call that the device is gone.
func (r *router) away(w who, of legRef, forGood bool) {
	if of.id == "" || of.owner == "" {
		return
	}
	if of.owner != r.hubs.Self() {
		r.hubs.Send(of.owner, cluster.Message{Kind: cluster.Gone, Account: w.account, CUID: w.cuid, Call: of.id, Final: forGood})
	} else if c := r.find(w.account, of.id); c != nil {
		c.left(w.cuid, r.hubs.Self(), forGood)
	}
}

// drop ends a session and releases its claim. The router's lock is held.
func (r *router) drop(m *member) {
	r.remove(m)
	if m.revision != 0 && !r.stopped {
		r.background(func() { r.release(cluster.DeviceClaim(m.account, m.cuid), m.revision) })
	}
}

func (r *router) remove(m *member) {
	r.expire(m, time.Time{})
	if m.drop != nil {
		m.drop.Stop()
		m.drop = nil
	}
	if r.members[m.who] == m {
		delete(r.members, m.who)
		r.devices.left(m.who)
	}
	r.presence.Unwatch(watcher{r, m})
	r.changed(m.who)
}

func (r *router) release(key string, revision uint64) {
	if err := r.hubs.Release(r.ctx, key, revision); err != nil && !errors.Is(err, bus.ErrTaken) {
		r.log.Debug("a claim is left behind", "key", key, "err", err) // a hint only: whoever wants it asks
	}
}

func (r *router) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// stop ends the calls that are not answered, tells all to come back, and closes. Answered calls go on: their parties
// hold tickets.
func (r *router) stop() {
	r.mu.Lock()
	r.stopped = true
	live := slices.Collect(maps.Values(r.calls))
	r.mu.Unlock()
	for _, c := range live {
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
			c.r.hubs.Send(p.hub, cluster.Message{Kind: cluster.Leaves, Account: c.key.account, CUID: cuid, Call: c.key.id})
		}
	}
}

func (r *router) closeAll(code int, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.members {
		m.mu.Lock()
		if m.conn != nil {
			m.conn.send(wire.New(wire.GoAway, "", wire.GoAwayBody{SpreadMS: Spread.Milliseconds()}))
			m.conn.close(code, why)
		}
		m.mu.Unlock()
	}
}

// end stops what waits for other hubs, and the clocks of the calls.
func (r *router) end() {
	r.cancel()
	r.mu.Lock()
	calls := r.calls
	r.calls = map[callKey]*ownedCall{}
	r.mu.Unlock()
	for _, c := range calls {
		c.silence()
	}
	r.presence.Close()
	r.work.Wait()
}

// fence gives up all that this hub holds, because its lease ran out and others may hold it now. Nothing is recorded:
// the calls are their new owners'.
func (r *router) fence() {
	r.mu.Lock()
	calls := r.calls
	r.calls = map[callKey]*ownedCall{}
	var members []*member
	for _, m := range r.members {
		members = append(members, m)
	}
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

// stands reports whether what somebody came in by is still good.
func (r *router) stands(account string, g access.Grant) bool {
	return r.access.Stands(account, g) && !r.ended.Has(account, g)
}

// expel closes the connections that came in by something that is not good any more.
func (r *router) expel() {
	r.mu.Lock()
	out := map[*member]legRef{} // with the calls that they are in
	for _, m := range r.members {
		if !r.stands(m.account, m.grant) {
			out[m] = m.call
			r.drop(m)
		}
	}
	r.mu.Unlock()
	for m, call := range out {
		r.log.Info("a device has to leave: what it signed in with was taken away", event.Account(m.account),
			event.CUID(m.cuid))
		m.send(wire.Reply(wire.Envelope{}, fault.New(fault.Credentials)))
		m.close(wire.CloseCredentials, "what it signed in with was taken away")
		r.away(m.who, call, true)
	}
}

// reclaim makes good the claims of those who were let in while the bus was away. A device whose cuid another took in
// the meantime has to go.
func (r *router) reclaim(ctx context.Context) {
	without := map[*member]string{} // and their instances
	r.mu.Lock()
	for _, m := range r.members {
		if m.revision == 0 {
			without[m] = m.instance
		}
	}
	r.mu.Unlock()
	for m, instance := range without {
		revision, err := r.claim(ctx, m.who, instance)
		if ctx.Err() != nil { // the rest the next time: the lease must not wait
			return
		}
		r.mu.Lock()
		switch {
		case r.members[m.who] != m:
		case err != nil && err.Code == fault.AlreadySignedIn:
			r.remove(m)
			m.close(wire.CloseTaken, "the cuid was taken while the hub was alone")
		case err == nil:
			m.revision = revision
		}
		r.mu.Unlock()
	}
}
