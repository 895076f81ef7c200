// Package setup is a station's configuration: what can be written into its file, what holds where nothing is, and what
// is wrong with it. It opens no device, so that the hub can check what it is to give a station.
package setup

import (
	"crypto/ed25519"
	"time"

	"intercom/device/control"
	"intercom/device/schedule"
	"intercom/internal/config"
)

// Config is a station's configuration file; docs/config.md is made from it.
type Config struct {
	CUID     string          `toml:"cuid" doc:"the station's own address: 5 to 50 letters, digits and underscores, at least one letter or digit, but not numbers joined by underscores"`
	Name     string          `toml:"name" doc:"shown to the other side, 3 to 50 characters; empty for none"`
	Context  string          `toml:"context" doc:"why this station calls, shown when the other side rings, 1 to 64 characters"`
	Image    string          `toml:"image" doc:"http or https URL of a picture that the other side shows while it rings"`
	StateDir string          `toml:"state_dir" doc:"folder for what the station must remember"`
	Control  string          `toml:"control" doc:"unix socket for intercomctl"`
	LogLevel string          `toml:"log_level" doc:"debug, info, warn or error"`
	Trial    config.Duration `toml:"trial" doc:"how long a changed configuration has until the station is registered and has sound; else the last one with which it was is used again; 30s to 1h, 0s to keep what is written"`
	Profile  string          `toml:"profile" doc:"standard, or accessible: lights that are told apart more easily, and a tone with each of call placed, speak, door open, nobody reachable"`

	Hub    Hub      `toml:"hub" doc:"The hub that the station signs in at."`
	Call   Call     `toml:"call" doc:"What a call does when a button does not say."`
	Auto   Auto     `toml:"auto_answer" doc:"Callers who are answered without a press. A tone and a light come before the microphone opens; privacy mode overrides it, and a rule may_be_answered_automatically of the account on the hub must have them, too."`
	Audio  Audio    `toml:"audio" doc:"Microphone and loudspeaker."`
	Tones  Tones    `toml:"tones" doc:"Files, or https addresses, in place of the tones made by code: WAV (PCM, 16 bit, 8 to 48 kHz) or Ogg Opus, a minute at most. What cannot be had is a fault, and the tone made by code is heard."`
	Media  Media    `toml:"media" doc:"The path of the voice."`
	GPIO   GPIO     `toml:"gpio" doc:"Where buttons and LEDs are."`
	Button []Button `toml:"button" doc:"A button; repeat the table for each."`
	LED    []LED    `toml:"led" doc:"An LED; repeat the table for each."`

	Schedule []Schedule `toml:"schedule" doc:"Hours in which something is otherwise; repeat the table for each. The first one that holds counts. While the clock is not set, none does."`
	Door     Door       `toml:"door" doc:"The door's relay, and what is wired to the door."`
	Metrics  Metrics    `toml:"metrics" doc:"How the station is, in Prometheus' format; it is always on the control socket."`
	MQTT     MQTT       `toml:"mqtt" doc:"The station at an MQTT broker (version 5), for Home Assistant and others."`
	Kiosk    Kiosk      `toml:"kiosk" doc:"An HTTP endpoint for a page on this station's own screen."`
}

// Hub names the hub and how to sign in.
type Hub struct {
	URL        string   `toml:"url" doc:"address of the hub, like wss://hub.example.org/v1/ws; ws:// only on loopback"`
	More       []string `toml:"more_urls" doc:"addresses of further hubs of the same cluster, tried in turn when one cannot be reached"`
	Account    string   `toml:"account" doc:"account id on the hub"`
	APIKeyFile string   `toml:"apikey_file" doc:"file with the API key; without a slash, a systemd credential, or a file beside this one"`
	CAFile     string   `toml:"ca_file" doc:"file with the certificate authority of the hub (PEM); empty for the system's"`
	AllowPlain bool     `toml:"allow_plain" doc:"allow ws:// to other hosts too: everybody on the way can listen in"`

	SettingsKeys []string `toml:"settings_keys" doc:"public keys that 'intercom-hub config key' printed: settings that one of them signed for this station are taken from the hub; none when empty"`

	apiKey       config.Secret
	settingsKeys []ed25519.PublicKey
}

