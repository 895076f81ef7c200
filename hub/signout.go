package hub

import (
	"slices"
	"time"

	"intercom/hub/access"
	"intercom/hub/cluster"
)

// This file ends operators' sessions: here at once, and at the other hubs. Each hub says now and then what it knows, as a
// sum; one that knows something else tells all that it has. So a hub that was away learns it when it is back.

// endSession ends a session, its tokens, and the connections that came in by them.
func (r *router) endSession(account string, g access.Grant) {
	one := access.End{Account: account, User: g.User, Session: g.Session, Until: g.Until}
	news, err := r.ended.Add(time.Now(), one)
	r.endsSaved(err)
	if news {
		r.expel()
		r.hubs.Tell(cluster.Message{Kind: cluster.Ended, Ends: []access.End{one}, Final: true}) // else they hear it by the sum
	}
}

// endsSaved says once that the file cannot be written, and when it can again.
func (r *router) endsSaved(err error) {
	switch unsaved := err != nil; {
	case r.endsUnsaved.Swap(unsaved) == unsaved:
	case unsaved:
		r.log.Error("who signed out cannot be written down; unless it can be before a restart of the hub, those sessions go on then", "err", err)
	default:
		r.log.Info("who signed out is written down")
	}
}

// sayEnds compares with the other hubs, and writes down what could not be written before.
func (r *router) sayEnds() {
	r.endsSaved(r.ended.Save(time.Now()))
	if r.hubs.Peers() {
		_, sum := r.ended.All(time.Now())
		r.hubs.Tell(cluster.Message{Kind: cluster.Ended, Text: sum})
	}
}

const endsInSlip = 1000 // well within what a bus carries

// learnEnds hears what another hub knows.
func (r *router) learnEnds(s cluster.Message) {
	news, err := r.ended.Add(time.Now(), s.Ends...)
	r.endsSaved(err)
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
		r.hubs.Send(s.Hub, cluster.Message{Kind: cluster.Ended, Ends: part, Final: true})
	}
}
