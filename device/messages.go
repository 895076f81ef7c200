package device

import (
	"intercom/call"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/link"
)

// This file takes what the hub says: a message becomes an event of the rules, or a wish to the door. Nothing in it is
// believed that this station knows better.

// receive takes a message.
func (h *signalling) receive(m link.Message) {
	if err := h.take(m); err != nil {
		h.o.log.Warn("a message of the hub is not understood", "type", string(m.T), "err", err)
	}
}

func (h *signalling) take(m link.Message) *fault.Error {
	o := h.o
	switch m.T {
	case wire.OK:
		h.acked(m)
		return nil
	case wire.Fail:
		return with(m, nil, func(e fault.Error) { h.failed(m, &e) })
	case wire.Servers:
		return with(m, wire.ServersBody.Check, func(b wire.ServersBody) {
			if m.Call == o.leg.id && len(b.ICEServers) > 0 {
				o.leg.servers = b.ICEServers
			}
		})
	case wire.Incoming:
		check := func(b wire.IncomingBody) *fault.Error { return b.Check(m.Call) }
		return with(m, check, func(b wire.IncomingBody) { h.incoming(m.Call, b) })
	case wire.Ringing, wire.SDP:
		return with(m, checkDescription, func(b wire.SDPBody) { h.description(m, b) })
	case wire.ICE:
		return with(m, wire.ICEBody.Check, func(b wire.ICEBody) {
			if m.Call == o.leg.id {
				o.leg.candidate(b.Candidate)
			}
		})
	case wire.Answered:
		b, _ := wire.Body[wire.AnsweredBody](m.Envelope) // without one the call goes on all the same
		h.answered(m.Call, b)
	case wire.Warning:
		o.handle(call.Warned{ID: m.Call})
	case wire.Door:
		check := func(b wire.DoorBody) *fault.Error { return wire.CheckCUID(b.From) }
		return with(m, check, func(b wire.DoorBody) { o.doorway.asked(m.Call, b.From) })
	case wire.DoorDone:
		return with(m, nil, func(b wire.DoorBody) { o.doorway.answered(m.Call, b) })
	case wire.OpenDoor:
		return with(m, wire.OpenDoorBody.Check, o.doorway.wanted)
	case wire.Settings:
		return with(m, nil, o.offers.take)
	case wire.Identify:
		o.lights.identify()
	case wire.Ended:
		return with(m, checkEnd, func(b wire.EndedBody) { h.ended(m.Call, b) })
	}
	return nil
}

// with takes the body of a message, if it is good.
func with[T any](m link.Message, check func(T) *fault.Error, take func(T)) *fault.Error {
	b, err := wire.Body[T](m.Envelope)
	if err == nil && check != nil {
		err = check(b)
	}
	if err == nil {
		take(b)
	}
	return err
}

func checkDescription(b wire.SDPBody) *fault.Error {
	if len(b.From) > wire.MaxIDLen {
		return fault.New(fault.TooLarge)
	}
	return b.Check()
}

func checkEnd(b wire.EndedBody) *fault.Error {
	if !b.Outcome.Valid() {
		return fault.In(fault.BadMessage, "status", "The contract has no outcome %.80q.", b.Outcome)
	}
	return nil
}

// acked is the hub's acknowledgement of a request.
func (h *signalling) acked(m link.Message) {
	switch m.To {
	case wire.Note:
		h.o.notes.acked()
	case wire.Invite:
		b, _ := wire.Body[wire.InvitedBody](m.Envelope) // without one, the usual time
		h.o.handle(call.Acked{ID: m.Call, Limit: millis(b.CallerMS)})
	}
}

// failed is its refusal.
func (h *signalling) failed(m link.Message, e *fault.Error) {
	switch m.To {
	case wire.Note:
		h.o.notes.refused(e)
		return
	case wire.Servers: // the hub ends a call otherwise
		return
	}
	h.o.log.Warn(event.RequestRefused, "type", string(m.To), event.Call(m.Call),
		"code", string(e.Code), "err", e.Message)
	if m.To == wire.Door {
		h.o.doorway.answered(m.Call, wire.DoorBody{From: h.o.state.Peer, Result: refused})
	}
	h.o.handle(call.Rejected{ID: m.Call, Code: fault.New(e.Code).Code})
}

// incoming is told of a call that comes in. Of the current call nothing is changed: the first word of who calls
// counts.
func (h *signalling) incoming(id string, b wire.IncomingBody) {
	if id == h.o.state.ID { // said twice
		return
	}
	l := newIncoming(h.o.cfg, id, b)
	if h.o.begin(l, call.Incoming{ID: id, Peer: b.From, Ring: millis(b.RingMS)}) { // else it was declined as busy
		h.o.autoAnswer(b.AutoAnswer)
	}
}

// description is told that the peer rings, or of its media path.
func (h *signalling) description(m link.Message, b wire.SDPBody) {
	if m.T == wire.Ringing {
		h.o.handle(call.PeerRings{ID: m.Call, From: b.From, Path: wire.Fragment(b.SDP)})
	}
	if m.Call == h.o.leg.id && b.SDP != "" && h.o.leg.description(b.SDP, b.Answers) {
		h.o.handle(call.MediaTold{ID: m.Call})
	}
}

// answered is told that a call was answered. The ticket is kept for a call only that somebody here dialled or answered.
func (h *signalling) answered(id string, b wire.AnsweredBody) {
	o := h.o
	if id == o.state.ID && o.state.Phase == call.Ringing {
		o.log.Warn("the hub says that a call was answered, and nobody here has; it rings on",
			event.Call(id), event.Peer(o.state.Peer))
	}
	if wire.CheckCUID(b.Peer) != nil {
		b.Peer = ""
	}
	o.handle(call.Confirmed{ID: id, Peer: b.Peer, Limit: millis(b.LimitMS)})
	if id == o.state.ID && o.state.Live() && len(b.Ticket) <= wire.MaxTicket {
		o.leg.ticket = b.Ticket
	}
}

// ended is told that a call has ended, and how.
func (h *signalling) ended(id string, b wire.EndedBody) {
	if h.believes(id, b.Result) {
		h.o.leg.final = &b.Result
	}
	e := call.Ended{ID: id, Outcome: b.Outcome}
	if b.Error != nil {
		e.Code = fault.New(b.Error.Code).Code
	}
	h.o.handle(e)
}

// believes reports whether a result of the hub can be that of the current call: who called whom, this station
// knows itself.
func (h *signalling) believes(id string, r outcome.Result) bool {
	s := h.o.state
	from := s.Peer
	if s.Caller {
		from = h.o.cfg.CUID
	}
	return id != "" && id == s.ID && r.Call == id && r.From == from && wire.CheckContext(r.Context) == nil &&
		len(r.To) <= wire.MaxReceivers*wire.MaxIDLen && len(r.By) <= wire.MaxIDLen
}
