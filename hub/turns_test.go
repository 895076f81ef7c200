package hub

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"intercom/internal/fault"
)

// asked is what became of one who asked for a turn.
type asked struct {
	waited time.Duration
	err    *fault.Error
}

// askTurns has so many of an address ask for a turn that takes a while.
func askTurns(q *turns, ctx context.Context, address string, many int, takes time.Duration) chan asked {
	all := make(chan asked, many)
	for range many {
		go func() {
			began := time.Now()
			done, err := q.wait(ctx, address)
			all <- asked{time.Since(began), err}
			if err == nil {
				time.Sleep(takes)
				done()
			}
		}()
	}
	synctest.Wait()
	return all
}

// now counts those that run, those that wait, and the addresses that do.
func (q *turns) now() [3]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return [3]int{q.running, q.waiting, len(q.order) + len(q.queues)}
}

// One address that floods keeps itself waiting, and is told; another has the next turn.
func TestTurnsAreFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &turns{most: 2}
		flood := askTurns(q, t.Context(), "198.51.100.1", 40, 100*time.Millisecond)
		if q.now() != [3]int{2, turnsOfAddress, 2} || len(flood) != 2+40-2-turnsOfAddress {
			t.Errorf("%v, %d have an answer", q.now(), len(flood))
		}
		right := <-askTurns(q, t.Context(), "198.51.100.2", 1, 0)
		if right.err != nil || right.waited > 200*time.Millisecond {
			t.Errorf("another address: %v after %v", right.err, right.waited)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		refused := 0
		for range 40 {
			if a := <-flood; a.err != nil {
				refused++
				if a.err.Code != fault.RateLimited || a.err.RetryAfterMS == 0 {
					t.Error(a.err)
				}
			}
		}
		if refused != 40-2-turnsOfAddress || q.now() != [3]int{} {
			t.Errorf("%d were refused; left: %v", refused, q.now())
		}
	})
}

// When all places are taken, who has many gives one to who has none; among equals who comes last is refused.
func TestTurnsWhenAllPlacesAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &turns{most: 1}
		var floods []chan asked
		for i := range turnsOfAll/turnsOfAddress + 1 {
			floods = append(floods, askTurns(q, t.Context(), fmt.Sprint("198.51.100.", i), turnsOfAddress,
				100*time.Millisecond))
		}
		if q.now()[1] != turnsOfAll {
			t.Fatal(q.now())
		}
		right := askTurns(q, t.Context(), "203.0.113.1", 1, 0)
		if q.now()[1] != turnsOfAll || len(right) != 0 {
			t.Errorf("%v, %d have an answer", q.now(), len(right))
		}
		if a := <-right; a.err != nil || a.waited > 2*time.Second {
			t.Errorf("one that has none is refused: %+v", a)
		}
		time.Sleep(turnTime)
		synctest.Wait()
		for _, f := range floods {
			for range turnsOfAddress {
				if a := <-f; a.waited > turnTime {
					t.Errorf("one waited for %v", a.waited)
				}
			}
		}
	})
}

// Who does not wait any more has no turn, and keeps none.
func TestTurnsOfWhoIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &turns{most: 1}
		ctx, cancel := context.WithCancel(t.Context())
		askTurns(q, t.Context(), "a", 1, time.Minute)
		gone := askTurns(q, ctx, "b", 3, 0)
		cancel()
		synctest.Wait()
		late := askTurns(q, t.Context(), "c", 1, 0)
		if q.now()[1] != 1 || len(gone) != 3 {
			t.Error(q.now(), len(gone))
		}
		if a := <-late; a.err == nil || a.waited != turnTime {
			t.Errorf("%+v", a)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if q.now() != [3]int{} {
			t.Error(q.now())
		}
	})
}
