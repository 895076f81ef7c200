package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// patient is what the doctor looks at.
type patient struct {
	ctl    *ctl
	status control.Status
	hub    *url.URL
}

// check is one link of a chain. It says what it found, or what is broken and what mends it.
type check struct {
	name string
	look func(context.Context, *patient) (found string, broken *finding)
}

// finding is a broken link.
type finding struct{ text, do string }

// chains are looked at link by link, until one is broken: what comes after needs it.
var chains = []struct {
	name  string
	links []check
}{
	{"time", []check{
		{"the clock is set", func(ctx context.Context, _ *patient) (string, *finding) {
			if year := time.Now().Year(); year < 2026 {
				return "", &finding{fmt.Sprintf("it is %d here", year), "sudo timedatectl set-ntp true"}
			}
			return time.Now().UTC().Format(time.RFC3339), nil
		}},
		{"it is kept", func(ctx context.Context, _ *patient) (string, *finding) {
			out, err := output(ctx, []string{"timedatectl", "show", "-P", "NTPSynchronized"})
			if err == nil && strings.TrimSpace(string(out)) == "no" {
				return "", &finding{"nothing sets the clock: certificates and schedules need it",
					"sudo timedatectl set-ntp true"}
			}
			return "", nil
		}},
	}},
	{"hub", []check{
		{"its name is known", func(ctx context.Context, p *patient) (string, *finding) {
			all, err := net.DefaultResolver.LookupHost(ctx, p.hub.Hostname())
			if err != nil {
				return "", &finding{fmt.Sprintf("%s has no address: %v", p.hub.Hostname(), err),
					"getent hosts " + p.hub.Hostname() + "; look at hub.url, and at the network's name server"}
			}
			return p.hub.Hostname() + " is " + strings.Join(all, ", "), nil
		}},
		{"it answers", func(ctx context.Context, p *patient) (string, *finding) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", p.address())
			if err != nil {
				return "", &finding{err.Error(),
					"on the hub's machine: sudo systemctl start intercom-hub; between the two: a firewall"}
			}
			c.Close()
			return p.address(), nil
		}},
		{"its certificate is good", func(ctx context.Context, p *patient) (string, *finding) {
			if p.hub.Scheme == "ws" {
				return "there is none: ws://", nil
			}
			roots, err := p.authority()
			if err != nil {
				return "", &finding{err.Error(), "look at hub.ca_file"}
			}
			c, err := (&tls.Dialer{Config: &tls.Config{ServerName: p.hub.Hostname(), MinVersion: tls.VersionTLS12,
				RootCAs: roots}}).DialContext(ctx, "tcp", p.address())
			if err != nil {
				return "", &finding{err.Error(),
					"name the hub's own authority in hub.ca_file, or renew the certificate on the hub"}
			}
			defer c.Close()
			end := c.(*tls.Conn).ConnectionState().PeerCertificates[0].NotAfter
			return "until " + end.UTC().Format(time.DateOnly), nil
		}},
		{"the station is registered", func(_ context.Context, p *patient) (string, *finding) {
			if !p.status.Hub.Online {
				do := "intercomctl events"
				if p.status.Hub.Code == fault.Credentials {
					do = "on the hub's machine: sudo intercom-hub key new -account ID; here: /etc/intercomd/apikey, " +
						"then sudo systemctl restart intercomd"
				}
				return "", &finding{p.status.Hub.Trouble, do}
			}
			return "as " + p.status.CUID, nil
		}},
	}},
	{"audio", []check{
		{"the sound server answers", code(control.SoundServer)},
		{"there is a loudspeaker", code(control.SoundPlayback)},
		{"there is a microphone", code(control.SoundCapture)},
		{"those that were asked for", code(control.SoundDevice)},
		{"it is loud enough", func(_ context.Context, p *patient) (string, *finding) {
			if s := p.status.Sound; s.TalkVolume < 10 || s.RingVolume < 10 {
				return "", &finding{fmt.Sprintf("talk %d %%, ring %d %%", s.TalkVolume, s.RingVolume),
					"intercomctl volume talk 100; intercomctl volume ring 100"}
			}
			return "", nil
		}},
		{"the microphone hears the loudspeaker", func(ctx context.Context, p *patient) (string, *finding) {
			if p.status.Phase != call.Idle {
				return "not tried in a call", nil
			}
			b, err := p.ctl.post(ctx, "selftest")
			var t control.SelfTest
			if err == nil {
				err = json.Unmarshal(b, &t)
			}
			if err != nil {
				return "", &finding{err.Error(), "intercomctl selftest"}
			}
			if t.Problem != "" {
				return "", &finding{t.Problem,
					"intercomctl selftest, with the volume higher: intercomctl volume talk 120"}
			}
			return fmt.Sprintf("%.0f dB quieter, after %.0f ms", t.LossDB, t.RoundTripMS), nil
		}},
	}},
	{"button", []check{
		{"their lines are there", lines},
		{"none is stuck", code(control.ButtonStuck)},
		{"they were seen to be pressed", func(_ context.Context, p *patient) (string, *finding) {
			var all []string
			for name, b := range p.status.Buttons {
				all = append(all, fmt.Sprintf("%s %d times, %d glitches", name, b.Presses, b.Glitches))
				if b.Glitches > 50 && b.Glitches > 5*b.Presses {
					return "", &finding{fmt.Sprintf("%s: %d glitches and %d presses", name, b.Glitches, b.Presses),
						"look at the cable and the pull resistor; gpio.debounce can be longer"}
				}
			}
			slices.Sort(all)
			return strings.Join(all, "; "), nil
		}},
	}},
	{"call", []check{
		{"it takes calls", func(_ context.Context, p *patient) (string, *finding) {
			if p.status.DND {
				return "", &finding{"do not disturb is on: calls are declined as busy", "intercomctl dnd off"}
			}
			return "", nil
		}},
		{"the last one went well", func(_ context.Context, p *patient) (string, *finding) {
			l := p.status.LastCall
			if l == nil {
				return "there was none", nil
			}
			if l.Reason == outcome.MediaFailed {
				return "", &finding{"no way was found for the voices",
					"turn on the hub's TURN server: [turn] in intercom-hub.toml; look at media.interfaces here"}
			}
			return l.From + " → " + l.To + ", " + l.Outcome.String(), nil
		}},
	}},
	{"update", []check{
		{"the configuration that is written is the one that runs",
			code(control.ConfigInvalid, control.ConfigGivenUp, control.ConfigWaits)},
		{"the settings that the hub has for it are used", code(control.SettingsRefused)},
		{"nothing waits for a restart", func(_ context.Context, p *patient) (string, *finding) {
			if p.status.Restart != "" {
				return "", &finding{p.status.Restart + "; it happens when the station is idle", "intercomctl hangup"}
			}
			return "", nil
		}},
		{"what it must remember is kept", code(control.MemoryBroken)},
		{"the last update of the card was kept", code(control.UpdateGivenUp)},
	}},
}

