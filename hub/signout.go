package hub

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"intercom/hub/access"
	"intercom/hub/cluster"
)

// signOuts end operators' sessions: here at once, and at the other hubs. Each hub says now and then what it knows, as a
// sum; one that knows something else tells all that it has. So a hub that was away learns it when it is back.
type signOuts struct {
	log     *slog.Logger
	hubs    *cluster.Hubs
	ended   *access.Ended
	expel   func()      // closes the connections of those who may not stay
	unsaved atomic.Bool // who signed out cannot be written down
}

// end ends a session, its tokens, and the connections that came in by them.
func (s *signOuts) end(account string, g access.Grant) {
	one := access.End{Account: account, User: g.User, Session: g.Session, Until: g.Until}
	news, err := s.ended.Add(time.Now(), one)
	s.saved(err)
	if news {
		s.expel()
		// else they hear it by the sum
		s.hubs.Tell(cluster.Message{Kind: cluster.Ended, Ends: []access.End{one}, Final: true})
	}
}

// saved says once that the file cannot be written, and when it can again.
func (s *signOuts) saved(err error) {
	switch unsaved := err != nil; {
	case s.unsaved.Swap(unsaved) == unsaved:
	case unsaved:
		s.log.Error("who signed out cannot be written down; unless it can be before a restart of the hub, those "+
			"sessions go on then", "err", err)
	default:
		s.log.Info("who signed out is written down")
	}
}

// compare compares with the other hubs, and writes down what could not be written before.
func (s *signOuts) compare() {
	s.saved(s.ended.Save(time.Now()))
	if s.hubs.Peers() {
		_, sum := s.ended.All(time.Now())
		s.hubs.Tell(cluster.Message{Kind: cluster.Ended, Text: sum})
	}
}

const endsInMessage = 1000 // well within what a bus carries

// learn hears what another hub knows.
func (s *signOuts) learn(m cluster.Message) {
	news, err := s.ended.Add(time.Now(), m.Ends...)
	s.saved(err)
	if news {
		s.expel()
	}
	if m.Final {
		return
	}
	all, sum := s.ended.All(time.Now())
	if sum == m.Text {
		return
	}
	for part := range slices.Chunk(all, endsInMessage) {
		s.hubs.Send(m.Hub, cluster.Message{Kind: cluster.Ended, Ends: part, Final: true})
	}
}
