package audio

import (
	"context"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"intercom/audio/codec"
	"intercom/internal/needs"
	"intercom/internal/stage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tone is a reader of a sine, and ear finds it again.
type tone struct{ at int }

func (t *tone) Read(out []int16) {
	for i := range out {
		out[i] = int16(12000 * math.Sin(2*math.Pi*1000*float64(t.at)/codec.Rate))
		t.at++
	}
}

type ear struct {
	mu     sync.Mutex
	frames int
	heard  int // frames in which the tone is
}

func (e *ear) take(frame []int16) {
	var re, im, all float64
	for i, v := range frame {
		a := 2 * math.Pi * 1000 * float64(i) / codec.Rate
		re += float64(v) * math.Cos(a)
		im += float64(v) * math.Sin(a)
		all += float64(v) * float64(v)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.frames++
	if tone := 2 * (re*re + im*im) / float64(len(frame)); all > 1e6 && tone/all > 0.9 {
		e.heard++
	}
}

func (e *ear) get() (frames, heard int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.frames, e.heard
}

// lab is a private sound server with the sinks "room" (its monitor is the microphone) and "other", and sound on it.
type lab struct {
	*Audio
	*testing.T
	start  stage.StartsSound
	server *stage.Sound
	dir    string
	ear    ear
	stop   func()
}

// maker makes a lab with other settings than the usual.
type maker func(change func(*Settings)) *lab

// onEach runs a test on PulseAudio and on PipeWire.
func onEach(t *testing.T, test func(*testing.T, maker)) {
	t.Run("PulseAudio", func(t *testing.T) {
		needs.Programs(t, "pulseaudio", "pactl")
		test(t, func(change func(*Settings)) *lab { return newLab(t, stage.StartSound, change) })
	})
	t.Run("PipeWire", func(t *testing.T) {
		needs.Programs(t, "dbus-daemon", "pipewire", "pipewire-pulse", "wireplumber", "pactl")
		test(t, func(change func(*Settings)) *lab { return newLab(t, stage.StartPipeWire, change) })
	})
}

// newLab is a lab on a sound server that start starts.
func newLab(t *testing.T, start stage.StartsSound, change func(s *Settings)) *lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	l := &lab{T: t, start: start, dir: t.TempDir()}
	l.up(ctx)
	set := Settings{App: "audio test", Server: l.server.Server, Sinks: []string{"room"},
		Sources: []string{"room.monitor"}, Buffer: 20 * time.Millisecond, Block: 10 * time.Millisecond}
	if change != nil {
		change(&set)
	}
	l.Audio = New(set, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	rctx, stop := context.WithCancel(t.Context())
	l.stop = func() { stop(); <-done }
	go func() { defer close(done); _ = l.Audio.Run(rctx) }()
	t.Cleanup(func() { l.stop(); _ = l.server.Stop(5 * time.Second) })
	return l
}

func (l *lab) up(ctx context.Context) {
	s, err := l.start(ctx, l.dir, "room", "other")
	if err != nil {
		l.Fatal(err)
	}
	l.server = s
}

// until waits for something to be so.
func (l *lab) until(what string, so func() bool) {
	l.Helper()
	for end := time.Now().Add(15 * time.Second); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			l.Fatalf("not within 15 s: %s; status %+v\n%s", what, l.Status(), l.server.Tail())
		}
	}
}

// loop opens the microphone and plays the tone, and waits until it is heard.
func (l *lab) loop() {
	l.Helper()
	l.Voice(&tone{})
	l.Mic(Open, l.ear.take)
	l.hears()
}

func (l *lab) hears() {
	l.Helper()
	_, before := l.ear.get()
	l.until("the tone in the microphone", func() bool { _, now := l.ear.get(); return now > before+10 })
}

func TestNothingIsRecordedBeforeTheMicrophoneIsOpen(t *testing.T) {
	onEach(t, testNothingIsRecordedBeforeTheMicrophoneIsOpen)
}

