package call

import (
	"cmp"
	"slices"
	"time"

	"intercom/internal/outcome"
	"intercom/wire"
)

// hub is who ended a call that no party ended.
const hub = "hub"

// Next is the transition function. now is the time of the event.
func Next(s State, e Event, now time.Time) (State, []Action) {
	s.Legs = slices.Clone(s.Legs)
	if by := speaker(e); by != "" {
		return s, said(&s, by, e, now)
	}
	return s, happened(&s, e, now)
}

// speaker is the party that says something.
func speaker(e Event) string {
	switch e := e.(type) {
	case Invite:
		return e.By
	case Answer:
		return e.By
	case Decline:
		return e.By
	case Cancel:
		return e.By
	case HangUp:
		return e.By
	case Relay:
		return e.By
	case AskServers:
		return e.By
	}
	return ""
}

// in reports whether a party still takes part.
func (s State) in(cuid string) bool {
	g := s.Leg(cuid)
	return !s.Ended() && (cuid == s.From || g != nil && g.Phase != Over)
}

// said applies what a party says. What comes too late, or twice, is answered with how the call stands.
func said(s *State, by string, e Event, now time.Time) []Action {
	if e, ok := e.(Relay); ok {
		return relay(s, e, now)
	}
	if !s.in(by) {
		return catchUp(s, by, now)
	}
	caller, answered := by == s.From, s.AnsweredAt != nil
	switch e := e.(type) {
	case Answer:
		if !caller && !answered && s.Leg(by).Phase != Waiting {
			return answer(s, by, now)
		}
	case Decline:
		if !caller {
			return leave(s, by, beforeTheAnswer(s, by, outcome.Of(outcome.Declined, e.Reason)), now)
		}
	case Cancel:
		if caller {
			return leave(s, by, beforeTheAnswer(s, by, outcome.Of(outcome.Cancelled, e.Reason)), now)
		}
	case HangUp:
		return hangUp(s, e, now)
	case AskServers:
		if s.MediaAllowed(by) {
			return []Action{SendServers{by}}
		}
	}
	return catchUp(s, by, now)
}

// happened applies what no party says.
func happened(s *State, e Event, now time.Time) []Action {
	if e, ok := e.(CatchUp); ok {
		return catchUp(s, e.By, now)
	}
	if s.Ended() {
		return nil
	}
	answered := s.AnsweredAt != nil
	switch e := e.(type) {
	case Begin:
		return begin(s, now)
	case Unavailable:
		if g := s.Leg(e.By); g != nil && g.Phase != Over && !answered {
			if !e.Unsure {
				g.Phase = Waiting // it never heard of the call, so it needs no end
			}
			return drop(s, e.By, e.Outcome, hub, now)
		}
	case Lost:
		if s.in(e.By) {
			o := outcome.Of(outcome.Failed, outcome.NetworkLost)
			if answered {
				o = outcome.Of(outcome.Over, outcome.Lost)
			}
			return leave(s, e.By, o, now)
		}
	case Shutdown:
		if !answered { // an answered call goes on without us
			return finish(s, outcome.Of(outcome.Failed, outcome.NetworkLost), hub, now)
		}
	case Expired:
		return expired(s, e.Timer, now)
	}
	return nil
}

func expired(s *State, t Timer, now time.Time) []Action {
	switch {
	case t == WarnTimer:
		left := min(wire.LimitWarning, s.Plan.Limit)
		warning := wire.New(wire.Warning, s.Call, wire.WarningBody{LeftMS: left.Milliseconds()})
		return []Action{Send{s.From, warning}, Send{s.To, warning}}
	case t == MaxTimer:
		return finish(s, outcome.Of(outcome.Over, outcome.MaxDuration), hub, now)
	case s.AnsweredAt != nil:
		return nil
	case t == RingTimer && s.nobody():
		return finish(s, outcome.Of(outcome.Missed, outcome.Offline), hub, now)
	case t == RingTimer:
		return finish(s, outcome.Of(outcome.Missed, outcome.NoAnswer), hub, now)
	case t == CallerTimer:
		return finish(s, outcome.Of(outcome.Cancelled, outcome.RingTimeout), hub, now)
	case t == TurnTimer:
		return drop(s, s.Legs[s.Turn].CUID, outcome.Of(outcome.Missed, outcome.NoAnswer), hub, now)
	case t == AckTimer:
		return silent(s, now)
	}
	return nil
}

// nobody reports whether no callee was ever online.
func (s State) nobody() bool {
	return !slices.ContainsFunc(s.Legs, func(g Leg) bool {
		return g.Phase != Waiting && g.Result.Outcome != outcome.Of(outcome.Missed, outcome.Offline)
	})
}

