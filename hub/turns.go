package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"intercom/internal/fault"
)

// turns lets a few at a time do what is costly: a password's hash takes 19 MiB and a good part of a second of a small
// board's processor. The others wait, so many and so long; addresses take turns, so that one that floods keeps only
// itself waiting.
type turns struct {
	most int // at a time

	mu      sync.Mutex
	running int
	queues  map[string][]*turn // by address
	order   []string           // the addresses that wait, the next first
	waiting int
}

type turn struct{ given chan bool } // holds true when it may run, false when its place went to another

// Limits of waiting.
const (
	turnTime       = 8 * time.Second // that one waits at most
	turnsOfAddress = 8               // that wait
	turnsOfAll     = 64
)

// wait gives a turn, to be ended with done, or an error to answer with.
func (q *turns) wait(ctx context.Context, address string) (done func(), err *fault.Error) {
	q.mu.Lock()
	if q.running < q.most {
		q.running++
		q.mu.Unlock()
		return q.done, nil
	}
	t := &turn{make(chan bool, 1)}
	ok := q.enqueue(address, t)
	q.mu.Unlock()
	if ok {
		late := time.NewTimer(turnTime)
		defer late.Stop()
		select {
		case ok = <-t.given:
		case <-ctx.Done():
			ok = q.giveUp(address, t)
		case <-late.C:
			ok = q.giveUp(address, t)
		}
	}
	if !ok {
		err := fault.In(fault.RateLimited, "", "Too many sign-ins at once; try again in a moment.")
		err.RetryAfterMS = 2000
		return nil, err
	}
	return q.done, nil
}

// enqueue gives a place to wait, unless the address has enough. When all are taken, the address that has the most loses
// its last one, if that leaves it no worse off than this one.
func (q *turns) enqueue(address string, t *turn) bool {
	if len(q.queues[address]) >= turnsOfAddress {
		return false
	}
	if q.waiting >= turnsOfAll {
		longest := slices.MaxFunc(q.order, func(a, b string) int { return len(q.queues[a]) - len(q.queues[b]) })
		all := q.queues[longest]
		if len(all) <= len(q.queues[address])+1 {
			return false
		}
		last := all[len(all)-1]
		q.leave(longest, len(all)-1)
		last.given <- false
	}
	if q.queues == nil {
		q.queues = map[string][]*turn{}
	}
	if len(q.queues[address]) == 0 {
		q.order = append(q.order, address)
	}
	q.queues[address] = append(q.queues[address], t)
	q.waiting++
	return true
}

// leave takes number i of an address out of the queue.
func (q *turns) leave(address string, i int) {
	q.queues[address] = slices.Delete(q.queues[address], i, i+1)
	q.waiting--
	if len(q.queues[address]) == 0 {
		delete(q.queues, address)
		q.order = slices.DeleteFunc(q.order, func(a string) bool { return a == address })
	}
}

// giveUp stops waiting, and reports whether the turn was given at that moment.
func (q *turns) giveUp(address string, t *turn) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.queues[address], t); i >= 0 {
		q.leave(address, i)
		return false
	}
	return <-t.given
}

// done ends a turn: the next address has its first one.
func (q *turns) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		q.running--
		return
	}
	next := q.order[0]
	t := q.queues[next][0]
	q.leave(next, 0)
	if len(q.queues[next]) > 0 { // and is the last of them now
		q.order = append(slices.DeleteFunc(q.order, func(a string) bool { return a == next }), next)
	}
	t.given <- true
}
