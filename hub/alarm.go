package hub

import (
	"context"
	"errors"
	"time"

	"intercom/hub/bus"
	"intercom/hub/cluster"
	"intercom/internal/backoff"
	"intercom/internal/event"
)

// Silence watches the stations that must be there, until ctx ends, and tells of those that are away for too long, and
// when they are back. Of several hubs, one tells: the one that claims the alarm.
func (h *Hub) Silence(ctx context.Context, tell func(account, cuid string, silent bool, since time.Time)) error {
	w := &silence{r: h.router, tell: tell, away: map[who]time.Time{}, raised: map[who]uint64{}}
	for ctx.Err() == nil {
		backoff.Sleep(ctx, lookForSilent)
		if ctx.Err() == nil {
			w.look(ctx)
		}
	}
	return nil
}

const lookForSilent = 10 * time.Second

type silence struct {
	r      *router
	tell   func(account, cuid string, silent bool, since time.Time)
	away   map[who]time.Time // since when
	raised map[who]uint64    // alarms of this hub, with the revision of their claim
}

func (s *silence) look(ctx context.Context) {
	for _, id := range s.r.access.Accounts() {
		acct := s.r.access.Account(id)
		if acct == nil {
			continue
		}
		for _, one := range acct.Stations {
			w := who{id, one.CUID}
			there, asked := s.there(ctx, w)
			if !asked { // nobody is called silent, or back, on a guess
				continue
			}
			if there {
				s.back(ctx, w)
				continue
			}
			since, known := s.away[w]
			if !known {
				s.away[w] = time.Now()
				continue
			}
			switch revision, told := s.raised[w]; {
			case !told && time.Since(since) >= one.SilentAfter.Std():
				s.raise(ctx, w, since)
			case told && revision == 0:
				s.inherit(ctx, w)
			}
		}
	}
}

// there reports whether a station is signed in, here or at another hub, and whether all others could be asked.
func (s *silence) there(ctx context.Context, w who) (there, asked bool) {
	if s.r.online(w) {
		return true, true
	}
	if !s.r.hubs.Peers() {
		return false, true
	}
	hub, err := s.r.hubs.Locate(ctx, w.account, w.cuid, false)
	return hub != "", err == nil
}

func (s *silence) raise(ctx context.Context, w who, since time.Time) {
	bctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
	defer cancel()
	revision, err := s.r.hubs.Claim(bctx, cluster.AlarmClaim(w.account, w.cuid), 0)
	s.raised[w] = revision
	if errors.Is(err, bus.ErrTaken) { // told already
		s.inherit(ctx, w)
		return
	}
	s.r.log.Warn("a station is silent", event.Account(w.account), event.CUID(w.cuid), "since", since)
	s.tell(w.account, w.cuid, true, since)
}

// inherit takes over an alarm that was told by a hub that is gone, or by this one in a life before, so that its end is
// told as well.
func (s *silence) inherit(ctx context.Context, w who) {
	ctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
	defer cancel()
	hub, revision, err := s.r.hubs.Holder(ctx, cluster.AlarmClaim(w.account, w.cuid))
	if err != nil || revision == 0 {
		return
	}
	if hub != s.r.hubs.Self() {
		if _, err := s.r.hubs.Ask(ctx, hub, cluster.Message{Kind: cluster.Holds, Account: w.account,
			CUID: w.cuid}); !errors.Is(err, bus.ErrNobody) {
			return // it is there: the alarm is its
		}
	}
	if got, err := s.r.hubs.Claim(ctx, cluster.AlarmClaim(w.account, w.cuid), revision); err == nil {
		s.raised[w] = got
	}
}

func (s *silence) back(ctx context.Context, w who) {
	since, was := s.away[w]
	delete(s.away, w)
	if revision, told := s.raised[w]; told && revision == 0 {
		s.inherit(ctx, w)
	}
	revision, told := s.raised[w]
	delete(s.raised, w)
	if !was || !told || revision == 0 {
		return
	}
	if err := s.r.hubs.Release(ctx, cluster.AlarmClaim(w.account, w.cuid), revision); errors.Is(err, bus.ErrTaken) {
		return // another hub has taken it over, and tells its end
	} // a claim that stays for another reason keeps the next alarm from being told twice, at worst
	s.r.log.Info("a silent station is back", event.Account(w.account), event.CUID(w.cuid))
	s.tell(w.account, w.cuid, false, since)
}
