package call

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"intercom/internal/outcome"
	"intercom/wire"
)

// relay passes a message on to the peer. While it rings, the caller hears of the lead only.
func relay(s *State, e Relay, now time.Time) []Action {
	message := wire.Envelope{T: e.Message.T, Call: s.Call, B: e.Message.B}
	switch {
	case !s.in(e.By):
		return nil
	case s.AnsweredAt == nil && ofTheDoor(e.Message.T):
		return nil // who only rings opens nothing
	case e.By == s.From:
		return relayToLead(s, e.To, message)
	}
	g := s.Leg(e.By)
	if message.T == wire.Ringing {
		if g.Rung == MaxRung {
			return nil
		}
		g.Rung++
	}
	moved := false // it rings in another place, and what the caller said was for the one before
	if s.AnsweredAt == nil {
		moved = message.T == wire.Ringing && s.Lead == g.CUID && !bytes.Equal(g.Media.SDP, message.B)
		if g.Media.full(message) {
			return nil
		}
		g.Media = g.Media.with(message)
	}
	first := message.T == wire.Ringing && g.Phase == Offered
	if first {
		g.Phase = Ringing
		s.RingingAt = cmp.Or(s.RingingAt, outcome.At(now))
	}
	switch {
	case moved, first && s.Lead == "":
		return lead(s, g)
	case s.Lead == g.CUID:
		return []Action{Send{s.From, message}}
	}
	return nil
}

func ofTheDoor(t wire.Type) bool {
	return t == wire.Door || t == wire.DoorDone || t == wire.Capabilities
}

// relayToLead passes on what the caller says, unless it was for a callee that is the lead no longer.
func relayToLead(s *State, to string, message wire.Envelope) []Action {
	if s.Lead == "" || to != "" && to != s.Lead {
		return nil
	}
	if s.AnsweredAt == nil {
		if s.Media.full(message) {
			return nil
		}
		s.Media = s.Media.with(message)
	}
	return []Action{Send{s.Lead, message}}
}

// full reports whether a message is a candidate too many.
func (m Media) full(message wire.Envelope) bool {
	return message.T == wire.ICE && len(m.Candidates) == wire.MaxCandidates
}

// with is the media with one more message about it: a candidate, or a description, which replaces all before it.
func (m Media) with(message wire.Envelope) Media {
	if message.T != wire.ICE {
		return Media{SDP: message.B}
	}
	m.Candidates = append(slices.Clip(m.Candidates), message.B)
	return m
}

// lead makes a callee the one to whom the caller prepares a media path.
func lead(s *State, g *Leg) []Action {
	s.Lead, s.Media = g.CUID, Media{}
	return introduce(s, g)
}

// introduce tells the caller what the lead said of its media path.
func introduce(s *State, g *Leg) []Action {
	var b wire.SDPBody
	if g.Media.SDP != nil {
		b, _ = wire.Body[wire.SDPBody](wire.Envelope{B: g.Media.SDP})
	}
	b.From = g.CUID
	acts := []Action{SendServers{s.From}, Send{s.From, wire.New(wire.Ringing, s.Call, b)}}
	return append(acts, candidates(s, s.From, g.Media)...)
}

func candidates(s *State, to string, m Media) (acts []Action) {
	for _, c := range m.Candidates {
		acts = append(acts, Send{to, wire.Envelope{T: wire.ICE, Call: s.Call, B: c}})
	}
	return acts
}
