// Package audio is the microphone and the loudspeakers of a station, as blocks of 10 ms, mono, 48 kHz, 16 bit, through
// PulseAudio or PipeWire's Pulse server.
//
// [Audio] is a part: Run finds the server, keeps playback running all the time (with silence, so that a sound is heard
// at once), makes the capture stream when it is asked for, and rebuilds each on its own when it breaks; it goes on
// without a server and comes back with it. Nobody is recorded before [Audio.Mic] says [Open], and the microphone's
// state is that of the stream, not of the call. The device's wiring imports it; only here is jfreymuth/pulse known, and
// of that only its proto package.
package audio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"intercom/audio/codec"
	"intercom/internal/backoff"
	"intercom/internal/event"
)

// Settings say which devices to use, and how.
type Settings struct {
	App    string // shown in mixers
	Server string // "unix:/path", "tcp:host:port" or a path; empty to look for one

	// Names of devices, or patterns with * and ?, the best first; empty for the server's default. When a better one
	// comes, it is taken, also in a call; when none is there, the default.
	Sinks, Sources []string
	RingSinks      []string // a loudspeaker of its own for ringing; empty for the same

	Echo   Echo
	Buffer time.Duration // of playback; the server may make it longer
	Block  time.Duration // of capture
	Talk   int           // volume of voices and tones, percent; 0 counts as 100
	Ring   int           // volume of ringing, percent; 0 counts as 100
}

// Echo says how the microphone is kept from hearing the loudspeaker.
type Echo string

// The ways.
const (
	EchoAuto Echo = "auto" // cancelled by the sound server; half duplex where it cannot
	EchoHalf Echo = "half_duplex"
	EchoOff  Echo = "off" // for headsets and handsets
)

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

// Part is something that the sound needs.
type Part string

// The parts.
const (
	Server          Part = "server"
	Playback        Part = "playback" // the loudspeaker's stream
	Capture         Part = "capture"  // the microphone's stream
	Ringing         Part = "ring"     // the stream of the loudspeaker for ringing
	Loudspeaker     Part = "loudspeaker"
	RingLoudspeaker Part = "loudspeaker for ringing"
	Microphone      Part = "microphone"
	EchoCanceller   Part = "echo"
)

// Parts returns all of them, the one to mend first where several are broken.
func Parts() []Part {
	return []Part{Server, Playback, Capture, Ringing, Loudspeaker, RingLoudspeaker, Microphone, EchoCanceller}
}

// Status is what the streams really are.
type Status struct {
	Server   string        `json:"server,omitempty"`
	Sink     string        `json:"sink,omitempty"`
	Source   string        `json:"source,omitempty"`
	Playback time.Duration `json:"playback_buffer"` // as achieved; what was asked for is in Settings
	Capture  time.Duration `json:"capture_block"`   // as achieved
	MicOpen  bool          `json:"mic_open"`        // recording at this moment
	MicDBFS  float64       `json:"mic_dbfs"`        // level of the last frames, 0 is full scale
	SpkDBFS  float64       `json:"speaker_dbfs"`
	Rebuilt  int           `json:"streams_rebuilt"`
	Starved  int           `json:"underflows"` // times that a loudspeaker had nothing to play
	Spilled  int           `json:"overflows"`  // times that more came than fits
	Muted    bool          `json:"muted"`
	Talk     int           `json:"talk_volume"` // percent
	Ring     int           `json:"ring_volume"`
	Echo     string        `json:"echo"`               // cancelled, half duplex, or off
	Realtime string        `json:"realtime,omitempty"` // why there is no real-time priority; empty for it is there
	Broken   Part          `json:"broken,omitempty"`   // the part that Trouble is about
	Trouble  string        `json:"trouble,omitempty"`  // what is wrong, for people
	Deaf     string        `json:"deaf,omitempty"`     // why nothing can be recorded
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
	outs   []*output // the loudspeaker, and another for ringing where one is set
	conn   *conn     // nil while there is none
	goal   Goal
	muted  bool
	sink   func(block []int16)
	poke   chan struct{} // what is wanted of the microphone is another
	ec     *canceller    // nil while there is none
	bypass bool          // for a self-test: listen to the microphone itself

	mic, spk atomic.Uint64 // levels, as bits of a float64
	gate     gate
	testing  atomic.Bool
	beat     atomic.Int64 // when playback, or the search for a server, last went round, in nanoseconds since the epoch
	bad      map[Part]string
}

// output is one loudspeaker, and what is to be heard from it. Audio's lock guards the latter.
type output struct {
	what  Part // Playback or Ringing
	stir  chan struct{}
	tone  Player
	loud  func() float64 // the tone's volume, 0 to 1
	voice Reader
}

