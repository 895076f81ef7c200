package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"intercom/cmd/internal/script"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/devicetest"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/fault"
	"intercom/internal/outcome"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"intercomctl": main})
}

func TestAsAUserTypesIt(t *testing.T) { script.Run(t, nil) }

// Manual page and completion know every command.
func TestEveryCommandIsDocumented(t *testing.T) {
	for _, file := range []string{"../../docs/man/intercomctl.1.md", "completion.bash"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(usage) {
			line, ok := strings.CutPrefix(line, "  ")
			if !ok {
				continue
			}
			for _, command := range regexp.MustCompile(`^[a-z]+( \| [a-z]+)*`).FindAllString(line, 1) {
				for name := range strings.SplitSeq(command, " | ") {
					if !regexp.MustCompile(`\b` + name + `\b`).Match(b) {
						t.Errorf("%s does not know %s", file, name)
					}
				}
			}
		}
	}
}

// station is a device without a hub, on a real control socket.
func station(t *testing.T) string {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	cfg := setup.Defaults()
	cfg.CUID, cfg.Call.To = "front_door", "reception"
	cfg.Button = []setup.Button{{Name: "bell", Action: setup.ActCall}}
	tape := devicetest.NewTape()
	d := device.New(cfg, device.Parts{Media: &devicetest.Media{Tape: tape}, Sound: &devicetest.Sound{Tape: tape}},
		slog.New(slog.DiscardHandler))
	d.Connect(&devicetest.Wire{Tape: tape, Cut: true})
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	panel := gpio.NewPanel()
	s := &http.Server{Handler: d.Handler(panel)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 3)
	go func() { done <- s.Serve(l) }()
	go func() { done <- d.Run(ctx) }()
	go func() {
		button := gpio.Button{Stable: time.Millisecond}
		done <- button.Watch(ctx, panel.Input("bell"), func(g gpio.Gesture) { d.Gesture(cfg.Button[0], g) })
	}()
	t.Cleanup(func() {
		cancel()
		s.Close()
		for range 3 {
			<-done
		}
	})
	return path
}

func ctlRun(t *testing.T, socket string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = run(t.Context(), append([]string{"-socket", socket}, args...), &o, &e)
	return code, o.String(), e.String()
}

func TestAStationWithoutAHub(t *testing.T) {
	socket := station(t)
	for _, c := range []struct {
		args   string
		code   int
		out    string
		stderr string
	}{
		{"status", 0, "front_door: degraded", ""},
		{"status -json", 0, `"phase":"idle"`, ""},
		{"answer", exRefused, "", "There is no call to answer"},
		{"hangup -json", exRefused, `"ERR_NOT_PARTY"`, ""},
		{"press bell", 0, "", ""},
		{"press nothing", exRefused, "", `There is no button "nothing"; there are: bell`},
		{"press bell -hold 2h", exRefused, "", "1 ms to 1 minute"},
		{"call front_door", exRefused, "", "A device cannot call itself"},
		{"call", exRefused, "", "ERR_INTERNET_LOST"},
		{"-json call door-1", exRefused, `"field":"to"`, ""},
	} {
		code, out, errs := ctlRun(t, socket, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.stderr) ||
			c.stderr == "" && errs != "" {
			t.Errorf("%s: exit status %d\n%s\n%s", c.args, code, out, errs)
		}
	}
}

func TestEventsAreJSONLines(t *testing.T) {
	socket := station(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := map[string]bool{}
	pressed := make(chan struct{})
	c := &ctl{out: &bytes.Buffer{}, err: &bytes.Buffer{},
		http: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			}}}}
	defer c.http.CloseIdleConnections()
	r, code := c.request(ctx, http.MethodGet, "events", nil)
	if code != 0 {
		t.Fatal(c.err)
	}
	defer r.Body.Close()
	go func() { defer close(pressed); ctlRun(t, socket, "press", "bell") }()
	c.read(r.Body, func(e control.Event, line []byte) bool {
		if !json.Valid(line) || e.At.IsZero() {
			t.Errorf("%s", line)
		}
		seen[e.Event] = true
		return !seen["press"] || !seen["ended"] || !seen["light"]
	})
	if !seen["press"] || !seen["ended"] || !seen["light"] {
		t.Errorf("seen %v", seen)
	}
	<-pressed
}

func TestTheExitStatusOfACallIsItsOutcome(t *testing.T) {
	seen := map[int]bool{}
	for _, s := range []outcome.Status{outcome.Over, outcome.Declined, outcome.Missed, outcome.Cancelled,
		outcome.Failed} {
		code := exitOf(s)
		if seen[code] || (code == 0) != (s == outcome.Over) || code == exRefused || code == exAway {
			t.Errorf("%s: %d", s, code)
		}
		seen[code] = true
	}
}

// The authority is the hub's of the configuration that runs: the broker's, or none, is not taken for it.
func TestTheDoctorTrustsWhomTheStationTrusts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	look := func(path string) (whole bool, err error) {
		p := patient{status: control.Status{Hub: control.HubStatus{CAFile: path}}}
		pool, err := p.authority()
		return pool != nil, err
	}
	if own, err := look(""); own || err != nil {
		t.Errorf("without a file: %v %v", own, err)
	}
	if _, err := look(file); err == nil {
		t.Error("a file that is not there is taken")
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := look(file); err == nil || !strings.Contains(err.Error(), "has no certificate") {
		t.Error(err)
	}
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if own, err := look(file); !own || err != nil {
		t.Errorf("%v %v", own, err)
	}
}

// The doctor goes by codes and parts. The words of a text may be a stranger's.
func TestTheDoctorGoesByCodes(t *testing.T) {
	look := func(chain, name string, s control.Status) *finding {
		t.Helper()
		for _, c := range chains {
			for _, link := range c.links {
				if c.name == chain && link.name == name {
					_, broken := link.look(t.Context(), &patient{status: s})
					return broken
				}
			}
		}
		t.Fatalf("the chain %s has no %q", chain, name)
		return nil
	}
	away := control.Status{Hub: control.HubStatus{Trouble: "the hub closed the connection: ERR_INVALID_CREDENTIALS"}}
	if f := look("hub", "the station is registered", away); f == nil || strings.Contains(f.do, "key new") {
		t.Errorf("by the words alone: %+v", f)
	}
	away.Hub.Code = fault.Credentials
	if f := look("hub", "the station is registered", away); f == nil || !strings.Contains(f.do, "key new") {
		t.Errorf("by the code: %+v", f)
	}
	lost := control.Fault{Code: control.LineMissing, Part: control.PartButton("bell"), Text: "busy"}.Trouble()
	for _, c := range []struct {
		button string
		broken bool
	}{{"bell", true}, {"bell 2", false}} {
		s := control.Status{Buttons: map[string]control.Button{c.button: {}}, Troubles: []control.Trouble{lost}}
		if f := look("button", "their lines are there", s); (f != nil) != c.broken {
			t.Errorf("of the button %s: %+v", c.button, f)
		}
	}
	s := control.Status{Troubles: []control.Trouble{control.Fault{Code: control.SoundEcho, Part: control.PartAudio,
		Text: "no server: "}.Trouble()}}
	if f := look("audio", "the sound server answers", s); f != nil {
		t.Errorf("an echo is taken for a missing server: %+v", f)
	}
}
