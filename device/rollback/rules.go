package rollback

import (
	"crypto/sha256"
	"encoding/hex"
)

// State is what a station remembers of its configurations from one start to the next. Its methods are the rules: pure,
// without files and without a clock.
//
// A configuration that was changed is on trial for a while. One that does not prove itself in that time is given up for
// the last good one. When that does not work either, the configuration was not to blame, but perhaps the network: the
// written one is taken again, and stays.
type State struct {
	Good    string `json:"good,omitempty"`    // the text of the last one that proved itself
	Bad     string `json:"bad,omitempty"`     // the sum of one that did not
	Why     string `json:"why,omitempty"`     // what it lacked
	Excused string `json:"excused,omitempty"` // the sum of one that did not, as the good one did not
}

// Choice is what to run.
type Choice int

// The choices.
const (
	Written  Choice = iota // the written one, for good
	OnTrial                // the written one, for as long as a trial
	GivenUp                // the good one in its place, which is on trial too
	Mended                 // the good one, since the written one is not valid
	Hopeless               // the written one is not valid, and there was never a good one
)

// Choose says what to run, for what is written; it is not looked at when it is not valid.
func (s *State) Choose(written string, valid bool) Choice {
	switch {
	case !valid && s.Good == "":
		return Hopeless
	case !valid:
		return Mended
	case s.Good == "" || written == s.Good || Sum(written) == s.Excused:
		return Written
	case Sum(written) == s.Bad:
		return GivenUp
	}
	return OnTrial
}

// Proved is told when what runs is registered and has sound; it reports whether there is something new to keep.
func (s *State) Proved(c Choice, running string) bool {
	if c != Written && c != OnTrial || running == s.Good && s.Bad == "" && s.Excused == "" {
		return false
	}
	*s = State{Good: running}
	return true
}

// Failed is told when a trial has ended without that. The other one is to be run then.
func (s *State) Failed(c Choice, written, why string) {
	switch c {
	case OnTrial:
		s.Bad, s.Why = Sum(written), why
	case GivenUp:
		s.Bad, s.Why, s.Excused = "", "", Sum(written)
	}
}

// Again is told when an administrator wants what is written to be tried once more.
func (s *State) Again() { s.Bad, s.Why = "", "" }

// Sum tells one text from another.
func Sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:8])
}