// begin makes the first callees ring. An adopted call was answered long ago: only its limit is left.
func begin(s *State, now time.Time) []Action {
	if s.AnsweredAt != nil {
		return metered(s, s.Plan.Limit-now.Sub(*s.AnsweredAt))
	}
	acts := []Action{SetTimer{RingTimer, s.Plan.Ring}, SetTimer{CallerTimer, s.Plan.Caller}}
	if s.Plan.Each > 0 {
		return append(acts, nextTurn(s, now)...)
	}
	for i := range s.Legs {
		acts = append(acts, offer(s, i, now))
	}
	return append(acts, SetTimer{AckTimer, s.Plan.Ack})
}

func offer(s *State, leg int, now time.Time) Action {
	g := &s.Legs[leg]
	g.Phase = Offered
	return Offer{g.CUID, s.Incoming(g, now)}
}

// nextTurn makes the next of a sequence ring, or ends the call when there is none.
func nextTurn(s *State, now time.Time) []Action {
	i := slices.IndexFunc(s.Legs, func(g Leg) bool { return g.Phase == Waiting })
	if i < 0 {
		return exhausted(s, now)
	}
	s.Turn = i
	return []Action{offer(s, i, now), SetTimer{TurnTimer, s.Plan.Each}, SetTimer{AckTimer, s.Plan.Ack}}
}

// metered sets the timers of a limited call that has this much left.
func metered(s *State, left time.Duration) []Action {
	if s.Plan.Limit == 0 {
		return nil
	}
	return []Action{SetTimer{WarnTimer, max(0, left-wire.LimitWarning)}, SetTimer{MaxTimer, max(0, left)}}
}

// answer gives the call to a callee, and stops the others.
func answer(s *State, by string, now time.Time) []Action {
	g := s.Leg(by)
	g.Phase = Talking
	acts := []Action{StopTimer{""}}
	for i := range s.Legs {
		if other := &s.Legs[i]; other != g {
			acts = append(acts, stop(s, other, outcome.Of(outcome.Cancelled, outcome.AnsweredElsewhere), by, now)...)
		}
	}
	if s.Lead != by {
		acts = append(acts, lead(s, g)...)
	}
	s.AnsweredAt, s.To = outcome.At(now), by
	acts = append(acts, SendAnswered{s.From, by}, SendAnswered{by, s.From})
	return append(acts, metered(s, s.Plan.Limit)...)
}

// beforeTheAnswer is the outcome that a party asks for, if it still can: a cancel that lost against the answer is a
// hang-up.
func beforeTheAnswer(s *State, by string, wanted outcome.Outcome) outcome.Outcome {
	if s.AnsweredAt != nil || !wanted.Valid() || wanted.Reason == outcome.AnsweredElsewhere {
		return plain(s, by)
	}
	return wanted
}

// plain is how a call ends when a party leaves and gives no better reason.
func plain(s *State, by string) outcome.Outcome {
	switch {
	case s.AnsweredAt != nil:
		return outcome.Of(outcome.Over, outcome.HangUp)
	case by == s.From:
		return outcome.Of(outcome.Cancelled, outcome.ByCaller)
	}
	return outcome.Of(outcome.Declined, outcome.ByHand)
}

// hangUp ends the call for a party. One told late ended when it did, not when we hear of it.
func hangUp(s *State, e HangUp, now time.Time) []Action {
	o := plain(s, e.By)
	if s.AnsweredAt == nil {
		return leave(s, e.By, o, now)
	}
	if !e.At.IsZero() {
		now = latest(*s.AnsweredAt, earliest(e.At, now))
	}
	limit := s.Plan.Limit
	switch given := outcome.Of(outcome.Over, e.Reason); {
	case e.Reason == outcome.MediaFailed:
		o = outcome.Of(outcome.Failed, outcome.MediaFailed)
	case e.Reason == outcome.MaxDuration && (limit == 0 || now.Sub(*s.AnsweredAt) < limit-time.Second):
		// the limit is the hub's, and is not reached
	case given.Valid():
		o = given
	}
	return leave(s, e.By, o, now)
}

// leave takes a party out: before the answer a callee ends its own leg, everybody else ends the call.
func leave(s *State, by string, o outcome.Outcome, now time.Time) []Action {
	if s.AnsweredAt == nil && by != s.From {
		return drop(s, by, o, by, now)
	}
	return finish(s, o, by, now)
}

