package device

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/setup"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/link"
)

// This file stands between the rules of a call and the protocol: actions become messages, messages become events.

// do performs an action of the rules.
func (d *Device) do(a call.Action) {
	switch a := a.(type) {
	case call.SendInvite:
		d.wire.Send(wire.New(wire.Invite, a.ID, d.leg.invite))
	case call.SendAnswer:
		d.wire.Send(wire.Envelope{T: wire.Answer, Call: a.ID})
	case call.SendDecline:
		d.wire.Send(wire.New(wire.Decline, a.ID, wire.DeclineBody{Reason: a.Reason}))
	case call.SendCancel:
		d.wire.Send(wire.New(wire.Cancel, a.ID, wire.CancelBody{Reason: a.Reason}))
	case call.SendHangUp:
		d.wire.Send(wire.New(wire.HangUp, a.ID, wire.HangUpBody{Reason: a.Reason}))
	case call.Prepare:
		d.prepare(a)
	case call.OpenVoice:
		if d.cfg.Profile == setup.Accessible {
			d.sound.Play(call.SpeakTone)
		}
		d.leg.opening = d.leg.voice == setup.Duplex || d.leg.voice == setup.Announce
		d.shine()
		d.leg.path.OpenVoice()
	case call.RestartMedia:
		d.leg.path.Restart(d.iceServers())
	case call.CheckLink:
		d.wire.Check()
	case call.CloseMedia:
		d.leg.close()
	case call.Play:
		d.play(a.Tone)
	case call.Silence:
		d.sound.Silence()
	case call.SetTimer:
		id := d.leg.id
		d.leg.set(a.Timer, a.After, d.tell, func() { d.handle(call.Expired{ID: id, Timer: a.Timer}) })
	case call.StopTimer:
		d.leg.stop(a.Timer)
	case call.Report:
		d.report(a)
	}
}

// play starts a tone. In quiet hours nothing rings.
func (d *Device) play(t call.Tone) {
	if s := d.schedule(); t == call.RingTone && s != nil && s.Quiet {
		return
	}
	d.sound.Play(t)
}

// prepare makes the media path. Its news is about this path only, also when it comes late: of several who ring, one can
// take the place of another.
func (d *Device) prepare(a call.Prepare) {
	l, lead := d.leg, d.state.Lead
	if l.path != nil {
		return
	}
	var p Path
	news := func(f func()) {
		d.tell(func() {
			if p != nil && l.path == p {
				f()
			}
		})
	}
	description := wire.SDP
	if a.Offer {
		description = wire.Ringing // the offer tells the caller that we ring
	}
	p = d.media.Path(d.iceServers(), a.Offer, l.voice, News{
		Local: func(sdp, answers string) {
			news(func() {
				d.wire.Send(wire.New(description, l.id, wire.SDPBody{SDP: sdp, To: lead, Answers: answers}))
				description = wire.SDP // what follows restarts ICE, or answers that
			})
		},
		Candidate: func(c string) {
			news(func() { d.wire.Send(wire.New(wire.ICE, l.id, wire.ICEBody{Candidate: c, To: lead})) })
		},
		Event: func(about func(string) call.Event) { news(func() { d.handle(about(l.id)) }) },
	})
	l.path, l.descriptions, l.candidates = p, rate.NewLimiter(1, 10), 0
}

// Up, Down and Receive make the device the handler of its link.

// Up says that the station is signed in.
func (d *Device) Up(w wire.WelcomeBody) {
	d.tell(func() {
		if d.registered.IsZero() {
			d.registered = time.Now()
		}
		d.hubTrouble, d.hubCode = "", ""
		if d.servers = w.ICEServers; wire.CheckServers(w.ICEServers) != nil {
			d.servers = nil
		}
		if !w.Resumed {
			d.leg.mayOpen = false // what was said of it may be lost
		}
		d.handle(call.LinkUp{Ack: millis(w.AckMS)})
		if d.leg.path != nil { // for a restart of ICE: another hub may have the call now
			d.wire.Send(wire.New(wire.Servers, d.state.ID, nil))
		}
		d.declare()
		d.settle()
		if !w.Resumed {
			d.telling = "" // what was under way is lost, or not; a note has an id
		}
		d.tellNotes()
	})
}

// declareEvery is how often the hub is told how the station is, after the first few times.
const declareEvery = 500 * time.Millisecond

// mostCandidates are taken with one description of the other side.
const mostCandidates = 2 * wire.MaxCandidates

// millis is a time as the protocol writes it: none below zero, and a day at most.
func millis(n int64) time.Duration {
	return time.Duration(max(0, min(n, (24*time.Hour).Milliseconds()))) * time.Millisecond
}

// Down says that the station is not signed in, and why.
func (d *Device) Down(err error) {
	d.tell(func() {
		d.hubTrouble, d.hubCode = wire.Printable(err.Error(), 500), "" // it may be the hub's own words
		var known *fault.Error
		if errors.As(err, &known) {
			d.hubCode = known.Code.Entry().Code
		}
		d.handle(call.LinkDown{})
	})
}

