package setup

import (
	"maps"

	"intercom/device/control"
)

// What an LED can show, besides a single state.
const (
	ShowsState = "state"
	ShowsMic   = "mic"
	ShowsDoor  = "door"
	ShowsHub   = "hub"
)

// Lights is the one table of states and what an LED shows then; docs/hardware.md shows it to installers. In the
// accessible profile the four that a person must tell apart without hearing are slow, steady, or in groups.
func Lights(profile string) map[control.Light]string {
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

// LightOrder is that of the lights' weight: the first that is so is shown.
var LightOrder = []control.Light{control.LightDoor, control.LightPressed, control.LightCalling, control.LightAuto,
	control.LightRinging, control.LightTalking, control.LightUnreachable,
	control.LightIdentify, control.LightOffline, control.LightFault, control.LightMissed, control.LightDND,
	control.LightPrivacy, control.LightWarning, control.LightIdle}

func lightNames() (all []string) {
	for _, l := range LightOrder {
		all = append(all, string(l))
	}
	return all
}
