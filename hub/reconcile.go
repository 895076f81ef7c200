package hub

import (
	"context"
	"errors"
	"time"

	"intercom/hub/bus"
	"intercom/hub/call"
	"intercom/hub/cluster"
)

// reconciler keeps hubs in agreement. What they say to one another can be lost with a connection. So each asks again
// and again whether the other end still sees a call as it does: the hub of a party asks the owner, and the owner asks
// the hubs of the parties. Nobody stays busy, and no call stays alive, because a word was lost.
//
// A hub that does not answer is no reason to end an answered call: it may be cut off, and the voices go on without it.
type reconciler struct{ *router }

const (
	inCall  = "yes"
	notSo   = "no"      // it is over, or the device is elsewhere
	unknown = "unknown" // there is no such call here
)

// reconcile asks about everything that crosses hubs.
func (r reconciler) reconcile(ctx context.Context) {
	type leg struct {
		w     who
		call  legRef
		rings bool // not answered yet
	}
	var legs []leg
	r.mu.Lock()
	for w, m := range r.sessions {
		if m.call.owner != "" && m.call.owner != r.hubs.Self() {
			legs = append(legs, leg{w, m.call, m.answered == nil})
		}
	}
	r.mu.Unlock()
	for _, l := range legs {
		switch answer, err := r.agree(ctx, l.call.owner,
			cluster.Message{Kind: cluster.Party, Account: l.w.account, CUID: l.w.cuid, Call: l.call.id}); {
		case l.rings && errors.Is(err, bus.ErrNobody), err == nil && answer == unknown:
			r.orphaned(l.w, l.call.id)
		}
	}
	for _, c := range r.owned.all() {
		for cuid, hub := range c.elsewhere() {
			answer, err := r.agree(ctx, hub, cluster.Message{Kind: cluster.Seated, Account: c.key.account, CUID: cuid,
				Call: c.key.id})
			if err == nil && answer == notSo {
				c.left(cuid, hub, false)
			}
		}
	}
}

func (r reconciler) agree(ctx context.Context, hub string, m cluster.Message) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
	defer cancel()
	return r.hubs.Ask(ctx, hub, m)
}

// elsewhere are the parties that ring or talk at other hubs, as far as is known.
func (c *ownedCall) elsewhere() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]string{}
	for cuid, p := range c.at {
		g := c.state.Leg(cuid)
		if !c.state.Ended() && p.hub != "" && p.hub != c.r.hubs.Self() && p.away == nil && (g == nil ||
			g.Phase == call.Ringing || g.Phase == call.Talking) {
			all[cuid] = p.hub
		}
	}
	return all
}

// confirmParty says whether a device is in a call of this hub. One that is not, and should know, is told again.
func (r reconciler) confirmParty(w who, id string) string {
	c := r.find(w.account, id)
	if c == nil {
		return unknown
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	g, end := c.state.Leg(w.cuid), c.state.EndedAt
	if end == nil && (g == nil || g.Phase != call.Over) {
		return inCall
	}
	if g != nil && g.Result.EndedAt != nil {
		end = g.Result.EndedAt
	}
	if time.Since(*end) > time.Second { // else it is on its way
		c.next(call.CatchUp{By: w.cuid})
	}
	return notSo
}
