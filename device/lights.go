package device

import (
	"maps"

	"intercom/call"
	"intercom/device/control"
	"intercom/gpio"
)

// lightTable is the one table of states and what an LED shows then; docs/hardware.md shows it to installers. In the
// accessible profile the four that a person must tell apart without hearing are slow, steady, or in groups.
func lightTable(profile string) map[control.Light]string {
	table := map[control.Light]string{
		control.LightDoor:        "on 800ms off 200ms",
		control.LightPressed:     "on",
		control.LightCalling:     "blink 500ms",
		control.LightAuto:        "on 100ms off 100ms on 400ms off 400ms",
		control.LightRinging:     "blink 150ms",
		control.LightTalking:     "on",
		control.LightUnreachable: "blink 75ms",
		control.LightIdentify:    "blink 200ms",
		control.LightOffline:     "on 100ms off 100ms on 100ms off 2700ms",
		control.LightFault:       "on 100ms off 100ms on 100ms off 100ms on 100ms off 2500ms",
		control.LightMissed:      "on 1s off 1s",
		control.LightDND:         "on 50ms off 4950ms",
		control.LightPrivacy:     "on 50ms off 200ms on 50ms off 4700ms",
		control.LightWarning:     "on 50ms off 100ms on 50ms off 9800ms",
		control.LightIdle:        "off",
	}
	if profile == Accessible {
		maps.Copy(table, map[control.Light]string{
			control.LightCalling:     "on 1s off 1s",
			control.LightDoor:        "on 200ms off 200ms",
			control.LightUnreachable: "on 200ms off 200ms on 200ms off 200ms on 200ms off 1s",
			control.LightMissed:      "on 2s off 2s",
		})
	}
	return table
}

// order is that of the lights' weight: the first that is so is shown.
var order = []control.Light{control.LightDoor, control.LightPressed, control.LightCalling, control.LightAuto, control.LightRinging, control.LightTalking, control.LightUnreachable,
	control.LightIdentify, control.LightOffline, control.LightFault, control.LightMissed, control.LightDND, control.LightPrivacy, control.LightWarning, control.LightIdle}

func lightNames() (all []string) {
	for _, l := range order {
		all = append(all, string(l))
	}
	return all
}

// light is the first of all that are so.
func (d *Device) lightNow() control.Light {
	s := d.state
	so := map[control.Light]bool{
		control.LightDoor:        d.door.Open(d.now()),
		control.LightPressed:     len(d.fingers) > 0 && s.Phase == call.Idle,
		control.LightCalling:     s.Phase == call.Calling || s.Phase == call.Ringback,
		control.LightAuto:        s.Phase == call.Ringing && d.auto != nil,
		control.LightRinging:     s.Phase == call.Ringing,
		control.LightTalking:     s.Phase == call.Answering || s.Live(),
		control.LightUnreachable: d.unreachable != nil,
		control.LightIdentify:    d.identified != nil,
		control.LightOffline:     !s.Online,
		control.LightFault:       d.worst() == control.Failing,
		control.LightMissed:      d.missed,
		control.LightDND:         d.memory.DND,
		control.LightPrivacy:     d.memory.Privacy,
		control.LightWarning:     len(d.faults) > 0,
	}
	for _, l := range order {
		if so[l] {
			return l
		}
	}
	return control.LightIdle
}

// worst is how bad the worst of the faults is; empty without any.
func (d *Device) worst() (worst control.Severity) {
	for part, text := range d.faults {
		if s := control.About(part, text).Severity; worst != control.Failing {
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

// What an LED can show, besides a single state.
const (
	ShowsState = "state"
	ShowsMic   = "mic"
	ShowsDoor  = "door"
	ShowsHub   = "hub"
)

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

func newLED(c LEDConfig, l Lamp, profile string) *led {
	all := map[control.Light]gpio.Pattern{lit: {{On: true}}, dark: nil}
	for l, text := range lightTable(profile) {
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
	case "", ShowsState:
		if l.now != state {
			l.now = state
			l.lamp.Show(l.patterns[state])
		}
		return
	case ShowsMic:
		on = d.sound.Status().MicOpen
	case ShowsDoor:
		on = d.door.Open(d.now())
	case ShowsHub:
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