// New makes a station's sound.
func New(s Settings, log *slog.Logger) *Audio {
	a := &Audio{set: s, log: log, changed: func() {}, poke: make(chan struct{}, 1),
		bad: map[Part]string{Server: "not connected yet"}}
	a.outs = []*output{{what: Playback, stir: make(chan struct{}, 1)}}
	if len(s.RingSinks) > 0 {
		a.outs = append(a.outs, &output{what: Ringing, stir: make(chan struct{}, 1)})
	}
	a.status.Talk, a.status.Ring = cmp.Or(s.Talk, 100), cmp.Or(s.Ring, 100)
	a.level(&a.mic, nil)
	a.level(&a.spk, nil)
	return a
}

// OnChange has f called, on any goroutine, when the status is another. It must be set before Run, and return at once.
func (a *Audio) OnChange(f func()) { a.changed = f }

// Tone plays p until it ends, or another, or nil, takes its place.
func (a *Audio) Tone(p Player) { a.play(a.outs[0], p, a.talkVolume) }

// Ring plays p where ringing is to be heard, at its volume. nil ends it.
func (a *Audio) Ring(p Player) { a.play(a.outs[len(a.outs)-1], p, a.ringVolume) }

func (a *Audio) play(o *output, p Player, loud func() float64) {
	a.mu.Lock()
	o.tone, o.loud = p, loud
	a.mu.Unlock()
	poke(o.stir)
}

// Voice plays r beside the tone until another, or nil, takes its place.
func (a *Audio) Voice(r Reader) {
	a.mu.Lock()
	a.outs[0].voice = r
	a.mu.Unlock()
	poke(a.outs[0].stir)
}

// Volume sets how loud voices and tones are, and ringing, in percent: 0 to 150.
func (a *Audio) Volume(talk, ring int) {
	a.update(func(s *Status) { s.Talk, s.Ring = max(0, min(150, talk)), max(0, min(150, ring)) })
}

// talkVolume and ringVolume are factors for samples. Half of the volume is a quarter of the amplitude, which is heard
// as about half. The lock is held.
func (a *Audio) talkVolume() float64 { return gain(a.status.Talk) }
func (a *Audio) ringVolume() float64 { return gain(a.status.Ring) }

func gain(percent int) float64 { return float64(percent) / 100 * float64(percent) / 100 }

// Mute closes the microphone's stream, whatever the call wants, until it is taken back: nothing is recorded.
func (a *Audio) Mute(on bool) {
	a.mu.Lock()
	a.muted = on
	a.mu.Unlock()
	a.update(func(s *Status) { s.Muted = on })
	poke(a.poke)
}

// Mic sets what is wanted of the microphone, and who gets its blocks of 10 ms. It does not wait. A block is valid
// during the call only, which must not take longer than it lasts.
func (a *Audio) Mic(g Goal, sink func(block []int16)) {
	a.mu.Lock()
	a.goal, a.sink = g, sink
	a.mu.Unlock()
	poke(a.poke)
	poke(a.outs[0].stir)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// calm reports that nothing is to be heard from a loudspeaker, nor about to be.
func (a *Audio) calm(o *output) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return o.tone == nil && o.voice == nil && (a.goal == Closed || o != a.outs[0])
}

// Status is how the sound is.
func (a *Audio) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.status
	if a.conn != nil {
		s.Starved, s.Spilled = int(a.conn.starved.Load()), int(a.conn.spilled.Load())
	}
	s.MicDBFS, s.SpkDBFS = math.Float64frombits(a.mic.Load()), math.Float64frombits(a.spk.Load())
	if s.Deaf = a.bad[Server]; s.Deaf == "" {
		s.Deaf = a.bad[Capture]
	}
	for _, what := range Parts() {
		if a.bad[what] != "" {
			s.Broken, s.Trouble = what, string(what)+": "+a.bad[what]
			break
		}
	}
	return s
}

// Run keeps the sound until ctx ends.
func (a *Audio) Run(ctx context.Context) error {
	if err := realtime(); err != nil {
		a.update(func(s *Status) { s.Realtime = err.Error() })
	}
	b := backoff.Backoff{First: 100 * time.Millisecond, Base: 250 * time.Millisecond, Cap: 3 * time.Second,
		Health: 10 * time.Second}
	defer a.beat.Store(0)
	for {
		began := time.Now()
		a.beat.Store(began.UnixNano())
		err := a.session(ctx)
		a.update(func(s *Status) {
			*s = Status{Rebuilt: s.Rebuilt, Muted: s.Muted, Talk: s.Talk, Ring: s.Ring, Realtime: s.Realtime}
		})
		if ctx.Err() != nil {
			return nil
		}
		a.trouble(Server, err)
		backoff.Sleep(ctx, b.Next(time.Since(began)))
	}
}

var errGone = errors.New("the connection to the sound server is gone")

// mostSilent is how long it may take from one beat to the next: what a dead server costs in waiting, and then some.
const mostSilent = 20 * time.Second

