package device

import (
	"context"
	"sync"
)

// inbox is what the owner still has to do, in order. Telling never waits: the owner calls the sound, the media path and
// the LEDs, and these tell it things in turn, on its own goroutine too; with a limit it would wait for itself. It has
// no limit and needs none. What comes from this machine comes at the pace of fingers, devices and timers, and whoever
// speaks for others (the hub, HTTP, MQTT) asks, and so has one thing in it at a time. The watchdog asks too, and ends a
// station that takes nothing out.
type inbox struct {
	more chan struct{} // there is something to take

	mu     sync.Mutex
	todo   []func()
	closed bool
}

func newInbox() *inbox { return &inbox{more: make(chan struct{}, 1)} }

// tell adds something to do; nothing, once the inbox is closed. It never waits.
func (b *inbox) tell(f func()) {
	b.mu.Lock()
	if !b.closed {
		b.todo = append(b.todo, f)
	}
	b.mu.Unlock()
	select {
	case b.more <- struct{}{}:
	default:
	}
}

// next takes the first thing to do, and waits for it; nil when ctx has ended.
func (b *inbox) next(ctx context.Context) func() {
	for ctx.Err() == nil {
		if f := b.take(); f != nil {
			return f
		}
		select {
		case <-b.more:
		case <-ctx.Done():
		}
	}
	return nil
}

func (b *inbox) take() func() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.todo) == 0 {
		b.todo = nil // a burst is not kept
		return nil
	}
	f := b.todo[0]
	b.todo[0] = nil
	b.todo = b.todo[1:]
	return f
}

// close drops what is left, and all that comes later.
func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.todo, b.closed = nil, true
}
