//go:build browser

package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"intercom/internal/stage"
)

// inside is set for the test that is in a network of its own.
const inside = "INTERCOM_INSIDE"

// elsewhere runs this test once more, in a network namespace.
func elsewhere(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--net", self, "-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=16m"}
	if os.Getuid() != 0 {
		args = append([]string{"--map-root-user"}, args...)
	}
	c := exec.CommandContext(t.Context(), "unshare", args...)
	c.Env = append(os.Environ(), inside+"=1")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}

// TestInBrowsers has the SDK and the pages used in real browsers, with a real hub, a real station and a real
// PulseAudio, whose null sinks are microphones and loudspeakers of both. The tests are in test/e2e; this is their
// stage.
func TestInBrowsers(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Parallel() // its network is its own
		elsewhere(t)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []string{"link set lo up", "link add voice0 type veth peer name voice1",
		"addr add 10.82.0.1/24 dev voice0", "link set voice0 up", "link set voice1 up",
		"route add default dev voice0"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v %s", args, err, out)
		}
	}
	must(stage.Settled())
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../cmd/intercomd",
		"../cmd/intercom-hub").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sound, err := stage.StartSound(ctx, dir, "door_mic", "door_spk", "web_mic", "web_spk", "web_ring", "web_mic2")
	must(err)
	defer func() { _ = sound.Stop(5 * time.Second) }()
	plug := func(name string) (module string, err error) { // browsers take no monitor of a sink for a microphone
		out, err := sound.Pactl("load-module", "module-remap-source", "master="+name+".monitor",
			"source_name="+name+"_in", "source_properties=device.description="+name)
		return strings.TrimSpace(out), err
	}
	_, err = plug("web_mic")
	must(err)
	second, err := plug("web_mic2")
	must(err)
	// Pages of another site, and what the tests do to the hub.
	var hub *stage.Hub
	control := http.NewServeMux()
	for path, do := range map[string]func() error{
		"POST /hub/kill":   func() error { _ = hub.Signal(syscall.SIGKILL); <-hub.Ended(); return nil },
		"POST /hub/freeze": func() error { return hub.Signal(syscall.SIGSTOP) },
		"POST /hub/thaw":   func() error { return hub.Signal(syscall.SIGCONT) },
		"POST /hub/up":     func() error { return hub.Up(ctx) },
		"POST /mic/unplug": func() error { _, err := sound.Pactl("unload-module", second); return err },
		"POST /mic/plug":   func() (err error) { second, err = plug("web_mic2"); return err },
	} {
		control.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := do(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	control.Handle("GET /", http.FileServer(http.Dir("test/pages")))
	// A network that is away for a while: what a machine says to itself goes over lo, also to voice0, with which
	// browsers think that they have a network.
	control.HandleFunc("POST /net/cut", func(_ http.ResponseWriter, r *http.Request) {
		d, err := time.ParseDuration(r.URL.Query().Get("for"))
		time.AfterFunc(200*time.Millisecond, func() { // when this is answered
			if err := errors.Join(err, exec.Command("ip", "link", "set", "lo", "down").Run()); err != nil {
				t.Error(err)
			}
			time.Sleep(d)
			if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
				t.Error(err)
			}
		})
	})
	control.HandleFunc("POST /net/lose", func(w http.ResponseWriter, r *http.Request) {
		rules := "add table inet lossy; flush table inet lossy; "
		if n, err := strconv.Atoi(r.URL.Query().Get("percent")); err != nil || n > 0 {
			rules += fmt.Sprintf("add chain inet lossy in { type filter hook input priority 0; }; add rule inet "+
				"lossy in meta l4proto udp numgen random mod 100 < %d drop", n)
		}
		if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
			http.Error(w, string(out), http.StatusInternalServerError)
		}
	})
	s := httptest.NewServer(control)
	defer s.Close()

	hub, err = stage.StartHub(ctx, dir, bin, stage.HubSettings{Ring: 30 * time.Second,
		Rules: "[[may_open_door]]\nfrom = [\"screens_web\", \"unlisted_web\", \"console_*\"]\nto = [\"front_door\"]\n",
		Extra: fmt.Sprintf(
			"origins = [%q]\n[turn]\nlisten = \"10.82.0.1:3478\"\npublic = \"10.82.0.1\"\nallow_private = true",
			s.URL)})
	must(err)
	defer func() { _ = hub.Stop(5 * time.Second) }()
	// without an operator, so with a set-up link
	fresh, err := stage.StartHub(ctx, t.TempDir(), bin, stage.HubSettings{Ring: 30 * time.Second})
	must(err)
	defer func() { _ = fresh.Stop(5 * time.Second) }()
	add := exec.Command(filepath.Join(bin, "intercom-hub"), "user", "add", "-config", filepath.Join(dir, "hub.toml"),
		"-account", "demo", "-name", "Anna", "-role", "administrator")
	add.Stdin = strings.NewReader("correct horse battery\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	accounts, err := os.OpenFile(filepath.Join(dir, "accounts", "demo.toml"), os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = accounts.WriteString("\n[[station]]\ncuid = \"garage_1\"\nsilent_after = \"30s\"\n")
	must(errors.Join(err, accounts.Close()))
	door, err := stage.NewStation(dir, bin, hub, stage.Settings{CUID: "front_door", Name: "Front door",
		Context: "Somebody is at the front door", To: "reception",
		Server: sound.Server, Sink: "door_spk", Source: "door_mic.monitor", Interfaces: []string{"voice0"},
		Extra: "[door]\nline = \"relay\"\npulse = \"1s\"\nallow = [\"screens_web\", \"barred_web\", \"console_*\"]\n" +
			"remote = [\"console_*\"]\n"})
	must(err)
	must(door.Up(ctx))
	defer func() { _ = door.Stop(5 * time.Second) }()

	// A house without a public name: a hub with an authority of its own, a station that trusts it, and a profile of a
	// browser that does. And a hub that somebody put into the network without TLS.
	house, err := os.MkdirTemp(dir, "house")
	must(err)
	free, err := stage.Ports(3)
	must(err)
	lan := func(port int) string { return fmt.Sprint("10.82.0.1:", port) }
	secure, err := stage.StartHub(ctx, house, bin, stage.HubSettings{Ring: 30 * time.Second, Listen: lan(free[0]),
		TLS: []string{"intercom.lan", "10.82.0.1"}, Extra: fmt.Sprintf("ca_listen = %q", lan(free[1]))})
	must(err)
	defer func() { _ = secure.Stop(5 * time.Second) }()
	_, err = secure.Command(ctx, "correct horse battery\n", "user", "add", "-account", "demo", "-name", "Anna", "-role",
		"administrator")
	must(err)
	gate, err := stage.NewStation(house, bin, secure,
		stage.Settings{CUID: "garden_gate", Name: "Garden gate", Context: "Somebody is at the gate", To: "reception",
			Server: sound.Server, Sink: "door_spk", Source: "door_mic.monitor", Interfaces: []string{"voice0"}})
	must(err)
	must(gate.Up(ctx))
	defer func() { _ = gate.Stop(5 * time.Second) }()
	// Somebody gives the station settings that are signed by a key which it does not know.
	forged := filepath.Join(house, "forged")
	must(os.WriteFile(forged+".toml", []byte("[call]\nto = \"night_desk\"\n"), 0o600))
	_, err = secure.Command(ctx, "", "config", "key", "-out", forged+".key")
	must(err)
	_, err = secure.Command(ctx, "", "config", "push", "-account", "demo", "-cuid", "garden_gate", "-key",
		forged+".key", "-file", forged+".toml")
	must(err)
	trusting := filepath.Join(house, "home")
	if out, err := exec.Command("bash", "-euc",
		`mkdir -p "$1/.pki/nssdb" && certutil -d "sql:$1/.pki/nssdb" -N --empty-password && certutil -d "sql:$1/.pki/nssdb" -A -t C,, -n intercom -i "$2"`, "-", trusting, secure.CA).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	plain, err := stage.StartHub(ctx, t.TempDir(), bin, stage.HubSettings{Ring: 30 * time.Second, Listen: lan(free[2]),
		Extra: "allow_plain = true"})
	must(err)
	defer func() { _ = plain.Stop(5 * time.Second) }()

	tests := []string{"test/e2e/*.test.js"}
	if only := os.Getenv("WEB_TEST"); only != "" {
		tests = []string{filepath.Join("test/e2e", only)}
	}
	args := []string{"--test", "--test-concurrency=1", "--test-reporter=spec"}
	if name := os.Getenv("WEB_NAME"); name != "" {
		args = append(args, "--test-name-pattern="+name)
	}
	node := exec.CommandContext(ctx, "node_modules/.bin/node", append(args, tests...)...)
	node.Env = append(os.Environ(), "HUB=http://"+hub.Addr, "KEY="+hub.Key, "PULSE_SERVER="+sound.Server,
		"SETUP="+fresh.SetupURL(), "DOOR="+door.Socket, "SITE="+s.URL, "RECORDS="+hub.Records,
		"SECURE="+secure.Addr, "CA_AT=http://"+lan(free[1]), "GATE="+gate.Socket, "TRUSTING="+trusting,
		"PLAIN=http://"+plain.Addr, "PLAIN_SETUP="+plain.SetupURL())
	out, err := node.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%s", err, out, fmt.Sprintf("hub: %s\ndoor: %s", hub.Tail(), door.Tail()))
	} else if testing.Verbose() {
		t.Logf("%s", out)
	}
}
