package hub

import (
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// lane is one call at its owner, the hub: every event about it passes here in one order, which decides every race. It
// is a pure state: step says what is so next.
type lane struct {
	outcome.Result
}

// news is what can happen to a call at the hub.
type news struct {
	what   happening
	by     string // cuid of the party, "" for the hub itself
	reason outcome.Reason
}

type happening string

const (
	rang      happening = "rang"      // the callee's station rings
	answered  happening = "answered"  // the callee answers
	declined  happening = "declined"  // the callee refuses
	cancelled happening = "cancelled" // the caller gives up
	hungUp    happening = "hung up"   // a party ends it
	noAnswer  happening = "no answer" // the ring time is over
	partyGone happening = "gone"      // a party's grace is over, or it came back without the call
	hubStops  happening = "hub stops"
)

func (l *lane) ended() bool { return l.EndedAt != nil }
func (l *lane) talks() bool { return l.AnsweredAt != nil && !l.ended() }

// step applies what happened at now, and reports whether anything changed. After the end nothing does.
func (l *lane) step(n news, now time.Time) bool {
	caller := n.by == l.From
	if l.ended() {
		return false
	}
	switch n.what {
	case rang:
		if caller || l.RingingAt != nil || l.AnsweredAt != nil {
			return false
		}
		l.RingingAt = outcome.At(now)
		return true
	case answered:
		if caller || l.AnsweredAt != nil {
			return false
		}
		l.AnsweredAt = outcome.At(now)
		return true
	}
	o, ok := l.verdict(n, caller)
	if !ok {
		return false
	}
	by := n.by
	if by == "" {
		by = "hub"
	}
	l.Finish(o, by, now)
	return true
}

// verdict is the outcome that an ending event means here. What comes too late for what it wanted still ends the call:
// a cancel that lost against the answer is a hang-up.
func (l *lane) verdict(n news, caller bool) (outcome.Outcome, bool) {
	answered := l.AnsweredAt != nil
	switch n.what {
	case declined:
		if caller {
			return outcome.Outcome{}, false
		}
		if o := outcome.Of(outcome.Declined, n.reason); !answered && o.Valid() {
			return o, true
		}
	case cancelled:
		if !caller {
			return outcome.Outcome{}, false
		}
		if o := outcome.Of(outcome.Cancelled, n.reason); !answered && o.Valid() && n.reason != outcome.AnsweredElsewhere {
			return o, true
		}
	case hungUp:
		if n.reason == outcome.MediaFailed {
			return outcome.Of(outcome.Failed, outcome.MediaFailed), true
		}
		if o := outcome.Of(outcome.Over, n.reason); answered && o.Valid() && n.reason != outcome.MaxDuration {
			return o, true
		}
	case noAnswer:
		return outcome.Of(outcome.Missed, outcome.NoAnswer), !answered
	case partyGone:
		if answered {
			return outcome.Of(outcome.Over, outcome.Lost), true
		}
		return outcome.Of(outcome.Failed, outcome.NetworkLost), true
	case hubStops:
		if answered {
			return outcome.Of(outcome.Over, outcome.Shutdown), true
		}
		return outcome.Of(outcome.Failed, outcome.NetworkLost), true
	default:
		return outcome.Outcome{}, false
	}
	switch {
	case answered:
		return outcome.Of(outcome.Over, outcome.HangUp), true
	case caller:
		return outcome.Of(outcome.Cancelled, outcome.ByCaller), true
	}
	return outcome.Of(outcome.Declined, outcome.ByHand), true
}

// code is the error that the contract has for an outcome, or none.
func code(o outcome.Outcome) *fault.Error {
	switch o {
	case outcome.Of(outcome.Missed, outcome.Offline):
		return fault.New(fault.ReceiverOffline)
	case outcome.Of(outcome.Declined, outcome.Busy):
		return fault.New(fault.UserBusy)
	case outcome.Of(outcome.Declined, outcome.NotAllowed):
		return fault.New(fault.NotAllowed)
	case outcome.Of(outcome.Declined, outcome.MicUnavailable):
		return fault.New(fault.MicUnavailable)
	case outcome.Of(outcome.Failed, outcome.NetworkLost):
		return fault.New(fault.InternetLost)
	}
	return nil
}
