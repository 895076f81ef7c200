package setup

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"intercom/device/schedule"
	"intercom/internal/config"
	"intercom/internal/fetch"
	"intercom/wire"
)

// Check names every problem of the file.
func (c *Config) Check(r *config.Report) {
	if c.CUID == "" {
		r.Addf("cuid", "ERR_MISSING_INITPARAMETERS: missing; "+
			"give the station an address of its own, for example front_door")
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
	if c.Trial != 0 {
		inRange(r, "trial", c.Trial, 30*time.Second, time.Hour)
	}
	oneOf(r, "profile", c.Profile, Standard, Accessible)
	c.receivers(r, "call.to", c.Call.To)
	c.receivers(r, "call.then", c.Call.Then)
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
			if err := checkPattern(p); err != nil {
				r.Addf(fmt.Sprintf("%s[%d]", list.key, i), "%v", err)
			}
		}
	}
	oneOf(r, "audio.echo", c.Audio.Echo, "auto", "half_duplex", "off")
	checkMode(r, "call.voice", c.Call.Voice)
	for key, v := range map[string]int{"audio.talk_volume": c.Audio.Talk, "audio.ring_volume": c.Audio.Ring} {
		if v < 1 || v > 150 {
			r.Addf(key, "is %d; it must be 1 to 150 percent", v)
		}
	}
	if c.Audio.SelfTest != 0 {
		inRange(r, "audio.selftest_every", c.Audio.SelfTest, time.Hour, 720*time.Hour)
	}
	for name, from := range c.Tones.Files() {
		if strings.Contains(from, "://") {
			if err := fetch.Check(from, c.Tones.Hosts); err != nil {
				r.Addf("tones."+name, "%v", err)
			}
		}
	}
	patternsOf(r, "auto_answer.callers", c.Auto.Callers)
	inRange(r, "auto_answer.after", c.Auto.After, time.Second, 30*time.Second)
	for i := range c.Schedule {
		c.checkSchedule(r, fmt.Sprintf("schedule[%d]", i), &c.Schedule[i])
	}
	if c.Metrics.Listen != "" {
		onLoopback(r, "metrics.listen", c.Metrics.Listen)
	}
	c.MQTT.check(r)
	c.Kiosk.check(r)
	c.checkLines(r)
}

func (c *Config) checkSchedule(r *config.Report, at string, s *Schedule) {
	var err error
	if s.hours, err = schedule.Parse(s.Days, s.From, s.Until, s.Dates); err != nil {
		key := at
		if p := (*schedule.Problem)(nil); errors.As(err, &p) && p.Key != "" {
			key += "." + p.Key
		}
		r.Addf(key, "%v", err)
	}
	c.receivers(r, at+".to", s.To)
	if s.To == "" && !s.Quiet {
		r.Addf(at, "changes nothing; give it a to, or quiet = true")
	}
}

// Holds reports whether t is within the hours, read by Check.
func (s *Schedule) Holds(t time.Time) bool { return s.hours.Holds(t) }

// onLoopback reports an address at which others than this machine could listen in.
func onLoopback(r *config.Report, key, address string) {
	host, _, err := net.SplitHostPort(address)
	if err != nil || !config.Loopback(host) {
		r.Addf(key, "%q is not a loopback address with a port; write it like 127.0.0.1:8090", address)
	}
}

func (k *Kiosk) check(r *config.Report) {
	if k.Listen == "" {
		return
	}
	onLoopback(r, "kiosk.listen", k.Listen)
	if u, err := url.Parse(k.Origin); k.Origin != "" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "") {
		r.Addf("kiosk.origin", "%q is no origin; write it like http://localhost:3000", k.Origin)
	}
	var err error
	switch k.token, err = r.ReadSecret(k.TokenFile); {
	case k.TokenFile == "":
		r.Addf("kiosk.token_file", "is missing; "+
			"put a long random word into a file that only the daemon and the page's owner can read")
	case err != nil:
		r.Addf("kiosk.token_file", "%v", err)
	case len(k.token.Reveal()) < 16:
		r.Addf("kiosk.token_file", "the token in %s is too short; it must have 16 characters at least", k.TokenFile)
	}
}

func (m *MQTT) check(r *config.Report) {
	if m.URL == "" {
		return
	}
	u, err := url.Parse(m.URL)
	switch {
	case err != nil || (u.Scheme != "mqtt" && u.Scheme != "mqtts") || u.Host == "" || u.User != nil:
		r.Addf("mqtt.url", "%q is not a broker's address; write it like mqtts://broker.example.org", m.URL)
	case u.Scheme == "mqtt" && !config.Loopback(u.Hostname()) && !m.AllowPlain:
		r.Addf("mqtt.url", "mqtt:// to another host is not encrypted; use mqtts://, "+
			"or set mqtt.allow_plain = true and let everybody on the way read along")
	}
	if m.PasswordFile != "" {
		if m.password, err = r.ReadSecret(m.PasswordFile); err != nil {
			r.Addf("mqtt.password_file", "%v", err)
		}
	}
	if _, err := authority(m.CAFile); err != nil {
		r.Addf("mqtt.ca_file", "%v", err)
	}
	for key, topic := range map[string]string{"mqtt.prefix": m.Prefix, "mqtt.discovery": m.Discovery} {
		if strings.ContainsAny(topic, "+#\x00") || strings.HasPrefix(topic, "/") || strings.HasSuffix(topic, "/") ||
			key == "mqtt.prefix" && topic == "" {
			r.Addf(key, "%q cannot begin a topic; write it like home/intercom", topic)
		}
	}
	for i, what := range m.Commands {
		oneOf(r, fmt.Sprintf("mqtt.commands[%d]", i), what, "answer", "decline", "hangup", "open")
	}
}

