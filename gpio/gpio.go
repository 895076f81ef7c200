// Package gpio turns the levels of input lines into presses, and patterns into the levels of output lines.
//
// A line is a chip's ([OpenInput], [OpenOutput]: the kernel's character device, through periph) or a [Panel]'s, a
// virtual one that is pressed and read by program; both drive the same code. The level is the truth, an edge only says
// "look sooner". [Button.Watch], [Follow] and [Lamp.Run] are parts: they run in the goroutine they are given and end
// with their context. The device's wiring (cmd) imports this; only here is periph known.
package gpio

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"intercom/internal/backoff"
)

// Input is a line that is read.
type Input interface {
	// Read gives the level; true is pressed, whatever the wiring.
	Read() (bool, error)
	// Wait returns when the level may have changed, ctx ends, or after d, which is positive. It may return early.
	Wait(ctx context.Context, d time.Duration)
}

// Output is a line that is set. True is lit, whatever the wiring.
type Output interface {
	Set(on bool) error
}

// lookEvery is how often an idle line is read even when no edge was reported; edges can be lost.
const lookEvery = 2 * time.Second

// Button is a line that a finger presses. Its counts may be read from any goroutine.
type Button struct {
	Stable time.Duration // how long a level must hold to count
	Times

	presses, glitches atomic.Int64
	watching          atomic.Int64 // when the line was last read, in nanoseconds since the epoch; 0 while nobody does
}

// Alive is nil while the line is read, and while it cannot be: then it is a fault, and tried again by others.
func (b *Button) Alive() error {
	if at := b.watching.Load(); at != 0 && time.Since(time.Unix(0, at)) > 4*lookEvery {
		return errors.New("the line is not read any more")
	}
	return nil
}

// Counts are what was seen on a line since the start.
type Counts struct {
	Presses  int64 `json:"presses"`
	Glitches int64 `json:"glitches"` // levels that did not hold
}

// Counts gives the counts so far.
func (b *Button) Counts() Counts { return Counts{b.presses.Load(), b.glitches.Load()} }

// Watch reads the line until ctx ends or the line fails, and tells what is done with it. A button that is down at the
// start tells nothing until it has been up.
func (b *Button) Watch(ctx context.Context, in Input, tell func(Gesture)) error {
	f, r := Filter{Stable: b.Stable}, Recognizer{Times: b.Times}
	raw, err := in.Read()
	if err != nil {
		return err
	}
	began := time.Now()
	f.Start(raw)
	r.Start(0, raw)
	defer b.watching.Store(0)
	for ctx.Err() == nil {
		now := time.Since(began)
		b.watching.Store(time.Now().UnixNano())
		changed := f.Sample(now, raw)
		b.glitches.Add(f.Glitches())
		all := r.Tick(now)
		if changed {
			all = r.Level(f.since, f.level)
			if f.level {
				b.presses.Add(1)
			}
		}
		for _, g := range all {
			tell(g)
		}
		wait := min(f.Next(now), backoff.Round(lookEvery))
		if d := r.Next(now); d >= 0 {
			wait = min(wait, max(d, time.Millisecond))
		}
		asked := time.Now()
		in.Wait(ctx, wait)
		// A line that reports edges without end, or an error as an edge, must not become a busy loop.
		if time.Since(asked) < time.Millisecond {
			backoff.Sleep(ctx, time.Millisecond)
		}
		if raw, err = in.Read(); err != nil {
			return err
		}
	}
	return nil
}

// Follow reads a line until ctx ends or the line fails, and tells its level: the one at the start, and each that held
// steady for the stable time after that.
func Follow(ctx context.Context, in Input, stable time.Duration, tell func(on bool)) error {
	f := Filter{Stable: stable}
	raw, err := in.Read()
	if err != nil {
		return err
	}
	f.Start(raw)
	tell(raw)
	for began := time.Now(); ctx.Err() == nil; {
		asked := time.Now()
		in.Wait(ctx, min(f.Next(time.Since(began)), backoff.Round(lookEvery)))
		if time.Since(asked) < time.Millisecond {
			backoff.Sleep(ctx, time.Millisecond) // as in Watch
		}
		if raw, err = in.Read(); err != nil {
			return err
		}
		if f.Sample(time.Since(began), raw) {
			tell(f.level)
		}
	}
	return nil
}

// Filter finds the level that holds: one counts when it has been steady for the stable time. It is pure; time comes
// from outside, as time since some start.
type Filter struct {
	Stable time.Duration

	level    bool          // the level that counts
	raw      bool          // the level last seen
	since    time.Duration // when raw began
	glitches int64
}

// Start takes the level at time zero; it counts.
func (f *Filter) Start(level bool) { f.level, f.raw, f.since = level, level, 0 }

// Sample takes the level at now, and reports whether another counts from now on.
func (f *Filter) Sample(now time.Duration, raw bool) bool {
	if raw != f.raw {
		if raw == f.level {
			f.glitches++ // the other one did not hold
		}
		f.raw, f.since = raw, now
	}
	if f.raw == f.level || now-f.since < f.Stable {
		return false
	}
	f.level = f.raw
	return true
}

// Glitches are how often a level did not hold since it was last asked.
func (f *Filter) Glitches() int64 {
	n := f.glitches
	f.glitches = 0
	return n
}

// Next is how long it takes until a sample can matter without an edge.
func (f *Filter) Next(now time.Duration) time.Duration {
	if f.raw == f.level {
		return lookEvery
	}
	return max(f.Stable-(now-f.since), time.Millisecond)
}
