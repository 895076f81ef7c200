package device

import (
	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
)

// lightNow is the first of all that are so.
func (d *Device) lightNow() control.Light {
	s := d.state
	so := map[control.Light]bool{
		control.LightDoor:        d.door.Open(d.now()),
		control.LightPressed:     len(d.fingers) > 0 && s.Phase == call.Idle,
		control.LightCalling:     s.Phase == call.Calling || s.Phase == call.Ringback,
		control.LightAuto:        s.Phase == call.Ringing && d.leg.auto != nil,
		control.LightRinging:     s.Phase == call.Ringing,
		control.LightTalking:     s.Phase == call.Answering || s.Live(),
		control.LightUnreachable: d.unreachable != nil,
		control.LightIdentify:    d.identified != nil,
		control.LightOffline:     !s.Online,
		control.LightFault:       d.worst() == control.Failing,
		control.LightMissed:      d.missed,
		control.LightDND:         s.DND,
		control.LightPrivacy:     d.memory.Privacy,
		control.LightWarning:     len(d.faults) > 0,
	}
	for _, l := range setup.LightOrder {
		if so[l] {
			return l
		}
	}
	return control.LightIdle
}

// worst is how bad the worst of the faults is; empty without any.
func (d *Device) worst() (worst control.Severity) {
	for _, f := range d.faults {
		if s := f.Code.Entry().Severity; worst != control.Failing {
			worst = s
		}
	}
	return worst
}

// shine shows on all LEDs what is so.
func (d *Device) shine() {
	l := d.lightNow()
	for _, one := range d.leds {
		one.show(d, l)
	}
	if l != d.light {
		d.light = l
		d.emit(control.Event{Event: "light", Light: l})
		d.declare()
	}
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

func (l *led) show(d *Device, state control.Light) {
	on := false
	switch l.shows {
	case "", setup.ShowsState:
		if l.now != state {
			l.now = state
			l.lamp.Show(l.patterns[state])
		}
		return
	case setup.ShowsMic:
		on = d.leg.opening || d.sound.Status().MicOpen
	case setup.ShowsDoor:
		on = d.door.Open(d.now())
	case setup.ShowsHub:
		on = d.state.Online
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
