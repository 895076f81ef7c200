// Package call is the call state machine of the hub: [Next] takes a [State] and an [Event] and returns the new State
// and the [Action]s to perform. Its other half is intercom/call: that one has the rules of one device, this one those
// between the caller and everybody who is called.
//
// One hub owns a call, the caller's. It applies events one at a time, and their order settles every race: two answers,
// a cancel against an answer. Each callee has a [Leg]; the first to answer gets the call.
//
// Pure: no I/O, no clock, no goroutines. Next does not change the State that it is given, and takes the time of the
// event, since the result of a call is dated. The rules are those of docs/protocol.md; testdata/table.golden shows them
// all. Only the hub imports it.
package call

import (
	"encoding/json"
	"time"

	"intercom/internal/outcome"
	"intercom/wire"
)

// State is a call. Its parties never change, and neither does its plan.
type State struct {
	outcome.Result // what is known so far; EndedAt makes it final
	Plan           Plan
	Name, Image    string // of the caller
	Legs           []Leg
	Lead           string // the callee to whom the caller prepares a media path; "" before anybody rings
	Media          Media  // what the caller told the lead
	Turn           int    // in a sequence: the index of the leg whose turn it is
	Adopted        bool   // made from a [Ticket]: how it began is not known
}

// Plan is how a call is to go.
type Plan struct {
	Ring   time.Duration // until the call is missed
	Caller time.Duration // until the caller gives up
	Ack    time.Duration // until a callee must say that it rings
	Each   time.Duration // that each rings in a sequence; 0 when all ring at once
	Limit  time.Duration // of the conversation; 0 for none
}

// Leg is one callee's part of a call.
type Leg struct {
	CUID    string
	Auto    bool // the account lets it answer automatically
	Servers []wire.ICEServer
	Phase   Phase
	Rung    int // how often it said that it rings
	Media   Media
	Result  outcome.Result // of this leg, once it is over
}

// Phase is where a leg stands.
type Phase string

// The phases. The zero value is [Waiting].
const (
	Waiting Phase = ""        // its turn in a sequence has not come
	Offered Phase = "offered" // its hub was asked to make it ring
	Ringing Phase = "ringing"
	Talking Phase = "talking" // it answered
	Over    Phase = "over"    // it refused, was stopped, or the call is over
)

// MaxRung is how often a callee may say that it rings: in one place, and when it moves a few times. The caller makes a
// new media path ready each time; more would have it say more than the hub lets it.
const MaxRung = 5

// Media is what one side said of its media path while it rang. It is kept to be said again: to a caller whose lead
// changed, and to a party that reconnects.
type Media struct {
	SDP        json.RawMessage
	Candidates []json.RawMessage
}

// Ended reports whether the call is over.
func (s State) Ended() bool { return s.EndedAt != nil }

// Live reports whether the call was answered and goes on.
func (s State) Live() bool { return s.AnsweredAt != nil && !s.Ended() }

// Leg finds a callee's leg; nil for the caller and for strangers.
func (s State) Leg(cuid string) *Leg {
	for i := range s.Legs {
		if s.Legs[i].CUID == cuid {
			return &s.Legs[i]
		}
	}
	return nil
}

// MediaAllowed reports whether a party may have a media path now: the caller once somebody rings, a callee once it is
// offered the call, both until they are out.
func (s State) MediaAllowed(cuid string) bool {
	g := s.Leg(cuid)
	switch {
	case s.Ended():
		return false
	case cuid == s.From:
		return s.Lead != "" || s.AnsweredAt != nil
	}
	return g != nil && g.Phase != Waiting && g.Phase != Over
}

// Event is something that happened to the call.
type Event interface{ event() }

// Begin is the first event.
type Begin struct{}

// What a party says; By is its cuid. Whoever says something too late, or twice, is told how the call stands.
type (
	Invite  struct{ By string } // again: the first one made the call
	Answer  struct{ By string }
	Decline struct {
		By     string
		Reason outcome.Reason
	}
	Cancel struct {
		By     string
		Reason outcome.Reason
	}
	HangUp struct {
		By     string
		Reason outcome.Reason
		At     time.Time // when that was, if it is told late
	}
	Relay struct { // for the peer: the media path, that it rings, its door
		By, To  string // To is one of several callees, or ""
		Message wire.Envelope
	}
	AskServers struct{ By string } // STUN and TURN for its media path
)

// What the hub learns of a party.
type (
	Unavailable struct { // a callee cannot be made to ring
		By      string
		Outcome outcome.Outcome
		Unsure  bool // it may ring all the same
	}
	Lost    struct{ By string } // its grace period is over, or it came back without the call
	CatchUp struct{ By string } // it may have missed messages
)

// What happens to the hub itself.
type (
	Shutdown struct{}
	Expired  struct{ Timer Timer }
)

func (Begin) event()       {}
func (Invite) event()      {}
func (Answer) event()      {}
func (Decline) event()     {}
func (Cancel) event()      {}
func (HangUp) event()      {}
func (Relay) event()       {}
func (AskServers) event()  {}
func (Unavailable) event() {}
func (Lost) event()        {}
func (CatchUp) event()     {}
func (Shutdown) event()    {}
func (Expired) event()     {}

// Timer names a limit.
type Timer string

// The timers. One of each runs at a time; the answer and the end stop them all.
const (
	RingTimer   Timer = "ring"    // the call is missed
	CallerTimer Timer = "caller"  // the caller gives up
	AckTimer    Timer = "ack"     // a callee that does not ring by now will not
	TurnTimer   Timer = "turn"    // in a sequence: the next one's turn
	WarnTimer   Timer = "warning" // the limit is near
	MaxTimer    Timer = "max"     // the limit of the conversation
)

// Action is something to be done, in the order given and without waiting.
type Action interface{ action() }

// The actions.
type (
	Offer struct { // make a callee ring with this message; [Unavailable] if that cannot be
		To      string
		Message wire.Envelope
	}
	Send struct {
		To      string
		Message wire.Envelope
	}
	SendAnswered struct{ To, Peer string } // with the ticket
	SendServers  struct{ To string }
	SetTimer     struct {
		Timer Timer
		After time.Duration
	}
	StopTimer struct{ Timer Timer }           // "" stops all
	Report    struct{ Result outcome.Result } // the one result of the call
)

func (Offer) action()        {}
func (Send) action()         {}
func (SendAnswered) action() {}
func (SendServers) action()  {}
func (SetTimer) action()     {}
func (StopTimer) action()    {}
func (Report) action()       {}
