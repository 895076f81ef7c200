// Package hubtest is a bus in memory, for tests that put several hubs into one process, or into simulated time. It can
// cut hubs off and lose what they hold, as a network and a cluster can. Tests import it.
package hubtest

import (
	"context"
	"errors"
	"sync"
	"time"

	"intercom/hub/bus"
)

// Net is what joins the buses of one test.
type Net struct {
	mu    sync.Mutex
	buses map[string]*Bus
	keys  map[string]entry
	last  uint64
	held  bool
}

type entry struct {
	value    []byte
	revision uint64
}

// Bus is one hub's end of a [Net].
type Bus struct {
	net     *Net
	name    string
	handler bus.Handler
	mail    []func()
	ring    chan struct{}
	down    bool      // the bus does not answer this hub
	lose    int       // so many of its next words are lost
	lease   time.Time // until when
}

// Join makes the end of a hub of that name; one that was there before is gone.
func (n *Net) Join(name string) *Bus {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.buses == nil {
		n.buses, n.keys = map[string]*Bus{}, map[string]entry{}
	}
	b := &Bus{net: n, name: name, ring: make(chan struct{}, 1)}
	n.buses[name] = b
	return b
}

// Down cuts this hub off the bus, or joins it again.
func (b *Bus) Down(down bool) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	b.down = down
}

// Lose loses the next words that this hub sends to another.
func (b *Bus) Lose(n int) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	b.lose = n
}

// Name is the hub's.
func (b *Bus) Name() string { return b.name }

// Serve hands over what comes until ctx ends; then the hub is gone.
func (b *Bus) Serve(ctx context.Context, h bus.Handler) error {
	b.net.mu.Lock()
	b.handler = h
	b.net.mu.Unlock()
	defer func() {
		b.net.mu.Lock()
		defer b.net.mu.Unlock()
		if b.net.buses[b.name] == b {
			delete(b.net.buses, b.name)
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.ring:
		}
		for {
			b.net.mu.Lock()
			if len(b.mail) == 0 {
				b.net.mu.Unlock()
				break
			}
			f := b.mail[0]
			b.mail = b.mail[1:]
			b.net.mu.Unlock()
			f()
		}
	}
}

var errDown = errors.New("the bus does not answer")

// post gives the hub of a name something to do. The lock is held.
func (b *Bus) post(f func()) {
	b.mail = append(b.mail, f)
	b.wake()
}

func (b *Bus) wake() {
	if b.net.held {
		return
	}
	select {
	case b.ring <- struct{}{}:
	default:
	}
}

// Hold keeps what is said between hubs on its way, so that it crosses, or lets it go on.
func (n *Net) Hold(held bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = held
	for _, b := range n.buses {
		b.wake()
	}
}

// Send is in order and at most once.
func (b *Bus) Send(to string, m []byte, token string) error {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return errDown
	}
	if b.lose > 0 {
		b.lose--
		return nil
	}
	other := b.net.buses[to]
	if other == nil || other.down || other.handler == nil {
		if h := b.handler; h != nil {
			b.post(func() { h.Undelivered(to, token) })
		}
		return nil
	}
	other.post(func() { other.handler.Heard(m) })
	return nil
}

// Tell says something to all the others.
func (b *Bus) Tell(m []byte) error {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return errDown
	}
	for _, other := range b.net.buses {
		if other != b && !other.down && other.handler != nil {
			other.post(func() { other.handler.Heard(m) })
		}
	}
	return nil
}

// Ask asks one hub.
func (b *Bus) Ask(ctx context.Context, to string, m []byte) ([]byte, error) {
	b.net.mu.Lock()
	other := b.net.buses[to]
	if b.down {
		b.net.mu.Unlock()
		return nil, errDown
	}
	if other == nil || other.down || other.handler == nil {
		b.net.mu.Unlock()
		return nil, bus.ErrNobody
	}
	answer := make(chan []byte, 1)
	other.post(func() { other.handler.Asked(m, func(a []byte) { answer <- a }) })
	b.net.mu.Unlock()
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// AskAll asks all the others.
func (b *Bus) AskAll(ctx context.Context, m []byte) ([]byte, error) {
	b.net.mu.Lock()
	if b.down {
		b.net.mu.Unlock()
		return nil, errDown
	}
	answer := make(chan []byte, len(b.net.buses))
	for _, other := range b.net.buses {
		if other != b && !other.down && other.handler != nil {
			other.post(func() {
				other.handler.Asked(m, func(a []byte) {
					if len(a) > 0 {
						answer <- a
					}
				})
			})
		}
	}
	b.net.mu.Unlock()
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return nil, bus.ErrNobody
	}
}

// Peers reports whether others are there.
func (b *Bus) Peers() bool {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	return len(b.net.buses) > 1
}

// Claim writes a key at a revision.
func (b *Bus) Claim(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return 0, errDown
	}
	if b.net.keys[key].revision != revision {
		return 0, bus.ErrTaken
	}
	b.net.last++
	b.net.keys[key] = entry{value, b.net.last}
	return b.net.last, nil
}

// Claimed reads a key.
func (b *Bus) Claimed(_ context.Context, key string) ([]byte, uint64, error) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return nil, 0, errDown
	}
	e := b.net.keys[key]
	return e.value, e.revision, nil
}

// Release takes a key away.
func (b *Bus) Release(_ context.Context, key string, revision uint64) error {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return errDown
	}
	if b.net.keys[key].revision != revision {
		return bus.ErrTaken
	}
	delete(b.net.keys, key)
	return nil
}

// Keys counts the claims that there are.
func (n *Net) Keys() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.keys)
}

// Forge writes a key as nobody did.
func (n *Net) Forge(key string, value []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	n.keys[key] = entry{value, n.last}
}

// Renew keeps the lease.
func (b *Bus) Renew(context.Context) error {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down {
		return errDown
	}
	gone := !b.lease.IsZero() && time.Now().After(b.lease)
	b.lease = time.Now().Add(bus.LeaseTime)
	if gone {
		return bus.ErrFenced
	}
	return nil
}
