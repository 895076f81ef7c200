package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// The end-to-end tests run the real programs on a real PulseAudio, built with the race detector where the tests are.
var (
	programs   string
	buildFlags []string
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if flag.Parse(); testing.Short() {
		fmt.Println("not in a quick run: end-to-end tests need programs and time")
		return 0
	}
	dir, err := os.MkdirTemp("", "intercom-programs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	os.Setenv("GORACE", "atexit_sleep_ms=0") // of the programs, which would else end a second late
	build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", dir+"/", "../intercomd",
		"../intercom-hub", "../intercomctl")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// The demo itself: four calls, with what is heard measured. Its figures are not judged here: machines are shared.
func TestFourCalls(t *testing.T) {
	var out bytes.Buffer
	if code := runOnce(t.Context(), t.TempDir(), programs, &out, io.Discard); code != 0 {
		t.Fatalf("exit status %d: %s", code, out.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || !r.OK || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("%v: %s", err, out.String())
	}
	if r.PressToRinging <= 0 || r.AnswerToSound <= 0 || r.MouthToEar.AB.Median <= 0 || r.MouthToEar.BA.Found == 0 {
		t.Errorf("a figure is missing: %s", out.String())
	}
	t.Log(out.String())
}

// play is a scene for a test, with what the stations say.
type stagePlay struct {
	*testing.T
	*scene
	door, desk *stage.Events
	ctx        context.Context
	dir        string
}

func begin(t *testing.T, ring time.Duration) *stagePlay { return beginOn(t, stage.StartSound, ring) }

func beginOn(t *testing.T, start stage.StartsSound, ring time.Duration) *stagePlay {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	p := &stagePlay{T: t, ctx: ctx, dir: t.TempDir()}
	var err error
	p.scene, err = open(ctx, p.dir, programs, start, ring)
	t.Cleanup(func() {
		if err := p.scene.close(); err != nil {
			t.Error(err)
		}
		if err != nil {
			return // not all of them were started
		}
		for _, s := range []*stage.Process{p.scene.door.Process, p.scene.reception.Process, p.scene.hub.Process} {
			// -1 is one that the test killed
			if code := s.ExitCode(); code > 0 || strings.Contains(s.Tail(), "DATA RACE") {
				t.Errorf("%s ended with status %d:\n%s", s.Name, code, s.Tail())
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p.door, p.desk = p.follow(p.scene.door), p.follow(p.scene.reception)
	return p
}

func (p *stagePlay) follow(s *stage.Station) *stage.Events {
	e, err := s.Follow(p.ctx)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(e.Close)
	return e
}

// must fails the test on an error.
func (p *stagePlay) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%v\nfront_door:\n%s\nreception:\n%s\nhub:\n%s", err, p.scene.door.Tail(), p.scene.reception.Tail(),
			p.hub.Tail())
	}
}

func (p *stagePlay) phase(e *stage.Events, phase string) {
	p.Helper()
	_, err := e.Phase(p.ctx, phase)
	p.must(err)
}

func (p *stagePlay) ended(e *stage.Events, want string) {
	p.Helper()
	one, err := e.Ended(p.ctx)
	p.must(err)
	if got := one.Result.Status + "/" + one.Result.Reason; got != want {
		p.Errorf("a call ended as %s, want %s", got, want)
	}
}

// until waits for a station's status.
func (p *stagePlay) until(t *stage.Station, what string, so func(stage.Status) bool) {
	p.Helper()
	p.must(t.Wait(p.ctx, what, func() bool { s, err := t.Status(p.ctx); return err == nil && so(s) }))
}

// talk makes a call from the door that reception answers.
func (p *stagePlay) talk() {
	p.Helper()
	p.must(p.scene.door.Press(p.ctx, "toggle"))
	p.phase(p.desk, "ringing")
	p.must(p.scene.reception.Press(p.ctx, "toggle"))
	p.phase(p.desk, "talking")
	p.phase(p.door, "talking")
}

func TestAStationStoppedInACall(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.talk()
	p.must(p.scene.reception.Process.Stop(5 * time.Second))
	p.ended(p.door, "over/shutdown")
	p.ended(p.desk, "over/shutdown")
}

func TestAStationKilledInACall(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.talk()
	p.must(p.scene.reception.Signal(syscall.SIGKILL))
	p.ended(p.door, "over/lost")
}

// The hub is stopped, or killed, and comes back: the call goes on all the time, the stations sign in again by
// themselves, and the new hub takes the call up and records its end, once.
func TestACallOutlivesItsHub(t *testing.T) {
	for name, end := range map[string]func(*stagePlay) error{
		"stopped": func(p *stagePlay) error { return p.hub.Process.Stop(8 * time.Second) },
		"killed":  func(p *stagePlay) error { return p.hub.Signal(syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			p := begin(t, 30*time.Second)
			p.talk()
			p.must(end(p))
			<-p.hub.Ended()
			p.until(p.scene.door, "it noticed that the hub is away", func(s stage.Status) bool { return !s.Hub.Online })
			p.must(p.hub.Up(p.ctx))
			for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
				p.until(s, "it was registered again", func(s stage.Status) bool { return s.Hub.Online })
				p.until(s, "it still talked", func(s stage.Status) bool {
					return s.Phase == "talking" && s.Sound.MicOpen
				})
			}
			p.must(p.scene.door.Press(p.ctx, "hangup"))
			p.ended(p.door, "over/hangup")
			p.ended(p.desk, "over/hangup")
			p.recorded("over/hangup")
		})
	}
}

// A call that ends while there is no hub is on record when it is back.
func TestACallThatEndsWhileTheHubIsAway(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.talk()
	p.must(p.hub.Signal(syscall.SIGKILL))
	<-p.hub.Ended()
	p.must(p.scene.reception.Press(p.ctx, "hangup"))
	p.ended(p.desk, "over/hangup")
	p.ended(p.door, "over/hangup") // it saw the path closed
	p.must(p.hub.Up(p.ctx))
	p.recorded("over/hangup")
}

// recorded waits until the hub's records are just these.
func (p *stagePlay) recorded(want ...string) {
	p.Helper()
	var got []string
	for p.ctx.Err() == nil {
		b, err := p.hub.Calls()
		p.must(err)
		got = nil
		for _, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
			var one struct{ Status, Reason string }
			if json.Unmarshal(line, &one) == nil {
				got = append(got, one.Status+"/"+one.Reason)
			}
		}
		if slices.Equal(got, want) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.Fatalf("the records are %v, want %v", got, want)
}

func TestAPressWhileTheHubIsAway(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.must(p.hub.Signal(syscall.SIGKILL))
	<-p.hub.Ended()
	p.until(p.scene.door, "its light said offline", func(s stage.Status) bool { return s.Light == "offline" })
	r, err := ear.Record(p.sound.Server, "door_spk.monitor")
	p.must(err)
	p.must(p.scene.door.Press(p.ctx, "toggle"))
	p.ended(p.door, "failed/network_lost")
	p.until(p.scene.door, "its light said so", func(s stage.Status) bool { return s.Light == "unreachable" })
	p.until(p.scene.door, "its light was back", func(s stage.Status) bool { return s.Light == "offline" })
	r.Stop()
	if !hears(r, 950) || !hears(r, 1400) || !hears(r, 1800) {
		t.Error("the tone for nobody reachable was not heard")
	}
	p.must(p.hub.Up(p.ctx))
	p.until(p.scene.door, "it was registered again", func(s stage.Status) bool {
		return s.Hub.Online && s.Light == "idle"
	})
}

// hears reports whether a tone is in a recording.
func hears(r *ear.Recorder, hz float64) bool {
	return ear.Onset(r, hz, ear.Began) >= 0
}

func TestTheSoundServerDiesInACallAndComesBack(t *testing.T) {
	t.Run("PulseAudio", func(t *testing.T) { soundDies(t, stage.StartSound) })
	t.Run("PipeWire", func(t *testing.T) { soundDies(t, stage.StartPipeWire) })
}

func soundDies(t *testing.T, start stage.StartsSound) {
	p := beginOn(t, start, 30*time.Second)
	p.talk()
	p.sound.Kill()
	for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
		p.until(s, "it said that its sound is gone", func(s stage.Status) bool {
			return s.Faults["audio"] != "" && !s.Sound.MicOpen
		})
	}
	again, err := start(p.ctx, p.dir, "door_mic", "door_spk", "reception_mic", "reception_spk")
	p.must(err)
	p.sound = again
	for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
		p.until(s, "its sound was back", func(s stage.Status) bool {
			return len(s.Faults) == 0 && s.Sound.MicOpen && s.Phase == "talking"
		})
	}
	steady, err := ear.Play(p.sound.Server, "reception_mic", ear.Steady(toneHz, 20*time.Second))
	p.must(err)
	defer steady.Stop()
	p.until(p.scene.door, "it heard the other side again", func(s stage.Status) bool { return s.Sound.SpkDBFS > -40 })
	p.must(p.scene.door.Press(p.ctx, "hangup"))
	p.ended(p.desk, "over/hangup")
}