// Call is what a call does.
type Call struct {
	To    string `toml:"to" doc:"whom to call: a cuid, the name of a group on the hub, or several cuids with commas; a button can name others"`
	Then  string `toml:"then" doc:"whom to call when those did not answer; empty for nobody"`
	Voice Mode   `toml:"voice" doc:"duplex: both talk; push_to_talk: the microphone is open while the button talk is held; listen: this station only hears; announce: it only speaks"`
}

// Auto says who is answered without a press.
type Auto struct {
	Callers []string        `toml:"callers" doc:"cuids, or patterns with *; nobody when empty"`
	After   config.Duration `toml:"after" doc:"for how long tone and light warn before, 1s to 30s"`
}

// Schedule is hours, and what is otherwise in them.
type Schedule struct {
	Name  string   `toml:"name" doc:"for the log and status"`
	Days  string   `toml:"days" doc:"days like mon-fri or sat sun; empty for all"`
	From  string   `toml:"from" doc:"time like 22:00; with until empty, the whole day"`
	Until string   `toml:"until" doc:"time like 06:00, also on the next morning"`
	Dates []string `toml:"dates" doc:"further days, like 2026-12-25, or 12-25 for every year; without days, only these"`
	To    string   `toml:"to" doc:"whom to call then, in place of call.to"`
	Quiet bool     `toml:"quiet" doc:"ringing is shown and not heard"`

	hours schedule.Hours
}

// Door is a door. It has a relay when it names its line.
type Door struct {
	Line      string          `toml:"line" doc:"GPIO line of the relay, as for a button; empty for no door"`
	ActiveLow bool            `toml:"active_low" doc:"energised is the low level"`
	Pulse     config.Duration `toml:"pulse" doc:"for how long an opening energises the relay, 100ms to 1m"`
	Allow     []string        `toml:"allow" doc:"cuids, or patterns with *, who may open the door in a call with this station, where a rule may_open_door of the account on the hub lets them, too; nobody when empty"`
	Remote    []string        `toml:"remote" doc:"cuids, or patterns with *, from which a signed-in operator may open the door outside a call, too, where a rule may_open_door lets them; with it this station trusts its hub to say who asks, so that whoever has the hub can open the door; nobody when empty"`
	TooLong   config.Duration `toml:"too_long" doc:"how long the door may stand open, 5s to 1h; 0s for ever"`

	Contact Input `toml:"contact" doc:"A contact at the door: active while it stands open."`
	Exit    Input `toml:"exit" doc:"A button inside that opens the door."`
	Tamper  Input `toml:"tamper" doc:"A switch in the case: active when it is opened. The relay is locked then, also after a restart, until 'intercomctl door unlock'."`
}

// Input is a line that is read.
type Input struct {
	Line      string `toml:"line" doc:"GPIO line, as for a button; empty for none"`
	Pull      string `toml:"pull" doc:"up, down or none; empty for up"`
	ActiveLow bool   `toml:"active_low" doc:"active is the low level"`
}

// Metrics is where Prometheus may look.
type Metrics struct {
	Listen string `toml:"listen" doc:"loopback address and port, like 127.0.0.1:9469, for GET /metrics; empty for off"`
}

// MQTT is the broker, and what it may do.
type MQTT struct {
	URL          string   `toml:"url" doc:"address of the broker, like mqtts://broker.example.org, with its port if it is another than 8883 (mqtts) or 1883 (mqtt, on loopback only); empty for off"`
	User         string   `toml:"user" doc:"name at the broker; empty for none"`
	PasswordFile string   `toml:"password_file" doc:"file with the password; without a slash, a systemd credential, or a file beside this one"`
	CAFile       string   `toml:"ca_file" doc:"file with the certificate authority of the broker (PEM); empty for the system's"`
	AllowPlain   bool     `toml:"allow_plain" doc:"allow mqtt:// to other hosts too: everybody on the way can read along, and press what commands has"`
	Prefix       string   `toml:"prefix" doc:"topics begin with this, and the cuid"`
	Discovery    string   `toml:"discovery" doc:"where Home Assistant looks for devices; empty to tell it nothing"`
	Commands     []string `toml:"commands" doc:"what whoever may write there can have done: answer, decline, hangup, open"`

	password config.Secret
}

