package control

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Fault is something that is wrong with a part of a station, with its code, as it is reported where it arises. A
// station has one fault a part; the latest report counts.
type Fault struct {
	Code Code
	Part string // "audio", "button bell"
	Text string // what is wrong, for people; empty when the part is well
}

// Well reports that nothing is wrong with a part any more.
func Well(part string) Fault { return Fault{Part: part} }

// Refused is the fault of settings of the hub that are not used.
func Refused(version uint64, why string) Fault {
	return Fault{SettingsRefused, PartSettings,
		fmt.Sprintf("settings %d of the hub are not used: %s", version, strings.ReplaceAll(why, "\n", "; "))}
}

// Parts that report faults. Those of lines and tones end in a name.
const (
	PartHub           = "hub"
	PartAudio         = "audio"
	PartSelfTest      = "selftest"
	PartRelay         = "relay" // its line
	PartDoor          = "door"  // the door itself
	PartConfiguration = "configuration"
	PartSettings      = "settings" // of the hub
	PartMemory        = "memory"
	PartKiosk         = "kiosk"
	PartMetrics       = "metrics"
	PartUpdate        = "update"
	PartMQTT          = "mqtt"
)

// PartButton is the line of a button, PartStuck the button itself.
func PartButton(name string) string { return "button " + name }
func PartStuck(name string) string  { return "stuck button " + name }

// PartLED is the line of an LED, PartDoorInput that of an input at the door, PartTone a tone's file.
func PartLED(name string) string       { return "led " + name }
func PartDoorInput(name string) string { return "door " + name }
func PartTone(name string) string      { return "tone " + name }

// Severity is how bad it is.
type Severity string

// The severities.
const (
	Failing Severity = "error"   // the station cannot do what it is for
	Warning Severity = "warning" // it does, and somebody should look
)

// Code names a kind of fault. Its meaning never changes; docs/errors.md has a row for each.
type Code string

// The codes.
const (
	HubAway         Code = "HUB_AWAY"
	SoundServer     Code = "SOUND_SERVER"
	SoundCapture    Code = "SOUND_CAPTURE"
	SoundEcho       Code = "SOUND_ECHO"
	SoundDevice     Code = "SOUND_DEVICE"
	SoundPlayback   Code = "SOUND_PLAYBACK"
	SelfTestFailed  Code = "SELFTEST"
	ToneMissing     Code = "TONE"
	ButtonStuck     Code = "BUTTON_STUCK"
	LineMissing     Code = "LINE"
	DoorTrouble     Code = "DOOR"
	ConfigWaits     Code = "CONFIG_WAITS"
	ConfigGivenUp   Code = "CONFIG_GIVEN_UP"
	SettingsRefused Code = "SETTINGS_REFUSED"
	ConfigInvalid   Code = "CONFIG_INVALID"
	MemoryBroken    Code = "MEMORY"
	KioskPort       Code = "KIOSK"
	MetricsPort     Code = "METRICS"
	UpdateGivenUp   Code = "UPDATE_GIVEN_UP"
	MQTTAway        Code = "MQTT"
	PartBroken      Code = "PART"
)

// Entry is a row of the table of codes.
type Entry struct {
	Code     Code
	Severity Severity
	Parts    string // that report it; … stands for a name
	Means    string
	Do       string
}

