package device

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"intercom/audio"
	"intercom/device/control"
	"intercom/gpio"
	"intercom/internal/config"
	"intercom/internal/fetch"
	"intercom/wire"
)

// Config is a station's configuration file; docs/config.md is made from it.
type Config struct {
	CUID     string `toml:"cuid" doc:"the station's own address: 5 to 50 letters, digits and single underscores, at least one letter"`
	Name     string `toml:"name" doc:"shown to the other side, 3 to 50 characters; empty for none"`
	Context  string `toml:"context" doc:"why this station calls, shown when the other side rings, 1 to 64 characters"`
	Image    string `toml:"image" doc:"http or https URL of a picture that the other side shows while it rings"`
	StateDir string `toml:"state_dir" doc:"folder for what the station must remember"`
	Control  string `toml:"control" doc:"unix socket for intercomctl"`
	LogLevel string `toml:"log_level" doc:"debug, info, warn or error"`

	Hub    HubConfig      `toml:"hub" doc:"The hub that the station signs in at."`
	Call   CallConfig     `toml:"call" doc:"What a call does when a button does not say."`
	Audio  AudioConfig    `toml:"audio" doc:"Microphone and loudspeaker."`
	Tones  TonesConfig    `toml:"tones" doc:"Files, or https addresses, in place of the tones made by code: WAV (PCM, 16 bit, 8 to 48 kHz) or Ogg Opus, a minute at most. What cannot be had is a fault, and the tone made by code is heard."`
	Media  MediaConfig    `toml:"media" doc:"The path of the voice."`
	GPIO   GPIOConfig     `toml:"gpio" doc:"Where buttons and LEDs are."`
	Button []ButtonConfig `toml:"button" doc:"A button; repeat the table for each."`
	LED    []LEDConfig    `toml:"led" doc:"An LED; repeat the table for each."`
}

// HubConfig names the hub and how to sign in.
type HubConfig struct {
	URL        string   `toml:"url" doc:"address of the hub, like wss://hub.example.org/v1/ws; ws:// only on loopback"`
	More       []string `toml:"more_urls" doc:"addresses of further hubs of the same cluster, tried in turn when one cannot be reached"`
	Account    string   `toml:"account" doc:"account id on the hub"`
	APIKeyFile string   `toml:"apikey_file" doc:"file with the API key; without a slash, the name of a systemd credential"`
	CAFile     string   `toml:"ca_file" doc:"file with the certificate authority of the hub (PEM); empty for the system's"`
	AllowPlain bool     `toml:"allow_plain" doc:"allow ws:// to other hosts too: everybody on the way can listen in"`

	apiKey config.Secret
}

// CallConfig is what a call does.
type CallConfig struct {
	To    string `toml:"to" doc:"cuid to call; a button can name another"`
	Voice Mode   `toml:"voice" doc:"duplex: both talk; push_to_talk: the microphone is open while the button talk is held; listen: this station only hears; announce: it only speaks"`
}

// Mode is how the voice goes in a call.
type Mode string

// The modes.
const (
	Duplex     Mode = "duplex"
	PushToTalk Mode = "push_to_talk"
	Listen     Mode = "listen"
	Announce   Mode = "announce"
)

// AudioConfig names the sound devices.
type AudioConfig struct {
	Server    string          `toml:"server" doc:"address of the sound server; empty to look in $PULSE_SERVER and the usual places"`
	Sinks     []string        `toml:"sinks" doc:"loudspeakers, the best first: names as 'pactl list short sinks' shows them, or patterns with *; empty for the server's default"`
	Sources   []string        `toml:"sources" doc:"microphones, the same way"`
	RingSinks []string        `toml:"ring_sinks" doc:"a loudspeaker of its own for ringing, the same way; empty for the same one"`
	Echo      audio.Echo      `toml:"echo" doc:"auto: cancelled by the sound server, or half duplex where it cannot; half_duplex; or off, for a handset"`
	Talk      int             `toml:"talk_volume" doc:"of voices and tones, percent, 1 to 150"`
	Ring      int             `toml:"ring_volume" doc:"of ringing, percent, 1 to 150"`
	SelfTest  config.Duration `toml:"selftest_every" doc:"how often the station tests its sound, with a chirp that can be heard, 1h to 720h; and whenever its devices are others; 0s for only when asked"`
	Buffer    config.Duration `toml:"buffer" doc:"playback buffer asked for, 5ms to 200ms; shorter is closer, longer survives a busy processor"`
	Block     config.Duration `toml:"block" doc:"capture block asked for, 5ms to 100ms"`
	Frame     config.Duration `toml:"frame" doc:"length of a packet of the voice, 10ms or 20ms; 0s for 20ms, and 10ms when the link loses packets"`
	Bitrate   int             `toml:"bitrate" doc:"of the voice at most, 12000 to 128000 bit/s"`
	MostDelay config.Duration `toml:"most_delay" doc:"the longest that the jitter buffer may hold sound, 20ms to 500ms"`
}