// Password is the one from the file, read by Check.
func (m *MQTT) Password() config.Secret { return m.password }

// TLS is how the broker is reached.
func (m *MQTT) TLS() (*tls.Config, error) { return authority(m.CAFile) }

// patternsOf checks a list of cuids, or patterns of them.
func patternsOf(r *config.Report, key string, patterns []string) {
	for i, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" ||
			strings.Trim(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_*?") != "" {
			r.Addf(fmt.Sprintf("%s[%d]", key, i),
				"%q is no cuid and no pattern; write it like reception, or guard_*", p)
		}
	}
}

// checkPattern says what is wrong with a name or pattern of a sound device.
func checkPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return fmt.Errorf("%q is no pattern; write a name as 'pactl list short' shows it, with * for any part of it",
			pattern)
	}
	return nil
}

// Listed reports whether a cuid is on a list.
func Listed(patterns []string, cuid string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { ok, _ := path.Match(p, cuid); return ok })
}

// Files are the files and addresses of the tones, by the tone's name; empty for one that is made by code.
func (t Tones) Files() map[string]string {
	return map[string]string{"ring": t.Ring, "ringback": t.Ringback, "declined": t.Declined, "busy": t.Busy,
		"missed": t.Missed, "offline": t.Offline, "limit": t.Limit, "press": t.Press, "speak": t.Speak, "door": t.Door,
		"auto": t.Auto}
}

func (h *Hub) check(r *config.Report) {
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
	} else if h.apiKey, err = r.ReadSecret(h.APIKeyFile); err != nil {
		r.Addf("hub.apikey_file", "%v; put the key that 'intercom-hub key new' printed into it", err)
	}
	h.settingsKeys = nil
	for i, text := range h.SettingsKeys {
		key, err := wire.ParsePublicKey(text)
		if err != nil {
			r.Addf(fmt.Sprintf("hub.settings_keys[%d]", i), "%v", err)
		}
		h.settingsKeys = append(h.settingsKeys, key)
	}
	if _, err := h.TLS(); err != nil {
		r.Addf("hub.ca_file", "%v", err)
	}
}

// checkURL reports an address that is not a hub's, and completes one without a path.
func (h *Hub) checkURL(r *config.Report, key string, address *string) {
	u, err := url.Parse(*address)
	switch {
	case err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "":
		r.Addf(key, "ERR_INVALID_INITPARAMETERS: %q is not a hub's address; write it like wss://hub.example.org%s",
			*address, wire.Path)
	case u.Scheme == "ws" && !config.Loopback(u.Hostname()) && !h.AllowPlain:
		r.Addf(key, "ERR_INVALID_INITPARAMETERS: ws:// to another host is not encrypted; use wss://, "+
			"or set hub.allow_plain = true and let everybody on the way listen in")
	case u.Path == "":
		*address += wire.Path
	}
}

// GivenKeys are the keys of settings, read by Check.
func (h *Hub) GivenKeys() []ed25519.PublicKey { return h.settingsKeys }

// APIKey is the key from the file, read by Check.
func (h *Hub) APIKey() config.Secret { return h.apiKey }

// TLS is the client's TLS configuration; nil for the system's roots.
func (h *Hub) TLS() (*tls.Config, error) { return authority(h.CAFile) }

// authority trusts those in a file, or, where it is empty, the system's.
func authority(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// Receivers are those that a list with commas names.
func Receivers(to string) (all wire.Receivers) {
	for one := range strings.SplitSeq(to, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	return all
}

func (c *Config) receivers(r *config.Report, key, to string) {
	all := Receivers(to)
	if len(all) > wire.MaxReceivers {
		r.Addf(key, "names %d; a call has %d receivers at most, a group on the hub may have more",
			len(all), wire.MaxReceivers)
	}
	for _, one := range all {
		if err := wire.CheckReceiver(one, c.CUID); err != nil {
			r.Addf(key, "%s: %s", err.Code, err.Message)
		}
	}
}

// Actions of buttons.
const (
	ActCall     = "call"
	ActAnswer   = "answer"
	ActDecline  = "decline"
	ActHangUp   = "hangup"
	ActToggle   = "toggle"
	ActAnnounce = "announce"
	ActMute     = "mute"
	ActTalk     = "talk" // while it is held
	ActUp       = "volume_up"
	ActDown     = "volume_down"
	ActDoor     = "door"
	ActDND      = "do_not_disturb"
	ActPrivacy  = "privacy"
	ActSelfTest = "selftest"
)

var actions = []string{ActCall, ActAnswer, ActDecline, ActHangUp, ActToggle, ActAnnounce, ActMute, ActTalk, ActUp,
	ActDown, ActDoor, ActDND, ActPrivacy, ActSelfTest}

// Calls reports whether an action can place a call.
func Calls(action string) bool {
	return action == ActCall || action == ActToggle || action == ActAnnounce
}

// Actions are those of a button, by the key that names them.
func (b Button) Actions() map[string]string {
	return map[string]string{"action": b.Action, "long": b.Long, "double": b.Double}
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
