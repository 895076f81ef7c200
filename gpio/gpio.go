// Package gpio turns the levels of input lines into presses, and patterns into the levels of output lines.
//
// A line is a chip's ([OpenInput], [OpenOutput]: the kernel's character device, through periph) or a [Panel]'s, a
// virtual one that is pressed and read by program; both drive the same code. The level is the truth, an edge only says
// "look sooner". [Watch] and [Lamp.Run] are parts: they run in the goroutine they are given and end with their context.
// The device's wiring (cmd) imports this; only here is periph known.
package gpio

import (
	"context"
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

// Press is a button going down or coming up.
type Press struct {
	Down bool
	Held time.Duration // when it comes up: how long it was down
}

// lookEvery is how often an idle line is read even when no edge was reported; edges can be lost.
const lookEvery = 2 * time.Second

// Watch reads a button until ctx ends or the line fails, and tells each press that held steady for the stable time.
// A button that is down at the start tells nothing until it has been up.
func Watch(ctx context.Context, in Input, stable time.Duration, tell func(Press)) error {
	f := Filter{Stable: stable}
	began := time.Now()
	for ctx.Err() == nil {
		raw, err := in.Read()
		if err != nil {
			return err
		}
		now := time.Since(began)
		if p, ok := f.Sample(now, raw); ok {
			tell(p)
		}
		asked := time.Now()
		in.Wait(ctx, min(f.Next(now), backoff.Round(lookEvery)))
		// A line that reports edges without end, or an error as an edge, must not become a busy loop.
		if time.Since(asked) < time.Millisecond {
			backoff.Sleep(ctx, time.Millisecond)
		}
	}
	return nil
}

// Filter makes presses of raw levels: a level counts when it has held steady for the stable time. It is pure; time
// comes from outside, as time since some start.
type Filter struct {
	Stable time.Duration

	known   bool
	level   bool          // the level that counts
	raw     bool          // the level last seen
	since   time.Duration // when raw began
	changed time.Duration // when level began
}

// Sample takes the level at now and gives a press, if this makes one.
func (f *Filter) Sample(now time.Duration, raw bool) (Press, bool) {
	if !f.known {
		f.known, f.level, f.raw, f.since, f.changed = true, raw, raw, now, now
		return Press{}, false
	}
	if raw != f.raw {
		f.raw, f.since = raw, now
	}
	if f.raw == f.level || now-f.since < f.Stable {
		return Press{}, false
	}
	held := f.since - f.changed
	f.level, f.changed = f.raw, f.since
	if f.level {
		return Press{Down: true}, true
	}
	return Press{Held: held}, true
}

// Next is how long it takes until a sample can matter without an edge.
func (f *Filter) Next(now time.Duration) time.Duration {
	if f.raw == f.level {
		return lookEvery
	}
	return max(f.Stable-(now-f.since), time.Millisecond)
}
