package audio

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"intercom/audio/codec"
)

// TestResult is what a self-test found: a chirp out of the loudspeaker, and into the microphone.
type TestResult struct {
	Heard     bool          // the microphone hears the loudspeaker at all, without cancellation
	RoundTrip time.Duration // from the program through both devices and back
	Level     float64       // of the chirp in the microphone, dBFS, without cancellation
	Loss      float64       // how much quieter it came back, dB, without cancellation
	Cancelled float64       // the same with it; 0 where there is none
	Problem   string        // what is wrong; "" for nothing
}

// Figures of a sound path that works.
const (
	leastLoss   = 10.0 // dB with cancellation: less is an echo that the other side hears
	testChirps  = 4
	betweenThem = codec.Rate / 2
)

var (
	errInUse = errors.New("the sound is in use; the test is put off")
	errMuted = errors.New("the microphone is muted; open it with 'intercomctl unmute'")
)

// SelfTest plays chirps and listens, without cancellation and, where there is one, with it. It can be heard, and takes
// about six seconds; it gives up when ctx ends or the sound is wanted for something else.
func (a *Audio) SelfTest(ctx context.Context) (r TestResult, err error) {
	if !a.testing.CompareAndSwap(false, true) {
		return r, errInUse
	}
	defer a.testing.Store(false)
	ec := a.canceller()
	plain, err := a.listenTo(ctx, true)
	if err != nil {
		return r, err
	}
	r.Heard, r.RoundTrip, r.Level, r.Loss = plain.found, plain.delay, plain.level, plain.loss
	if ec != nil {
		clean, err := a.listenTo(ctx, false)
		if err != nil {
			return r, err
		}
		if r.Cancelled = clean.loss; !clean.found {
			r.Cancelled = max(r.Cancelled, 40)
		}
	}
	switch s := a.Status(); {
	case s.Trouble != "":
		r.Problem = s.Trouble
	case !r.Heard:
		r.Problem = "the microphone does not hear the loudspeaker; is one of them muted, unplugged or turned down?"
	case ec != nil && r.Cancelled < leastLoss:
		r.Problem = fmt.Sprintf(
			"the echo is not cancelled: it is only %.0f dB quieter; set audio.echo = \"half_duplex\"", r.Cancelled)
	}
	return r, nil
}

// finding is what came of the chirps.
type finding struct {
	found       bool
	delay       time.Duration
	level, loss float64
}

// listenTo plays chirps and looks for them in what the microphone hears.
func (a *Audio) listenTo(ctx context.Context, bypass bool) (f finding, err error) {
	a.mu.Lock()
	busy := a.goal != Closed || a.outs[0].voice != nil || a.outs[0].tone != nil
	muted := a.muted
	a.bypass = bypass
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.bypass = false
		a.mu.Unlock()
	}()
	switch {
	case muted:
		return f, errMuted
	case busy:
		return f, errInUse
	}
	p := &chirps{}
	var heard ears
	a.Mic(Open, heard.take)
	mine := func() bool { // a call takes the microphone away from us
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.goal == Open && (a.outs[0].tone == nil || a.outs[0].tone == Player(p)) && a.outs[0].voice == nil
	}
	defer func() {
		if mine() {
			a.Mic(Closed, nil)
			a.Tone(nil)
		}
	}()
	deadline := time.Now().Add(6 * time.Second)
	for stage := 0; stage < 2; {
		switch {
		case stage == 0 && heard.length() > codec.Rate/2: // it runs, and the canceller has learned what silence is
			a.Tone(p)
			stage++
		case stage == 1 && p.over() && heard.length() > 0 && time.Since(p.ended()) > 500*time.Millisecond:
			stage++
		}
		select {
		case <-ctx.Done():
			return f, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		if !mine() {
			return f, errInUse
		}
		if a.Status().Muted {
			return f, errMuted
		}
		if time.Now().After(deadline) {
			return f, nil // no sound comes at all
		}
	}
	return heard.find(p), nil
}

// chirp sweeps from 300 to 3,400 Hz in 80 ms, at a quarter of full scale.
var chirp = func() (x [codec.Rate * 80 / 1000]int16) {
	for i := range x {
		t := float64(i) / codec.Rate
		edge := min(1, float64(i)/480, float64(len(x)-i)/480)
		x[i] = int16(8000 * edge * math.Sin(2*math.Pi*(300*t+3100*t*t/(2*0.08))))
	}
	return x
}()

// chirps is a player that knows when each of its chirps was taken.
type chirps struct {
	mu   sync.Mutex
	at   int
	when []time.Time
	end  time.Time
}

func (c *chirps) Read(out []int16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for i := range out {
		k := c.at % betweenThem
		if out[i] = 0; k < len(chirp) && c.at < testChirps*betweenThem {
			out[i] = chirp[k]
			if k == 0 {
				c.when = append(c.when, now.Add(time.Duration(i)*time.Second/codec.Rate))
			}
		}
		c.at++
	}
	if c.at >= testChirps*betweenThem && c.end.IsZero() {
		c.end = now
	}
	return c.at < testChirps*betweenThem
}

func (c *chirps) over() bool        { c.mu.Lock(); defer c.mu.Unlock(); return !c.end.IsZero() }
func (c *chirps) ended() time.Time  { c.mu.Lock(); defer c.mu.Unlock(); return c.end }
func (c *chirps) said() []time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.when }

// ears keep what the microphone hears, and when.
type ears struct {
	mu  sync.Mutex
	x   []int16
	end time.Time // when the last of x was there
}

func (e *ears) take(block []int16) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.x, e.end = append(e.x, block...), time.Now()
}

func (e *ears) length() int { e.mu.Lock(); defer e.mu.Unlock(); return len(e.x) }

// find looks for each chirp but the first, on which a canceller still learns, in the half second after it was played.
func (e *ears) find(p *chirps) (f finding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var power float64
	for _, v := range chirp {
		power += float64(v) * float64(v)
	}
	played := 10 * math.Log10(power/float64(len(chirp))/(32768*32768))
	n, sum := 0, 0.0
	for _, t := range p.said()[min(1, len(p.said())):] {
		from := len(e.x) - int(e.end.Sub(t)*codec.Rate/time.Second)
		lo, hi := max(0, from), min(len(e.x), from+betweenThem-len(chirp))
		best, at := 0.0, -1
		loudest := 0.0
		for i := lo; i+len(chirp) <= hi; i += 2 {
			var dot, all float64
			for k := 0; k < len(chirp); k += 2 {
				dot += float64(chirp[k]) * float64(e.x[i+k])
				all += float64(e.x[i+k]) * float64(e.x[i+k])
			}
			loudest = max(loudest, all*2)
			if fit := math.Abs(dot) / math.Sqrt(max(1, all)*power/2); fit > best {
				best, at = fit, i
			}
		}
		sum += max(loudest, 1)
		n++
		if best > 0.4 {
			f.found = true
			f.delay = max(f.delay, time.Duration(at-from)*time.Second/codec.Rate)
		}
	}
	if n > 0 {
		f.level = 10 * math.Log10(sum/float64(n)/float64(len(chirp))/(32768*32768))
		f.loss = played - f.level
	}
	return f
}
