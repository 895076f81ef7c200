package hub

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/wire"
)

// socket is one connection. One goroutine reads; another writes while there is something to write, and only then: most
// of the time most of ten thousand sockets have nothing to say.
type socket struct {
	ws       *websocket.Conn
	in       *bufio.Reader // what ws reads from; of the reader alone
	out      *conduit
	handling atomic.Bool // the reader has a message in hand, and reads no further

	mu      sync.Mutex
	owed    replies
	proved  time.Time // when the other end last answered the question whether it is alive
	hurry   bool      // nobody waits for the other end to close too
	queue   []wire.Envelope
	writing bool
	ending  bool
	code    int
	why     string
	flushed chan struct{} // closed when the last is written; made when the reader waits for it
}

// send queues a message. A client that does not read is closed when its queue is full; the others notice nothing.
func (s *socket) send(e wire.Envelope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ending:
		return
	case len(s.queue) >= wire.MaxQueue:
		s.queue = nil // it gets the close code if it reads on before the write that is stuck gives up
		s.end(wire.CloseOverload, "too many messages waiting")
		return
	}
	s.queue = append(s.queue, e)
	s.owed.sent(e.T)
	s.wake()
}

// close asks that what is queued is sent, and then closes.
func (s *socket) close(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(code, reason)
}

func (s *socket) end(code int, reason string) {
	if !s.ending {
		s.ending, s.code, s.why = true, code, reason
		s.wake()
	}
}

func (s *socket) wake() {
	if !s.writing {
		s.writing = true
		go s.flush()
	}
}

// flush writes what is queued, and the end. What is queued together goes out together, in one system call.
func (s *socket) flush() {
	for {
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		if len(queue) == 0 {
			s.writing = false
			if s.flushed != nil {
				close(s.flushed)
				s.flushed = nil
			}
			ending := s.ending
			s.mu.Unlock()
			if ending { // the reader closes: only it may touch what ws reads from
				_ = s.out.SetReadDeadline(time.Unix(1, 0))
			}
			return
		}
		s.mu.Unlock()
		if s.put(queue) != nil {
			s.out.Close()
			s.mu.Lock()
			s.ending, s.queue = true, nil
			s.mu.Unlock()
		}
	}
}

// put writes messages. How long that may take, the connection knows: see countedConn.
func (s *socket) put(queue []wire.Envelope) error {
	s.out.cork()
	for _, e := range queue {
		if err := s.ws.Write(context.Background(), websocket.MessageText, wire.Encode(e)); err != nil {
			return err
		}
	}
	return s.out.uncork()
}

// pong answers a ping from the reader itself: ten thousand idle devices ping, and nothing else happens.
func (s *socket) pong(e wire.Envelope) {
	s.mu.Lock()
	if s.writing || s.ending {
		s.mu.Unlock()
		s.send(e)
		return
	}
	s.writing = true
	s.mu.Unlock()
	_ = s.put([]wire.Envelope{e}) // what is wrong with the connection, the reader will see
	s.flush()                     // and what was queued meanwhile
}

// believedFor is how long an answer to the question whether one is alive holds: many who want its place must not have
// it asked without end.
const believedFor = time.Second

// alive asks the other end for a sign of life. A WebSocket ping is answered by the client's library, so also by a
// client whose own loop is stuck; and whatever else comes counts as well. While the hub itself is slow with what came,
// the other end cannot be heard, and is believed.
func (s *socket) alive(within time.Duration) bool {
	s.mu.Lock()
	believed := !s.ending && !s.proved.IsZero() && time.Since(s.proved) < believedFor
	s.mu.Unlock()
	if believed {
		return true
	}
	before := s.out.heard.Load()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if s.ws.Ping(ctx) != nil && s.out.heard.Load() == before && !s.handling.Load() {
		return false
	}
	s.mu.Lock()
	s.proved = time.Now()
	s.mu.Unlock()
	return true
}

// makeRoom closes a socket that has not said hello, since others of its address want its place.
func (s *socket) makeRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry = true
	s.end(wire.CloseRate, "too many connections of this address are not signed in yet")
}

func (s *socket) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// fail tells the client what is wrong before its socket is closed.
func (s *socket) fail(e wire.Envelope, err error) {
	var f *fault.Error
	if errors.As(err, &f) {
		s.send(wire.Reply(e, f))
	}
}

// read takes one message of at most limit bytes, and waits for the whole of it no longer than patience.
func (s *socket) read(patience time.Duration, limit int) (wire.Envelope, error) {
	if err := s.out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return wire.Envelope{}, err
	}
	if s.over() { // see flush
		return wire.Envelope{}, errClosed
	}
	kind, r, err := s.ws.Reader(context.Background())
	if err != nil {
		return wire.Envelope{}, err
	}
	buf := buffers.Get().(*[]byte)
	defer func() { *buf = (*buf)[:0]; buffers.Put(buf) }()
	for len(*buf) <= limit {
		if len(*buf) == cap(*buf) {
			*buf = append(*buf, 0)[:len(*buf)]
		}
		n, err := r.Read((*buf)[len(*buf):cap(*buf)])
		*buf = (*buf)[:len(*buf)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return wire.Envelope{}, err
		}
	}
	if kind != websocket.MessageText {
		return wire.Envelope{}, fault.In(fault.BadMessage, "", "The message is binary; send text.")
	}
	if e, ok := ping(*buf); ok {
		return e, nil
	}
	e, ferr := wire.Decode(*buf, limit)
	if ferr != nil {
		return e, ferr
	}
	return e, nil
}
