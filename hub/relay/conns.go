package relay

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"
)

// packets are what comes over UDP.
type packets struct {
	*net.UDPConn
	relay *Relay
}

// ReadFrom gives the library the next message that it may have.
func (c *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return 0, nil, err
		} else if err != nil { // the library would stop listening
			time.Sleep(time.Millisecond)
			continue
		}
		addr := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		pass, answer := c.relay.screen(tupleOf(addr, c.LocalAddr()), b[:n])
		if answer != nil {
			_, _ = c.WriteTo(answer, addr)
		}
		if pass {
			return n, addr, nil
		}
	}
}

// Limits of connections over TCP and TLS.
const (
	mostStreams = 2000 // without a relayed address; the oldest has to go
	mostOfOne   = 200  // of one address
	frameTime   = 10 * time.Second
)

// listener takes connections over TCP, or TLS.
type listener struct {
	net.Listener
	relay *Relay
	tls   *tls.Config
}

// Accept gives the library the next connection that may stay. The TLS handshake comes with the first byte that is read.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		} else if err != nil { // too many open files, say: the library would stop listening
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s := &stream{Conn: c, raw: c, relay: l.relay, tuple: tupleOf(c.RemoteAddr(), c.LocalAddr()), lonely: time.Now()}
		if s.secure(l.tls) && l.relay.admit(s) {
			return s, nil
		}
		_ = c.Close()
	}
}

// secure has a connection speak TLS, unless its address asks for too many handshakes.
func (s *stream) secure(certificates *tls.Config) bool {
	if certificates != nil {
		c, done, ok := s.relay.cfg.Handshakes.Begin(s.raw)
		if !ok {
			return false
		}
		s.raw, s.Conn, s.secured = c, tls.Server(c, certificates), done
	}
	s.in = bufio.NewReaderSize(s.Conn, maxMessage)
	return true
}

// admit takes a connection in, unless its address has many. Of the connections of all that have no relayed address, one
// has to make room when there are too many; whoever has most of them loses it most likely.
func (r *Relay) admit(s *stream) bool {
	from := network(s.tuple.from.Addr())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streamsOf[from] >= mostOfOne || !r.visitors.welcome(from, time.Now()) {
		r.lines.refuse("more connections of one address than it may have", "address", from.String())
		return false
	}
	if len(r.streams)-len(r.tuples) >= mostStreams {
		for o := range r.streams {
			if r.tuples[o.tuple] == nil {
				r.dismiss(o)
				break
			}
		}
	}
	r.streams[s] = struct{}{}
	r.streamsOf[from]++
	return true
}

// dismiss closes a connection. The lock is held.
func (r *Relay) dismiss(s *stream) {
	if _, ok := r.streams[s]; ok {
		delete(r.streams, s)
		from := network(s.tuple.from.Addr())
		if r.streamsOf[from]--; r.streamsOf[from] == 0 {
			delete(r.streamsOf, from)
		}
	}
	_ = s.raw.Close()
}

// leaveAlone closes the connections that have been without a relayed address for a while: those that say nothing, or
// half a message, and those whose call is over.
func (r *Relay) leaveAlone(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.streams {
		if r.tuples[s.tuple] != nil {
			s.lonely = now
		} else if now.Sub(s.lonely) > r.cfg.times.lonely {
			r.lines.refuse("a connection that wants nothing", "address", s.tuple.from.Addr().String())
			r.dismiss(s)
		}
	}
}

// stream is a connection over TCP or TLS. Each Read gives a whole message that has been screened, or the rest of it.
type stream struct {
	net.Conn
	raw     net.Conn // below TLS
	secured func()   // to be called when the TLS handshake is over; nil without, and from then on
	relay   *Relay
	tuple   tuple
	lonely  time.Time // since when it has no relayed address; under the relay's lock
	in      *bufio.Reader
	rest    []byte

	mu sync.Mutex // of what is written
}

// Close closes the connection, without a word that could wait for the other end.
func (s *stream) Close() error {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.dismiss(s)
	return nil
}

func (s *stream) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		m, err := s.message()
		if err != nil {
			return 0, err
		}
		pass, answer := s.relay.screen(s.tuple, m)
		if answer != nil {
			if _, err := s.Write(answer); err != nil {
				return 0, err
			}
		}
		if pass {
			s.rest = m
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

var errNoMessage = errors.New("neither a STUN message nor ChannelData, or too long")

// message reads one message (RFC 8656, section 12.5; RFC 8489, section 6.2.2). Once begun, it has a time.
func (s *stream) message() ([]byte, error) {
	if _, err := s.in.Peek(1); err != nil {
		return nil, err
	}
	if s.secured != nil {
		s.secured()
		s.secured = nil
	}
	if err := s.raw.SetReadDeadline(time.Now().Add(frameTime)); err != nil {
		return nil, err
	}
	head, err := s.in.Peek(4)
	if err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint16(head[2:]))
	switch {
	case head[0] >= 0x40 && head[0] <= 0x4f:
		size = 4 + (size+3)&^3
	case head[0] < 4:
		size += 20
		if head, err = s.in.Peek(min(20, maxMessage)); err != nil {
			return nil, err
		} else if !stun.IsMessage(head) {
			return nil, errNoMessage
		}
	default:
		return nil, errNoMessage
	}
	if size > maxMessage {
		return nil, errNoMessage
	}
	m := make([]byte, size)
	if _, err := io.ReadFull(s.in, m); err != nil {
		return nil, err
	}
	return m, s.raw.SetReadDeadline(time.Time{})
}

// Write sends a message whole, or closes the connection: who does not read keeps nobody waiting.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.raw.SetWriteDeadline(time.Now().Add(s.relay.cfg.times.write)); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(b)
	if err != nil {
		_ = s.Close()
	}
	return n, err
}