func TestWithoutASoundServerCallsAreMadeAndRefusedWithTheirReason(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.must(p.sound.Stop(5 * time.Second))
	for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
		p.until(s, "it said that its sound is gone", func(s stage.Status) bool {
			return s.Faults["audio"] != "" && s.Light == "fault"
		})
	}
	p.must(p.scene.door.Press(p.ctx, "toggle"))
	p.phase(p.desk, "ringing")
	p.must(p.scene.reception.Press(p.ctx, "answer"))
	p.ended(p.desk, "declined/mic_unavailable")
	p.ended(p.door, "declined/mic_unavailable")
}

// Reception opens the door station's door in their call, and nobody else does, nor before the answer; it is on record.
func TestTheDoorIsOpenedInACall(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.must(p.hub.AddRules(stage.OpensDoors))
	p.must(p.hub.Signal(syscall.SIGHUP))
	gate, err := stage.NewStation(p.dir, programs, p.hub, stage.Settings{CUID: "garden_gate", Name: "Garden gate",
		Context: "Test", To: "reception", Server: p.sound.Server,
		Sink: "door_spk", Source: "door_mic.monitor", Extra: "[door]\nline = \"relay\"\nallow = [\"reception\"]\n"})
	p.must(err)
	p.must(gate.Up(p.ctx))
	t.Cleanup(func() { _ = gate.Stop(5 * time.Second) })
	p.until(gate, "it was registered", func(s stage.Status) bool { return s.Hub.Online })
	p.must(gate.Press(p.ctx, "toggle"))
	p.phase(p.desk, "ringing")
	if err := p.scene.reception.Do(p.ctx, "door", map[string]string{"do": "open"}); err == nil {
		t.Error("a door is opened before the answer")
	}
	p.must(p.scene.reception.Press(p.ctx, "toggle"))
	p.phase(p.desk, "talking")
	p.must(p.scene.reception.Do(p.ctx, "door", map[string]string{"do": "open"}))
	p.until(gate, "the relay was energised", func(s stage.Status) bool { return s.Lines["door"] })
	p.until(gate, "it was let go", func(s stage.Status) bool { return !s.Lines["door"] })
	notes, _ := filepath.Glob(filepath.Join(p.hub.Records, "notes-*.jsonl"))
	if len(notes) != 1 {
		t.Fatalf("the hub has written %q", notes)
	}
	b, err := os.ReadFile(notes[0])
	if err != nil || !strings.Contains(string(b), `"station":"garden_gate"`) ||
		!strings.Contains(string(b), `"who":"reception","why":"in a call","result":"opened"`) {
		t.Errorf("%v: %s", err, b)
	}
}

