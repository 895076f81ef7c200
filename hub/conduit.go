package hub

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"sync"

	"intercom/wire"
)

// This file is why ten thousand idle sockets cost little; docs/decisions/0006-idle-sockets.md has the reasons.

const (
	readBytes  = 64 // of a socket's buffer: an idle device must not cost much, and a ping fits
	writeBytes = 16 // the same for writing, where the conduit gathers what belongs together
)

// conduit is a connection that can hold back what is written, to write it at once.
type conduit struct {
	net.Conn
	early []byte // what the HTTP server had read already

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

func (c *conduit) Read(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
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
	s.out = &conduit{Conn: nc}
	if n := brw.Reader.Buffered(); n > 0 { // the client was quick
		b, _ := brw.Reader.Peek(n)
		s.out.early = bytes.Clone(b)
	}
	s.in = bufio.NewReaderSize(s.out, readBytes)
	return s.out, bufio.NewReadWriter(s.in, bufio.NewWriterSize(s.out, writeBytes)), nil
}

// ping reads a ping as our own clients write it, without the decoder: {"t":"ping","id":7,"ack":3}. The stack of a reader
// that never decodes stays small.
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