// TonesConfig replaces tones by files.
type TonesConfig struct {
	Ring     string `toml:"ring" doc:"while this station rings"`
	Ringback string `toml:"ringback" doc:"while the other side rings"`
	Declined string `toml:"declined" doc:"the other side declined"`
	Busy     string `toml:"busy" doc:"the other side talks to somebody else"`
	Missed   string `toml:"missed" doc:"nobody answered"`
	Offline  string `toml:"offline" doc:"nobody can be reached"`
	Limit    string `toml:"limit" doc:"the call's limit is near"`
	Door     string `toml:"door" doc:"the door is open"`
	Auto     string `toml:"auto" doc:"the microphone is about to open by itself"`

	Hosts []string `toml:"hosts" doc:"from which addresses may be fetched, at the start; none when empty"`
}

// MediaConfig restricts the voice path.
type MediaConfig struct {
	Interfaces []string `toml:"interfaces" doc:"network interfaces for the voice; empty for all but loopback"`
}

// GPIOConfig says where the lines are.
type GPIOConfig struct {
	Driver   string          `toml:"driver" doc:"chip for a GPIO chip of the kernel, virtual for lines that intercomctl presses and reads"`
	Debounce config.Duration `toml:"debounce" doc:"how long a level must hold to count, 1ms to 500ms"`
}

// ButtonConfig is one button.
type ButtonConfig struct {
	Name      string `toml:"name" doc:"name of the button, for intercomctl press and the log"`
	Line      string `toml:"line" doc:"GPIO line: its name like GPIO17, or chip label and offset like pinctrl-bcm2835:17"`
	Action    string `toml:"action" doc:"call, answer, hangup; toggle: call when idle, answer when it rings, else hang up; mute: on and off; volume_up and volume_down: by 10 percent; talk: the microphone is open while it is held, with call.voice = push_to_talk"`
	Pull      string `toml:"pull" doc:"up, down or none; empty for up"`
	ActiveLow bool   `toml:"active_low" doc:"pressed is the low level, as with a button to ground"`
	To        string `toml:"to" doc:"cuid to call in place of call.to"`
	Context   string `toml:"context" doc:"context of its calls in place of the station's"`
}

// LEDConfig is one LED.
type LEDConfig struct {
	Name      string            `toml:"name" doc:"name of the LED"`
	Line      string            `toml:"line" doc:"GPIO line, as for a button"`
	ActiveLow bool              `toml:"active_low" doc:"lit is the low level"`
	Patterns  map[string]string `toml:"patterns" doc:"state = pattern, in place of the table in docs/hardware.md; patterns are on, off, blink 500ms, or steps like on 100ms off 900ms"`
}

// Defaults is the configuration of a station whose file is empty.
func Defaults() *Config {
	c := &Config{
		Context:  "Someone is at the door",
		StateDir: "/var/lib/intercomd",
		Control:  control.Socket,
		LogLevel: "info",
	}
	c.Audio.Buffer = config.Duration(20 * time.Millisecond)
	c.Audio.Block = config.Duration(10 * time.Millisecond)
	c.Audio.Bitrate = 48000
	c.Audio.Echo, c.Audio.Talk, c.Audio.Ring = audio.EchoAuto, 100, 100
	c.Call.Voice = Duplex
	c.Audio.MostDelay = config.Duration(200 * time.Millisecond)
	c.GPIO.Driver = "chip"
	c.GPIO.Debounce = config.Duration(20 * time.Millisecond)
	return c
}

