package hub

import (
	"context"
	"errors"
	"time"

	"intercom/hub/bus"
)

// What hubs say to one another can be lost with a connection. So each asks again and again whether the other end still
// sees a call as it does: the hub of a party asks the owner, and the owner asks the hubs of the parties. Nobody stays
// busy, and no call stays alive, because a word was lost.
//
// A hub that does not answer is no reason to end an answered call: it may be cut off, and the voices go on without it.

const (
	inCall  = "yes"
	notSo   = "no"      // it is over, or the device is elsewhere
	unknown = "unknown" // there is no such call here
)

// reconcile asks about everything that crosses hubs.
func (r *router) reconcile(ctx context.Context) {
	type leg struct {
		w     who
		call  legRef
		rings bool // not answered yet
	}
	var legs []leg
	var talks []*talk
	r.mu.Lock()
	for w, m := range r.members {
		if m.call.owner != "" && m.call.owner != r.name {
			legs = append(legs, leg{w, m.call, m.answered == nil})
		}
	}
	for _, t := range r.calls {
		talks = append(talks, t)
	}
	r.mu.Unlock()
	for _, l := range legs {
		switch answer, err := r.agree(ctx, l.call.owner, slip{Kind: kParty, Account: l.w.account, CUID: l.w.cuid, Call: l.call.id}); {
		case l.rings && errors.Is(err, bus.ErrNobody), err == nil && answer == unknown:
			r.orphaned(l.w, l.call.id)
		}
	}
	for _, t := range talks {
		for cuid, hub := range t.elsewhere() {
			answer, err := r.agree(ctx, hub, slip{Kind: kSeated, Account: t.account, CUID: cuid, Call: t.key.id})
			if err == nil && answer == notSo {
				t.left(cuid, hub, false)
			}
		}
	}
}

func (r *router) agree(ctx context.Context, hub string, s slip) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askBus)
	defer cancel()
	s.Hub = r.name
	answer, err := r.bus.Ask(ctx, hub, s.bytes())
	return string(answer), err
}

// elsewhere are the parties that ring or talk at other hubs, as far as is known.
func (t *talk) elsewhere() map[string]string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]string{}
	for cuid, p := range t.at {
		g := t.lane.leg(cuid)
		if !t.lane.ended() && p.hub != "" && p.hub != t.r.name && p.away == nil && (g == nil || g.state == ringing || g.state == talking) {
			all[cuid] = p.hub
		}
	}
	return all
}

// party says whether a device is in a call of this hub. One that is not, and should know, is told again.
func (r *router) party(w who, call string) string {
	t := r.find(w.account, call)
	if t == nil {
		return unknown
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g, end := t.lane.leg(w.cuid), t.lane.EndedAt
	if end == nil && (g == nil || g.state != gone) {
		return inCall
	}
	if g != nil && g.end.EndedAt != nil {
		end = g.end.EndedAt
	}
	if time.Since(*end) > time.Second { // else it is on its way
		t.perform(t.lane.stands(w.cuid, time.Now()))
	}
	return notSo
}

// seated says whether a device is here and in a call.
func (r *router) seated(w who, call string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := r.members[w]; m != nil && m.online() && m.call.id == call {
		return inCall
	}
	return notSo
}