// Kiosk is the endpoint for a page.
type Kiosk struct {
	Listen    string `toml:"listen" doc:"loopback address and port, like 127.0.0.1:8090; empty for off"`
	TokenFile string `toml:"token_file" doc:"file with the token that a page shows, at least 16 characters; without a slash, a systemd credential, or a file beside this one"`
	Origin    string `toml:"origin" doc:"origin of the page, like http://localhost:3000, when it comes from elsewhere; empty for pages without one"`

	token config.Secret
}

// Token is the token from the file, read by Check.
func (k *Kiosk) Token() config.Secret { return k.token }

// Mode is how the voice goes in a call.
type Mode string

// The modes.
const (
	Duplex     Mode = "duplex"
	PushToTalk Mode = "push_to_talk"
	Listen     Mode = "listen"
	Announce   Mode = "announce"
)

// Audio names the sound devices.
type Audio struct {
	Server    string          `toml:"server" doc:"address of the sound server; empty to look in $PULSE_SERVER and the usual places"`
	Sinks     []string        `toml:"sinks" doc:"loudspeakers, the best first: names as 'pactl list short sinks' shows them, or patterns with *; empty for the server's default"`
	Sources   []string        `toml:"sources" doc:"microphones, the same way"`
	RingSinks []string        `toml:"ring_sinks" doc:"a loudspeaker of its own for ringing, the same way; empty for the same one"`
	Echo      string          `toml:"echo" doc:"auto: cancelled by the sound server, or half duplex where it cannot; half_duplex; or off, for a handset"`
	Talk      int             `toml:"talk_volume" doc:"of voices and tones, percent, 1 to 150"`
	Ring      int             `toml:"ring_volume" doc:"of ringing, percent, 1 to 150"`
	SelfTest  config.Duration `toml:"selftest_every" doc:"how often the station tests its sound, with a chirp that can be heard, 1h to 720h; and whenever its devices are others; 0s for only when asked"`
	Buffer    config.Duration `toml:"buffer" doc:"playback buffer asked for, 5ms to 200ms; shorter is closer, longer survives a busy processor"`
	Block     config.Duration `toml:"block" doc:"capture block asked for, 5ms to 100ms"`
	Frame     config.Duration `toml:"frame" doc:"length of a packet of the voice, 10ms or 20ms; 0s for 20ms, and 10ms when the link loses packets"`
	Bitrate   int             `toml:"bitrate" doc:"of the voice at most, 12000 to 128000 bit/s"`
	MostDelay config.Duration `toml:"most_delay" doc:"the longest that the jitter buffer may hold sound, 20ms to 500ms"`
}

// Tones replaces tones by files.
type Tones struct {
	Ring     string `toml:"ring" doc:"while this station rings"`
	Ringback string `toml:"ringback" doc:"while the other side rings"`
	Declined string `toml:"declined" doc:"the other side declined"`
	Busy     string `toml:"busy" doc:"the other side talks to somebody else"`
	Missed   string `toml:"missed" doc:"nobody answered"`
	Offline  string `toml:"offline" doc:"nobody can be reached"`
	Limit    string `toml:"limit" doc:"the call's limit is near"`
	Press    string `toml:"press" doc:"a button was pressed that calls"`
	Speak    string `toml:"speak" doc:"answered: speak; in the accessible profile"`
	Door     string `toml:"door" doc:"the door is open"`
	Auto     string `toml:"auto" doc:"the microphone is about to open by itself"`

	Hosts []string `toml:"hosts" doc:"from which addresses may be fetched, at the start; none when empty"`
}

// Media restricts the voice path.
type Media struct {
	Interfaces []string `toml:"interfaces" doc:"network interfaces for the voice; empty for all but loopback"`
}