// Alive is nil while the sound makes progress, with a server or without one.
func (a *Audio) Alive() error {
	if at := a.beat.Load(); at != 0 && time.Since(time.Unix(0, at)) > mostSilent {
		return fmt.Errorf("nothing moves since %v", mostSilent)
	}
	return nil
}

// session is one connection to a server, from its beginning to its end.
func (a *Audio) session(ctx context.Context) error {
	c, err := connect(ctx, a.set)
	if err != nil {
		return err
	}
	// The microphone's samples have a connection of their own: PipeWire's Pulse server sends none while a request for
	// playback waits on the same one, and came up to two seconds late with them (0.3.65, measured).
	mic := c
	if c.isPipeWire() {
		if mic, err = dial(ctx, c.name, a.set.App); err != nil {
			c.close()
			return err
		}
	}
	a.log.Info(event.SoundServerFound, event.Part("audio"), "server", c.name)
	a.trouble(Server, nil)
	a.update(func(s *Status) { s.Server, a.conn = c.name, c })
	defer a.update(func(*Status) { a.conn = nil })
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for _, o := range a.outs {
		all.Go(func() {
			a.keep(ctx, c, o.what, func(ctx context.Context, c *conn) error { return a.playback(ctx, c, o) })
		})
	}
	all.Go(func() {
		a.keep(ctx, c, Capture, func(ctx context.Context, c *conn) error { return a.capture(ctx, c, mic) })
	})
	all.Go(func() { a.cancelEcho(ctx, c) })
	select {
	case <-ctx.Done():
	case <-c.dead:
		err = errGone
	case <-mic.dead:
		err = errGone
	}
	cancel()
	// what was loaded into the server is taken out first
	late := time.AfterFunc(goodbyeTime, func() { c.net.Close(); mic.net.Close() })
	all.Wait()
	late.Stop()
	c.close()
	if mic != c {
		mic.close()
	}
	return err
}

// keep runs one direction again and again on a living connection; the other is not touched.
func (a *Audio) keep(ctx context.Context, c *conn, what Part, run func(context.Context, *conn) error) {
	b := backoff.Backoff{First: 50 * time.Millisecond, Base: 250 * time.Millisecond, Cap: 3 * time.Second,
		Health: 10 * time.Second}
	for ctx.Err() == nil {
		began := time.Now()
		a.beat.Store(began.UnixNano())
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
func (a *Audio) trouble(what Part, err error) {
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
		a.log.Warn(event.SoundDegraded, event.Part("audio"), "what", string(what), "err", err)
	} else if was != "" && what != Server {
		a.log.Info(event.SoundBack, event.Part("audio"), "what", string(what))
	}
	a.changed()
}

func (a *Audio) update(f func(*Status)) {
	a.mu.Lock()
	f(&a.status)
	a.mu.Unlock()
	a.changed()
}

// mix fills out with what a loudspeaker is to give.
func (a *Audio) mix(o *output, out, spare []int16) {
	a.mu.Lock()
	tone, voice, talk, loud := o.tone, o.voice, a.talkVolume(), 1.0
	if o.loud != nil {
		loud = o.loud()
	}
	a.mu.Unlock()
	clear(out)
	if voice != nil {
		voice.Read(out)
		amplify(out, talk)
	}
	if tone != nil {
		spare = spare[:len(out)]
		if !tone.Read(spare) {
			a.mu.Lock()
			if o.tone == tone {
				o.tone = nil
			}
			a.mu.Unlock()
		}
		amplify(spare, loud)
		for i, v := range spare {
			out[i] = int16(max(-32768, min(32767, int(out[i])+int(v))))
		}
	}
	if o != a.outs[0] {
		return
	}
	if tone != nil || voice != nil {
		a.level(&a.spk, out)
	} else if a.spk.Load() != quietBits {
		a.level(&a.spk, nil)
	}
}

func amplify(x []int16, by float64) {
	if by == 1 {
		return
	}
	for i, v := range x {
		x[i] = int16(max(-32768, min(32767, float64(v)*by)))
	}
}

var quietBits = math.Float64bits(Silence)

// level notes how loud a frame is, falling slowly so that a person can read it.
func (a *Audio) level(to *atomic.Uint64, frame []int16) {
	now := Silence
	if len(frame) > 0 {
		now = max(loudness(frame), math.Float64frombits(to.Load())-1)
	}
	to.Store(math.Float64bits(now))
}

// loudness of a frame, in dBFS.
func loudness(frame []int16) float64 {
	var sum float64
	for _, v := range frame {
		sum += float64(v) * float64(v)
	}
	return max(Silence, 10*math.Log10(sum/float64(len(frame))/(32768*32768)+1e-12))
}

// bytes in a length of time of our format.
func bytesIn(d time.Duration) int { return int(d*codec.Rate/time.Second) * 2 }

// lasting is the time that bytes of our format take.
func lasting(n int) time.Duration { return time.Duration(n/2) * time.Second / codec.Rate }
