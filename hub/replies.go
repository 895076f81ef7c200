package hub

import "intercom/wire"

// replies are messages that a device may say beside its rate, since the hub had it say them: who is called has to
// answer with a description and its candidates, and others decide how often it is called.
type replies struct {
	left   int
	offers allowance
}

// What a message of the hub may cost: an honest station says a description and about a dozen candidates. Together with
// the burst of messageRate, they are fewer than a peer's queue holds.
const (
	replyCost   = 16
	mostReplies = 3 * replyCost
)

// sent counts what a message asks of the device.
func (r *replies) sent(t wire.Type) {
	if t == wire.Incoming || t == wire.Ringing || t == wire.SDP && r.offers.take(offerRate, 1) {
		r.left = min(mostReplies, r.left+replyCost)
	}
}

// took reports whether a message of the device is one of them.
func (r *replies) took(t wire.Type) bool {
	switch t {
	case wire.Ringing, wire.SDP, wire.ICE, wire.Servers, wire.Decline:
		if r.left > 0 {
			r.left--
			return true
		}
	}
	return false
}

// isReply reports whether a message of the device is one that the hub had it say.
func (s *socket) isReply(t wire.Type) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owed.took(t)
}