// Table is every code that there is, in the order of docs/errors.md.
func Table() []Entry {
	return []Entry{
		{HubAway, Failing, "hub",
			"the station is not registered; it tries again for ever, at most 15 s apart",
			"look at the text: the network, the hub's address, the clock, the key"},
		{SoundServer, Failing, "audio",
			"no sound server answers; the text names where it was looked for",
			"start intercom-sound, PulseAudio or pipewire-pulse, or set audio.server"},
		{SoundCapture, Failing, "audio",
			"there is no microphone",
			"plug one in; 'pactl list short sources' shows what there is, and it is taken when it comes"},
		{SoundEcho, Warning, "audio",
			"echo cannot be cancelled; one talks at a time",
			"install PulseAudio with its modules, or set audio.echo"},
		{SoundDevice, Warning, "audio",
			"the device that was asked for is away, and another one is used",
			"plug it in; it is taken when it comes back"},
		{SoundPlayback, Failing, "audio",
			"nothing can be heard",
			"look at the text; 'pactl list short sinks' shows what there is"},
		{SelfTestFailed, Warning, "selftest",
			"the last self-test of the sound found something",
			"look at the text; 'intercomctl selftest' tests again"},
		{ToneMissing, Warning, "tone …",
			"a tone's file cannot be had; the standard one is heard",
			"look at the text; the file is read again at the next start"},
		{ButtonStuck, Warning, "stuck button …",
			"a button is held for longer than gpio.stuck, and ignored until it is up",
			"look at the button, and at its cable"},
		{LineMissing, Failing, "button …, led …, relay, door …",
			"the line of a button, of an LED, of the relay or of an input at the door cannot be had",
			"look at the text; it is tried again"},
		{DoorTrouble, Failing, "door",
			"the door was forced, stands open too long, or is locked after tampering",
			"look at the door; after tampering, close the case and say 'intercomctl door unlock'"},
		{ConfigWaits, Warning, "configuration",
			"what was changed cannot be taken over while the station runs",
			"intercomctl restart"},
		{ConfigGivenUp, Failing, "configuration",
			"the station was not registered, or had no sound, with what is written; the last good one is used",
			"change it, or try it again: intercomctl reload, intercomctl restart"},
		{SettingsRefused, Warning, "settings",
			"the hub gave settings that are not this station's, or not valid with its files; they are " +
				"remembered, and not asked for again",
			"mend what the text names: push again (intercom-hub config push), or change the station's file and " +
				"say 'intercomctl reload'"},
		{ConfigInvalid, Failing, "configuration",
			"what is written is not valid; the one before, or the last good one, is used",
			"mend what the text names, then intercomctl reload"},
		{MemoryBroken, Failing, "memory",
			"what the station must remember cannot be written, or could not be read",
			"make state_dir writable"},
		{KioskPort, Warning, "kiosk",
			"the endpoint for the station's own screen cannot listen",
			"look at the text: another program may have the port"},
		{MetricsPort, Warning, "metrics",
			"the endpoint for Prometheus cannot listen",
			"look at the text: another program may have the port"},
		{UpdateGivenUp, Warning, "update",
			"the last update of the card's image did not prove itself; the release before it runs",
			"look at the text; 'intercom-update FILE' tries another one"},
		{MQTTAway, Warning, "mqtt",
			"the MQTT broker cannot be reached, or refuses the station; it is tried again for ever, at most a " +
				"minute apart",
			"look at the text: the address, the user and the password in [mqtt], what the broker lets this " +
				"user write and read"},
		{PartBroken, Failing, "…",
			"a part of the station is broken",
			"look at the text"},
	}
}

// Entry returns the code's row of the table; that of [PartBroken] for a code that is not listed.
func (c Code) Entry() Entry {
	all := Table()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Code == c })
	if i < 0 {
		return PartBroken.Entry()
	}
	return all[i]
}

// Trouble is a fault as a station shows it, with what the table says of its code.
type Trouble struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Part     string   `json:"part"`
	Text     string   `json:"text"`
	Do       string   `json:"do"` // what to do about it
}

// Trouble adds what the table says.
func (f Fault) Trouble() Trouble {
	e := f.Code.Entry()
	return Trouble{Code: e.Code, Severity: e.Severity, Part: f.Part, Text: f.Text, Do: e.Do}
}

// Troubles are all faults, by part, and that of the hub; what is worst comes first.
func Troubles(faults map[string]Fault, hub HubStatus) (all []Trouble) {
	if !hub.Online {
		all = append(all, Fault{HubAway, PartHub, hub.Trouble}.Trouble())
	}
	for _, part := range slices.Sorted(maps.Keys(faults)) {
		all = append(all, faults[part].Trouble())
	}
	slices.SortStableFunc(all, func(a, b Trouble) int { return cmp.Compare(a.Severity, b.Severity) })
	return all
}
