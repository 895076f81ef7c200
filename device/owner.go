package device

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/internal/event"
	"intercom/internal/outcome"
	"intercom/wire"
)

// owner is a station's state. Only the goroutine of [Device.Run] calls its methods and those of its parts. They never
// wait: what takes time is an errand, which tells the owner its outcome.
type owner struct {
	Parts
	cfg    *setup.Config
	log    *slog.Logger
	wire   Wire
	tell   func(func())                     // queues f for the owner; never waits
	errand func(func(life context.Context)) // runs on a goroutine of its own; life ends with the station's
	began  time.Time

	state    call.State
	leg      *leg                    // of the current call; an empty one for none
	deferred func()                  // to be done when the event is dealt with
	last     *outcome.Result         // of the latest call
	ended    map[outcome.Outcome]int // calls, since the start
	faults   faults
	restart  string // why the station is started again as soon as it is idle; empty when it is not

	hub     signalling
	buttons buttons
	doorway doorway
	lights  lights
	memory  memory
	notes   notes
	offers  offers
	events  events
}

func newOwner(cfg *setup.Config, p Parts, log *slog.Logger) *owner {
	o := &owner{Parts: p, cfg: cfg, log: log, began: time.Now(),
		state: call.Start(), leg: &leg{}, ended: map[outcome.Outcome]int{}, faults: faults{}}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.hub = newSignalling(o)
	o.buttons = buttons{o: o, pressed: map[string]bool{}}
	o.memory = loadMemory(o)
	o.doorway = newDoorway(o)
	o.lights = newLights(o)
	o.notes = notes{o: o}
	o.offers = offers{o: o, pace: rate.NewLimiter(rate.Every(settingsEvery), 5)}
	o.events = events{watchers: map[chan control.Event]bool{}}
	return o
}

// restore makes the station what it was when it was stopped.
func (o *owner) restore() {
	o.memory.restore()
	o.doorway.update()
}

// handle has the rules deal with an event.
func (o *owner) handle(e call.Event) { o.step(e, nil) }

// begin has them deal with the event by which a leg's call begins, and reports whether it has begun.
func (o *owner) begin(l *leg, e call.Event) bool {
	o.step(e, l)
	return o.leg == l
}

// step is the one place where the state changes, and the leg with it. coming is the leg of the call that the event may
// begin; nil for none.
func (o *owner) step(e call.Event, coming *leg) {
	before := o.state
	next, acts := call.Next(o.state, e)
	o.state = next
	if before.Phase == call.Idle && coming != nil {
		o.leg = coming // also where its call ends at once
	}
	if next.Phase != call.Ringing {
		o.leg.noAuto()
	}
	after := &leg{} // the one whose call is reported
	if coming != nil && coming.id == next.ID {
		after, o.lights.missed = coming, false
		coming.reached(next)
	} else if next.Phase != before.Phase && next.Phase != call.Idle {
		o.leg.reached(next)
	}
	for _, a := range acts {
		o.do(a)
		if _, over := a.(call.Report); over {
			o.leg = after
		}
	}
	if next.Phase == call.Idle {
		o.leg = &leg{}
	}
	o.lights.update()
	o.doorway.tellCapabilities()
	o.stepped(before, next)
	if f := o.deferred; f != nil {
		o.deferred = nil
		f()
	}
	o.restartWhenIdle()
}

// stepped tells others of a new state.
func (o *owner) stepped(before, now call.State) {
	if before.Phase == now.Phase && before.ID == now.ID && before.Online == now.Online {
		return
	}
	attrs := []any{"phase", string(now.Phase), "online", now.Online}
	if now.ID != "" {
		attrs = append(attrs, event.Call(now.ID), event.Peer(now.Peer))
	}
	o.log.Info(event.State, attrs...)
	caller := o.leg.caller
	o.events.emit(control.Event{Event: "state", Phase: now.Phase, Call: now.ID, Peer: now.Peer, Online: &now.Online,
		Name: caller.Name, Context: caller.Context, Image: caller.InitiatorImage})
}

// do performs an action of the rules.
func (o *owner) do(a call.Action) {
	switch a := a.(type) {
	case call.SendInvite:
		o.wire.Send(wire.New(wire.Invite, a.ID, o.leg.invite))
	case call.SendAnswer:
		o.wire.Send(wire.Envelope{T: wire.Answer, Call: a.ID})
	case call.SendDecline:
		o.wire.Send(wire.New(wire.Decline, a.ID, wire.DeclineBody{Reason: a.Reason}))
	case call.SendCancel:
		o.wire.Send(wire.New(wire.Cancel, a.ID, wire.CancelBody{Reason: a.Reason}))
	case call.SendHangUp:
		o.wire.Send(wire.New(wire.HangUp, a.ID, wire.HangUpBody{Reason: a.Reason}))
	case call.Prepare:
		o.prepare(a)
	case call.OpenVoice:
		if o.cfg.Profile == setup.Accessible {
			o.Sound.Play(call.SpeakTone)
		}
		o.leg.opening = o.leg.voice == setup.Duplex || o.leg.voice == setup.Announce
		o.lights.update()
		o.leg.path.OpenVoice()
	case call.RestartMedia:
		o.leg.path.Restart(o.iceServers())
	case call.CheckLink:
		o.wire.Check()
	case call.CloseMedia:
		o.leg.close()
	case call.Play:
		o.play(a.Tone)
	case call.Silence:
		o.Sound.Silence()
	case call.SetTimer:
		id := o.leg.id
		o.leg.set(a.Timer, a.After, o.tell, func() { o.handle(call.Expired{ID: id, Timer: a.Timer}) })
	case call.StopTimer:
		o.leg.stop(a.Timer)
	case call.Report:
		o.report(a)
	}
}

