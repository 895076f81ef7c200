package device

import (
	"cmp"
	"fmt"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// This file is what people do at the station: presses and what they mean, calls that are placed, modes.

// Gesture is told by a button what is done with it.
func (d *Device) Gesture(b setup.Button, g gpio.Gesture) {
	d.tell(func() {
		d.emit(control.Event{Event: "press", Button: b.Name, Press: string(g.Kind), HeldMS: ms(g.Held)})
		switch g.Kind {
		case gpio.Down:
			d.log.Info("button pressed", "button", b.Name)
			d.pressed(b)
		case gpio.Up:
			d.released(b)
		case gpio.Stuck:
			d.fault(control.Fault{Code: control.ButtonStuck, Part: control.PartStuck(b.Name),
				Text: fmt.Sprintf("it is held since %v; it is stuck, or its wire is", g.Held.Round(time.Second))})
			delete(d.fingers, b.Name)
		case gpio.Short:
			d.act(b, b.Action)
		case gpio.Long:
			d.act(b, b.Long)
		case gpio.Double:
			d.act(b, b.Double)
		}
		d.shine()
	})
}

// pressed answers a press at once, by light and sound, whatever it will mean.
func (d *Device) pressed(b setup.Button) {
	d.missed = false
	for _, act := range b.Actions() {
		if setup.Calls(act) && d.state.Phase == call.Idle {
			d.fingers[b.Name] = true
		}
	}
	if d.fingers[b.Name] {
		d.sound.Play(call.PressTone)
	}
}

func (d *Device) released(b setup.Button) {
	d.fault(control.Well(control.PartStuck(b.Name)))
	if b.Double == "" {
		delete(d.fingers, b.Name)
	}
	if b.Action == setup.ActTalk && d.state.Live() && d.leg.voice == setup.PushToTalk {
		d.sound.Mute(true)
	}
}

// act does what a press means.
func (d *Device) act(b setup.Button, action string) {
	delete(d.fingers, b.Name)
	if action == setup.ActToggle {
		action = toggle(d.state)
	}
	switch action {
	case setup.ActCall, setup.ActAnnounce:
		p := placing{to: setup.Receivers(b.To), then: setup.Receivers(cmp.Or(b.Then, d.cfg.Call.Then)), context: b.Context, voice: b.Voice}
		if action == setup.ActAnnounce {
			p.voice = setup.Announce
		}
		if _, err := d.dial(p); err != nil && err.Code != fault.InternetLost {
			d.log.Warn("the button cannot call", "button", b.Name, "code", string(err.Code), "err", err.Message)
		}
	case setup.ActAnswer:
		d.pick()
	case setup.ActDecline:
		d.handle(call.Refuse{})
	case setup.ActHangUp:
		d.handle(call.HangUp{})
	case setup.ActMute:
		if d.state.Live() {
			d.sound.Mute(!d.sound.Status().Muted)
		}
	case setup.ActUp, setup.ActDown:
		by := map[string]int{setup.ActUp: 10, setup.ActDown: -10}[action]
		s := d.sound.Status()
		d.volume(max(10, min(150, s.TalkVolume+by)), s.RingVolume)
	case setup.ActTalk:
		if d.state.Live() && d.leg.voice == setup.PushToTalk {
			d.sound.Mute(false)
		}
	case setup.ActDoor:
		d.openFor("button "+b.Name, "pressed here")
	case setup.ActDND:
		d.setDND(!d.state.DND)
	case setup.ActPrivacy:
		d.setPrivacy(!d.memory.Privacy)
	case setup.ActSelfTest:
		d.errands.Go(func() {
			if found, err := d.sound.Test(d.life); err == nil {
				d.Fault(found.Fault())
			}
		})
	}
}

// toggle is what one button means in each state: call, answer, hang up.
func toggle(s call.State) string {
	switch s.Phase {
	case call.Idle:
		return setup.ActCall
	case call.Ringing:
		return setup.ActAnswer
	}
	return setup.ActHangUp
}

// placing is a call that is wanted.
type placing struct {
	to, then wire.Receivers // nobody for the usual ones; then is called when to did not answer
	context  string
	voice    setup.Mode
}

// dial places a call. The error says at once what is wrong with it.
func (d *Device) dial(p placing) (string, *fault.Error) {
	if len(p.to) == 0 {
		p.to = setup.Receivers(d.cfg.Call.To)
		if s := d.schedule(); s != nil && s.To != "" {
			p.to = setup.Receivers(s.To)
		}
	}
	if len(p.to) == 0 {
		return "", fault.In(fault.InvalidCall, "to", "There is nobody to call; name a cuid, or set call.to.")
	}
	p.context = cmp.Or(p.context, d.cfg.Context)
	for _, one := range p.to {
		if err := wire.CheckReceiver(one, d.cfg.CUID); err != nil {
			return "", err
		}
	}
	if err := wire.CheckContext(p.context); err != nil {
		return "", err
	}
	if d.state.Phase != call.Idle {
		return "", fault.New(fault.CallInProgress)
	}
	l := d.outgoing(p)
	if !d.begin(l, call.Dial{ID: l.id, Peer: p.to.String()}) { // the rules ended it at once: the hub is away
		return l.id, fault.New(fault.InternetLost)
	}
	return l.id, nil
}

// afterwards is what follows a call of ours that ended: others are called, or a visit is kept for when the hub is back.
func (d *Device) afterwards(r outcome.Result) {
	p := d.leg.wants
	o := outcome.Of(r.Status, r.Reason)
	switch {
	case o == outcome.Of(outcome.Failed, outcome.NetworkLost) && d.leg.ticket == "":
		d.note(wire.NoteBody{Kind: wire.Visit, Who: d.cfg.CUID, Why: r.Context, Result: o.String(), To: r.To})
	case len(p.then) > 0 && (r.Status == outcome.Missed || r.Status == outcome.Declined && r.Reason != outcome.ByHand || o == outcome.Of(outcome.Cancelled, outcome.RingTimeout)):
		p.to, p.then = p.then, nil
		d.soon = func() {
			if _, err := d.dial(p); err != nil {
				d.log.Warn("the second to be called cannot be", "to", p.to.String(), "code", string(err.Code), "err", err.Message)
			}
		}
	}
}

// pick answers, or, without a microphone, refuses for both sides to know why.
func (d *Device) pick() {
	if t := d.sound.Status().MicTrouble; t != "" {
		d.log.Warn("cannot answer without a microphone", "code", string(fault.MicUnavailable), "err", t)
		d.handle(call.NoVoice{})
		return
	}
	d.handle(call.Pick{})
}

// autoAnswer begins to answer a caller who is on the station's list, where the hub's rules allow it too: a tone and a light
// come first.
func (d *Device) autoAnswer(hubAllows bool) {
	if d.state.Phase != call.Ringing || d.leg.auto != nil || !setup.Listed(d.cfg.Auto.Callers, d.state.Peer) {
		return
	}
	about := []any{"call", d.state.ID, "peer", d.state.Peer}
	if why := d.noAutoNow(hubAllows); why != "" {
		d.log.Info("not answered automatically: "+why, about...)
		return
	}
	l := d.leg
	d.log.Info("answering automatically", append(about, "wait", d.cfg.Auto.After.Std())...)
	d.sound.Play(call.AutoTone)
	l.auto = time.AfterFunc(d.cfg.Auto.After.Std(), func() {
		d.tell(func() {
			switch {
			case l.auto == nil: // taken back in the meantime
			case d.noAutoNow(hubAllows) != "": // since
				l.noAuto()
				d.shine()
			default:
				d.pick()
			}
		})
	})
	d.shine()
}

// noAutoNow is why the caller on the list is not answered automatically; empty when it is.
func (d *Device) noAutoNow(hubAllows bool) string {
	switch {
	case !hubAllows:
		return "the rule may_be_answered_automatically of the hub's account does not have it"
	case d.memory.Privacy:
		return "privacy mode is on"
	case !setup.Listed(d.cfg.Auto.Callers, d.state.Peer):
		return "auto_answer.callers does not have the caller"
	case d.sound.Status().Sink == "":
		return "without a loudspeaker nobody would hear the warning"
	}
	return ""
}

// schedule is the one that holds now; nil for none, and while the clock is not set.
func (d *Device) schedule() *setup.Schedule {
	now := d.clock()
	if now.Year() < 2025 {
		return nil
	}
	for i := range d.cfg.Schedule {
		if s := &d.cfg.Schedule[i]; s.Holds(now) {
			return s
		}
	}
	return nil
}

// volume sets how loud it is, and remembers it.
func (d *Device) volume(talk, ring int) {
	d.sound.Volume(talk, ring)
	d.memory.Talk, d.memory.Ring = talk, ring
	d.keep()
}

// setDND switches whether calls are declined as busy.
func (d *Device) setDND(on bool) {
	d.memory.DND = on
	d.handle(call.DoNotDisturb{On: on})
	d.mode("do_not_disturb", on)
	d.declare()
}

// setPrivacy switches whether anybody is answered automatically.
func (d *Device) setPrivacy(on bool) {
	d.memory.Privacy = on
	if on && d.leg.auto != nil {
		d.leg.noAuto()
		d.sound.Play(call.RingTone)
	}
	d.mode("privacy", on)
}

func (d *Device) mode(name string, on bool) {
	d.log.Info("mode", "mode", name, "on", on)
	d.keep()
	d.emit(control.Event{Event: "mode", Mode: name, On: &on})
	d.shine()
}
