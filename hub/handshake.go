package hub

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Handshakes limits the TLS handshakes at one port. Anybody can ask for one, and each costs the processor far more than
// it costs the client, which need not even finish it. So those of an address have a rate, taken before anything is
// read; and of all that go on, at all ports, only a few are computed at the same time, so that those who are signed in
// always find a processor.
type Handshakes struct {
	of   quota[netip.Prefix] // by address
	slot chan struct{}       // holds one for each that is computed now; of all ports
	free func(netip.Addr) bool
	log  *slog.Logger

	mu      sync.Mutex
	refused int // since the last line in the log
	said    time.Time
}

// Times of handshakes.
const (
	// that one may take to compute; what takes longer waits for something, like a new certificate
	slotTime    = time.Second
	refusedLine = 10 * time.Second // between two lines in the log about those that are refused
)

func newHandshakes(slot chan struct{}, free func(netip.Addr) bool, log *slog.Logger) *Handshakes {
	return &Handshakes{of: quota[netip.Prefix]{rate: handshakeRate}, slot: slot, free: free, log: log}
}

// newSlots makes room for the handshakes that may be computed at the same time: half of the processors.
func newSlots() chan struct{} { return make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)) }

// Handshakes are the limits of another TLS port of this machine. Its addresses count by themselves, but the processor
// is the same.
func (h *Hub) Handshakes() *Handshakes {
	return newHandshakes(h.admission.handshakes.slot, h.admission.handshakes.free, h.log)
}

// Begin reports whether a connection may have a TLS handshake. If so, TLS has to go over conn, and done has to be
// called when the handshake is over, at the latest with the first message that came through it.
func (s *Handshakes) Begin(c net.Conn) (conn net.Conn, done func(), ok bool) {
	hs, ok := s.begin(c)
	if !ok {
		return nil, nil, false
	}
	return hs, hs.done, true
}

func (s *Handshakes) begin(c net.Conn) (*handshake, bool) {
	if a, ok := addressOf(c.RemoteAddr().String()); ok && !s.free(a) {
		if _, ok := s.of.take(subscriber(a)); !ok {
			s.refuse(a)
			return nil, false
		}
	}
	return &handshake{Conn: c, slot: s.slot, closed: make(chan struct{})}, true
}

// refuse says now and then that handshakes are refused: a line for each would be a flood of its own.
func (s *Handshakes) refuse(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	if now := time.Now(); now.Sub(s.said) > refusedLine {
		s.log.Warn("an address asks for more TLS handshakes than it may; its connections are closed", "address",
			a.String(), "more", s.refused-1)
		s.said, s.refused = now, 0
	}
}

// handshake is a connection below TLS. Until the handshake is over it holds a slot between the end of a read and the
// next read or write: while TLS computes. So who sends half a handshake, or one byte after the other, holds none.
type handshake struct {
	net.Conn
	slot   chan struct{}
	over   atomic.Bool
	closed chan struct{}
	once   sync.Once // of closed

	mu    sync.Mutex
	held  bool
	until *time.Timer
}

func (c *handshake) Read(b []byte) (int, error) {
	if c.over.Load() {
		return c.Conn.Read(b)
	}
	c.leave()
	n, err := c.Conn.Read(b)
	if n > 0 && !c.enter() {
		return 0, os.ErrDeadlineExceeded
	}
	return n, err
}

func (c *handshake) Write(b []byte) (int, error) {
	if !c.over.Load() {
		c.leave()
	}
	return c.Conn.Write(b)
}

func (c *handshake) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.done()
	return c.Conn.Close()
}

// enter waits for a slot, for no longer than a whole handshake may take. The first that came is the first that gets
// one.
func (c *handshake) enter() bool {
	select {
	case c.slot <- struct{}{}:
	default:
		late := time.NewTimer(requestTime)
		defer late.Stop()
		select {
		case c.slot <- struct{}{}:
		case <-c.closed:
			return false
		case <-late.C:
			return false
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
	if c.until == nil {
		c.until = time.AfterFunc(slotTime, c.leave)
	} else {
		c.until.Reset(slotTime)
	}
	return true
}

func (c *handshake) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		c.held = false
		c.until.Stop()
		<-c.slot
	}
}

// done ends the limits: the handshake is over.
func (c *handshake) done() {
	if !c.over.Swap(true) {
		c.leave()
	}
}
