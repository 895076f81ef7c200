package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"intercom/internal/needs"
	"intercom/wire"
)

// program is the hub, built once for all tests, with the race detector where the tests have it.
var program string

// buildFlags are those of the tests themselves.
var buildFlags []string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "intercom-hub-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "intercom-hub")
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the hubs, which would else end a second late
	if out, err := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", program,
		"../intercom-hub")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func begin(t *testing.T, hubs int, withTLS bool) (context.Context, *cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	t.Cleanup(cancel)
	c, err := newCluster(ctx, t.TempDir(), program, hubs, withTLS, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.stop()
		for _, h := range c.hubs {
			if out := h.Tail(); strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic") {
				t.Errorf("%s:\n%s", h.Name, out)
			}
		}
	})
	return ctx, c
}

// The program as a user runs it, against a hub with TLS: all sign in, hold, call, and come back when the hub is killed.
func TestAsAUserRunsIt(t *testing.T) {
	needs.Time(t)
	ctx, c := begin(t, 1, true)
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-hub", target.URLs[0], "-apikey-file", filepath.Join(c.dir, "key"), "-ca-file",
		filepath.Join(c.dir, "cert.pem"), "-stations", "40", "-rate", "50", "-for", "1s", "-json", "-storm"}
	ended := make(chan int, 1)
	var out bytes.Buffer
	errs := &word{said: make(chan struct{})}
	go func() { ended <- run(ctx, args, &out, errs) }()
	errs.wait(ctx, t)
	_ = c.hubs[0].Signal(syscall.SIGKILL)
	<-c.hubs[0].Ended()
	if err := c.up(ctx, c.hubs[0]); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != 0 {
		t.Fatalf("exit status %d: %s", code, errs.String())
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil || f.Stations != 40 || f.Back <= 0 || f.Calls == nil ||
		f.Calls.Count == 0 || f.Calls.Ended["over/hangup"] != f.Calls.Count {
		t.Errorf("%v: %s", err, out.String())
	}
	list, err := exec.Command(program, "calls", "-config", c.hubs[0].conf, "-json", "-n", "1000").Output()
	if n := bytes.Count(list, []byte("\n")); err != nil || n != f.Calls.Count {
		t.Errorf("%d records of %d calls: %v", n, f.Calls.Count, err)
	}
}

// word is what the program says on its standard error, and when it waits for a hub to die.
type word struct {
	mu   sync.Mutex
	text strings.Builder
	once sync.Once
	said chan struct{}
}

func (w *word) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(b)
	if strings.Contains(w.text.String(), waiting) {
		w.once.Do(func() { close(w.said) })
	}
	return len(b), nil
}

func (w *word) String() string { w.mu.Lock(); defer w.mu.Unlock(); return w.text.String() }

func (w *word) wait(ctx context.Context, t *testing.T) {
	t.Helper()
	select {
	case <-w.said:
	case <-ctx.Done():
		t.Fatalf("not all stations signed in: %s", w)
	}
}

// Ten thousand devices lose their hub at once and come back with TLS. Both programs are built as users have them: the
// race detector's shadow of so many connections would be what is measured.
func TestTenThousandComeBack(t *testing.T) {
	needs.Time(t)
	const many = 10_000
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "../intercom-hub", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c, err := newCluster(ctx, t.TempDir(), filepath.Join(dir, "intercom-hub"), 1, true, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	load := exec.CommandContext(ctx, filepath.Join(dir, "intercom-load"), "-hub", target.URLs[0], "-apikey-file",
		filepath.Join(c.dir, "key"), "-ca-file", filepath.Join(c.dir, "cert.pem"),
		"-stations", fmt.Sprint(many), "-storm", "-json")
	var out bytes.Buffer
	errs := &word{said: make(chan struct{})}
	load.Stdout, load.Stderr = &out, errs
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- load.Wait() }()
	errs.wait(ctx, t) // the hub knows of the last one before that one does
	_ = c.hubs[0].Signal(syscall.SIGKILL)
	<-c.hubs[0].Ended()
	if err := c.up(ctx, c.hubs[0]); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil || f.Back <= 0 {
		t.Errorf("%v: %s", err, out.String())
	}
	t.Logf("all back after %.1f s", f.Back) // how fast is for the benchmark: storm_back_tls_s
}