// At a real broker: a press is told, and what is written there is done.
func TestAStationAtABroker(t *testing.T) {
	p := begin(t, 30*time.Second)
	ports, err := stage.Ports(1)
	p.must(err)
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // where an ordinary user's path does not lead
	}
	broker, err := stage.Start(p.dir, "mosquitto", nil, program, "-p", fmt.Sprint(ports[0]))
	p.must(err)
	t.Cleanup(func() { _ = broker.Stop(5 * time.Second) })
	gate, err := stage.NewStation(p.dir, programs, p.hub, stage.Settings{CUID: "garden_gate", Name: "Garden gate",
		Context: "Test", To: "reception", Server: p.sound.Server,
		Sink: "door_spk", Source: "door_mic.monitor", Extra: fmt.Sprintf("[mqtt]\nurl = \"mqtt://127.0.0.1:%d\"\n",
			ports[0])})
	p.must(err)
	p.must(gate.Up(p.ctx))
	t.Cleanup(func() { _ = gate.Stop(5 * time.Second) })
	p.until(gate, "it was registered, and at the broker", func(s stage.Status) bool {
		return s.Hub.Online && s.Faults["mqtt"] == ""
	})
	read := func(what string) {
		t.Helper()
		for {
			out, err := exec.CommandContext(p.ctx, "mosquitto_sub", "-p", fmt.Sprint(ports[0]), "-t",
				"intercom/garden_gate/state", "-C", "1").CombinedOutput()
			if err != nil {
				t.Fatalf("%q was not told: %v: %s", what, err, out)
			}
			if strings.Contains(string(out), what) {
				return
			}
		}
	}
	read(`"healthy":true`)
	p.must(gate.Press(p.ctx, "call"))
	read(`"ringing":true`)
	p.must(p.scene.reception.Press(p.ctx, "toggle"))
	read(`"in_call":true`)
	out, err := exec.CommandContext(p.ctx, "mosquitto_pub", "-p", fmt.Sprint(ports[0]), "-t", "intercom/garden_gate/do",
		"-m", "hangup", "-q", "1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	read(`"phase":"idle"`)
}

