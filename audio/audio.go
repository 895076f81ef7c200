// Package audio is the microphone and the loudspeaker of a station, as blocks of 10 ms, mono, 48 kHz, 16 bit, through
// PulseAudio or PipeWire's Pulse server.
//
// [Audio] is a part: Run finds the server, keeps playback running all the time (with silence, so that a sound is heard
// at once), makes the capture stream when it is asked for, and rebuilds each on its own when it breaks; it goes on
// without a server and comes back with it. Nobody is recorded before [Audio.Mic] says [Open], and the microphone's
// state is that of the stream, not of the call. The device's wiring imports it; only here is jfreymuth/pulse known, and
// of that only its proto package.
package audio

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"intercom/audio/codec"
	"intercom/internal/backoff"
)

// Settings say which devices to use; empty names are the server's defaults.
type Settings struct {
	App    string // shown in mixers
	Server string // "unix:/path", "tcp:host:port" or a path; empty to look for one
	Sink   string
	Source string
	Buffer time.Duration // of playback; the server may make it longer
	Block  time.Duration // of capture
}

// Goal is what is wanted of the microphone.
type Goal int32

// The goals.
const (
	Closed Goal = iota // no stream
	Armed              // a stream that records nothing yet (corked)
	Open               // recording
)

// Reader gives sound without end; it fills out and is called from one goroutine.
type Reader interface{ Read(out []int16) }

// Player gives a sound that may end; Read reports whether there is more.
type Player interface{ Read(out []int16) bool }

// Status is what the streams really are.
type Status struct {
	Server   string        `json:"server,omitempty"`
	Sink     string        `json:"sink,omitempty"`
	Source   string        `json:"source,omitempty"`
	Playback time.Duration `json:"playback_buffer"` // as achieved
	Capture  time.Duration `json:"capture_block"`   // as achieved
	MicOpen  bool          `json:"mic_open"`        // recording at this moment
	MicDBFS  float64       `json:"mic_dbfs"`        // level of the last frames, 0 is full scale
	SpkDBFS  float64       `json:"speaker_dbfs"`
	Rebuilt  int           `json:"streams_rebuilt"`
	Trouble  string        `json:"trouble,omitempty"` // what is wrong, for people
	Deaf     string        `json:"deaf,omitempty"`    // why nothing can be recorded
}

// Silence is the level of no sound at all.
const Silence = -96.0 // dBFS

// Audio is a station's sound.
type Audio struct {
	set     Settings
	log     *slog.Logger
	changed func()

	mu     sync.Mutex
	status Status
	tone   Player
	voice  Reader
	goal   Goal
	sink   func(frame []int16)
	poke   chan struct{} // the goal is another
	stir   chan struct{} // what is to be heard is another

	mic, spk atomic.Uint64 // levels, as bits of a float64
	bad      map[string]string
}

// New makes a station's sound.
func New(s Settings, log *slog.Logger) *Audio {
	a := &Audio{set: s, log: log, changed: func() {}, poke: make(chan struct{}, 1), stir: make(chan struct{}, 1), bad: map[string]string{"server": "not connected yet"}}
	a.level(&a.mic, nil)
	a.level(&a.spk, nil)
	return a
}

// OnChange has f called, on any goroutine, when the status is another. It must be set before Run, and return at once.
func (a *Audio) OnChange(f func()) { a.changed = f }

// Tone plays p until it ends, or another, or nil, takes its place.
func (a *Audio) Tone(p Player) {
	a.mu.Lock()
	a.tone = p
	a.mu.Unlock()
	poke(a.stir)
}

// Voice plays r beside the tone until another, or nil, takes its place.
func (a *Audio) Voice(r Reader) {
	a.mu.Lock()
	a.voice = r
	a.mu.Unlock()
	poke(a.stir)
}

// Mic sets what is wanted of the microphone, and who gets its frames. It does not wait. The frame is valid during the
// call only, which must not take longer than a frame lasts.
func (a *Audio) Mic(g Goal, sink func(frame []int16)) {
	a.mu.Lock()
	a.goal, a.sink = g, sink
	a.mu.Unlock()
	poke(a.poke)
	poke(a.stir)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// calm reports that nothing is to be heard or recorded, nor about to be.
func (a *Audio) calm() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tone == nil && a.voice == nil && a.goal == Closed
}

