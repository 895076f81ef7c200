package hub

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"intercom/internal/fault"
	"intercom/wire"
)

// This file is why ten thousand idle sockets cost little; docs/decisions/0006-idle-sockets.md has the reasons.

const (
	readBytes  = 64 // of a socket's buffer: an idle device must not cost much, and a ping fits
	writeBytes = 16 // the same for writing, where the conduit gathers what belongs together
)

// conduit is a connection that can hold back what is written, to write it at once, and that counts what is read.
type conduit struct {
	net.Conn
	early []byte // what the HTTP server had read already

	// Of the reader alone, but for heard.
	heard    atomic.Uint32 // grows with whatever is read
	frames   frames
	of       rate // of frames
	perFrame allowance
	perByte  allowance

	mu   sync.Mutex
	held *[]byte // nil while nothing is held back
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func (c *conduit) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = buffers.Get().(*[]byte)
}

func (c *conduit) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.held
	c.held = nil
	_, err := c.Conn.Write(*held)
	*held = (*held)[:0]
	buffers.Put(held)
	return err
}

func (c *conduit) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return c.Conn.Write(b)
	}
	*c.held = append(*c.held, b...)
	return len(b), nil
}

// Read fails with [fault.RateLimited] when too much comes: each frame costs something, also one that the library
// answers or throws away by itself.
func (c *conduit) Read(b []byte) (n int, err error) {
	if len(c.early) > 0 {
		n = copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
	} else if n, err = c.Conn.Read(b); n == 0 {
		return n, err
	}
	if !c.within(b[:n]) {
		return 0, errFlood
	}
	return n, err
}

var errFlood = error(fault.New(fault.RateLimited))

// within counts what was read. It is no part of Read, where idle sockets wait: their stacks must stay small.
//
//go:noinline
func (c *conduit) within(b []byte) bool {
	c.heard.Add(1)
	frames := c.perFrame.spend(c.of, float64(c.frames.count(b)))
	return c.perByte.spend(byteRate, float64(len(b))) && frames
}

// close lets what is on its way come in, so that it does not reset the connection before the close frame is read.
func (c *conduit) close() { c.of, c.perFrame, c.perByte = lastFrames, allowance{}, allowance{} }

// frames finds the frames in what a client sends (RFC 6455, section 5.2).
type frames struct {
	skip   uint64 // bytes until the next that says something
	size   uint64 // of the payload, as far as it is read
	more   uint8  // bytes of the size that are missing
	state  uint8  // of the next byte
	masked bool
}

const (
	firstByte uint8 = iota
	sizeByte
	moreOfSize
)

// count is how many frames begin in b, which follows what was counted before.
func (f *frames) count(b []byte) (n int) {
	for len(b) > 0 {
		if f.skip > 0 {
			k := min(f.skip, uint64(len(b)))
			f.skip, b = f.skip-k, b[k:]
			continue
		}
		next := b[0]
		b = b[1:]
		switch f.state {
		case firstByte:
			n++
			f.state = sizeByte
			continue
		case sizeByte:
			f.masked, f.size, f.more = next&0x80 != 0, uint64(next&0x7f), 0
			if f.size > 125 {
				f.more, f.size = 2, 0
				if next&0x7f == 127 {
					f.more = 8
				}
			}
			f.state = moreOfSize
		default:
			f.size, f.more = f.size<<8|uint64(next), f.more-1
		}
		if f.more == 0 {
			f.skip, f.state = f.size, firstByte
			if f.masked {
				f.skip += 4
			}
		}
	}
	return n
}

// slim hands the connection of a request over with buffers of its own, smaller than those of the HTTP server.
type slim struct {
	http.ResponseWriter
	in  *bufio.Reader
	out *conduit
}

func (s *slim) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, brw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s.out = &conduit{Conn: nc, of: helloFrames}
	if n := brw.Reader.Buffered(); n > 0 { // the client was quick
		b, _ := brw.Reader.Peek(n)
		s.out.early = bytes.Clone(b)
	}
	s.in = bufio.NewReaderSize(s.out, readBytes)
	return s.out, bufio.NewReadWriter(s.in, bufio.NewWriterSize(s.out, writeBytes)), nil
}

// ping reads a ping as our own clients write it, without the decoder: {"t":"ping","id":7,"ack":3}. The stack of a
// reader that never decodes stays small.
func ping(b []byte) (e wire.Envelope, ok bool) {
	e.T = wire.Ping
	if b, ok = bytes.CutPrefix(b, []byte(`{"t":"ping","id":`)); !ok {
		return e, false
	}
	if e.ID, b, ok = number(b); !ok {
		return e, false
	}
	if rest, has := bytes.CutPrefix(b, []byte(`,"ack":`)); has {
		if e.Ack, b, ok = number(rest); !ok {
			return e, false
		}
	}
	return e, len(b) == 1 && b[0] == '}'
}

// number reads up to 18 digits, of which the first is not 0.
func number(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && i < 18 && b[i] >= '0' && b[i] <= '9'; i++ {
		n = n*10 + uint64(b[i]-'0')
	}
	return n, b[i:], n > 0 && b[0] != '0'
}