// code is a link that is broken when the station says so.
func code(codes ...control.Code) func(context.Context, *patient) (string, *finding) {
	return trouble(func(_ *patient, t control.Trouble) bool { return slices.Contains(codes, t.Code) })
}

// lines looks at those of the buttons.
var lines = trouble(func(p *patient, t control.Trouble) bool {
	for name := range p.status.Buttons {
		if t.Code == control.LineMissing && t.Part == control.PartButton(name) {
			return true
		}
	}
	return false
})

// trouble is a link that is broken when one of the station's troubles fits.
func trouble(fits func(*patient, control.Trouble) bool) func(context.Context, *patient) (string, *finding) {
	return func(_ context.Context, p *patient) (string, *finding) {
		for _, t := range p.status.Troubles {
			if fits(p, t) {
				return "", &finding{t.Part + ": " + t.Text, t.Do}
			}
		}
		return "", nil
	}
}

// address is the hub's, with its port.
func (p *patient) address() string {
	port := p.hub.Port()
	if port == "" {
		port = map[string]string{"ws": "80", "wss": "443"}[p.hub.Scheme]
	}
	return net.JoinHostPort(p.hub.Hostname(), port)
}

// authority is the one that the station trusts; nil for the system's.
func (p *patient) authority() (*x509.CertPool, error) {
	file := p.status.Hub.CAFile
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", file)
	}
	return pool, nil
}

// diagnosis is a link as JSON has it.
type diagnosis struct {
	Chain string `json:"chain"`
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Found string `json:"found,omitempty"`
	Do    string `json:"do,omitempty"`
}

// linkTime is how long one link may take.
const linkTime = 10 * time.Second

// doctor looks at every chain, or at one.
func (c *ctl) doctor(ctx context.Context, only string) int {
	p := &patient{ctl: c}
	r, failed := c.request(ctx, http.MethodGet, "status", nil)
	if failed != 0 {
		fmt.Fprintln(c.err, "  → sudo systemctl start intercomd; journalctl -u intercomd -n 20")
		return failed
	}
	defer r.Body.Close()
	err := json.NewDecoder(r.Body).Decode(&p.status)
	if err == nil {
		p.hub, err = url.Parse(p.status.Hub.URL)
	}
	if err != nil {
		fmt.Fprintln(c.err, "intercomctl:", err)
		return exRefused
	}
	var all []diagnosis
	known, result := false, 0
	for _, chain := range chains {
		if only != "" && only != chain.name {
			continue
		}
		known = true
		if !c.json {
			fmt.Fprintln(c.out, chain.name)
		}
		for _, link := range chain.links {
			limited, cancel := context.WithTimeout(ctx, linkTime)
			found, broken := link.look(limited, p)
			cancel()
			d := diagnosis{Chain: chain.name, Check: link.name, OK: broken == nil, Found: found}
			if broken != nil {
				d.Found, d.Do, result = broken.text, broken.do, exRefused
			}
			all = append(all, d)
			if !c.json {
				c.tell(d)
			}
			if broken != nil {
				break
			}
		}
	}
	if !known {
		fmt.Fprintf(c.err, "intercomctl: there is no chain %q; there are time, hub, audio, button, call and update\n",
			only)
		return exUsage
	}
	if c.json {
		_ = json.NewEncoder(c.out).Encode(all)
	}
	return result
}

func (c *ctl) tell(d diagnosis) {
	mark, found := "ok    ", ""
	if !d.OK {
		mark = "BROKEN"
	}
	if d.Found != "" {
		found = ": " + d.Found
	}
	fmt.Fprintf(c.out, "  %s %s%s\n", mark, d.Check, found)
	if d.Do != "" {
		fmt.Fprintf(c.out, "         → %s\n", d.Do)
	}
}