// The API key is in the hello and in nothing else: no address, header, log, command line or environment, and no list.
func TestTheKeyStaysSecret(t *testing.T) {
	ctx, c := begin(t, 1, false)
	key, err := os.ReadFile(filepath.Join(c.dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	hub, err := url.Parse(strings.Replace(target.URLs[0], "ws:", "http:", 1))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	var mu sync.Mutex
	hub.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(hub)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen["the request"] += r.RequestURI + fmt.Sprint(r.Header)
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	defer s.Close()
	target.URLs = []string{strings.Replace(s.URL, "http:", "ws:", 1) + wire.Path}
	f := muster(ctx, target, "secretive", 2, target.spread)
	defer f.dismiss()
	if err := f.await(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if got := f.stations[0].call(ctx, f.stations[1].cuid).result.String(); got != "over/hangup" {
		t.Error(got)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", c.hubs[0].PID(), name))
		if err != nil {
			t.Fatal(err)
		}
		seen[name] = string(b)
	}
	list, err := exec.Command(program, "key", "list", "-config", c.hubs[0].conf, "-account", "demo").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen["key list"], seen["log"] = string(list), c.hubs[0].Tail()
	accounts, err := os.ReadFile(filepath.Join(c.dir, "accounts", "demo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	seen["the account's file"] = string(accounts)
	for where, text := range seen {
		if text == "" || strings.Contains(text, strings.TrimSpace(string(key))) {
			t.Errorf("%s has the key, or nothing at all: %s", where, text)
		}
	}
}

func TestWrongUse(t *testing.T) {
	for want, args := range map[int][]string{exUsage: {"-stations", "1"}, 1: {"-apikey-file", "/nowhere/key"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != want || errs.Len() == 0 {
			t.Errorf("%v: exit status %d, %s", args, code, errs.String())
		}
	}
}

// Three hubs with servers of their own: calls across them, one owner a cuid, nobody said to be offline who has just
// signed in, and a hub that dies. Each hub has every record.
func TestThreeHubs(t *testing.T) {
	needs.Time(t)
	ctx, c := begin(t, 3, false)
	if _, err := c.cross(ctx, time.Second); err != nil {
		t.Error(err)
	}
	if n, err := c.freshCalls(ctx, 40); n != 0 || err != nil {
		t.Errorf("%v of 40 that had just signed in were said to be offline; %v", n, err)
	}
	if n, err := c.race(ctx, 300); n != 0 || err != nil {
		t.Errorf("%v of 300 races for a cuid had not one winner; %v", n, err)
	}
	var all [3]string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		for i, h := range c.hubs {
			out, err := exec.Command(program, "calls", "-config", h.conf, "-csv", "-n", "10000").Output()
			if err != nil {
				t.Fatal(err)
			}
			all[i] = fmt.Sprint(bytes.Count(out, []byte("\n")) - 1)
		}
		if all[0] == all[1] && all[1] == all[2] && all[0] > "40" {
			break
		}
	}
	if all[0] != all[1] || all[1] != all[2] || all[0] == "0" {
		t.Errorf("the hubs have %v records", all)
	}
	if _, err := c.killOne(ctx, 30); err != nil {
		t.Error(err)
	}
}

// A client in another language, written by docs/protocol.md alone, takes a call and makes one.
func TestAClientInAnotherLanguage(t *testing.T) {
	needs.Programs(t, "python3")
	ctx, c := begin(t, 1, false)
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	client := func(out *bytes.Buffer, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, "/usr/bin/python3",
			append([]string{"../../docs/examples/client.py", target.URLs[0], "demo"}, args...)...)
		cmd.Env = append(os.Environ(), "APIKEY="+c.key.Reveal())
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatalf("%v; 'make deps-test' installs it", err)
		}
		return cmd
	}
	stations := func() string {
		out, err := exec.Command(program, "stations", "-config", c.hubs[0].conf).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	var taken, made bytes.Buffer
	callee := client(&taken, "kiosk_1")
	if err := c.devices(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if out := stations(); !strings.Contains(out, "kiosk_1") || !strings.Contains(out, "idle") ||
		!strings.Contains(out, "client.py") {
		t.Errorf("the stations are\n%s", out)
	}
	caller := client(&made, "kiosk_2", "kiosk_1")
	if err := errors.Join(caller.Wait(), callee.Wait()); err != nil {
		t.Fatal(err)
	}
	var result struct{ Status, Reason, From, To, By, Context string }
	if err := json.Unmarshal(made.Bytes(), &result); err != nil ||
		fmt.Sprint(result) != "{over hangup kiosk_2 kiosk_1 kiosk_1 From Python}" || taken.String() != made.String() {
		t.Errorf("%v\n%s%s", err, made.String(), taken.String())
	}
}

// It does not say its key where a redirect leads to.
func TestTheClientInAnotherLanguageFollowsNoRedirect(t *testing.T) {
	needs.Programs(t, "python3")
	var elsewhere atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer thief.Close()
	hub := httptest.NewServer(http.RedirectHandler("ws"+strings.TrimPrefix(thief.URL, "http")+"/v1/ws",
		http.StatusFound))
	defer hub.Close()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "../../docs/examples/client.py",
		"ws"+strings.TrimPrefix(hub.URL, "http")+"/v1/ws", "demo", "kiosk_1")
	cmd.Env = append(os.Environ(), "APIKEY=ik_secret")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "redirects") ||
		elsewhere.Load() != 0 {
		t.Errorf("%v, %d went elsewhere: %s", err, elsewhere.Load(), out)
	}
}
