// Package call is the rules of a call on one device: [Next] takes what is so and what happened, and says what is so now
// and what is to be done. It does nothing itself.
//
// Pure: no I/O, no clock, no goroutines; a [State] is a comparable value. One owner (device) calls Next for each event
// and performs the actions in order. The rules are those of docs/protocol.md; testdata/table.golden shows them all.
package call

import (
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// Phase is where a call stands.
type Phase string

// The phases. Only [Idle] has no call id.
const (
	Idle         Phase = "idle"
	Calling      Phase = "calling"      // we invited; nobody rings yet
	Ringback     Phase = "ringback"     // we invited; the other side rings
	Ringing      Phase = "ringing"      // we are called
	Answering    Phase = "answering"    // we answered; the hub has not confirmed it yet
	Connecting   Phase = "connecting"   // answered; the media path is not up yet
	Talking      Phase = "talking"      // answered and heard
	Reconnecting Phase = "reconnecting" // answered; the media path broke and may come back
	Ending       Phase = "ending"       // we ended it; the hub has not said the outcome yet
)

// Limits of a call on the device's own clock. The hub's shorter ones decide when it is there.
const (
	// for the hub to take the invite or confirm the answer, unless it says otherwise
	AckTime     = 10 * time.Second
	RingTime    = 30 * time.Second       // that the hub lets it ring unless it says otherwise
	CallerLimit = 35 * time.Second       // for the caller to get a result, unless the hub says otherwise
	RingSlack   = 10 * time.Second       // that the callee may ring longer, should the hub never end it
	MediaLimit  = 10 * time.Second       // for the media path after the answer
	BreakLimit  = 20 * time.Second       // for a broken media path to come back
	CallerFirst = 300 * time.Millisecond // that the callee leaves the restart of a broken path to the caller
	// for a restart to help before it is tried again; it doubles with each, up to the next
	RestartTime = 3 * time.Second
	RestartMost = 8 * time.Second
	LostLimit   = 4 * time.Second // for the hub to come back while it rings
	EndLimit    = 2 * time.Second // for the hub to confirm an end
	CloseLimit  = 3 * time.Second // for the hub to say why the other side closed the media path
	LimitSlack  = time.Second     // that a metered call may outlast its limit before this side ends it
)

// Limits of what the hub may set: a press here must not become an open microphone long after the person has left. They
// are the longest that a hub can be configured for.
const (
	MostAckTime     = 30 * time.Second
	MostRingTime    = 2 * time.Minute
	MostCallerLimit = 5 * time.Minute // of a sequence of stations
)

// MostMoves is how often another callee, or another place of one, gets a new media path while it rings: once for each
// of as many as can be called, and a few more. Each makes us say much, and the hub lets nobody say too much.
const MostMoves = 20

// State is what is so. The zero value is not valid; start with [Start].
type State struct {
	Phase  Phase
	ID     string        // of the call; empty exactly when idle
	Peer   string        // cuid of the other side
	Caller bool          // we placed it
	Lead   string        // of several called: the one whose media path we make ready
	Path   string        // which one of it, of which there is another when it rings in another place
	Moves  int           // how often another took its place
	Acked  bool          // the hub took our invite
	Media  bool          // the media path is up
	Stale  bool          // the media path needs a restart of ICE
	Tries  int           // restarts since it did
	Online bool          // signed in at the hub
	Ack    time.Duration // that the hub may take to answer; 0 for AckTime
	DND    bool          // do not disturb
	Result outcome.Outcome
}

// Start is the state of a device that has just begun.
func Start() State { return State{Phase: Idle} }

// idle is the state after this call, or before another: what belongs to no call stays.
func (s State) idle() State { return State{Phase: Idle, Online: s.Online, Ack: s.Ack, DND: s.DND} }

// Live reports whether the call was answered and goes on: sound may flow.
func (s State) Live() bool {
	return s.Phase == Connecting || s.Phase == Talking || s.Phase == Reconnecting
}

// Event is something that happened.
type Event interface{ event() }

// What the user does.
type (
	Dial    struct{ ID, Peer string } // ID is new: 128 random bits
	Pick    struct{}                  // answer
	Refuse  struct{}                  // decline
	HangUp  struct{}                  // hang up, cancel or decline, whatever the phase makes of it
	Quit    struct{}                  // the daemon stops
	NoVoice struct{}                  // the microphone cannot be opened

	DoNotDisturb struct{ On bool } // calls are declined as busy, or no longer
)

// What the hub says. Anything about a call that is not ours is ignored.
type (
	LinkUp struct {
		Ack time.Duration // how long the hub may take to answer a request; 0 for AckTime
	}
	LinkDown struct{}
	Acked    struct { // the invite was taken
		ID    string
		Limit time.Duration // for a result; 0 for CallerLimit
	}
	Rejected struct { // a request of ours was refused
		ID   string
		Code fault.Code
	}
	Incoming struct {
		ID, Peer string
		Ring     time.Duration // how long it will ring; 0 for RingTime
	}
	// another From, or another media path of it, takes the place of the one before
	PeerRings struct{ ID, From, Path string }
	Confirmed struct { // answered, says the hub
		ID, Peer string
		Limit    time.Duration // how long it may last; 0 for no limit
	}
	Warned struct{ ID string } // the limit is near
	Ended  struct {
		ID      string
		Outcome outcome.Outcome
		Code    fault.Code // where the hub has one
	}
)

// What the media path says.
type (
	MediaUp     struct{ ID string }
	MediaBroke  struct{ ID string }
	MediaTold   struct{ ID string } // the other side says something of its path: a restart, or its answer
	MediaMoved  struct{ ID string } // this machine's address or route that the path used is another
	MediaFailed struct{ ID string }
	MediaClosed struct{ ID string } // the other side closed it, in order
)

// Expired is a timer's end.
type Expired struct {
	ID    string
	Timer Timer
}

func (Dial) event()         {}
func (Pick) event()         {}
func (Refuse) event()       {}
func (HangUp) event()       {}
func (Quit) event()         {}
func (NoVoice) event()      {}
func (DoNotDisturb) event() {}
func (LinkUp) event()       {}
func (LinkDown) event()     {}
func (Acked) event()        {}
func (Rejected) event()     {}
func (Incoming) event()     {}
func (PeerRings) event()    {}
func (Confirmed) event()    {}
func (Warned) event()       {}
func (Ended) event()        {}
func (MediaUp) event()      {}
func (MediaBroke) event()   {}
func (MediaTold) event()    {}
func (MediaMoved) event()   {}
func (MediaFailed) event()  {}
func (MediaClosed) event()  {}
func (Expired) event()      {}

// Timer names a limit.
type Timer string

// The timers. One of each runs at a time; the end of a call stops them all.
const (
	AckTimer     Timer = "ack"
	LimitTimer   Timer = "limit"
	MediaTimer   Timer = "media"
	RestartTimer Timer = "restart"
	LostTimer    Timer = "lost"
	CloseTimer   Timer = "close"
	EndTimer     Timer = "end"
	MaxTimer     Timer = "max"
)

// Tone names a sound for the person at this device.
type Tone string

// The tones. The first two go on until stopped.
const (
	RingTone     Tone = "ring"
	RingbackTone Tone = "ringback"
	DeclinedTone Tone = "declined"
	BusyTone     Tone = "busy"
	MissedTone   Tone = "missed"
	OfflineTone  Tone = "offline"
	LimitTone    Tone = "limit"
	PressTone    Tone = "press"
	SpeakTone    Tone = "speak" // answered: go on
	DoorTone     Tone = "door"  // it is open
	AutoTone     Tone = "auto"  // the microphone is about to open by itself
)

// Action is something to be done, at once and without waiting.
type Action interface{ action() }

// The actions.
type (
	SendInvite  struct{ ID, Peer string }
	SendAnswer  struct{ ID string }
	SendDecline struct {
		ID     string
		Reason outcome.Reason
	}
	SendCancel struct {
		ID     string
		Reason outcome.Reason
	}
	SendHangUp struct {
		ID     string
		Reason outcome.Reason
	}
	Prepare struct { // make the media path, send nothing yet; the one who rings offers
		ID    string
		Offer bool
	}
	OpenVoice    struct{} // microphone and loudspeaker, from now on
	RestartMedia struct{} // offer a restart of ICE
	CheckLink    struct{} // have the hub answer: what broke the media path may have broken the link
	CloseMedia   struct{} // path, microphone, everything
	Play         struct{ Tone Tone }
	Silence      struct{} // stop the tone that goes on
	SetTimer     struct {
		Timer Timer
		After time.Duration
	}
	StopTimer struct{ Timer Timer } // "" stops all
	Report    struct {              // the one result of a call; Code says more where there is one
		ID      string
		Outcome outcome.Outcome
		Code    fault.Code
	}
)

func (SendInvite) action()   {}
func (SendAnswer) action()   {}
func (SendDecline) action()  {}
func (SendCancel) action()   {}
func (SendHangUp) action()   {}
func (Prepare) action()      {}
func (OpenVoice) action()    {}
func (RestartMedia) action() {}
func (CheckLink) action()    {}
func (CloseMedia) action()   {}
func (Play) action()         {}
func (Silence) action()      {}
func (SetTimer) action()     {}
func (StopTimer) action()    {}
func (Report) action()       {}