// play starts a tone. In quiet hours nothing rings.
func (o *owner) play(t call.Tone) {
	if s := o.schedule(); t == call.RingTone && s != nil && s.Quiet {
		return
	}
	o.Sound.Play(t)
}

// prepare makes the leg's media path. Callbacks of a path that was closed, or replaced, are ignored.
func (o *owner) prepare(a call.Prepare) {
	l, lead := o.leg, o.state.Lead
	if l.path != nil {
		return
	}
	var p Path
	news := func(f func()) {
		o.tell(func() {
			if p != nil && l.path == p {
				f()
			}
		})
	}
	description := wire.SDP
	if a.Offer {
		description = wire.Ringing // the offer tells the caller that we ring
	}
	p = o.Media.Path(o.iceServers(), a.Offer, l.voice, News{
		Local: func(sdp, answers string) {
			news(func() {
				o.wire.Send(wire.New(description, l.id, wire.SDPBody{SDP: sdp, To: lead, Answers: answers}))
				description = wire.SDP // what follows restarts ICE, or answers that
			})
		},
		Candidate: func(c string) {
			news(func() { o.wire.Send(wire.New(wire.ICE, l.id, wire.ICEBody{Candidate: c, To: lead})) })
		},
		Event: func(about func(string) call.Event) { news(func() { o.handle(about(l.id)) }) },
	})
	l.path, l.descriptions, l.candidates = p, rate.NewLimiter(1, 10), 0
}

// iceServers are those of the call, else those that the hub names for all.
func (o *owner) iceServers() []wire.ICEServer {
	if len(o.leg.servers) > 0 {
		return o.leg.servers
	}
	return o.hub.servers
}

func (o *owner) networkChanged() {
	if o.leg.path != nil && o.leg.path.Moved() {
		o.log.Info("this machine's address or its route to the other side changed",
			event.Call(o.state.ID), event.Peer(o.state.Peer))
		o.handle(call.MediaMoved{ID: o.state.ID})
	}
}

func (o *owner) soundChanged() {
	if s := o.Sound.Status(); s.MicOpen || s.Muted || s.MicTrouble != "" {
		o.leg.opening = false
	}
	o.lights.update()
}

// schedule is the one that holds now; nil for none, and while the clock is not set.
func (o *owner) schedule() *setup.Schedule {
	now := o.Clock()
	if now.Year() < 2025 {
		return nil
	}
	for i := range o.cfg.Schedule {
		if s := &o.cfg.Schedule[i]; s.Holds(now) {
			return s
		}
	}
	return nil
}

// reload takes over what can change while the station runs, and names the keys whose change waits.
func (o *owner) reload(next *setup.Config) (waits []string) {
	c := o.cfg
	c.Context, c.Image, c.LogLevel, c.Trial = next.Context, next.Image, next.LogLevel, next.Trial
	c.Call, c.Auto, c.Schedule = next.Call, next.Auto, next.Schedule
	c.Door.Allow, c.Door.Remote = next.Door.Allow, next.Door.Remote
	o.doorway.tellCapabilities()
	waits = c.Differs(next)
	o.hub.declare() // settings of the hub that were refused may be wanted now
	return waits
}

// restartSoon has the station started again as soon as it is idle.
func (o *owner) restartSoon(why string) {
	o.restart = why
	o.log.Info("the station starts again when it is idle", "why", why)
	o.restartWhenIdle()
}

func (o *owner) restartWhenIdle() {
	if o.restart == "" || o.state.Phase != call.Idle || o.doorway.energised {
		return
	}
	o.log.Info("the station starts again", "why", o.restart)
	o.Again()
}

// fault notes what is wrong with a part, or that it is well, and tells it where that changed.
func (o *owner) fault(f control.Fault) {
	if !o.faults.note(f) {
		return
	}
	if f.Text == "" {
		o.log.Info(event.PartWell, event.Part(f.Part))
	} else {
		t := f.Trouble()
		o.log.Warn(event.PartBroken, event.Part(t.Part), "code", string(t.Code), "severity", string(t.Severity),
			"why", t.Text, "do", t.Do)
	}
	o.events.emit(control.Event{Event: "health", Part: f.Part, Trouble: f.Text})
	o.hub.declare()
	o.lights.update()
}

// faults are what is wrong with the station, by part.
type faults map[string]control.Fault

// note reports whether that is another fault than was known.
func (all faults) note(f control.Fault) (changed bool) {
	if before := all[f.Part]; f == before || f.Text == "" && before.Text == "" {
		return false
	}
	if f.Text == "" {
		delete(all, f.Part)
	} else {
		all[f.Part] = f
	}
	return true
}

// worst is how bad the worst of them is; empty for none.
func (all faults) worst() (worst control.Severity) {
	for _, f := range all {
		if s := f.Code.Entry().Severity; worst != control.Failing {
			worst = s
		}
	}
	return worst
}
