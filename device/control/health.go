package control

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Severity is how bad it is.
type Severity string

// The severities.
const (
	Failing Severity = "error"   // the station cannot do what it is for
	Warning Severity = "warning" // it does, and somebody should look
)

// Trouble is something that is wrong with a station.
type Trouble struct {
	Code     string   `json:"code"` // of the table in docs/errors.md; it never changes its meaning
	Severity Severity `json:"severity"`
	Part     string   `json:"part"`
	Text     string   `json:"text"`
	Do       string   `json:"do"` // what to do about it
}

// Code is a row of the table of what can be wrong.
type Code struct {
	Code     string
	Severity Severity
	Part     string // how the name of its part begins
	Text     string // what its text has; empty for anything
	Means    string
	Do       string
}

// Codes is the table; the first row that fits is the one.
var Codes = []Code{
	{"HUB_AWAY", Failing, "hub", "", "the station is not registered; it tries again for ever, at most 15 s apart", "look at the text: the network, the hub's address, the clock, the key"},
	{"SOUND_SERVER", Failing, "audio", "server: ", "no sound server answers; the text names where it was looked for", "start intercom-sound, PulseAudio or pipewire-pulse, or set audio.server"},
	{"SOUND_CAPTURE", Failing, "audio", "capture: ", "there is no microphone", "plug one in; 'pactl list short sources' shows what there is, and it is taken when it comes"},
	{"SOUND_ECHO", Warning, "audio", "echo: ", "echo cannot be cancelled; one talks at a time", "install PulseAudio with its modules, or set audio.echo"},
	{"SOUND_DEVICE", Warning, "audio", "is used", "the device that was asked for is away, and another one is used", "plug it in; it is taken when it comes back"},
	{"SOUND_PLAYBACK", Failing, "audio", "", "nothing can be heard", "look at the text; 'pactl list short sinks' shows what there is"},
	{"SELFTEST", Warning, "selftest", "", "the last self-test of the sound found something", "look at the text; 'intercomctl selftest' tests again"},
	{"TONE", Warning, "tone ", "", "a tone's file cannot be had; the standard one is heard", "look at the text; the file is read again at the next start"},
	{"BUTTON_STUCK", Warning, "stuck button ", "", "a button is held for longer than gpio.stuck, and ignored until it is up", "look at the button, and at its cable"},
	{"LINE", Failing, "button ", "", "a button's line cannot be had", "look at the text; it is tried again"},
	{"LINE", Failing, "led ", "", "an LED's line cannot be had", "look at the text; it is tried again"},
	{"LINE", Failing, "relay", "", "the relay's line cannot be had", "look at the text; it is tried again"},
	{"LINE", Failing, "door ", "", "the line of an input at the door cannot be had", "look at the text; it is tried again"},
	{"DOOR", Failing, "door", "", "the door was forced, stands open too long, or is locked after tampering", "look at the door; after tampering, close the case and say 'intercomctl door unlock'"},
	{"CONFIG_WAITS", Warning, "configuration", "waits for a restart", "what was changed cannot be taken over while the station runs", "intercomctl restart"},
	{"CONFIG_GIVEN_UP", Failing, "configuration", "with what is written the station was ", "the station was not registered, or had no sound, with what is written; the last good one is used", "change it, or try it again: intercomctl reload, intercomctl restart"},
	{"SETTINGS_REFUSED", Warning, "settings", "", "the hub gave settings that are not this station's, or not valid with its files; they are remembered, and not asked for again", "mend what the text names: push again (intercom-hub config push), or change the station's file and say 'intercomctl reload'"},
	{"CONFIG_INVALID", Failing, "configuration", "", "what is written is not valid; the one before, or the last good one, is used", "mend what the text names, then intercomctl reload"},
	{"MEMORY", Failing, "memory", "", "what the station must remember cannot be written, or could not be read", "make state_dir writable"},
	{"KIOSK", Warning, "kiosk", "", "the endpoint for the station's own screen cannot listen", "look at the text: another program may have the port"},
	{"METRICS", Warning, "metrics", "", "the endpoint for Prometheus cannot listen", "look at the text: another program may have the port"},
	{"UPDATE_GIVEN_UP", Warning, "update", "", "the last update of the card's image did not prove itself; the release before it runs", "look at the text; 'intercom-update FILE' tries another one"},
	{"MQTT", Warning, "mqtt", "", "the MQTT broker cannot be reached, or refuses the station; it is tried again for ever, at most a minute apart", "look at the text: the address, the user and the password in [mqtt], what the broker lets this user write and read"},
	{"PART", Failing, "", "", "a part of the station is broken", "look at the text"},
}

// About is the trouble that a part's text means.
func About(part, text string) Trouble {
	i := slices.IndexFunc(Codes, func(c Code) bool { return strings.HasPrefix(part, c.Part) && strings.Contains(text, c.Text) })
	c := Codes[i] // the last one fits all
	return Trouble{Code: c.Code, Severity: c.Severity, Part: part, Text: text, Do: c.Do}
}

// Troubles are all that is wrong, what is worst first.
func Troubles(faults map[string]string, hub HubStatus) (all []Trouble) {
	if !hub.Online {
		all = append(all, About("hub", hub.Trouble))
	}
	for _, part := range slices.Sorted(maps.Keys(faults)) {
		all = append(all, About(part, faults[part]))
	}
	slices.SortStableFunc(all, func(a, b Trouble) int { return cmp.Compare(a.Severity, b.Severity) })
	return all
}
