package call

import (
	"cmp"

	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// Next is the transition function.
func Next(s State, e Event) (State, []Action) {
	switch e := e.(type) {
	case LinkUp:
		return linkUp(s, e)
	case LinkDown:
		return linkDown(s)
	case Dial:
		return dial(s, e)
	case Incoming:
		return incoming(s, e)
	case Pick:
		if s.Phase == Ringing {
			s.Phase = Answering
			return s, []Action{Silence{}, StopTimer{LimitTimer}, SendAnswer{s.ID},
				SetTimer{AckTimer, cmp.Or(s.Ack, AckTime)}}
		}
	case Refuse:
		if s.Phase == Ringing {
			return leave(s, outcome.Of(outcome.Declined, outcome.ByHand))
		}
	case HangUp:
		return hangUp(s, outcome.HangUp)
	case Quit:
		return hangUp(s, outcome.Shutdown)
	case NoVoice:
		if s.Phase == Ringing || s.Phase == Answering {
			return leave(s, outcome.Of(outcome.Declined, outcome.MicUnavailable))
		}
	case DoNotDisturb:
		s.DND = e.On
	default:
		if id := about(e); id == s.ID && s.Phase != Idle {
			return ours(s, e)
		}
	}
	return s, nil
}

// about is the id of the call that an event of the hub, the media path or a timer is about.
func about(e Event) string {
	switch e := e.(type) {
	case Acked:
		return e.ID
	case Rejected:
		return e.ID
	case PeerRings:
		return e.ID
	case Confirmed:
		return e.ID
	case Warned:
		return e.ID
	case Ended:
		return e.ID
	case MediaUp:
		return e.ID
	case MediaBroke:
		return e.ID
	case MediaTold:
		return e.ID
	case MediaMoved:
		return e.ID
	case MediaFailed:
		return e.ID
	case MediaClosed:
		return e.ID
	case Expired:
		return e.ID
	}
	return ""
}

// ours is an event about the call that there is.
func ours(s State, e Event) (State, []Action) {
	switch e := e.(type) {
	case Acked:
		if s.Phase == Calling && !s.Acked {
			s.Acked = true
			acts := []Action{StopTimer{AckTimer}}
			if e.Limit > 0 {
				acts = append(acts, SetTimer{LimitTimer, min(e.Limit, MostCallerLimit)})
			}
			return s, acts
		}
	case PeerRings:
		return peerRings(s, e)
	case Confirmed:
		return confirmed(s, e)
	case Warned:
		if s.Live() {
			return s, []Action{Play{LimitTone}}
		}
	case Ended:
		return end(s, e.Outcome, e.Code)
	case Rejected:
		return rejected(s, e.Code)
	case MediaUp:
		s.Media, s.Stale, s.Tries = true, false, 0
		if s.Phase == Connecting || s.Phase == Reconnecting {
			s.Phase = Talking
			return s, []Action{StopTimer{MediaTimer}, StopTimer{RestartTimer}}
		}
		return s, nil
	case MediaClosed:
		// The other side has hung up. The hub says so too, unless it was restarted and has forgotten the call.
		s.Media, s.Stale = false, false
		if s.Live() {
			s.Phase = Reconnecting
			return s, []Action{SetTimer{CloseTimer, CloseLimit}}
		}
		return s, nil
	case MediaBroke:
		return broke(s)
	case MediaTold:
		if s.Stale && s.Live() { // we begin again when the other side does not
			return s, []Action{SetTimer{RestartTimer, 2 * RestartTime}}
		}
		return s, nil
	case MediaMoved:
		s.Stale, s.Tries = true, 0
		if s.Live() { // else when it is answered
			return restart(s, nil)
		}
		return s, nil
	case MediaFailed:
		return mediaFailed(s)
	case Expired:
		return expired(s, e.Timer)
	}
	return s, nil
}

func dial(s State, e Dial) (State, []Action) {
	switch {
	case s.Phase != Idle:
		return s, []Action{Report{e.ID, outcome.Of(outcome.Failed, outcome.Internal), fault.CallInProgress}}
	case !s.Online:
		// The press is answered by light and sound all the same, and at once.
		return s, []Action{Play{OfflineTone}, Report{e.ID, outcome.Of(outcome.Failed, outcome.NetworkLost),
			fault.InternetLost}}
	}
	s = s.idle()
	s.Phase, s.ID, s.Peer, s.Caller = Calling, e.ID, e.Peer, true
	return s, []Action{SendInvite(e), SetTimer{AckTimer, cmp.Or(s.Ack, AckTime)}, SetTimer{LimitTimer, CallerLimit}}
}

func incoming(s State, e Incoming) (State, []Action) {
	switch {
	case s.Phase != Idle && s.ID == e.ID:
		return s, nil // said twice
	case (s.Phase == Calling || s.Phase == Ringback) && s.Peer == e.Peer:
		// Both call each other. The hub let the other invite through and refuses ours: theirs is the call.
		own := s.ID
		_, undo := end(s, outcome.Of(outcome.Cancelled, outcome.ByCaller), fault.Conflict)
		s, acts := ring(s, e)
		return s, append(append(undo, SendCancel{own, outcome.ByCaller}), acts...)
	case s.Phase != Idle || s.DND:
		return s, []Action{SendDecline{e.ID, outcome.Busy}}
	}
	return ring(s, e)
}

func ring(s State, e Incoming) (State, []Action) {
	s = s.idle()
	s.Phase, s.ID, s.Peer = Ringing, e.ID, e.Peer
	return s, []Action{Play{RingTone}, Prepare{e.ID, true},
		SetTimer{LimitTimer, min(cmp.Or(e.Ring, RingTime), MostRingTime) + RingSlack}}
}

// peerRings makes the media path ready to the one who rings.
func peerRings(s State, e PeerRings) (State, []Action) {
	switch {
	case s.Phase == Calling:
		s.Phase, s.Acked, s.Lead, s.Path = Ringback, true, e.From, e.Path
		return s, []Action{StopTimer{AckTimer}, Prepare{s.ID, false}, Play{RingbackTone}}
	case s.Phase == Ringback && (e.From != s.Lead || e.Path != s.Path):
		if s.Moves == MostMoves {
			return s, nil
		}
		s.Lead, s.Path, s.Media, s.Stale = e.From, e.Path, false, false
		s.Moves++
		return s, []Action{CloseMedia{}, Prepare{s.ID, false}}
	}
	return s, nil
}

func confirmed(s State, e Confirmed) (State, []Action) {
	switch s.Phase {
	case Calling, Ringback, Answering: // somebody here dialled or answered
	default:
		return s, nil // the hub's word alone opens no microphone, whatever it says of a call that rings
	}
	acts := []Action{Silence{}, StopTimer{""}}
	if s.Phase == Calling { // the ringing was overtaken
		acts = append(acts, Prepare{s.ID, false})
	}
	s.Phase, s.Acked, s.Lead, s.Path = Talking, true, "", ""
	if s.Caller && e.Peer != "" {
		s.Peer = e.Peer // of several called, the one who answered
	}
	if !s.Media {
		s.Phase = Connecting
		acts = append(acts, SetTimer{MediaTimer, MediaLimit})
	}
	if e.Limit > 0 {
		acts = append(acts, SetTimer{MaxTimer, e.Limit + LimitSlack})
	}
	acts = append(acts, OpenVoice{})
	if s.Stale {
		return restart(s, acts)
	}
	return s, acts
}

// broke is a path on which nothing comes any more. Nobody knows why: the caller offers a restart of ICE, and the callee
// only when nothing came of it, so that their offers seldom cross.
func broke(s State) (State, []Action) {
	known := s.Stale
	s, acts := down(s, nil)
	s.Stale = true
	if s.Online && s.Phase != Ending {
		acts = append(acts, CheckLink{})
	}
	switch {
	case known || !s.Live(): // it is restarted, or will be when it is answered
		return s, acts
	case s.Caller:
		return restart(s, acts)
	}
	return s, append(acts, SetTimer{RestartTimer, CallerFirst})
}

func down(s State, acts []Action) (State, []Action) {
	s.Media = false
	if s.Phase == Talking {
		s.Phase = Reconnecting
		acts = append(acts, SetTimer{MediaTimer, BreakLimit})
	}
	return s, acts
}

// restart offers a restart of ICE, and again if nothing comes of it. It throws away the path that there is, so it waits
// for the hub while that is away.
func restart(s State, acts []Action) (State, []Action) {
	if !s.Online {
		return s, acts
	}
	s, acts = down(s, acts)
	s.Tries++
	return s, append(acts, RestartMedia{}, SetTimer{RestartTimer, min(RestartTime<<min(s.Tries-1, 9), RestartMost)})
}

// rejected is the hub's refusal of a request about this call.
func rejected(s State, code fault.Code) (State, []Action) {
	switch {
	case s.Phase == Calling && !s.Acked:
		o := outcome.Of(outcome.Failed, outcome.Internal)
		if code == fault.NotAllowed {
			o = outcome.Of(outcome.Declined, outcome.NotAllowed)
		}
		return end(s, o, code)
	case code != fault.NotParty:
		return s, nil
	case s.Phase == Ending: // the hub has forgotten it, so what we know is all there is to know
		return end(s, s.Result, "")
	case s.Live():
		return s, nil // the hub was restarted: the two of us go on, peer to peer
	}
	return end(s, outcome.Of(outcome.Failed, outcome.NetworkLost), code)
}

func mediaFailed(s State) (State, []Action) {
	s.Media = false
	switch s.Phase {
	case Connecting:
		return leave(s, outcome.Of(outcome.Failed, outcome.MediaFailed))
	case Talking, Reconnecting:
		return leave(s, outcome.Of(outcome.Over, outcome.Lost))
	}
	return s, nil
}

func expired(s State, t Timer) (State, []Action) {
	switch {
	case t == EndTimer && s.Phase == Ending:
		return end(s, s.Result, "")
	case t == AckTimer && s.Phase == Calling && !s.Acked,
		t == AckTimer && s.Phase == Answering,
		t == LostTimer && !s.Online && !s.Live():
		return end(s, outcome.Of(outcome.Failed, outcome.NetworkLost), fault.InternetLost)
	case t == LimitTimer && (s.Phase == Calling || s.Phase == Ringback):
		return leave(s, outcome.Of(outcome.Cancelled, outcome.RingTimeout))
	case t == LimitTimer && s.Phase == Ringing:
		return end(s, outcome.Of(outcome.Missed, outcome.NoAnswer), "")
	case t == MaxTimer && s.Live():
		return leave(s, outcome.Of(outcome.Over, outcome.MaxDuration))
	case t == MediaTimer:
		return mediaFailed(s)
	case t == RestartTimer && s.Stale && s.Live():
		return restart(s, nil)
	case t == CloseTimer && s.Live():
		return leave(s, outcome.Of(outcome.Over, outcome.HangUp))
	}
	return s, nil
}

func linkUp(s State, e LinkUp) (State, []Action) {
	s.Ack = min(e.Ack, MostAckTime)
	if s.Online {
		return s, nil
	}
	s.Online = true
	if s.Phase == Idle {
		return s, nil
	}
	acts := []Action{StopTimer{LostTimer}}
	// What the hub may not have heard is said again; every message is idempotent by the call's id.
	switch {
	case s.Phase == Calling && !s.Acked:
		acts = append(acts, SendInvite{s.ID, s.Peer})
	case s.Phase == Answering:
		acts = append(acts, SendAnswer{s.ID})
	case s.Phase == Ending:
		acts = append(acts, farewell(s))
	case s.Live() && s.Stale:
		s.Tries = 0
		return restart(s, acts)
	}
	return s, acts
}

func linkDown(s State) (State, []Action) {
	if !s.Online {
		return s, nil
	}
	s.Online = false
	switch s.Phase {
	case Calling, Ringback, Ringing, Answering:
		return s, []Action{SetTimer{LostTimer, LostLimit}}
	}
	return s, nil // an answered call does not need the hub
}

// hangUp is the user's wish to be rid of the call, or the daemon's.
func hangUp(s State, why outcome.Reason) (State, []Action) {
	switch {
	case s.Phase == Calling || s.Phase == Ringback:
		return leave(s, outcome.Of(outcome.Cancelled, outcome.ByCaller))
	case s.Phase == Ringing:
		return leave(s, outcome.Of(outcome.Declined, outcome.ByHand))
	case s.Phase == Answering || s.Live():
		return leave(s, outcome.Of(outcome.Over, why))
	}
	return s, nil
}

// leave ends the call from this side: at once for the person here, and when the hub has said so for the record.
func leave(s State, o outcome.Outcome) (State, []Action) {
	s.Phase, s.Media, s.Stale, s.Result = Ending, false, false, o
	acts := []Action{Silence{}, StopTimer{""}, CloseMedia{}, SetTimer{EndTimer, EndLimit}}
	if s.Online {
		acts = append(acts, farewell(s))
	}
	return s, acts
}

// farewell is the message with which this side ends the call.
func farewell(s State) Action {
	switch s.Result.Status {
	case outcome.Cancelled:
		return SendCancel{s.ID, s.Result.Reason}
	case outcome.Declined:
		return SendDecline{s.ID, s.Result.Reason}
	case outcome.Failed:
		return SendHangUp{s.ID, outcome.MediaFailed}
	}
	return SendHangUp{s.ID, s.Result.Reason}
}

// end is the only way back to idle.
func end(s State, o outcome.Outcome, code fault.Code) (State, []Action) {
	acts := []Action{Silence{}, StopTimer{""}}
	if s.Phase != Ending {
		acts = append(acts, CloseMedia{})
	}
	if t := farewellTone(s, o); t != "" {
		acts = append(acts, Play{t})
	}
	acts = append(acts, Report{s.ID, o, code})
	return s.idle(), acts
}

// farewellTone tells the person here how it ended, unless they did it themselves.
func farewellTone(s State, o outcome.Outcome) Tone {
	switch {
	case s.Phase == Ending && o.Status != outcome.Missed:
		return ""
	case !s.Caller && !s.Live():
		return ""
	case o == outcome.Of(outcome.Declined, outcome.Busy):
		return BusyTone
	case o.Status == outcome.Declined:
		return DeclinedTone
	case o == outcome.Of(outcome.Missed, outcome.Offline), o.Status == outcome.Failed, o.Reason == outcome.Lost:
		return OfflineTone
	case o.Status == outcome.Missed || o.Reason == outcome.RingTimeout:
		return MissedTone
	}
	return ""
}