// GPIO says where the lines are.
type GPIO struct {
	Driver   string          `toml:"driver" doc:"chip for a GPIO chip of the kernel, virtual for lines that intercomctl presses and reads"`
	Debounce config.Duration `toml:"debounce" doc:"how long a level must hold to count, 1ms to 500ms"`
	Long     config.Duration `toml:"long" doc:"how long a button is held for a long press, 200ms to 10s"`
	Double   config.Duration `toml:"double" doc:"within how long a second press makes a double press, 100ms to 2s"`
	Stuck    config.Duration `toml:"stuck" doc:"a button that is held for so long is stuck: a fault, and no press until it was up, 10s to 1h"`
}

// Button is one button.
type Button struct {
	Name      string `toml:"name" doc:"name of the button, for intercomctl press and the log"`
	Line      string `toml:"line" doc:"GPIO line: its name like GPIO17, or chip label and offset like pinctrl-bcm2835:17"`
	Action    string `toml:"action" doc:"what a short press does: call, answer, decline, hangup; toggle: call when idle, answer when it rings, else hang up; announce: a call in which only this station speaks; mute: on and off; talk: the microphone is open while it is held, with push_to_talk; volume_up and volume_down: by 10 percent; door: open it, or, on a station without one, ask the other side of the call to open its; do_not_disturb and privacy: on and off; selftest: of the sound"`
	Long      string `toml:"long" doc:"what a long press does, while it is held; empty for nothing. A short press counts when the button comes up then"`
	Double    string `toml:"double" doc:"what two presses do; empty for nothing. A short press counts when no second one came then"`
	Pull      string `toml:"pull" doc:"up, down or none; empty for up"`
	ActiveLow bool   `toml:"active_low" doc:"pressed is the low level, as with a button to ground"`
	To        string `toml:"to" doc:"whom to call in place of call.to"`
	Then      string `toml:"then" doc:"whom to call when those did not answer, in place of call.then"`
	Context   string `toml:"context" doc:"context of its calls in place of the station's"`
	Voice     Mode   `toml:"voice" doc:"how the voice goes in its calls, in place of call.voice"`
}

// LED is one LED.
type LED struct {
	Name      string            `toml:"name" doc:"name of the LED"`
	Line      string            `toml:"line" doc:"GPIO line, as for a button"`
	ActiveLow bool              `toml:"active_low" doc:"lit is the low level"`
	Shows     string            `toml:"shows" doc:"state: the state of the station, with a pattern for each; mic: lit while the microphone records; door: while the relay is energised; hub: while signed in; or one state, lit while it is so; empty for state"`
	Patterns  map[string]string `toml:"patterns" doc:"state = pattern, in place of the table in docs/hardware.md; patterns are on, off, blink 500ms, or steps like on 100ms off 900ms"`
}

// Profiles of lights and tones.
const (
	Standard   = "standard"
	Accessible = "accessible"
)

// Defaults is the configuration of a station whose file is empty.
func Defaults() *Config {
	c := &Config{
		Context:  "Someone is at the door",
		StateDir: "/var/lib/intercomd",
		Control:  control.Socket,
		LogLevel: "info",
		Profile:  Standard,
		Trial:    config.Duration(2 * time.Minute),
	}
	c.Audio.Buffer = config.Duration(20 * time.Millisecond)
	c.Audio.Block = config.Duration(10 * time.Millisecond)
	c.Audio.Bitrate = 48000
	c.Audio.Echo, c.Audio.Talk, c.Audio.Ring = "auto", 100, 100
	c.Call.Voice = Duplex
	c.Audio.MostDelay = config.Duration(200 * time.Millisecond)
	c.GPIO.Driver = "chip"
	c.GPIO.Debounce = config.Duration(20 * time.Millisecond)
	c.GPIO.Long, c.GPIO.Double = config.Duration(800*time.Millisecond), config.Duration(350*time.Millisecond)
	c.GPIO.Stuck = config.Duration(time.Minute)
	c.MQTT.Prefix, c.MQTT.Discovery = "intercom", "homeassistant"
	c.MQTT.Commands = []string{"answer", "decline", "hangup"}
	c.Auto.After = config.Duration(2 * time.Second)
	c.Door.Pulse, c.Door.TooLong = config.Duration(3*time.Second), config.Duration(time.Minute)
	return c
}
