package stage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Hub is a running intercom-hub.
type Hub struct {
	*Process
	Addr    string // host:port
	Records string // folder of the call records
	Key     string // API key of the account "demo"
	CA      string // file with the authority of a hub with TLS

	dir, bin string
	within   []string
}

// HubSettings are what tests and the demo choose of a hub.
type HubSettings struct {
	TLS    []string // hosts for which it has an authority of its own; none for a hub without TLS
	Ring   time.Duration
	Listen string   // address and port; a free one on loopback when empty
	Extra  string   // more lines of the configuration
	Rules  string   // lines of the account's file
	Within []string // a command that runs the hub elsewhere, as in a namespace
}

// StartHub starts a hub with one account, demo, and its key. bin is the folder of the programs.
func StartHub(ctx context.Context, dir, bin string, set HubSettings) (*Hub, error) {
	if set.Listen == "" {
		free, err := Ports(1)
		if err != nil {
			return nil, err
		}
		set.Listen = fmt.Sprint("127.0.0.1:", free[0])
	}
	h := &Hub{Addr: set.Listen, Records: filepath.Join(dir, "hub", "calls"), dir: dir, bin: bin, within: set.Within}
	conf := fmt.Sprintf("listen = %q\naccounts = %q\nstate_dir = %q\nring_time = %q\n%s\n", h.Addr,
		filepath.Join(dir, "accounts"), filepath.Join(dir, "hub"), set.Ring, set.Extra)
	if len(set.TLS) > 0 {
		h.CA = filepath.Join(dir, "hub", "tls", "ca.pem")
		conf = "tls_private = true\n" + conf
	}
	if err := os.WriteFile(h.config(), []byte(conf), 0o600); err != nil {
		return nil, err
	}
	if len(set.TLS) > 0 {
		if err := os.MkdirAll(filepath.Join(dir, "hub"), 0o750); err != nil {
			return nil, err
		}
		if _, err := h.Command(ctx, "", "tls", "new", "-host", strings.Join(set.TLS, ",")); err != nil {
			return nil, err
		}
	}
	key, err := exec.CommandContext(ctx, filepath.Join(bin, "intercom-hub"), "key", "new", "-config", h.config(),
		"-account", "demo").Output()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	h.Key = strings.TrimSpace(string(key))
	if err := h.AddRules(set.Rules); err != nil {
		return nil, err
	}
	return h, h.Up(ctx)
}

// AddRules adds lines to the file of the account. A running hub goes by them within two seconds.
func (h *Hub) AddRules(lines string) error {
	f, err := os.OpenFile(filepath.Join(h.dir, "accounts", "demo.toml"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + lines + "\n")
	return errors.Join(err, f.Close())
}

// OpensDoors lets everybody open the doors of all, as far as the stations allow it too.
const OpensDoors = "[[may_open_door]]\nfrom = [\"*\"]\nto = [\"*\"]\n"

// Command runs intercom-hub with the hub's configuration, like Command(ctx, "", "key", "list", "-account", "demo"),
// gives it input, and gives what it prints; what it complains about is in the error.
func (h *Hub) Command(ctx context.Context, input string, args ...string) (string, error) {
	words := 1 // those before the flags
	for words < len(args) && !strings.HasPrefix(args[words], "-") {
		words++
	}
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, "intercom-hub"),
		slices.Concat(args[:words], []string{"-config", h.config()}, args[words:])...)
	cmd.Stdin = strings.NewReader(input)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("intercom-hub %s: %w: %s", strings.Join(args, " "), err,
			bytes.TrimSpace(complaint.Bytes()))
	}
	return out.String(), nil
}

// SetupURL is the link on which the first operator is made, as the hub wrote it to its log. Browsers keep the cookie,
// which wants TLS, from localhost without.
func (h *Hub) SetupURL() string {
	log, _ := os.ReadFile(h.Log)
	_, url, _ := strings.Cut(string(log), " url=")
	url, _, _ = strings.Cut(url, "\n")
	return strings.Replace(url, "127.0.0.1", "localhost", 1)
}

// Calls are the lines of the call records, the oldest first.
func (h *Hub) Calls() ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(h.Records, "calls-*.jsonl")) // not what stations noted
	var all []byte
	for _, f := range files {
		b, rerr := os.ReadFile(f)
		all, err = append(all, b...), errors.Join(err, rerr)
	}
	return all, err
}

func (h *Hub) config() string { return filepath.Join(h.dir, "hub.toml") }

