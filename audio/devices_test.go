package audio

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"intercom/audio/codec"
)

func (l *lab) pactl(args ...string) string {
	l.Helper()
	out, err := l.server.Pactl(args...)
	if err != nil {
		l.Fatalf("pactl %v: %v: %s", args, err, out)
	}
	return out
}

func TestPick(t *testing.T) {
	there := []string{"alsa_output.pci", "alsa_output.usb-Speaker.analog", "hdmi"}
	for _, c := range []struct {
		want string
		name string
		best bool
	}{{"alsa_output.usb-*", there[1], true}, {"nothing,hdmi", "hdmi", false}, {"nothing", "", false},
		{"*", there[0], true}, {"", "", false}} {
		if name, best := pick(strings.Split(c.want, ","), there); name != c.name || best != c.best {
			t.Errorf("%s: %s %v", c.want, name, best)
		}
	}
}

// The best device that is there is used, and a better one as soon as it comes, in a call too.
func TestABetterDeviceIsTakenWhenItComes(t *testing.T) {
	onEach(t, testABetterDeviceIsTakenWhenItComes)
}

func testABetterDeviceIsTakenWhenItComes(t *testing.T, inLab maker) {
	l := inLab(func(s *Settings) {
		s.Sinks = []string{"usb_*", "other"}
		s.Sources = []string{"usb_*.monitor", "room.monitor"}
	})
	l.Voice(&tone{})
	l.Mic(Open, l.ear.take)
	l.until("the second best", func() bool { s := l.Status(); return s.Sink == "other" && s.Source == "room.monitor" })
	if s := l.Status(); !strings.Contains(s.Trouble, "usb_") || s.Deaf != "" {
		t.Errorf("%+v", s)
	}
	module := l.pactl("load-module", "module-null-sink", "sink_name=usb_card", "rate=48000", "channels=1",
		"norewinds=1")
	l.until("the best", func() bool {
		s := l.Status()
		return s.Sink == "usb_card" && s.Source == "usb_card.monitor" && s.Trouble == ""
	})
	l.hears()
	l.pactl("unload-module", module)
	l.until("the second best again", func() bool {
		s := l.Status()
		return s.Sink == "other" && s.Source == "room.monitor"
	})
}

// One loudspeaker that is there does not hide that the other is not.
func TestALoudspeakerForRingingThatIsThereHidesNothing(t *testing.T) {
	onEach(t, testALoudspeakerForRingingThatIsThereHidesNothing)
}

func testALoudspeakerForRingingThatIsThereHidesNothing(t *testing.T, inLab maker) {
	l := inLab(func(s *Settings) { s.Sinks = []string{"nowhere"}; s.RingSinks = []string{"other"} })
	l.until("both are open", func() bool { return strings.Count(l.pactl("list", "short", "sink-inputs"), "\n") == 1 })
	l.until("the trouble is said", func() bool {
		return strings.HasPrefix(l.Status().Trouble, `loudspeaker: "nowhere" is not there`)
	})
}

func TestRingingHasALoudspeakerOfItsOwn(t *testing.T) { onEach(t, testRingingHasALoudspeakerOfItsOwn) }

func testRingingHasALoudspeakerOfItsOwn(t *testing.T, inLab maker) {
	l := inLab(func(s *Settings) {
		s.RingSinks = []string{"other"}
		s.Sources = []string{"other.monitor"}
		s.Ring = 50
	})
	l.Ring(endless{&tone{}})
	l.Mic(Open, l.ear.take)
	l.hears()
	loud := 20 * math.Log10(12000/32768.0/math.Sqrt2)
	l.until("it is 12 dB quieter", func() bool { return math.Abs(l.Status().MicDBFS-(loud-12)) < 1.5 })
	if s := l.Status(); s.SpkDBFS > -60 || s.Sink != "room" || s.Trouble != "" {
		t.Errorf("the other loudspeaker rings as well, or is not there: %+v", s)
	}
	l.Ring(nil)
	l.until("silence", func() bool { return l.Status().MicDBFS < -80 })
}

// endless is a tone that does not end.
type endless struct{ *tone }

func (e endless) Read(out []int16) bool { e.tone.Read(out); return true }

func TestMuteCloses(t *testing.T) { onEach(t, testMuteCloses) }

func testMuteCloses(t *testing.T, inLab maker) {
	l := inLab(nil)
	l.loop()
	l.Mute(true)
	l.until("the microphone is closed", func() bool { return !l.Status().MicOpen })
	if out := l.pactl("list", "source-outputs"); !strings.Contains(out, "Corked: yes") {
		t.Errorf("the server sees\n%s", out)
	}
	before, _ := l.ear.get()
	time.Sleep(100 * time.Millisecond) // in which ten blocks would come
	if now, _ := l.ear.get(); now != before {
		t.Errorf("%d blocks of a muted microphone", now-before)
	}
	l.Mute(false)
	l.hears()
}

// The canceller is between our streams and the devices, goes when we go, and what a life before ours left is taken
// away.
func TestEchoIsCancelled(t *testing.T) { onEach(t, testEchoIsCancelled) }