// NetworkChanged is told that an address or a route of this machine is another. A media path that went by it is restarted;
// the link, which is told before, says by itself when it is down and up again.
func (d *Device) NetworkChanged() {
	d.tell(func() {
		if d.leg.path != nil && d.leg.path.Moved() {
			d.log.Info("this machine's address or its route to the other side changed", "call", d.state.ID, "peer", d.state.Peer)
			d.handle(call.MediaMoved{ID: d.state.ID})
		}
	})
}

// iceServers are those of the call that there is: its own, else those that the hub names to all.
func (d *Device) iceServers() []wire.ICEServer {
	if len(d.leg.servers) > 0 {
		return d.leg.servers
	}
	return d.servers
}

// declare tells the hub how the station is: at once, but for one that changes all the time, as with a wire that is loose. Its
// hub would else throw it out for saying too much.
func (d *Device) declare() {
	switch {
	case d.declaring != nil: // soon
		return
	case !d.declared.Allow():
		d.declaring = time.AfterFunc(declareEvery, func() { d.tell(func() { d.declaring = nil; d.declare() }) })
		return
	}
	b := wire.StateBody{Health: "healthy", DND: d.state.DND, Light: string(d.light)}
	if len(d.faults) > 0 {
		b.Health, b.Faults, b.Codes = "degraded", map[string]string{}, map[string]string{}
	}
	for part, f := range d.faults {
		part = wire.Printable(part, 64)
		b.Faults[part], b.Codes[part] = wire.Printable(f.Text, 500), string(f.Code)
	}
	if d.hasDoor() {
		b.Door = d.cfg.Door.Remote
	}
	if d.settings != nil {
		b.Settings, b.Refused = d.settings.Versions()
	}
	d.wire.Send(wire.New(wire.State, "", b))
}

// Calls are those that the hub is asked about at the sign-in. It is called by the link.
func (d *Device) Calls() []wire.CallRef {
	var calls []wire.CallRef
	err := d.Ask(context.Background(), func() {
		if d.state.ID != "" {
			calls = []wire.CallRef{{Call: d.state.ID, Ticket: d.leg.ticket}}
		}
	})
	if err != nil { // the station stops
		return nil
	}
	return calls
}

// owe remembers an end that the hub has not heard of, so that it is on record when the hub is back.
func (d *Device) owe(r outcome.Result) {
	if t := d.leg.ticket; t != "" && len(d.owed) < wire.MaxCalls {
		d.owed = append(d.owed, wire.New(wire.HangUp, r.Call, wire.HangUpBody{Reason: r.Reason, Ticket: t, EndedAt: r.EndedAt}))
	}
}

// settle tells the hub what it has not heard of.
func (d *Device) settle() {
	for len(d.owed) > 0 && d.wire.Send(d.owed[0]) {
		d.owed = d.owed[1:]
	}
}

// Receive takes a message of the hub, and returns when it is dealt with: a hub that says more than a station can take
// waits, and does not fill its memory.
func (d *Device) Receive(m link.Message) {
	_ = d.Ask(context.Background(), func() {
		if err := d.receive(m); err != nil {
			d.log.Warn("a message of the hub is not understood", "type", string(m.T), "err", err)
		}
	})
}