// Up starts the hub's process, at first or again, and waits until it is ready.
func (h *Hub) Up(ctx context.Context) (err error) {
	if h.Process, err = startIn(h.within, h.dir, "hub", nil, filepath.Join(h.bin, "intercom-hub"), "-config",
		h.config()); err != nil {
		return err
	}
	return h.Wait(ctx, "it was ready", func() bool {
		if h.within != nil { // out of our reach: whether it listens
			host, port, _ := net.SplitHostPort(h.Addr)
			probe := append(slices.Clone(h.within), "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port)
			return exec.CommandContext(ctx, probe[0], probe[1:]...).Run() == nil
		}
		r, err := h.get("/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// get asks the hub, with trust in its own authority.
func (h *Hub) get(path string) (*http.Response, error) {
	if h.CA == "" {
		return http.Get("http://" + h.Addr + path)
	}
	pem, err := os.ReadFile(h.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12,
		RootCAs: roots}, DisableKeepAlives: true}}
	return c.Get("https://" + h.Addr + path)
}

// startIn starts a program, elsewhere if within says how.
func startIn(within []string, dir, name string, env []string, program string, args ...string) (*Process, error) {
	command := slices.Concat(within, []string{program}, args)
	return Start(dir, name, env, command[0], command[1:]...)
}

// Station is a running intercomd with the virtual buttons call, answer, hangup and toggle, and the LED status.
type Station struct {
	*Process
	CUID   string
	Socket string

	dir, bin string
	env      []string
	within   []string
	http     *http.Client
}

// Settings of a station that tests and the demo choose.
type Settings struct {
	CUID, Name, Context, To string
	Server, Sink, Source    string // sound; empty for what intercomd finds by itself
	Extra                   string // more lines of the configuration, in its last table
	Audio                   string // more lines of its table [audio]
	Call                    string // and of [call]
	Env                     []string
	Interfaces              []string // those for the voice; the loopback one when empty
	Within                  []string // a command that runs the station elsewhere, as in a namespace
}

// NewStation writes a station's configuration. Up starts it.
func NewStation(dir, bin string, h *Hub, s Settings) (*Station, error) {
	t := &Station{CUID: s.CUID, Socket: filepath.Join(dir, s.CUID+".sock"), dir: dir, bin: bin, env: s.Env,
		within: s.Within}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", t.Socket)
	}
	t.http = &http.Client{Transport: &http.Transport{DialContext: dial}}
	key := filepath.Join(dir, s.CUID+".key")
	if err := os.WriteFile(key, []byte(h.Key+"\n"), 0o600); err != nil {
		return nil, err
	}
	audio := s.Audio
	if !strings.Contains(audio, "echo") { // a null sink has none
		audio += "\necho = \"off\""
	}
	interfaces := s.Interfaces
	if len(interfaces) == 0 {
		interfaces = []string{"lo"}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "cuid = %q\nname = %q\ncontext = %q\nstate_dir = %q\ncontrol = %q\n\n", s.CUID, s.Name, s.Context,
		filepath.Join(dir, s.CUID), t.Socket)
	way := fmt.Sprintf("url = \"ws://%s/v1/ws\"\nallow_plain = true", h.Addr)
	if h.CA != "" {
		way = fmt.Sprintf("url = \"wss://%s/v1/ws\"\nca_file = %q", h.Addr, h.CA)
	}
	fmt.Fprintf(&b, "[hub]\n%s\naccount = \"demo\"\napikey_file = %q\n\n[call]\nto = %q\n%s\n\n", way, key,
		s.To, s.Call)
	fmt.Fprintf(&b, "[audio]\nserver = %q\nsinks = %s\nsources = %s\n%s\n\n[media]\ninterfaces = [%s]\n\n[gpio]\n"+
		"driver = \"virtual\"\n\n", s.Server, list(s.Sink), list(s.Source), audio,
		`"`+strings.Join(interfaces, `", "`)+`"`)
	for _, name := range []string{"call", "answer", "hangup", "toggle", "mute", "talk"} {
		fmt.Fprintf(&b, "[[button]]\nname = %q\naction = %q\n\n", name, name)
	}
	fmt.Fprintf(&b, "[[led]]\nname = \"status\"\n%s\n", s.Extra)
	return t, os.WriteFile(t.config(), b.Bytes(), 0o600)
}

// list is a list of one name in TOML, or of none.
func list(name string) string {
	if name == "" {
		return "[]"
	}
	return fmt.Sprintf("[%q]", name)
}

func (t *Station) config() string { return filepath.Join(t.dir, t.CUID+".toml") }

// Up starts the station's process, at first or again, and waits until it answers on its control socket.
func (t *Station) Up(ctx context.Context) (err error) {
	if t.Process, err = startIn(t.within, t.dir, t.CUID, t.env, filepath.Join(t.bin, "intercomd"), "-config",
		t.config()); err != nil {
		return err
	}
	return t.Wait(ctx, "it answered", func() bool { _, err := t.Status(ctx); return err == nil })
}

// Status is the station's status as it says it.
type Status struct {
	Health string
	Faults map[string]string
	Phase  string
	Peer   string
	Light  string
	Hub    struct{ Online bool }
	Sound  struct {
		Sink    string
		Echo    string
		MicOpen bool    `json:"mic_open"`
		MicDBFS float64 `json:"mic_dbfs"`
		SpkDBFS float64 `json:"speaker_dbfs"`
	}
	Quality *struct {
		Codec       string
		Route       string
		RoundTripMS float64 `json:"round_trip_ms"`
		DelayMS     float64 `json:"delay_ms"`
		Loss        float64
		Sending     struct {
			Copies  int
			FrameMS float64 `json:"frame_ms"`
		}
		Receiving struct {
			Received, Late int
			ConcealedMS    float64 `json:"concealed_ms"`
			DelayMS        float64 `json:"delay_ms"`
			DriftPPM       float64 `json:"drift_ppm"`
		}
	}
	Door         *struct{ Open bool } // nil without one
	Lines        map[string]bool
	RegisteredMS float64 `json:"registered_ms"`
}

// Status asks the station how it is.
func (t *Station) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, t.do(ctx, http.MethodGet, "status", nil, &s)
}

// Press holds a button for 60 ms; it returns when the button is down and up again.
func (t *Station) Press(ctx context.Context, button string) error {
	return t.do(ctx, http.MethodPost, "press", map[string]any{"button": button, "hold_ms": 60}, nil)
}

// Do posts one of call, answer, decline and hangup.
func (t *Station) Do(ctx context.Context, what string, body any) error {
	return t.do(ctx, http.MethodPost, what, body, nil)
}

func (t *Station) do(ctx context.Context, method, path string, body, into any) error {
	var b bytes.Buffer
	if body == nil {
		body = struct{}{}
	}
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://intercomd/v1/"+path, &b)
	if err != nil {
		return err
	}
	r, err := t.http.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", t.CUID, path, bytes.TrimSpace(text))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// Event is what a station says that happened.
type Event struct {
	At     time.Time
	Event  string
	Phase  string
	Call   string
	Peer   string
	Light  string
	Done   string // what became of a wish for a door
	Online *bool
	Result *struct{ Call, Status, Reason, By string }
}

// Events follows a station.
type Events struct {
	mu   sync.Mutex
	all  []Event
	news chan struct{}
	stop context.CancelFunc
	done chan struct{}
}

// Follow collects what the station says from now on, until Close.
func (t *Station) Follow(ctx context.Context) (*Events, error) {
	ctx, cancel := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://intercomd/v1/events", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	r, err := t.http.Do(req)
	if err != nil {
		cancel()
		return nil, err
	}
	e := &Events{news: make(chan struct{}, 1), stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		defer r.Body.Close()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			var one Event
			if json.Unmarshal(lines.Bytes(), &one) == nil {
				e.mu.Lock()
				e.all = append(e.all, one)
				e.mu.Unlock()
				select {
				case e.news <- struct{}{}:
				default:
				}
			}
		}
	}()
	return e, nil
}

// Close ends the following.
func (e *Events) Close() {
	e.stop()
	<-e.done
}

// Next waits for the first event that fits and takes it and all before it away.
func (e *Events) Next(ctx context.Context, what string, fits func(Event) bool) (Event, error) {
	for {
		e.mu.Lock()
		for i, one := range e.all {
			if fits(one) {
				e.all = e.all[i+1:]
				e.mu.Unlock()
				return one, nil
			}
		}
		seen := fmt.Sprintf("%+v", e.all)
		e.mu.Unlock()
		select {
		case <-e.news:
		case <-e.done:
			return Event{}, errors.New("the station ended before " + what)
		case <-ctx.Done():
			return Event{}, fmt.Errorf("%s did not happen in time; seen: %s", what, seen)
		}
	}
}

// Phase waits for a phase.
func (e *Events) Phase(ctx context.Context, phase string) (Event, error) {
	return e.Next(ctx, "the phase "+phase, func(one Event) bool { return one.Event == "state" && one.Phase == phase })
}

// Ended waits for the end of a call and gives its outcome.
func (e *Events) Ended(ctx context.Context) (Event, error) {
	return e.Next(ctx, "the end of a call", func(one Event) bool { return one.Event == "ended" })
}
