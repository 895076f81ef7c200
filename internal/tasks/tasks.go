// Package tasks counts what still runs, so that it can be waited for, while more may want to begin.
package tasks

import "sync"

// Group is a sync.WaitGroup that can be closed: whoever waits for the last task never sees another begin. The zero
// Group is open.
type Group struct {
	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup
}

// Enter counts a task that begins; Leave ends it. It reports false, and counts nothing, when the group is closed.
func (g *Group) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.work.Add(1)
	}
	return !g.closed
}

// Leave ends a task that entered.
func (g *Group) Leave() { g.work.Done() }

// Go runs f as a task, unless the group is closed.
func (g *Group) Go(f func()) {
	if !g.Enter() {
		return
	}
	go func() {
		defer g.Leave()
		f()
	}()
}

// Close lets no task begin any more.
func (g *Group) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// Wait closes the group and waits for the tasks that run.
func (g *Group) Wait() {
	g.Close()
	g.work.Wait()
}