func testNothingIsRecordedBeforeTheMicrophoneIsOpen(t *testing.T, inLab maker) {
	l := inLab(nil)
	l.Mic(Armed, l.ear.take)
	l.until("a capture stream", func() bool { return l.Status().Source != "" })
	l.Voice(&tone{})
	l.until("playback", func() bool { return l.Status().SpkDBFS > -20 })
	if frames, _ := l.ear.get(); frames > 0 || l.Status().MicOpen {
		t.Fatalf("an armed microphone gave %d frames", frames)
	}
	out, _ := l.server.Pactl("list", "source-outputs")
	if !strings.Contains(out, "Corked: yes") {
		t.Errorf("the server sees\n%s", out)
	}
	l.loop()
	if s := l.Status(); !s.MicOpen || s.MicDBFS < -20 || s.Trouble != "" {
		t.Errorf("%+v", s)
	}
	l.Mic(Closed, nil)
	l.until("no stream", func() bool { out, _ := l.server.Pactl("list", "short", "source-outputs"); return out == "" })
	if l.Status().MicOpen {
		t.Error("the status says open")
	}
}

func TestASoundServerThatDiesAndComesBack(t *testing.T) {
	onEach(t, testASoundServerThatDiesAndComesBack)
}

func testASoundServerThatDiesAndComesBack(t *testing.T, inLab maker) {
	l := inLab(nil)
	l.loop()
	l.server.Kill()
	l.until("trouble", func() bool { return strings.HasPrefix(l.Status().Trouble, "server: ") })
	if l.Status().MicOpen {
		t.Error("the microphone counts as open without a server")
	}
	l.up(t.Context())
	l.hears()
	if s := l.Status(); s.Trouble != "" || !s.MicOpen {
		t.Errorf("%+v", s)
	}
}

func TestAFrozenSoundServer(t *testing.T) { onEach(t, testAFrozenSoundServer) }

func testAFrozenSoundServer(t *testing.T, inLab maker) {
	l := inLab(nil)
	l.loop()
	_ = l.server.Signal(syscall.SIGSTOP)
	l.until("the loss is noticed", func() bool { return l.Status().Trouble != "" })
	_ = l.server.Signal(syscall.SIGCONT)
	l.hears()
}

func TestADeviceThatGoesEndsItsOwnDirectionOnly(t *testing.T) {
	onEach(t, testADeviceThatGoesEndsItsOwnDirectionOnly)
}

func testADeviceThatGoesEndsItsOwnDirectionOnly(t *testing.T, inLab maker) {
	l := inLab(func(s *Settings) { s.Sources = []string{"other.monitor"} })
	l.loopOther()
	out, _ := l.server.Pactl("list", "short", "modules")
	module := ""
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "sink_name=other") {
			module = strings.Fields(line)[0]
		}
	}
	if out, err := l.server.Pactl("unload-module", module); err != nil {
		t.Fatal(out)
	}
	l.until("another microphone is used, and said", func() bool {
		return strings.HasPrefix(l.Status().Trouble, `microphone: "other.monitor" is not there`)
	})
	if s := l.Status(); s.SpkDBFS < -20 || s.Sink != "room" {
		t.Errorf("the other direction: %+v", s)
	}
	if out, err := l.server.Pactl("load-module", "module-null-sink", "sink_name=other", "rate=48000", "channels=1",
		"norewinds=1"); err != nil {
		t.Fatal(out)
	}
	l.until("its own microphone again", func() bool {
		s := l.Status()
		return s.Source == "other.monitor" && s.Trouble == ""
	})
	before, _ := l.ear.get()
	l.until("frames again", func() bool { now, _ := l.ear.get(); return now > before+10 })
}

func (l *lab) loopOther() {
	l.Voice(&tone{})
	l.Mic(Open, l.ear.take)
	l.until("frames", func() bool { n, _ := l.ear.get(); return n > 10 })
}

func TestAServerThatHangsUpDuringTheGreeting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rude.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	defer ln.Close()
	for range 20 {
		if _, err := connect(t.Context(), Settings{Server: path}); err == nil {
			t.Fatal("a server that hung up was taken")
		}
	}
}

func TestNoServerSaysWhatToDo(t *testing.T) {
	_, err := connect(t.Context(), Settings{Server: "unix:/nowhere/native"})
	if err == nil || !strings.Contains(err.Error(), "start PulseAudio") ||
		!strings.Contains(err.Error(), "/nowhere/native") {
		t.Fatal(err)
	}
}

// A socket that belongs to another user is named, with what to do about it.
func TestASocketThatIsNotPermitted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "native")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	done := make(chan error)
	go func() {
		// and never unlocked: the thread, which is another user's to the file system, ends with us
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		} else if err := os.Chmod(path, 0); err != nil {
			done <- err
			return
		}
		_, err := connect(t.Context(), Settings{Server: path})
		done <- err
	}()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "permission denied") ||
		!strings.Contains(err.Error(), "run as that user") {
		t.Fatal(err)
	}
}