// An administrator gives a station settings through the hub: checked there, signed, and laid over the station's files.
func TestSettingsFromTheHub(t *testing.T) {
	p := begin(t, 30*time.Second)
	file := func(name, text string) string {
		path := filepath.Join(p.dir, name)
		p.must(os.MkdirAll(filepath.Dir(path), 0o700))
		p.must(os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	hub := func(args ...string) (string, error) {
		args = append(args[:2:2], append([]string{"-config", filepath.Join(p.dir, "hub.toml")}, args[2:]...)...)
		out, err := exec.CommandContext(p.ctx, filepath.Join(programs, "intercom-hub"), args...).CombinedOutput()
		return string(out), err
	}
	key := filepath.Join(p.dir, "settings.key")
	said, err := hub("config", "key", "-out", key)
	if err != nil {
		t.Fatal(said)
	}
	_, public, _ := strings.Cut(said, ": ")
	gate, err := stage.NewStation(p.dir, programs, p.hub, stage.Settings{CUID: "garden_gate", Name: "Garden gate",
		Context: "Test", To: "reception", Server: p.sound.Server, Sink: "door_spk", Source: "door_mic.monitor"})
	p.must(err)
	file("garden_gate.toml.d/keys.toml", "[hub]\nsettings_keys = ["+strings.TrimSpace(public)+"]\n")
	push := func(key, text string) (string, error) {
		return hub("config", "push", "-account", "demo", "-cuid", "garden_gate", "-key", key, "-file",
			file("settings.toml", text))
	}

	// A bad one does not leave the hub.
	for text, want := range map[string]string{
		"[call]\nfrom = \"x\"\n":                         "settings.toml:2:1: call.from: is not a setting",
		"[audio]\nbitrate = 1\n":                         "audio.bitrate: is 1; it must be",
		"[hub]\nurl = \"wss://elsewhere.example.org\"\n": "hub can be set on the station only",
		"to = ": "is not TOML",
	} {
		if out, err := push(key, text); err == nil || !strings.Contains(out, want) {
			t.Errorf("%q is pushed: %v: %s", text, err, out)
		}
	}

	// What waits for a station that is away is given when it comes; part of a button, whose rest is in the station's
	// file, too.
	if out, err := push(key,
		"[call]\nto = \"front_door\"\n[[button]]\nname = \"toggle\"\ncontext = \"From the hub\"\n"); err != nil {
		t.Fatal(out)
	}
	p.must(gate.Up(p.ctx))
	t.Cleanup(func() { _ = gate.Stop(5 * time.Second) })
	holds := func() string {
		out, _ := exec.CommandContext(p.ctx, filepath.Join(programs, "intercomd"), "config", "show", "-origin",
			"-config", filepath.Join(p.dir, "garden_gate.toml")).CombinedOutput()
		return string(out)
	}
	p.until(gate, "it has the settings, and says what waits for a restart", func(s stage.Status) bool {
		return strings.Contains(s.Faults["configuration"], "button waits for a restart")
	})
	p.must(gate.Press(p.ctx, "call"))
	p.phase(p.door, "ringing")
	p.must(gate.Do(p.ctx, "hangup", nil))
	_ = gate.Stop(5 * time.Second)
	p.must(gate.Up(p.ctx))
	p.until(gate, "it runs with them", func(s stage.Status) bool {
		return s.Hub.Online && s.Faults["configuration"] == ""
	})
	if text := holds(); !strings.Contains(text, "settings ") || !strings.Contains(text, "From the hub") {
		t.Errorf("its configuration is\n%s", text)
	}

	// What another key signed is refused, and seen at the hub; the station stays registered, and it is over with that.
	other := filepath.Join(p.dir, "other.key")
	said, err = hub("config", "key", "-out", other)
	if err != nil {
		t.Fatal(said)
	}
	_, otherPublic, _ := strings.Cut(said, ": ")
	follow := p.follow(gate)
	refused := func() {
		t.Helper()
		p.until(gate, "it refuses them", func(s stage.Status) bool {
			return strings.Contains(s.Faults["settings"], "signed by none of hub.settings_keys")
		})
		p.until(gate, "the hub knows", func(stage.Status) bool {
			out, err := hub("config", "list", "-account", "demo")
			return err == nil && strings.Contains(out, "SETTINGS_REFUSED")
		})
	}
	// an undo by a wrong key is none
	for _, text := range []string{"[call]\nto = \"reception\"\n", "", "[call]\nto = \"front_door\"\n"} {
		if out, err := push(other, text); err != nil {
			t.Fatal(out)
		}
		refused()
	}
	p.must(gate.Press(p.ctx, "call")) // it is of use all the time, by what it had
	p.phase(p.door, "ringing")
	p.must(gate.Press(p.ctx, "hangup"))
	for {
		one, err := follow.Next(p.ctx, "the end of a call", func(e stage.Event) bool {
			return e.Event == "ended" || e.Online != nil && !*e.Online
		})
		if p.must(err); one.Event == "ended" {
			break
		}
		t.Error("it was not registered for a while")
	}
	if n := strings.Count(gate.Tail(), "SETTINGS_REFUSED"); n > 3 {
		t.Errorf("it has refused %d times", n)
	}
	// It remembers, also over a restart, and a key more in its files makes it ask again.
	_ = gate.Stop(5 * time.Second)
	p.must(gate.Up(p.ctx))
	refused()
	file("garden_gate.toml.d/more.toml", "[hub]\nsettings_keys = ["+strings.TrimSpace(otherPublic)+", "+
		strings.TrimSpace(public)+"]\n")
	p.must(gate.Do(p.ctx, "reload", nil))
	p.until(gate, "it takes what it refused", func(s stage.Status) bool {
		return s.Faults["settings"] == "" && strings.Contains(holds(), "to = \"front_door\"  # settings")
	})

	// Later ones that are good put it right.
	if out, err := push(key, ""); err != nil {
		t.Fatal(out)
	}
	p.until(gate, "it has given them back", func(s stage.Status) bool {
		return s.Faults["settings"] == "" && !strings.Contains(holds(), "# settings ")
	})
	if text := holds(); strings.Contains(text, "From the hub") {
		t.Errorf("its configuration is still\n%s", text)
	}
}

func TestBothCallEachOtherAtOnce(t *testing.T) {
	p := begin(t, 30*time.Second)
	go p.scene.door.Press(p.ctx, "call")
	p.must(p.scene.reception.Press(p.ctx, "call"))
	// One of the two rings at the other; whoever is called answers with the same button.
	p.must(p.scene.door.Wait(p.ctx, "one of them was called", func() bool {
		for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
			if st, err := s.Status(p.ctx); err == nil && st.Phase == "ringing" {
				return s.Press(p.ctx, "answer") == nil
			}
		}
		return false
	}))
	p.phase(p.door, "talking")
	p.phase(p.desk, "talking")
	p.must(p.scene.door.Press(p.ctx, "hangup"))
	_, err := p.desk.Next(p.ctx, "the end of the call", func(e stage.Event) bool {
		return e.Event == "ended" && e.Result.Status == "over"
	})
	p.must(err)
}

func TestTheCommandLine(t *testing.T) {
	p := begin(t, 30*time.Second)
	ctl := func(args ...string) (string, int) {
		cmd := exec.CommandContext(p.ctx, programs+"/intercomctl",
			append([]string{"-socket", p.scene.door.Socket}, args...)...)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	go func() {
		if _, err := p.desk.Phase(p.ctx, "ringing"); err == nil {
			_ = p.scene.reception.Do(p.ctx, "decline", nil)
		}
	}()
	out, code := ctl("call", "-context", "Delivery", "-wait")
	if code != 3 || !strings.Contains(out, "declined/declined") {
		t.Errorf("call -wait: exit status %d\n%s", code, out)
	}
	if out, code := ctl("call", "nobody_home", "-wait"); code != 4 ||
		!strings.Contains(out, "missed/offline (404: The receiver is offline") {
		t.Errorf("call nobody_home: exit status %d\n%s", code, out)
	}
	b, err := p.hub.Calls()
	p.must(err)
	if !strings.Contains(string(b), `"context":"Delivery"`) {
		t.Errorf("the context is not in the record:\n%s", b)
	}
}

// awayHub is a hub that was needed for its key and is stopped again.
func awayHub(ctx context.Context, t *testing.T, dir string) *stage.Hub {
	hub, err := stage.StartHub(ctx, dir, programs, stage.HubSettings{Ring: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Process.Stop(8 * time.Second); err != nil {
		t.Fatal(err)
	}
	return hub
}

func TestTheServiceManagerIsToldTheTruth(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	dir := t.TempDir()
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	hub := awayHub(ctx, t, dir)
	door, err := stage.NewStation(dir, programs, hub,
		stage.Settings{CUID: "front_door", Name: "Front door", Context: "Hello", To: "reception",
			Server: "unix:" + dir + "/none", Env: []string{"NOTIFY_SOCKET=" + dir + "/notify", "WATCHDOG_USEC=300000"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := door.Up(ctx); err != nil {
		t.Fatal(err)
	}
	told := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		for {
			_ = manager.SetReadDeadline(time.Now().Add(20 * time.Second))
			n, err := manager.Read(buf)
			if err != nil {
				t.Fatalf("it was not told %q: %v\n%s", want, err, door.Tail())
			}
			if strings.HasPrefix(string(buf[:n]), want) {
				return
			}
		}
	}
	told("READY=1") // without a hub and without sound: what is local has started
	told("STATUS=Idle; the hub is away: ")
	for range 5 { // the loss of the network does not starve the watchdog
		told("WATCHDOG=1")
	}
	file := filepath.Join(dir, "front_door.toml")
	for _, c := range []struct{ old, new, fault string }{ // read again
		{`context = "Hello"`, `context = "Good day"`, ""},
		{`to = "reception"`, `to = "a door"`, "ERR_INVALID_CALL_PARAMETERS"},
		{`to = "a door"`, `to = "reception"`, ""},
		{`name = "Front door"`, `name = "Side door"`, "what changed in name waits for a restart"},
	} {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), c.old) {
			t.Fatalf("no %s in the configuration: %v", c.old, err)
		}
		if err := os.WriteFile(file, []byte(strings.Replace(string(text), c.old, c.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := door.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		told("RELOADING=1\nMONOTONIC_USEC=")
		told("READY=1")
		if s, err := door.Status(ctx); err != nil || (s.Faults["configuration"] == "") != (c.fault == "") ||
			!strings.Contains(s.Faults["configuration"], c.fault) {
			t.Errorf("with %s: %q %v", c.new, s.Faults["configuration"], err)
		}
	}
	if err := door.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told("STOPPING=1")
	<-door.Ended()
	if door.ExitCode() != 0 {
		t.Errorf("exit status %d\n%s", door.ExitCode(), door.Tail())
	}
}

func TestStartingWithNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	dir := t.TempDir()
	hub := awayHub(ctx, t, dir)
	door, err := stage.NewStation(dir, programs, hub,
		stage.Settings{CUID: "front_door", Name: "Front door", Context: "Hello", To: "reception",
			Server: "unix:" + dir + "/pulse.sock", Sink: "door_spk", Source: "door_mic.monitor"})
	if err != nil {
		t.Fatal(err)
	}
	if err := door.Up(ctx); err != nil {
		t.Fatal(err)
	}
	p := &stagePlay{T: t, ctx: ctx, dir: dir, scene: &scene{hub: hub, door: door, reception: door}}
	defer func() {
		if err := door.Process.Stop(5 * time.Second); err != nil || door.ExitCode() != 0 {
			t.Errorf("%v: exit status %d\n%s", err, door.ExitCode(), door.Tail())
		}
	}()
	p.door = p.follow(door)
	p.until(door, "it lived on", func(s stage.Status) bool { return s.Light == "offline" && s.Faults["audio"] != "" })
	p.must(door.Press(ctx, "toggle"))
	p.ended(p.door, "failed/network_lost")
	p.until(door, "its light said so", func(s stage.Status) bool { return s.Light == "unreachable" })
	p.must(hub.Up(ctx))
	defer hub.Process.Stop(8 * time.Second)
	p.until(door, "it was registered", func(s stage.Status) bool { return s.Hub.Online })
	sound, err := stage.StartSound(ctx, dir, "door_mic", "door_spk")
	p.must(err)
	defer sound.Process.Stop(5 * time.Second)
	p.until(door, "its sound was there", func(s stage.Status) bool {
		return s.Health == "healthy" && s.Light == "idle"
	})
}

// A ringtone that is no sound at all: the station says so, and rings with the standard one.
func TestARingtoneThatIsBroken(t *testing.T) {
	p := begin(t, 30*time.Second)
	bad := filepath.Join(p.dir, "ring.wav")
	p.must(os.WriteFile(bad, []byte("<html>this is no sound</html>"), 0o600))
	side, err := stage.NewStation(p.dir, programs, p.hub,
		stage.Settings{CUID: "side_door", Name: "Side door", Context: "Test", To: "reception", Server: p.sound.Server,
			Sink: "reception_spk", Source: "reception_mic.monitor", Call: fmt.Sprintf("[tones]\nring = %q", bad)})
	p.must(err)
	p.must(side.Up(p.ctx))
	t.Cleanup(func() { _ = side.Stop(5 * time.Second) })
	p.until(side, "it said that the tone is broken", func(s stage.Status) bool {
		return s.Hub.Online && strings.Contains(s.Faults["tone ring"],
			"neither a WAV nor an Ogg Opus file; the standard one is used")
	})
	p.must(p.scene.door.Do(p.ctx, "call", map[string]any{"to": "side_door"}))
	p.until(side, "it rang all the same", func(s stage.Status) bool {
		return s.Phase == "ringing" && s.Sound.SpkDBFS > -40
	})
	p.must(p.scene.door.Press(p.ctx, "hangup"))
}

// A muted microphone is closed: the other side hears nothing, and hears again when it is opened.
func TestMuteInACall(t *testing.T) {
	p := begin(t, 30*time.Second)
	p.talk()
	steady, err := ear.Play(p.sound.Server, "reception_mic", ear.Steady(toneHz, 40*time.Second))
	p.must(err)
	defer steady.Stop()
	p.until(p.scene.door, "it heard the tone", func(s stage.Status) bool { return s.Sound.SpkDBFS > -30 })
	p.must(p.scene.reception.Do(p.ctx, "mute", map[string]any{"on": true}))
	p.until(p.scene.reception, "the microphone was closed", func(s stage.Status) bool { return !s.Sound.MicOpen })
	p.until(p.scene.door, "it was silent", func(s stage.Status) bool {
		return s.Sound.SpkDBFS < -60 && s.Phase == "talking"
	})
	p.must(p.scene.reception.Press(p.ctx, "mute"))
	p.until(p.scene.door, "it heard the tone again", func(s stage.Status) bool { return s.Sound.SpkDBFS > -30 })
	p.must(p.scene.reception.Press(p.ctx, "hangup"))
	p.ended(p.door, "over/hangup")
}