// Status is how the sound is.
func (a *Audio) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	s.MicDBFS, s.SpkDBFS = math.Float64frombits(a.mic.Load()), math.Float64frombits(a.spk.Load())
	if s.Deaf = a.bad["server"]; s.Deaf == "" {
		s.Deaf = a.bad["capture"]
	}
	for _, what := range []string{"server", "playback", "capture"} {
		if a.bad[what] != "" {
			s.Trouble = what + ": " + a.bad[what]
			break
		}
	}
	return s
}

// Run keeps the sound until ctx ends.
func (a *Audio) Run(ctx context.Context) error {
	b := backoff.Backoff{First: 100 * time.Millisecond, Base: 250 * time.Millisecond, Cap: 3 * time.Second, Health: 10 * time.Second}
	for {
		began := time.Now()
		err := a.session(ctx)
		a.update(func(s *Status) { *s = Status{Rebuilt: s.Rebuilt} })
		if ctx.Err() != nil {
			return nil
		}
		a.trouble("server", err)
		backoff.Sleep(ctx, b.Next(time.Since(began)))
	}
}

// session is one connection to a server, from its beginning to its end.
func (a *Audio) session(ctx context.Context) error {
	c, err := connect(ctx, a.set)
	if err != nil {
		return err
	}
	a.log.Info("sound server found", "server", c.name)
	a.trouble("server", nil)
	a.update(func(s *Status) { s.Server = c.name })
	ctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { a.keep(ctx, c, "playback", a.playback) })
	both.Go(func() { a.keep(ctx, c, "capture", a.capture) })
	select {
	case <-ctx.Done():
	case <-c.dead:
		err = errors.New("the connection to the sound server is gone")
	}
	cancel()
	c.net.Close()
	both.Wait()
	<-c.dead
	return err
}

// keep runs one direction again and again on a living connection; the other is not touched.
func (a *Audio) keep(ctx context.Context, c *conn, what string, run func(context.Context, *conn) error) {
	b := backoff.Backoff{First: 50 * time.Millisecond, Base: 250 * time.Millisecond, Cap: 3 * time.Second, Health: 10 * time.Second}
	for ctx.Err() == nil {
		began := time.Now()
		err := run(ctx, c)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			continue // ended as it was asked to
		}
		a.trouble(what, err)
		a.update(func(s *Status) { s.Rebuilt++ })
		backoff.Sleep(ctx, b.Next(time.Since(began)))
	}
	a.trouble(what, nil)
}

// trouble notes what is wrong with a part of the sound, or that nothing is; changes are logged and told.
func (a *Audio) trouble(what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	a.mu.Lock()
	was := a.bad[what]
	a.bad[what] = text
	a.mu.Unlock()
	if was == text {
		return
	}
	if err != nil {
		a.log.Warn("sound is degraded; trying again for ever", "what", what, "err", err)
	} else if was != "" && what != "server" {
		a.log.Info("sound is back", "what", what)
	}
	a.changed()
}

func (a *Audio) update(f func(*Status)) {
	a.mu.Lock()
	f(&a.status)
	a.mu.Unlock()
	a.changed()
}

// mix fills out with tone and voice.
func (a *Audio) mix(out, spare []int16) {
	a.mu.Lock()
	tone, voice := a.tone, a.voice
	a.mu.Unlock()
	clear(out)
	if voice != nil {
		voice.Read(out)
	}
	if tone != nil {
		spare = spare[:len(out)]
		if !tone.Read(spare) {
			a.mu.Lock()
			if a.tone == tone {
				a.tone = nil
			}
			a.mu.Unlock()
		}
		for i, v := range spare {
			out[i] = int16(max(-32768, min(32767, int(out[i])+int(v))))
		}
	}
	if tone != nil || voice != nil {
		a.level(&a.spk, out)
	} else if a.spk.Load() != quietBits {
		a.level(&a.spk, nil)
	}
}

var quietBits = math.Float64bits(Silence)

// level notes how loud a frame is, falling slowly so that a person can read it.
func (a *Audio) level(to *atomic.Uint64, frame []int16) {
	now := Silence
	if len(frame) > 0 {
		var sum float64
		for _, v := range frame {
			sum += float64(v) * float64(v)
		}
		now = max(Silence, 10*math.Log10(sum/float64(len(frame))/(32768*32768)+1e-12))
		now = max(now, math.Float64frombits(to.Load())-1)
	}
	to.Store(math.Float64bits(now))
}

// bytes in a length of time of our format.
func bytesIn(d time.Duration) int { return int(d*codec.Rate/time.Second) * 2 }

// lasting is the time that bytes of our format take.
func lasting(n int) time.Duration { return time.Duration(n/2) * time.Second / codec.Rate }