// Check names every problem of the file.
func (c *Config) Check(r *config.Report) {
	if c.CUID == "" {
		r.Addf("cuid", "ERR_MISSING_INITPARAMETERS: missing; give the station an address of its own, for example front_door")
	} else if err := wire.CheckCUID(c.CUID); err != nil {
		r.Addf("cuid", "%s: %s", err.Code, err.Message)
	}
	if c.Name != "" {
		if err := wire.CheckName(c.Name); err != nil {
			r.Addf("name", "%s: %s", err.Code, err.Message)
		}
	}
	if err := wire.CheckContext(c.Context); err != nil {
		r.Addf("context", "%s: %s", err.Code, err.Message)
	}
	if err := wire.CheckImage(c.Image); err != nil {
		r.Addf("image", "%s: %s", err.Code, err.Message)
	}
	config.CheckLevel(r, "log_level", c.LogLevel)
	if c.Control == "" {
		r.Addf("control", "is missing; name the socket for intercomctl")
	}
	c.Hub.check(r)
	c.receiver(r, "call.to", c.Call.To)
	inRange(r, "audio.buffer", c.Audio.Buffer, 5*time.Millisecond, 200*time.Millisecond)
	inRange(r, "audio.block", c.Audio.Block, 5*time.Millisecond, 100*time.Millisecond)
	inRange(r, "audio.most_delay", c.Audio.MostDelay, 20*time.Millisecond, 500*time.Millisecond)
	if f := c.Audio.Frame.Std(); f != 0 && f != 10*time.Millisecond && f != 20*time.Millisecond {
		r.Addf("audio.frame", "is %v; it must be 10ms, 20ms, or 0s to follow the link", c.Audio.Frame)
	}
	if b := c.Audio.Bitrate; b < 12000 || b > 128000 {
		r.Addf("audio.bitrate", "is %d; it must be 12000 to 128000 bit/s", b)
	}
	for _, list := range []struct {
		key      string
		patterns []string
	}{{"audio.sinks", c.Audio.Sinks}, {"audio.sources", c.Audio.Sources}, {"audio.ring_sinks", c.Audio.RingSinks}} {
		for i, p := range list.patterns {
			if err := audio.CheckPattern(p); err != nil {
				r.Addf(fmt.Sprintf("%s[%d]", list.key, i), "%v", err)
			}
		}
	}
	oneOf(r, "audio.echo", string(c.Audio.Echo), string(audio.EchoAuto), string(audio.EchoHalf), string(audio.EchoOff))
	oneOf(r, "call.voice", string(c.Call.Voice), string(Duplex), string(PushToTalk), string(Listen), string(Announce))
	for key, v := range map[string]int{"audio.talk_volume": c.Audio.Talk, "audio.ring_volume": c.Audio.Ring} {
		if v < 1 || v > 150 {
			r.Addf(key, "is %d; it must be 1 to 150 percent", v)
		}
	}
	if c.Audio.SelfTest != 0 {
		inRange(r, "audio.selftest_every", c.Audio.SelfTest, time.Hour, 720*time.Hour)
	}
	for name, from := range c.Tones.files() {
		if strings.Contains(from, "://") {
			if err := fetch.Check(from, c.Tones.Hosts); err != nil {
				r.Addf("tones."+name, "%v", err)
			}
		}
	}
	c.checkLines(r)
}

func (t TonesConfig) files() map[string]string {
	return map[string]string{"ring": t.Ring, "ringback": t.Ringback, "declined": t.Declined, "busy": t.Busy, "missed": t.Missed, "offline": t.Offline, "limit": t.Limit, "door": t.Door, "auto": t.Auto}
}

func (h *HubConfig) check(r *config.Report) {
	const missing = "ERR_MISSING_INITPARAMETERS: missing; "
	if h.URL == "" {
		r.Addf("hub.url", missing+"write the hub's address, for example wss://hub.example.org%s", wire.Path)
	} else {
		h.checkURL(r, "hub.url", &h.URL)
	}
	for i := range h.More {
		h.checkURL(r, fmt.Sprintf("hub.more_urls[%d]", i), &h.More[i])
	}
	var err error
	if h.Account == "" {
		r.Addf("hub.account", missing+"name the account on the hub")
	}
	if h.APIKeyFile == "" {
		r.Addf("hub.apikey_file", missing+"make a key with 'intercom-hub key new' and name the file that holds it")
	} else if h.apiKey, err = config.ReadSecret(h.APIKeyFile); err != nil {
		r.Addf("hub.apikey_file", "%v; put the key that 'intercom-hub key new' printed into it", err)
	}
	if _, err := h.TLS(); err != nil {
		r.Addf("hub.ca_file", "%v", err)
	}
}

