package device

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/event"
	"intercom/internal/fault"
)

// buttons are what people press at the station, and what it means.
type buttons struct {
	o       *owner
	pressed map[string]bool // that can call, and are held or may be pressed again
}

func (b *buttons) gesture(c setup.Button, g gpio.Gesture) {
	b.o.events.emit(control.Event{Event: "press", Button: c.Name, Press: string(g.Kind),
		HeldMS: control.Millis(g.Held)})
	switch g.Kind {
	case gpio.Down:
		b.o.log.Info(event.ButtonPressed, "button", c.Name)
		b.down(c)
	case gpio.Up:
		b.up(c)
	case gpio.Stuck:
		b.o.fault(control.Fault{Code: control.ButtonStuck, Part: control.PartStuck(c.Name),
			Text: fmt.Sprintf("it is held since %v; it is stuck, or its wire is", g.Held.Round(time.Second))})
		delete(b.pressed, c.Name)
	case gpio.Short:
		b.act(c, c.Action)
	case gpio.Long:
		b.act(c, c.Long)
	case gpio.Double:
		b.act(c, c.Double)
	}
	b.o.lights.update()
}

// down acknowledges a press at once, by LED and tone, whatever it will mean.
func (b *buttons) down(c setup.Button) {
	b.o.lights.missed = false
	for _, act := range c.Actions() {
		if setup.Calls(act) && b.o.state.Phase == call.Idle {
			b.pressed[c.Name] = true
		}
	}
	if b.pressed[c.Name] {
		b.o.Sound.Play(call.PressTone)
	}
}

func (b *buttons) up(c setup.Button) {
	b.o.fault(control.Well(control.PartStuck(c.Name)))
	if c.Double == "" {
		delete(b.pressed, c.Name)
	}
	if c.Action == setup.ActTalk && b.pushesToTalk() {
		b.o.Sound.Mute(true)
	}
}

func (b *buttons) pushesToTalk() bool { return b.o.state.Live() && b.o.leg.voice == setup.PushToTalk }

// act does what a press means.
func (b *buttons) act(c setup.Button, action string) {
	delete(b.pressed, c.Name)
	o := b.o
	if action == setup.ActToggle {
		action = toggle(o.state)
	}
	switch action {
	case setup.ActCall, setup.ActAnnounce:
		b.call(c, action)
	case setup.ActAnswer:
		o.pick()
	case setup.ActDecline:
		o.handle(call.Refuse{})
	case setup.ActHangUp:
		o.handle(call.HangUp{})
	case setup.ActMute:
		if o.state.Live() {
			o.Sound.Mute(!o.Sound.Status().Muted)
		}
	case setup.ActUp, setup.ActDown:
		by := map[string]int{setup.ActUp: 10, setup.ActDown: -10}[action]
		s := o.Sound.Status()
		o.memory.setVolume(max(10, min(150, s.TalkVolume+by)), s.RingVolume)
	case setup.ActTalk:
		if b.pushesToTalk() {
			o.Sound.Mute(false)
		}
	case setup.ActDoor:
		o.doorway.openHereOrThere("button "+c.Name, "pressed here")
	case setup.ActDND:
		o.memory.setDND(!o.state.DND)
	case setup.ActPrivacy:
		o.memory.setPrivacy(!o.memory.Privacy)
	case setup.ActSelfTest:
		o.errand(func(life context.Context) {
			if found, err := o.Sound.Test(life); err == nil {
				o.tell(func() { o.fault(found.Fault()) })
			}
		})
	}
}

func (b *buttons) call(c setup.Button, action string) {
	then := setup.Receivers(cmp.Or(c.Then, b.o.cfg.Call.Then))
	p := placing{to: setup.Receivers(c.To), then: then, context: c.Context, voice: c.Voice}
	if action == setup.ActAnnounce {
		p.voice = setup.Announce
	}
	if _, err := b.o.dial(p); err != nil && err.Code != fault.InternetLost {
		b.o.log.Warn("the button cannot call", "button", c.Name, "code", string(err.Code), "err", err.Message)
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

// seen is what was seen on the buttons' lines.
func (b *buttons) seen() map[string]control.Button {
	if b.o.Counts == nil || len(b.o.cfg.Button) == 0 {
		return nil
	}
	all := map[string]control.Button{}
	for _, c := range b.o.cfg.Button {
		n := b.o.Counts(c.Name)
		_, stuck := b.o.faults[control.PartStuck(c.Name)]
		all[c.Name] = control.Button{Presses: n.Presses, Glitches: n.Glitches, Stuck: stuck}
	}
	return all
}