func testEchoIsCancelled(t *testing.T, inLab maker) {
	l := inLab(func(s *Settings) { s.Echo = EchoAuto; s.Sources = []string{"other.monitor"} })
	l.until("it is there", func() bool { return l.Status().Echo == "cancelled" })
	l.Voice(&tone{})
	l.Mic(Open, l.ear.take)
	l.until("our streams go through it", func() bool {
		s := l.Status()
		return s.Sink == echoSink && s.Source == echoSource
	})
	modules := func() int { return strings.Count(l.pactl("list", "short", "modules"), "module-echo-cancel") }
	l.stop()
	if n := modules(); n != 0 {
		t.Errorf("%d cancellers are left in the server", n)
	}
	l.pactl("load-module", "module-echo-cancel", "source_name="+echoSource, "sink_name="+echoSink,
		"source_master=other.monitor", "sink_master=room")
	again := New(l.set, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = again.Run(ctx) }()
	l.until("one canceller, ours", func() bool { return again.Status().Echo == "cancelled" && modules() == 1 })
	cancel()
	<-done
}

func TestHalfDuplex(t *testing.T) {
	var g gate
	g.mode.Store(gateHalf)
	pass := func(speaker float64) float64 {
		block := make([]int16, codec.Block)
		for i := range block {
			block[i] = 10000
		}
		g.pass(block, speaker)
		return float64(block[codec.Block-1]) / 10000
	}
	if pass(Silence) < 0.99 {
		t.Error("it is shut while the loudspeaker is silent")
	}
	if pass(-20) > 0.01 {
		t.Error("it is open while the loudspeaker speaks")
	}
	for i := range holdFor {
		if pass(-50) > 0.01 {
			t.Errorf("it opens %d blocks after the loudspeaker was loud", i+1)
		}
	}
	if pass(-50) > 0.01 {
		t.Error("it opens between the two levels")
	}
	if pass(-60); pass(-60) < 0.99 {
		t.Error("it stays shut")
	}
	g.mode.Store(gateOpen)
	if pass(-10); pass(-10) < 0.99 {
		t.Error("it is shut though it is off")
	}
}

// What a canceller leaves becomes quieter; who speaks here at the same time does not.
func TestTheRestOfAnEcho(t *testing.T) {
	var g gate
	g.mode.Store(gateRest)
	pass := func(speaker float64, level int16) float64 {
		block := make([]int16, codec.Block)
		for i := range block {
			block[i] = level
		}
		g.pass(block, speaker)
		return float64(block[codec.Block-1]) / float64(level)
	}
	const rest, voice = 200, 8000 // -44 and -12 dBFS
	if pass(Silence, rest) < 0.99 {
		t.Error("quiet sound is suppressed while the loudspeaker is silent")
	}
	if pass(-15, rest); pass(-15, rest) > 0.25 {
		t.Error("the rest of an echo is let through")
	}
	if pass(-15, voice); pass(-15, voice) < 0.99 {
		t.Error("a voice is suppressed")
	}
	if pass(-15, rest) < 0.99 {
		t.Error("a pause between two words is cut")
	}
	for range nearFor {
		pass(-15, rest)
	}
	if pass(-15, rest) > 0.25 {
		t.Error("the rest of an echo is let through after somebody spoke")
	}
}

func TestSelfTest(t *testing.T) { onEach(t, testSelfTest) }

func testSelfTest(t *testing.T, inLab maker) {
	l := inLab(nil)
	l.until("the loudspeaker", func() bool { return l.Status().Sink != "" })
	r, err := l.SelfTest(t.Context())
	if err != nil || !r.Heard || r.Problem != "" || r.Loss < -3 || r.Loss > 3 || r.RoundTrip <= 0 ||
		r.RoundTrip > 300*time.Millisecond {
		t.Errorf("a loudspeaker in the microphone: %+v %v", r, err)
	}
	if n := l.Status().Rebuilt; n > 0 {
		t.Errorf("%d streams were made anew", n)
	}
	l.Mute(true)
	if _, err := l.SelfTest(t.Context()); err == nil || !strings.Contains(err.Error(), "unmute") {
		t.Errorf("muted, it says %v", err)
	}
	l.until("the microphone is closed", func() bool { return !l.Status().MicOpen })
	l.Mute(false)
	if r, err := l.SelfTest(t.Context()); err != nil || !r.Heard {
		t.Errorf("after that: %+v %v", r, err)
	}
	l.loop()
	if _, err := l.SelfTest(t.Context()); err == nil {
		t.Error("it tests in a call")
	}
	half := inLab(func(s *Settings) { s.Echo = EchoHalf })
	half.until("the loudspeaker", func() bool { return half.Status().Sink != "" })
	if r, err := half.SelfTest(t.Context()); err != nil || !r.Heard || r.Problem != "" {
		t.Errorf("half duplex: %+v %v", r, err)
	}
	deaf := inLab(func(s *Settings) { s.Sources = []string{"other.monitor"} })
	deaf.until("the loudspeaker", func() bool { return deaf.Status().Sink != "" })
	if r, err := deaf.SelfTest(t.Context()); err != nil || r.Heard || !strings.Contains(r.Problem, "does not hear") {
		t.Errorf("a loudspeaker in another room: %+v %v", r, err)
	}
}
