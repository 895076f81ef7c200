// Package outcome is the one result that every call ends with, the same on both devices, in the browser, in the
// journal and in the call record.
//
// Pure values: no clock, no I/O. Everybody may import it.
package outcome

import (
	"slices"
	"time"
)

// Status is how a call ended.
type Status string

// Reason is why.
type Reason string

// The five ways a call can end.
const (
	Over      Status = "over"      // it was answered and has ended
	Declined  Status = "declined"  // the callee refused, by hand or by itself
	Missed    Status = "missed"    // nobody answered in time, or nobody was there
	Cancelled Status = "cancelled" // the caller gave up, or another of the called answered
	Failed    Status = "failed"    // it could not come about
)

// The reasons, each belonging to the statuses that [Outcome.Valid] allows.
const (
	HangUp            Reason = "hangup"
	MaxDuration       Reason = "max_duration"
	Lost              Reason = "lost"
	Shutdown          Reason = "shutdown"
	ByHand            Reason = "declined"
	Busy              Reason = "busy"
	NotAllowed        Reason = "not_allowed"
	MicUnavailable    Reason = "mic_unavailable"
	NoAnswer          Reason = "no_answer"
	Offline           Reason = "offline"
	ByCaller          Reason = "cancelled"
	RingTimeout       Reason = "ring_timeout"
	AnsweredElsewhere Reason = "answered_elsewhere"
	MediaFailed       Reason = "media_failed"
	NetworkLost       Reason = "network_lost"
	Internal          Reason = "internal"
)

// Outcome is a status with its reason.
type Outcome struct {
	Status Status `json:"status"`
	Reason Reason `json:"reason"`
}

// Of makes an outcome.
func Of(s Status, r Reason) Outcome { return Outcome{s, r} }

func (o Outcome) String() string { return string(o.Status) + "/" + string(o.Reason) }

// Reasons returns the reasons that a status can have, nil for a status that does not exist.
func Reasons(s Status) []Reason {
	switch s {
	case Over:
		return []Reason{HangUp, MaxDuration, Lost, Shutdown}
	case Declined:
		return []Reason{ByHand, Busy, NotAllowed, MicUnavailable}
	case Missed:
		return []Reason{NoAnswer, Offline}
	case Cancelled:
		return []Reason{ByCaller, RingTimeout, AnsweredElsewhere}
	case Failed:
		return []Reason{MediaFailed, NetworkLost, Internal}
	}
	return nil
}

// Valid reports whether the contract has this pair.
func (o Outcome) Valid() bool { return slices.Contains(Reasons(o.Status), o.Reason) }

// Result is the whole story of an ended call. Times are the hub's, null when the call never got so far; when the hub
// could not be asked, they are the device's own. DurationMS is the time talked, 0 for a call that was not answered.
type Result struct {
	Call string `json:"call"`
	Outcome
	By         string     `json:"by"` // cuid of who ended it, or "hub"
	From       string     `json:"from"`
	To         string     `json:"to"`
	Context    string     `json:"context"`
	InvitedAt  *time.Time `json:"invited_at"`
	RingingAt  *time.Time `json:"ringing_at"`
	AnsweredAt *time.Time `json:"answered_at"`
	EndedAt    *time.Time `json:"ended_at"`
	DurationMS int64      `json:"duration_ms"`
}

// At is a time as results carry it: UTC, whole milliseconds, nil for the zero time.
func At(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Round(0).Truncate(time.Millisecond)
	return &t
}

// Finish sets the end and works out the time talked.
func (r *Result) Finish(o Outcome, by string, now time.Time) {
	r.Outcome, r.By, r.EndedAt = o, by, At(now)
	if r.AnsweredAt != nil {
		r.DurationMS = max(0, r.EndedAt.Sub(*r.AnsweredAt).Milliseconds())
	}
}