// checkURL reports an address that is not a hub's, and completes one without a path.
func (h *HubConfig) checkURL(r *config.Report, key string, address *string) {
	u, err := url.Parse(*address)
	switch {
	case err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "":
		r.Addf(key, "ERR_INVALID_INITPARAMETERS: %q is not a hub's address; write it like wss://hub.example.org%s", *address, wire.Path)
	case u.Scheme == "ws" && !config.Loopback(u.Hostname()) && !h.AllowPlain:
		r.Addf(key, "ERR_INVALID_INITPARAMETERS: ws:// to another host is not encrypted; use wss://, or set hub.allow_plain = true and let everybody on the way listen in")
	case u.Path == "":
		*address += wire.Path
	}
}

// APIKey is the key from the file, read by Check.
func (h *HubConfig) APIKey() config.Secret { return h.apiKey }

// TLS is the client's TLS configuration; nil for the system's roots.
func (h *HubConfig) TLS() (*tls.Config, error) {
	if h.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(h.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", h.CAFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

func (c *Config) receiver(r *config.Report, key, to string) {
	if to == "" {
		return
	}
	if err := wire.CheckReceiver(to, c.CUID); err != nil {
		r.Addf(key, "%s: %s", err.Code, err.Message)
	}
}

// Actions of buttons.
const (
	ActCall   = "call"
	ActAnswer = "answer"
	ActHangUp = "hangup"
	ActToggle = "toggle"
	ActMute   = "mute"
	ActTalk   = "talk" // while it is held
	ActUp     = "volume_up"
	ActDown   = "volume_down"
)

func (c *Config) checkLines(r *config.Report) {
	oneOf(r, "gpio.driver", c.GPIO.Driver, "chip", "virtual")
	inRange(r, "gpio.debounce", c.GPIO.Debounce, time.Millisecond, 500*time.Millisecond)
	lines, names := map[string]string{}, map[string]bool{}
	line := func(at, name, line string) {
		switch {
		case name == "":
			r.Addf(at+".name", "is missing; name it, for example call or status")
		case names[name]:
			r.Addf(at+".name", "%q is there twice", name)
		}
		names[name] = true
		if c.GPIO.Driver == "virtual" {
			return
		}
		if err := gpio.CheckLine(line); err != nil {
			r.Addf(at+".line", "%q %v", line, err)
		} else if lines[line] != "" {
			r.Addf(at+".line", "%s is used by %s already", line, lines[line])
		}
		lines[line] = name
	}
	for i, b := range c.Button {
		at := fmt.Sprintf("button[%d]", i)
		line(at, b.Name, b.Line)
		oneOf(r, at+".action", b.Action, ActCall, ActAnswer, ActHangUp, ActToggle, ActMute, ActTalk, ActUp, ActDown)
		if b.Pull != "" {
			oneOf(r, at+".pull", b.Pull, "up", "down", "none")
		}
		c.receiver(r, at+".to", b.To)
		if (b.Action == ActCall || b.Action == ActToggle) && b.To == "" && c.Call.To == "" {
			r.Addf(at+".to", "is missing, and so is call.to; name the cuid that the button %s calls", b.Name)
		}
		if b.Context != "" {
			if err := wire.CheckContext(b.Context); err != nil {
				r.Addf(at+".context", "%s: %s", err.Code, err.Message)
			}
		}
	}
	for i, l := range c.LED {
		at := fmt.Sprintf("led[%d]", i)
		line(at, l.Name, l.Line)
		for state, p := range l.Patterns {
			if _, ok := lightTable()[control.Light(state)]; !ok {
				r.Addf(at+".patterns."+state, "is not a state; there are %s", strings.Join(lightNames(), ", "))
			} else if _, err := gpio.ParsePattern(p); err != nil {
				r.Addf(at+".patterns."+state, "%v", err)
			}
		}
	}
}

func oneOf(r *config.Report, key, v string, all ...string) {
	if !slices.Contains(all, v) {
		r.Addf(key, "%q is not known; there are %s", v, strings.Join(all, ", "))
	}
}

func inRange(r *config.Report, key string, d config.Duration, least, most time.Duration) {
	if d.Std() < least || d.Std() > most {
		r.Addf(key, "is %v; it must be %v to %v", d, config.Duration(least), config.Duration(most))
	}
}