// drop ends the leg of a callee that will not answer, and goes on with the others.
func drop(s *State, cuid string, o outcome.Outcome, by string, now time.Time) []Action {
	if len(s.Legs) == 1 { // the end of the only one is the end of the call
		return finish(s, o, by, now)
	}
	g := s.Leg(cuid)
	acts := stop(s, g, o, by, now)
	if s.Lead == cuid {
		s.Lead = ""
		if i := slices.IndexFunc(s.Legs, func(g Leg) bool { return g.Phase == Ringing }); i >= 0 {
			acts = append(acts, lead(s, &s.Legs[i])...)
		}
	}
	switch {
	case s.Plan.Each > 0 && g == &s.Legs[s.Turn]:
		acts = append(acts, nextTurn(s, now)...)
	case s.Plan.Each == 0 && !slices.ContainsFunc(s.Legs, func(g Leg) bool { return g.Phase != Over }):
		acts = append(acts, exhausted(s, now)...)
	}
	return acts
}

// stop ends a leg; its callee is told if it ever heard of the call.
func stop(s *State, g *Leg, o outcome.Outcome, by string, now time.Time) []Action {
	was := g.Phase
	if was == Over {
		return nil
	}
	g.Phase, g.Media, g.Result = Over, Media{}, s.Result
	g.Result.To = g.CUID
	g.Result.Finish(o, by, now)
	if was == Waiting {
		return nil
	}
	return []Action{Send{g.CUID, Ended(g.Result)}}
}

// silent drops the callees that were offered the call and do not say that they ring.
func silent(s *State, now time.Time) (acts []Action) {
	for i := range s.Legs {
		if g := &s.Legs[i]; g.Phase == Offered && !s.Ended() {
			acts = append(acts, drop(s, g.CUID, outcome.Of(outcome.Failed, outcome.NetworkLost), hub, now)...)
		}
	}
	return acts
}

// exhausted ends a call that no callee takes. Of their reasons the most human one counts.
func exhausted(s *State, now time.Time) []Action {
	weight := map[outcome.Outcome]int{
		outcome.Of(outcome.Declined, outcome.ByHand): 6, outcome.Of(outcome.Missed, outcome.NoAnswer): 5,
		outcome.Of(outcome.Declined, outcome.Busy): 4, outcome.Of(outcome.Declined, outcome.MicUnavailable): 3,
		outcome.Of(outcome.Failed, outcome.NetworkLost): 2, outcome.Of(outcome.Declined, outcome.NotAllowed): 1,
	}
	best := slices.MaxFunc(s.Legs, func(a, b Leg) int {
		return cmp.Compare(weight[a.Result.Outcome], weight[b.Result.Outcome])
	}).Result
	if best.Outcome == (outcome.Outcome{}) {
		return finish(s, outcome.Of(outcome.Missed, outcome.Offline), hub, now)
	}
	return finish(s, best.Outcome, best.By, now)
}

// finish is the only end of a call: one result, the same for all who are still in it.
func finish(s *State, o outcome.Outcome, by string, now time.Time) []Action {
	s.Finish(o, by, now)
	s.Media = Media{}
	acts := []Action{StopTimer{""}, Report{s.Result}, Send{s.From, Ended(s.Result)}}
	for i := range s.Legs {
		g := &s.Legs[i]
		if g.Phase != Over && g.Phase != Waiting {
			acts = append(acts, Send{g.CUID, Ended(s.Result)})
		}
		if g.Phase != Over {
			g.Result = s.Result
		}
		g.Phase, g.Media = Over, Media{}
	}
	return acts
}

// catchUp is what a party has to be told of how the call stands: all that it may have missed.
func catchUp(s *State, cuid string, now time.Time) []Action {
	g := s.Leg(cuid)
	switch {
	case g != nil && g.Result.EndedAt != nil:
		return []Action{Send{cuid, Ended(g.Result)}}
	case s.Ended():
		return []Action{Send{cuid, Ended(s.Result)}}
	case s.AnsweredAt != nil:
		peer := s.To
		if cuid == peer {
			peer = s.From
		}
		return []Action{SendServers{cuid}, SendAnswered{cuid, peer}}
	case g == nil: // the caller, of a call that rings
		if lead := s.Leg(s.Lead); lead != nil {
			return introduce(s, lead)
		}
	case g.Phase != Waiting:
		acts := []Action{Send{cuid, s.Incoming(g, now)}}
		if s.Lead == cuid && s.Media.SDP != nil {
			acts = append(acts, Send{cuid, wire.Envelope{T: wire.SDP, Call: s.Call, B: s.Media.SDP}})
			acts = append(acts, candidates(s, cuid, s.Media)...)
		}
		return acts
	}
	return nil
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