func (d *Device) receive(m link.Message) *fault.Error {
	ours := m.Call == d.leg.id && d.leg.path != nil
	switch m.T {
	case wire.OK:
		switch m.To {
		case wire.Note:
			d.told()
		case wire.Invite:
			b, _ := wire.Body[wire.InvitedBody](m.Envelope) // without one, the usual time
			d.handle(call.Acked{ID: m.Call, Limit: millis(b.CallerMS)})
		}
	case wire.Fail:
		e, err := wire.Body[fault.Error](m.Envelope)
		if err != nil {
			return err
		}
		if m.To == wire.Note {
			d.noteRefused(&e)
			return nil
		}
		if m.To == wire.Servers { // the hub ends a call otherwise
			return nil
		}
		d.log.Warn("the hub refused a request", "type", string(m.To), "call", m.Call, "code", string(e.Code), "err", e.Message)
		if m.To == wire.Door {
			d.doorAnswered(m.Call, wire.DoorBody{From: d.state.Peer, Result: refused})
		}
		d.handle(call.Rejected{ID: m.Call, Code: fault.New(e.Code).Code})
	case wire.Servers:
		b, err := wire.Body[wire.ServersBody](m.Envelope)
		if err == nil {
			err = b.Check()
		}
		if err != nil {
			return err
		}
		if m.Call == d.leg.id && len(b.ICEServers) > 0 {
			d.leg.servers = b.ICEServers
		}
	case wire.Incoming:
		b, err := wire.Body[wire.IncomingBody](m.Envelope)
		if err == nil {
			err = b.Check(m.Call)
		}
		if err != nil {
			return err
		}
		d.called(m.Call, b)
	case wire.Ringing, wire.SDP:
		b, err := wire.Body[wire.SDPBody](m.Envelope)
		if err == nil && (len(b.SDP) > wire.MaxSDP || len(b.From) > wire.MaxIDLen || len(b.Answers) > wire.MaxSDP) {
			err = fault.New(fault.TooLarge)
		}
		if err != nil {
			return err
		}
		if m.T == wire.Ringing {
			d.handle(call.PeerRings{ID: m.Call, From: b.From, Path: wire.Fragment(b.SDP)})
			ours = m.Call == d.leg.id && d.leg.path != nil
		}
		if ours && b.SDP != "" && d.leg.descriptions.Allow() {
			d.leg.candidates = 0
			d.leg.path.Remote(b.SDP, b.Answers)
			d.handle(call.MediaTold{ID: m.Call})
		}
	case wire.ICE:
		b, err := wire.Body[wire.ICEBody](m.Envelope)
		if err == nil && len(b.Candidate) > wire.MaxCandidate {
			err = fault.New(fault.TooLarge)
		}
		if err != nil {
			return err
		}
		if !ours {
			return nil
		}
		if d.leg.candidates++; d.leg.candidates <= mostCandidates {
			d.leg.path.Candidate(b.Candidate)
		}
	case wire.Answered:
		b, _ := wire.Body[wire.AnsweredBody](m.Envelope) // without one the call goes on all the same
		d.confirmed(m.Call, b)
	case wire.Warning:
		d.handle(call.Warned{ID: m.Call})
	case wire.Door:
		b, err := wire.Body[wire.DoorBody](m.Envelope)
		if err == nil {
			err = wire.CheckCUID(b.From)
		}
		if err != nil {
			return err
		}
		d.doorAsked(m.Call, b.From)
	case wire.DoorDone:
		b, err := wire.Body[wire.DoorBody](m.Envelope)
		if err != nil {
			return err
		}
		d.doorAnswered(m.Call, b)
	case wire.OpenDoor:
		b, err := wire.Body[wire.OpenDoorBody](m.Envelope)
		if err == nil {
			err = b.Check()
		}
		if err != nil {
			return err
		}
		d.doorWanted(b)
	case wire.Settings:
		b, err := wire.Body[wire.SettingsBody](m.Envelope)
		if err != nil {
			return err
		}
		d.takeSettings(b)
	case wire.Identify:
		d.identify()
	case wire.Ended:
		b, err := wire.Body[wire.EndedBody](m.Envelope)
		if err == nil && !b.Outcome.Valid() {
			err = fault.In(fault.BadMessage, "status", "The contract has no outcome %.80q.", b.Outcome)
		}
		if err != nil {
			return err
		}
		if d.believes(m.Call, b.Result) {
			d.leg.final = &b.Result
		}
		e := call.Ended{ID: m.Call, Outcome: b.Outcome}
		if b.Error != nil {
			e.Code = fault.New(b.Error.Code).Code
		}
		d.handle(e)
	}
	return nil
}

// called is told of a call that comes in. Of a call that there is, nothing is changed: the first word of who calls counts.
func (d *Device) called(id string, b wire.IncomingBody) {
	if id == d.state.ID { // said twice
		return
	}
	if d.begin(d.incoming(id, b), call.Incoming{ID: id, Peer: b.From, Ring: millis(b.RingMS)}) { // else it was declined as busy
		d.autoAnswer(b.AutoAnswer)
	}
}

// confirmed is told that a call was answered. The ticket is kept for a call only that somebody here dialled or answered.
func (d *Device) confirmed(id string, b wire.AnsweredBody) {
	if id == d.state.ID && d.state.Phase == call.Ringing {
		d.log.Warn("the hub says that a call was answered, and nobody here has; it rings on", "call", id, "peer", d.state.Peer)
	}
	if wire.CheckCUID(b.Peer) != nil {
		b.Peer = ""
	}
	d.handle(call.Confirmed{ID: id, Peer: b.Peer, Limit: millis(b.LimitMS)})
	if id == d.state.ID && d.state.Live() && len(b.Ticket) <= wire.MaxTicket {
		d.leg.ticket = b.Ticket
	}
}

// believes reports whether a result of the hub can be that of the call that there is: who called whom, this station knows
// itself.
func (d *Device) believes(id string, r outcome.Result) bool {
	from := d.state.Peer
	if d.state.Caller {
		from = d.cfg.CUID
	}
	return id != "" && id == d.state.ID && r.Call == id && r.From == from && wire.CheckContext(r.Context) == nil &&
		len(r.To) <= wire.MaxReceivers*wire.MaxIDLen && len(r.By) <= wire.MaxIDLen
}
