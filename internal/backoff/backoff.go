// Package backoff says how long to wait before trying again: full jitter, a cap, and a reset only after lasting health.
//
// A [Backoff] belongs to one goroutine. It has no clock: the caller says how long the last try lasted. Everybody may
// import it.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff spreads tries out. The zero value is not useful; fill in Base and Cap.
type Backoff struct {
	First  time.Duration // the first wait is random in [0, First)
	Base   time.Duration // later waits are random in [0, min(Cap, Base·2ⁿ))
	Cap    time.Duration
	Health time.Duration // a try that lasted this long starts the count anew
	Rand   func() float64

	tries int
}

// Tries is the number of tries that ended since the last healthy one.
func (b *Backoff) Tries() int { return b.tries }

// Next is the wait before the next try, given how long the last one lasted (0 for one that never worked).
func (b *Backoff) Next(lasted time.Duration) time.Duration {
	if b.Health > 0 && lasted >= b.Health {
		b.tries = 0
	}
	limit := b.First
	if b.tries > 0 || limit == 0 {
		limit = b.Cap
		if n := max(b.tries-1, 0); n < 30 && b.Base<<n < b.Cap {
			limit = b.Base << n
		}
	}
	b.tries++
	r := b.Rand
	if r == nil {
		r = rand.Float64
	}
	return time.Duration(r() * float64(limit))
}

// Sleep waits, or returns when ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Round is the time until the clock shows a whole multiple of every. Whatever looks after something now and then waits
// so long: all that look are woken together, and an idle machine sleeps longer.
func Round(every time.Duration) time.Duration {
	return every - time.Duration(time.Now().UnixNano())%every
}
