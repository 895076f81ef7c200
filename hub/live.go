package hub

import (
	"context"

	"intercom/hub/cluster"
)

// This file answers the relay, which carries for the parties of live calls only.

// Live reports, at once, whether a party of a call may have a media path now; known is false for a call that this hub
// does not have.
func (h *Hub) Live(account, cuid, call string) (live, known bool) {
	return h.router.live(who{account, cuid}, call)
}

// LiveElsewhere asks the other hubs about a call that this hub does not have: it moved to one of them, or is on its
// way. known is false when none has it; an error says that they could not be asked.
func (h *Hub) LiveElsewhere(ctx context.Context, account, cuid, call string) (live, known bool, err error) {
	r := h.router
	if !r.hubs.Peers() {
		return false, false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
	defer cancel()
	answer, err := r.hubs.AskAll(ctx, cluster.Message{Kind: cluster.Live, Account: account, CUID: cuid, Call: call})
	return answer == inCall, answer != "", err
}

func (r *router) live(w who, call string) (live, known bool) {
	c := r.find(w.account, call)
	if c == nil {
		return false, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.MediaAllowed(w.cuid), true
}
