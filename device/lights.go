package device

import (
	"intercom/call"
	"intercom/device/control"
	"intercom/gpio"
)

// lightTable is the one table of states and what an LED shows then; docs/hardware.md shows it to installers.
func lightTable() map[control.Light]string {
	return map[control.Light]string{
		control.LightCalling:     "blink 500ms",
		control.LightRinging:     "blink 150ms",
		control.LightTalking:     "on",
		control.LightUnreachable: "blink 75ms",
		control.LightOffline:     "on 100ms off 100ms on 100ms off 2700ms",
		control.LightFault:       "on 100ms off 100ms on 100ms off 100ms on 100ms off 2500ms",
		control.LightMissed:      "on 1s off 1s",
		control.LightIdle:        "off",
	}
}

func lightNames() []string {
	return []string{string(control.LightIdle), string(control.LightCalling), string(control.LightRinging), string(control.LightTalking), string(control.LightUnreachable),
		string(control.LightOffline), string(control.LightFault), string(control.LightMissed)}
}

// lightOf says what a station shows.
func lightOf(s call.State, unreachable, fault, missed bool) control.Light {
	switch {
	case s.Phase == call.Calling || s.Phase == call.Ringback:
		return control.LightCalling
	case s.Phase == call.Ringing:
		return control.LightRinging
	case s.Phase == call.Answering || s.Live():
		return control.LightTalking
	case unreachable:
		return control.LightUnreachable
	case !s.Online:
		return control.LightOffline
	case fault:
		return control.LightFault
	case missed:
		return control.LightMissed
	}
	return control.LightIdle
}

// Lamp shows patterns; showing returns at once.
type Lamp interface{ Show(gpio.Pattern) }

// led is a lamp with its patterns.
type led struct {
	lamp     Lamp
	patterns map[control.Light]gpio.Pattern
}

// patterns is the table, with what the configuration says in its place. The configuration was checked.
func patterns(c LEDConfig) map[control.Light]gpio.Pattern {
	all := map[control.Light]gpio.Pattern{}
	for l, text := range lightTable() {
		if own, ok := c.Patterns[string(l)]; ok {
			text = own
		}
		all[l], _ = gpio.ParsePattern(text)
	}
	return all
}
