package hub

import (
	"sync"
	"time"

	"intercom/internal/fault"
)

// rate is how often something may be done: so many times at once, and so many a second from then on.
type rate struct{ burst, perSecond float64 }

// allowance is what is left of a rate. The zero value has all of it.
type allowance struct {
	tokens float64
	last   time.Time
}

// spend takes n, and reports whether there was enough. What is not enough is taken too: who does not stop is not let
// through now and then.
func (a *allowance) spend(r rate, n float64) bool {
	a.fill(r)
	a.tokens = max(a.tokens-n, -r.burst)
	return a.tokens >= 0
}

// take is spend, but takes nothing when there is not enough.
func (a *allowance) take(r rate, n float64) bool {
	a.fill(r)
	if a.tokens < n {
		return false
	}
	a.tokens -= n
	return true
}

func (a *allowance) fill(r rate) {
	now := time.Now()
	if a.last.IsZero() {
		a.tokens = r.burst
	} else {
		a.tokens = min(r.burst, a.tokens+now.Sub(a.last).Seconds()*r.perSecond)
	}
	a.last = now
}

// wait is how long it takes until n can be taken.
func (a *allowance) wait(r rate, n float64) time.Duration {
	return max(time.Millisecond, time.Duration((n-a.tokens)/r.perSecond*float64(time.Second)))
}

// quota gives each key an allowance of the same rate. Allowances that are full again are forgotten.
type quota[K comparable] struct {
	rate rate

	mu   sync.Mutex
	left table[K, allowance]
}

// take reports whether a key may do it once more, and else how long it has to wait.
func (q *quota[K]) take(key K) (wait time.Duration, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.left.at(key, func(a *allowance) bool { a.fill(q.rate); return a.tokens >= q.rate.burst })
	if a.take(q.rate, 1) {
		return 0, true
	}
	return a.wait(q.rate, 1), false
}

// giveBack returns what was taken.
func (q *quota[K]) giveBack(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if a := q.left.of[key]; a != nil { // else all of it is there
		a.tokens = min(q.rate.burst, a.tokens+1)
	}
}

// may is take, with the error for who has to wait.
func (q *quota[K]) may(key K) *fault.Error {
	if wait, ok := q.take(key); !ok {
		return tooOften(wait)
	}
	return nil
}

// table is a map that strangers fill: before it grows, what is old is thrown out.
type table[K comparable, V any] struct {
	of    map[K]*V
	sweep int // how many there are when they are looked through
}

const sweepAt = 1024

// at gives the value of a key, new and zero if there is none.
func (t *table[K, V]) at(key K, old func(*V) bool) *V {
	if v := t.of[key]; v != nil {
		return v
	}
	if t.of == nil {
		t.of, t.sweep = map[K]*V{}, sweepAt
	}
	if len(t.of) >= t.sweep {
		for k, v := range t.of {
			if old(v) {
				delete(t.of, k)
			}
		}
		t.sweep = max(sweepAt, 2*len(t.of)) // so that looking through them costs little for each
	}
	v := new(V)
	t.of[key] = v
	return v
}
