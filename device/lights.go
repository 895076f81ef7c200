package device

import (
	"intercom/call"
	"intercom/gpio"
)

// Light is what a station shows of itself.
type Light string

// The lights, in the order of their weight: the first that is so is shown.
const (
	LightCalling     Light = "calling"
	LightRinging     Light = "ringing"
	LightTalking     Light = "talking"
	LightUnreachable Light = "unreachable" // for a moment after a call that nobody took
	LightOffline     Light = "offline"
	LightFault       Light = "fault"
	LightMissed      Light = "missed"
	LightIdle        Light = "idle"
)

// lightTable is the one table of states and what an LED shows then; docs/hardware.md shows it to installers.
func lightTable() map[Light]string {
	return map[Light]string{
		LightCalling:     "blink 500ms",
		LightRinging:     "blink 150ms",
		LightTalking:     "on",
		LightUnreachable: "blink 75ms",
		LightOffline:     "on 100ms off 100ms on 100ms off 2700ms",
		LightFault:       "on 100ms off 100ms on 100ms off 100ms on 100ms off 2500ms",
		LightMissed:      "on 1s off 1s",
		LightIdle:        "off",
	}
}

func lightNames() []string {
	return []string{string(LightIdle), string(LightCalling), string(LightRinging), string(LightTalking), string(LightUnreachable),
		string(LightOffline), string(LightFault), string(LightMissed)}
}

// lightOf says what a station shows.
func lightOf(s call.State, unreachable, fault, missed bool) Light {
	switch {
	case s.Phase == call.Calling || s.Phase == call.Ringback:
		return LightCalling
	case s.Phase == call.Ringing:
		return LightRinging
	case s.Phase == call.Answering || s.Live():
		return LightTalking
	case unreachable:
		return LightUnreachable
	case !s.Online:
		return LightOffline
	case fault:
		return LightFault
	case missed:
		return LightMissed
	}
	return LightIdle
}

// Lamp shows patterns; showing returns at once.
type Lamp interface{ Show(gpio.Pattern) }

// led is a lamp with its patterns.
type led struct {
	lamp     Lamp
	patterns map[Light]gpio.Pattern
}

// patterns is the table, with what the configuration says in its place. The configuration was checked.
func patterns(c LEDConfig) map[Light]gpio.Pattern {
	all := map[Light]gpio.Pattern{}
	for l, text := range lightTable() {
		if own, ok := c.Patterns[string(l)]; ok {
			text = own
		}
		all[l], _ = gpio.ParsePattern(text)
	}
	return all
}
