package hub

import (
	"slices"
	"time"

	"intercom/hub/access"
)

// This file ends operators' sessions: here at once, and at the other hubs. Each hub says now and then what it knows, as a
// sum; one that knows something else tells all that it has. So a hub that was away learns it when it is back.

// endSession ends a session, its tokens, and the connections that came in by them.
func (r *router) endSession(account string, g access.Grant) error {
	one := access.End{Account: account, User: g.User, Session: g.Session, Until: g.Until}
	news, err := r.ended.Add(time.Now(), one)
	if news {
		r.expel()
		_ = r.bus.Tell(slip{Kind: kEnded, Hub: r.name, Ends: []access.End{one}, Final: true}.bytes()) // else they hear it by the sum
	}
	return err
}

// sayEnds compares with the other hubs, and writes down what could not be written before.
func (r *router) sayEnds() {
	if err := r.ended.Save(time.Now()); err != nil {
		r.log.Error("who signed out cannot be written down; after a restart of the hub those sessions go on", "err", err)
	}
	if r.bus.Peers() {
		_, sum := r.ended.All(time.Now())
		_ = r.bus.Tell(slip{Kind: kEnded, Hub: r.name, Text: sum}.bytes())
	}
}

const endsInSlip = 1000 // well within what a bus carries

// learnEnds hears what another hub knows.
func (r *router) learnEnds(s slip) {
	news, err := r.ended.Add(time.Now(), s.Ends...)
	if err != nil {
		r.log.Error("who signed out cannot be written down", "err", err)
	}
	if news {
		r.expel()
	}
	if s.Final {
		return
	}
	all, sum := r.ended.All(time.Now())
	if sum == s.Text {
		return
	}
	for part := range slices.Chunk(all, endsInSlip) {
		r.send(s.Hub, slip{Kind: kEnded, Ends: part, Final: true})
	}
}
