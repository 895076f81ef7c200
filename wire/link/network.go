package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"intercom/internal/backoff"
	"intercom/wire"
)

// This file is what a link does when the network of this machine changes: a connection whose address or route is
// another is given up for a new one at once, and not when it was silent for long enough.

// Times of a try when the network changed.
const (
	lastChance = time.Second // for a dial that was under way
	leastWait  = time.Second // from one try to the next, however often it changes
)

// checkTime is how long a hub may take to answer when there is reason to think that the connection is dead.
const checkTime = 2 * time.Second

// Why a connection was given up for a new one.
var (
	errMoved = errors.New("this machine's address or its route to the hub changed")
	errDeaf  = fmt.Errorf("the hub did not answer within %v", checkTime)
)

// attempt is one connection, from the dial on. The link's lock guards it.
type attempt struct {
	cancel context.CancelFunc
	conn   net.Conn // nil until there is one
	way    func() bool
	left   error         // why it was given up; nil if it was not
	told   chan struct{} // closed when the handler knows that
}

// once is one life of the connection. left says that it was given up for a new one, which is wanted at once.
func (l *Link) once(ctx context.Context) (up, left bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.doze()
	t := &attempt{cancel: cancel, told: make(chan struct{})}
	l.mu.Lock()
	l.try = t
	l.mu.Unlock()
	if up, err = l.session(ctx, t); up {
		l.doze()
	}
	l.mu.Lock()
	l.try = nil
	l.mu.Unlock()
	if t.left != nil {
		<-t.told
		return up, true, t.left
	}
	return up, false, err
}

// dial makes the connection of a try, and begins to watch its way.
func (l *Link) dial(ctx context.Context, t *attempt, network, addr string) (net.Conn, error) {
	dial := l.cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: wire.SignInTime}).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	var way func() bool
	from, ferr := netip.ParseAddrPort(conn.LocalAddr().String())
	to, terr := netip.ParseAddrPort(conn.RemoteAddr().String())
	if l.cfg.Way != nil && ferr == nil && terr == nil {
		way = l.cfg.Way(from.Addr(), to.Addr())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.conn, t.way = conn, way
	return conn, nil
}

// NetworkChanged is told that an address or a route of this machine is another. It may be called from any goroutine.
func (l *Link) NetworkChanged() {
	l.mu.Lock()
	t := l.try
	var way func() bool
	switch {
	case t == nil:
		l.wake()
	case t.conn == nil:
		l.wake() // if it fails by itself
		time.AfterFunc(lastChance, func() { l.giveUp(t) })
	default:
		way = t.way
	}
	l.mu.Unlock()
	if way != nil && way() {
		l.leave(t, errMoved)
	}
}

// Check has the hub answer at once, when there is reason to think that the connection is dead: one on which no answer
// comes is given up for a new one.
func (l *Link) Check() {
	l.mu.Lock()
	t, asked := l.try, time.Now()
	l.mu.Unlock()
	if t == nil || !l.Send(wire.Envelope{T: wire.Ping}) {
		return
	}
	time.AfterFunc(checkTime, func() {
		l.mu.Lock()
		deaf := l.last.Before(asked)
		l.mu.Unlock()
		if deaf {
			l.leave(t, errDeaf)
		}
	})
}

// leave gives a connection up for a new one.
func (l *Link) leave(t *attempt, why error) {
	l.mu.Lock()
	if l.try != t || t.left != nil || t.conn == nil {
		l.mu.Unlock()
		return
	}
	up := l.now != nil
	t.left, l.now = why, nil
	l.mu.Unlock()
	if up {
		l.h.Down(why) // at once, and before the next sign-in
	}
	close(t.told)
	t.conn.Close() // without a word: bye would take the device out of its call
}

// wake ends the wait that there is, or the next one.
func (l *Link) wake() {
	select {
	case l.woken <- struct{}{}:
	default:
	}
}

// doze forgets a wake of before.
func (l *Link) doze() {
	select {
	case <-l.woken:
	default:
	}
}

// giveUp ends a dial that has come to nothing.
func (l *Link) giveUp(t *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.try == t && t.conn == nil && t.left == nil {
		t.left = errMoved
		close(t.told)
		t.cancel()
	}
}

// sleep waits before the next try; less when the network changes, unless the hub asked for patience.
func (l *Link) sleep(ctx context.Context, began time.Time, wait time.Duration, patient bool) {
	woken := l.woken
	if patient {
		woken = nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-woken:
		backoff.Sleep(ctx, leastWait-time.Since(began))
	}
}
