// Package devicetest has doubles of what a device works with: a hub that never answers by itself, a media path and a
// sound that only write down what they are told. They are fakes, for tests of the owner loop in simulated time; the
// real things are tried by the end-to-end tests.
package devicetest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"intercom/call"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/wire"
)

// Tape is what happened, a line each, with the time since the tape began: "3s ring stops".
type Tape struct {
	Heard func() // called with each line, by who writes it; nil for nothing

	mu    sync.Mutex
	began time.Time
	lines []string
}

// NewTape begins a tape.
func NewTape() *Tape { return &Tape{began: time.Now()} }

// Addf writes a line.
func (t *Tape) Addf(format string, args ...any) {
	t.mu.Lock()
	t.lines = append(t.lines, time.Since(t.began).Round(time.Millisecond).String()+" "+fmt.Sprintf(format, args...))
	t.mu.Unlock()
	if t.Heard != nil {
		t.Heard()
	}
}

// Take gives the lines so far and begins anew.
func (t *Tape) Take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := slices.Clone(t.lines)
	t.lines = nil
	return lines
}

// Wire is a hub's line: it writes down what is sent. While Cut, nothing can be.
type Wire struct {
	*Tape
	Cut   bool
	State wire.Envelope // the latest word on how it is
	Last  wire.Envelope // what was sent last
	Sent  []wire.Envelope

	states atomic.Int64
}

// States is how often it was said how the station is.
func (w *Wire) States() int64 { return w.states.Load() }

// Send implements device.Wire.
func (w *Wire) Send(e wire.Envelope) bool {
	if w.Cut {
		return false
	}
	if e.T == wire.State { // how the station is, not what it does
		w.State = e
		w.states.Add(1)
		return true
	}
	w.Addf("sends %s", e.T)
	w.Last, w.Sent = e, append(w.Sent, e)
	return true
}

// Check implements device.Wire.
func (w *Wire) Check() { w.Addf("checks the link") }

// Media makes paths that write down what they are told. News, Voice and Servers are those of the last path; Opens,
// where there is one, is called when the voice of a path opens.
type Media struct {
	*Tape
	Opens   func()
	News    device.News
	Voice   setup.Mode
	Servers []wire.ICEServer
	Moved   bool // what paths say
}

// Path implements device.Media.
func (m *Media) Path(servers []wire.ICEServer, offer bool, voice setup.Mode, news device.News) device.Path {
	m.News, m.Voice, m.Servers = news, voice, servers
	if offer {
		m.Addf("media offers")
	} else {
		m.Addf("media waits for an offer")
	}
	return &path{m}
}

type path struct{ *Media }

func (p *path) Remote(sdp, _ string) { p.Addf("media gets %s", sdp) }
func (p *path) Candidate(c string)   { p.Addf("media gets %s", c) }
func (p *path) OpenVoice() {
	p.Addf("voice opens")
	if p.Opens != nil {
		p.Opens()
	}
}
func (p *path) Restart([]wire.ICEServer) { p.Addf("media restarts") }
func (p *path) Moved() bool              { return p.Media.Moved }
func (p *path) Close()                   { p.Addf("media closes") }
func (p *path) Quality() control.Quality { return control.Quality{} }

// Sound writes tones down. MicTrouble is what it says of the microphone.
type Sound struct {
	*Tape
	NoSpeaker  bool
	MicTrouble string
	Muted      bool
	MicOpen    bool
}

// Play implements device.Sound.
func (s *Sound) Play(t call.Tone) { s.Addf("plays %s", t) }

// Silence implements device.Sound; a silence is not written down.
func (s *Sound) Silence() {}

// Mute implements device.Sound.
func (s *Sound) Mute(on bool) { s.Muted = on; s.Addf("mute %v", on) }

// Volume implements device.Sound.
func (s *Sound) Volume(talk, ring int) { s.Addf("volume %d %d", talk, ring) }

// Test implements device.Sound.
func (s *Sound) Test(context.Context) (control.SelfTest, error) { return control.SelfTest{}, nil }

// Status implements device.Sound.
func (s *Sound) Status() control.SoundStatus {
	sink := "speaker"
	if s.NoSpeaker {
		sink = ""
	}
	return control.SoundStatus{Sink: sink, Muted: s.Muted, MicOpen: s.MicOpen, TalkVolume: 100, RingVolume: 100,
		MicTrouble: s.MicTrouble, Trouble: s.MicTrouble}
}

// Lamp remembers the pattern it shows. Shown is called with each; nil for nothing.
type Lamp struct {
	*Tape
	Shown func()
	now   atomic.Pointer[gpio.Pattern]
}

// Now is what it shows.
func (l *Lamp) Now() gpio.Pattern {
	if p := l.now.Load(); p != nil {
		return *p
	}
	return nil
}

// Show implements device.Lamp.
func (l *Lamp) Show(p gpio.Pattern) {
	l.now.Store(&p)
	if l.Shown != nil {
		l.Shown()
	}
}
