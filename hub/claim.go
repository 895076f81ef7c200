package hub

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"intercom/hub/bus"
	"intercom/hub/cluster"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// claims are what this hub has of the cluster: cuids, and calls that it adopted.
type claims struct {
	ctx  context.Context // of the hub
	hubs *cluster.Hubs
	log  *slog.Logger
}

const (
	askHub    = askOwner + time.Second // how long the owner of a cuid has, asked through its hub
	joinTries = 5
)

const (
	yielded = "yielded"
	stays   = "stays"
)

// take takes the cuid in the cluster. While the bus is away the seat is given without a claim, which is made good
// later.
func (c claims) take(ctx context.Context, w who, instance string) (uint64, *fault.Error) {
	key := cluster.DeviceClaim(w.account, w.cuid)
	var other string
	var revision uint64
	for range joinTries {
		bctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
		got, err := c.hubs.Claim(bctx, key, revision)
		if err == nil {
			cancel()
			return got, nil
		}
		if errors.Is(err, bus.ErrTaken) {
			other, revision, err = c.hubs.Holder(bctx, key)
		}
		cancel()
		if err != nil {
			return 0, c.later(ctx, w, instance, err)
		}
		if revision != 0 && other != c.hubs.Self() {
			if err := c.askToYield(ctx, other, w, instance); err != nil {
				return 0, err
			}
		}
	}
	return 0, fault.New(fault.AlreadySignedIn) // others are always faster
}

// later lets a device in without a claim, while the store of claims does not answer. Other hubs that can be asked
// are asked.
func (c claims) later(ctx context.Context, w who, instance string, why error) *fault.Error {
	c.log.Warn("a device is let in without a claim: the bus does not answer", event.Account(w.account),
		event.CUID(w.cuid), "err", why)
	if !c.hubs.Peers() {
		return nil
	}
	hub, err := c.hubs.AskAll(ctx, cluster.Message{Kind: cluster.Holds, Account: w.account, CUID: w.cuid})
	if err != nil || hub == "" {
		return nil
	}
	return c.askToYield(ctx, hub, w, instance)
}

// askToYield asks the hub that holds a cuid to give it up. A hub that is gone has.
func (c claims) askToYield(ctx context.Context, hub string, w who, instance string) *fault.Error {
	ctx, cancel := context.WithTimeout(ctx, askHub)
	defer cancel()
	answer, err := c.hubs.Ask(ctx, hub, cluster.Message{Kind: cluster.Yield, Account: w.account, CUID: w.cuid,
		Text: instance})
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

func (c claims) release(key string, revision uint64) {
	if err := c.hubs.Release(c.ctx, key, revision); err != nil && !errors.Is(err, bus.ErrTaken) {
		c.log.Debug("a claim is left behind", "key", key, "err", err) // a hint only: whoever wants it asks
	}
}

// reclaim makes good the claims of those who were let in while the bus was away. A device whose cuid another took in
// the meantime has to go.
func (r *registrar) reclaim(ctx context.Context) {
	without := map[*session]string{} // and their instances
	r.mu.Lock()
	for _, m := range r.sessions {
		if m.revision == 0 {
			without[m] = m.instance
		}
	}
	r.mu.Unlock()
	for m, instance := range without {
		revision, err := r.claims.take(ctx, m.who, instance)
		if ctx.Err() != nil { // the rest the next time: the lease must not wait
			return
		}
		r.mu.Lock()
		switch {
		case r.sessions[m.who] != m:
		case err != nil && err.Code == fault.AlreadySignedIn:
			r.remove(m)
			m.close(wire.CloseTaken, "the cuid was taken while the hub was alone")
		case err == nil:
			m.revision = revision
		}
		r.mu.Unlock()
	}
}
