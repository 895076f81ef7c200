package device

import (
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
)

// lights are what the station shows of itself.
type lights struct {
	o           *owner
	leds        []*led
	now         control.Light
	missed      bool        // a call came, and nobody here has pressed anything since
	unreachable *time.Timer // until which nobody could be reached
	identified  *time.Timer // until which it shows which one it is
}

func newLights(o *owner) lights {
	l := lights{o: o}
	for i, lamp := range o.Lamps {
		l.leds = append(l.leds, newLED(o.cfg.LED[i], lamp, o.cfg.Profile))
	}
	return l
}

// state is the weightiest of all that is to be shown.
func (l *lights) state() control.Light {
	s := l.o.state
	on := map[control.Light]bool{
		control.LightDoor:        l.o.doorway.open(),
		control.LightPressed:     len(l.o.buttons.pressed) > 0 && s.Phase == call.Idle,
		control.LightCalling:     s.Phase == call.Calling || s.Phase == call.Ringback,
		control.LightAuto:        s.Phase == call.Ringing && l.o.leg.auto != nil,
		control.LightRinging:     s.Phase == call.Ringing,
		control.LightTalking:     s.Phase == call.Answering || s.Live(),
		control.LightUnreachable: l.unreachable != nil,
		control.LightIdentify:    l.identified != nil,
		control.LightOffline:     !s.Online,
		control.LightFault:       l.o.faults.worst() == control.Failing,
		control.LightMissed:      l.missed,
		control.LightDND:         s.DND,
		control.LightPrivacy:     l.o.memory.Privacy,
		control.LightWarning:     len(l.o.faults) > 0,
	}
	for _, one := range setup.LightOrder {
		if on[one] {
			return one
		}
	}
	return control.LightIdle
}

// update shows the state on all LEDs, and tells it if it changed.
func (l *lights) update() {
	now := l.state()
	for _, one := range l.leds {
		one.show(l.o, now)
	}
	if now != l.now {
		l.now = now
		l.o.events.emit(control.Event{Event: "light", Light: now})
		l.o.hub.declare()
	}
}

// unreachableFor is how long the LED says that nobody could be reached, by profile.
var unreachableFor = map[string]time.Duration{setup.Standard: 3 * time.Second, setup.Accessible: 10 * time.Second}

// notReached shows for a moment that nobody could be reached.
func (l *lights) notReached() { l.hold(&l.unreachable, unreachableFor[l.o.cfg.Profile]) }

// identifyFor is how long a station shows which one it is.
const identifyFor = 6 * time.Second

// identify shows, and where nobody is disturbed, sounds, which one this is.
func (l *lights) identify() {
	again := l.identified != nil
	l.hold(&l.identified, identifyFor)
	if l.o.state.Phase == call.Idle && !again {
		l.o.Sound.Play(call.SpeakTone)
	}
	l.o.log.Info("an operator asks which station this is")
	l.update()
}

// hold sets a timer, anew where it runs, that is nil again when it has expired.
func (l *lights) hold(timer **time.Timer, length time.Duration) {
	if *timer != nil {
		(*timer).Stop()
	}
	var t *time.Timer
	t = time.AfterFunc(length, func() {
		l.o.tell(func() {
			if *timer == t { // not set anew in the meantime
				*timer = nil
				l.update()
			}
		})
	})
	*timer = t
}

// Lamp shows patterns; showing returns at once.
type Lamp interface{ Show(gpio.Pattern) }

// led is a lamp and what it shows.
type led struct {
	lamp     Lamp
	shows    string
	patterns map[control.Light]gpio.Pattern
	now      control.Light // what it shows; its own words for the single ones
}

// Words for an LED that shows one thing.
const (
	lit  control.Light = "lit"
	dark control.Light = "dark"
)

func newLED(c setup.LED, l Lamp, profile string) *led {
	all := map[control.Light]gpio.Pattern{lit: {{On: true}}, dark: nil}
	for l, text := range setup.Lights(profile) {
		if own, ok := c.Patterns[string(l)]; ok {
			text = own
		}
		all[l], _ = gpio.ParsePattern(text) // it was checked
	}
	return &led{lamp: l, shows: c.Shows, patterns: all}
}

func (l *led) show(o *owner, state control.Light) {
	on := false
	switch l.shows {
	case "", setup.ShowsState:
		if l.now != state {
			l.now = state
			l.lamp.Show(l.patterns[state])
		}
		return
	case setup.ShowsMic:
		on = o.leg.opening || o.Sound.Status().MicOpen
	case setup.ShowsDoor:
		on = o.doorway.open()
	case setup.ShowsHub:
		on = o.state.Online
	default:
		on = l.shows == string(state)
	}
	want := dark
	if on {
		want = lit
	}
	if l.now != want {
		l.now = want
		l.lamp.Show(l.patterns[want])
	}
}
