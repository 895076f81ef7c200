package call

import (
	"slices"
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// CheckInvite checks an invite, and the callees that it means.
func CheckInvite(from string, to []string, b wire.InviteBody) *fault.Error {
	if len(to) == 0 || len(to) > wire.MaxReceivers {
		return fault.In(fault.InvalidCall, "to",
			"A call needs 1 to %d receivers; name the cuid to call, for example reception.", wire.MaxReceivers)
	}
	for i, c := range to {
		if err := wire.CheckReceiver(c, from); err != nil {
			return err
		}
		if slices.Index(to, c) != i {
			return fault.In(fault.InvalidCall, "to", "The receiver %s is named twice.", c)
		}
	}
	if err := wire.CheckContext(b.Context); err != nil {
		return err
	}
	if b.Mode != "" && b.Mode != wire.Parallel && b.Mode != wire.Sequence {
		return fault.In(fault.InvalidCall, "mode", "The mode must be parallel or sequence.")
	}
	if b.EachMS != 0 && (b.EachMS < 1000 || b.EachMS > 60_000) {
		return fault.In(fault.InvalidCall, "each_ms", "Each receiver of a sequence rings 1,000 to 60,000 ms.")
	}
	if b.MaxDurationMS < 0 || b.MaxDurationMS > (24*time.Hour).Milliseconds() {
		return fault.In(fault.InvalidCall, "max_duration_ms",
			"The limit of a call is 1 ms to 24 hours, in milliseconds.")
	}
	return wire.CheckImage(b.InitiatorImage)
}

// Said reads the message of a party about its call as an event. What is passed on to the peer is written anew from the
// fields that the protocol has, and has a size of its own: the peer gets nothing else, and nothing longer.
func Said(by string, e wire.Envelope) (Event, *fault.Error) {
	switch e.T {
	case wire.Ringing:
		b, err := wire.Body[wire.SDPBody](e)
		if err == nil {
			err = b.Check()
		}
		return Relay{by, "", wire.New(e.T, e.Call, wire.SDPBody{SDP: b.SDP, From: by})}, err
	case wire.SDP:
		b, err := wire.Body[wire.SDPBody](e)
		if err == nil {
			err = b.Check()
		}
		return Relay{by, b.To, wire.New(e.T, e.Call, wire.SDPBody{SDP: b.SDP, To: b.To, Answers: b.Answers})}, err
	case wire.ICE:
		b, err := wire.Body[wire.ICEBody](e)
		if err == nil {
			err = b.Check()
		}
		return Relay{by, b.To, wire.New(e.T, e.Call, b)}, err
	case wire.Door, wire.DoorDone:
		b, err := wire.Body[wire.DoorBody](e)
		if err == nil {
			err = b.Check()
		}
		return Relay{by, "", wire.New(e.T, e.Call, wire.DoorBody{From: by, Result: b.Result, Reason: b.Reason})}, err
	case wire.Capabilities:
		b, err := wire.Body[wire.CapabilitiesBody](e)
		return Relay{by, "", wire.New(e.T, e.Call, b)}, err
	case wire.Servers:
		return AskServers{by}, nil
	case wire.Answer:
		return Answer{by}, nil
	case wire.Decline:
		b, err := wire.Body[wire.DeclineBody](e)
		return Decline{by, b.Reason}, err
	case wire.Cancel:
		b, err := wire.Body[wire.CancelBody](e)
		return Cancel{by, b.Reason}, err
	case wire.HangUp:
		b, err := wire.Body[wire.HangUpBody](e)
		said := HangUp{By: by, Reason: b.Reason}
		if b.EndedAt != nil {
			said.At = *b.EndedAt
		}
		return said, err
	case wire.Invite:
		return Invite{by}, nil
	}
	return nil, fault.In(fault.BadMessage, "t", "The hub does not know this message; see docs/protocol.md.")
}

// Incoming is the message that makes a callee ring.
func (s State) Incoming(g *Leg, now time.Time) wire.Envelope {
	left := s.Plan.Ring - now.Sub(*s.InvitedAt)
	if s.Plan.Each > 0 {
		left = min(left, s.Plan.Each)
	}
	return wire.New(wire.Incoming, s.Call, wire.IncomingBody{
		From: s.From, Name: s.Name, Context: s.Context, InitiatorImage: s.Image,
		RingMS: max(0, left.Milliseconds()), AutoAnswer: g.Auto, ICEServers: g.Servers,
	})
}

// Ended is the message with a result, and with the error that the contract has for it, if any.
func Ended(r outcome.Result) wire.Envelope {
	return wire.New(wire.Ended, r.Call, wire.EndedBody{Result: r, Error: code(r.Outcome)})
}

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
