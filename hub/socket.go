package hub

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/record"
	"intercom/internal/event"
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

// serveSocket signs a connection in. What serves it from then on is a goroutine of its own, whose stack is small.
func (h *Hub) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !h.sockets.Enter() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the hub stops", http.StatusServiceUnavailable)
		return
	}
	sw := &slim{ResponseWriter: w}
	ws, err := websocket.Accept(sw, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, OriginPatterns: h.set.Origins})
	if err != nil {
		h.sockets.Leave()
		h.wrong(r) // Accept has answered; the same connection must not ask again at once
		return
	}
	s := &socket{ws: ws, in: sw.in, out: sw.out}
	if ws.Subprotocol() != wire.Subprotocol {
		h.finish(s, wire.CloseBadFrame, "the subprotocol must be "+wire.Subprotocol)
		return
	}
	ws.SetReadLimit(-1) // we count ourselves, to close with a code of ours
	stop := context.AfterFunc(r.Context(), func() {
		if h.router.isStopped() {
			s.close(wire.CloseRestart, "the hub restarts")
		} else {
			s.makeRoom()
		}
	})
	m, err := h.signIn(r, s)
	stop()
	if err != nil {
		h.metrics.refused.Inc()
		if _, ok := h.refusals.take(clientOf(r)); ok { // else the log is flooded too
			h.log.Info("sign-in failed", "err", cause(err), "address", r.RemoteAddr)
		}
		code, why := closing(err)
		h.finish(s, code, why)
		return
	}
	go h.serve(s, m)
}

// finish closes a socket, after what is still to be sent. Only the reader calls it.
func (h *Hub) finish(s *socket, code int, why string) {
	defer h.sockets.Leave()
	defer s.ws.CloseNow()
	s.mu.Lock()
	s.end(code, why)
	code, why = s.code, s.why
	hurry := s.hurry
	var wait chan struct{}
	if s.writing {
		s.flushed = make(chan struct{})
		wait = s.flushed
	}
	s.mu.Unlock()
	if wait != nil {
		t := time.NewTimer(writeTime)
		defer t.Stop()
		select {
		case <-wait:
		case <-t.C:
			return
		}
	}
	s.out.close()
	soon := time.Now().Add(farewellTime)
	read := soon
	if hurry {
		read = time.Unix(1, 0)
	}
	if s.out.SetReadDeadline(read) == nil && s.out.SetWriteDeadline(soon) == nil {
		s.ws.Close(websocket.StatusCode(code), why)
	}
}

func (s *socket) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// serve reads until the connection ends.
func (h *Hub) serve(s *socket, m *session) {
	forGood, err := h.listen(s, m)
	if s.over() {
		err = errClosed
	}
	h.router.leave(m, s, forGood)
	h.log.Info("signed out", event.Account(m.account), event.CUID(m.cuid), "err", cause(err))
	code, why := closing(err)
	h.finish(s, code, why)
}

// listen reads until the end. It waits for a message at little depth and goes down to read it only when it is there:
// the stack of a goroutine that waits deep down cannot be made small again.
func (h *Hub) listen(s *socket, m *session) (forGood bool, err error) {
	var messages allowance
	s.out.of, s.out.perFrame = frameRate, allowance{}
	for !forGood && err == nil {
		if err = s.out.SetReadDeadline(time.Now().Add(wire.DeadAfter)); err == nil && s.over() { // see flush
			err = errClosed
		}
		if err == nil {
			_, err = s.in.Peek(1)
		}
		if err == nil {
			forGood, err = h.take(s, m, &messages)
		}
	}
	return forGood, err
}

// take reads and handles one message.
func (h *Hub) take(s *socket, m *session, messages *allowance) (forGood bool, err error) {
	e, err := s.read(wire.DeadAfter, wire.MaxMessage)
	s.handling.Store(true)
	defer s.handling.Store(false)
	h.router.fenceIfStale()
	if err == nil && !messages.spend(messageRate, 1) {
		err = fault.New(fault.RateLimited)
	}
	if err == nil && s.over() { // it has to leave, and a client that does not read could say this for as long as the end is stuck
		err = errClosed
	}
	if err != nil {
		s.fail(e, err)
		return false, err
	}
	fresh := m.heard(e)
	switch e.T {
	case wire.Bye:
		return true, nil
	case wire.Ping:
		s.pong(m.stamp(wire.Envelope{T: wire.OK, Re: e.ID}))
	default:
		h.handle(m, e, fresh)
	}
	return false, nil
}

// handle does what a message asks for. It is no part of take, so that the stack of a device that only pings stays
// small.
//
//go:noinline
func (h *Hub) handle(m *session, e wire.Envelope, fresh bool) {
	switch {
	case e.T == wire.Renew:
		m.reply(e, nil, h.renewToken(m, e))
	case e.T == wire.State:
		m.reply(e, nil, h.router.declare(m, e))
	case e.T == wire.Note:
		m.reply(e, nil, h.note(m, e))
	case e.T == wire.Identify, e.T == wire.OpenDoor, e.T == wire.OpenDone: // which look for another device, perhaps at other hubs
		if err := h.finds.may(m.who); err != nil {
			m.reply(e, nil, err)
			break
		}
		do := map[wire.Type]func(*session, wire.Envelope) *fault.Error{wire.Identify: h.router.requests.identify, wire.OpenDoor: h.router.requests.openDoor, wire.OpenDone: h.router.requests.doorDone}[e.T]
		h.router.background(func() { m.reply(e, nil, do(m, e)) })
	case e.T == wire.Watch:
		err := h.watches.may(m.who)
		m.reply(e, nil, err)
		if err == nil {
			h.router.watch(m)
		}
	case fresh && e.T == wire.Invite:
		if err := h.invites.may(m.who); err != nil {
			m.reply(e, nil, err)
			break
		}
		h.router.receive(m, e)
	case fresh:
		h.router.receive(m, e)
	}
}

// note has something written down that happened at a station. What cannot be written is kept there and said again.
func (h *Hub) note(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.NoteBody](e)
	if err == nil {
		err = b.Check()
	}
	if err == nil {
		err = h.notesOf.may(m.who)
	}
	if err != nil || h.set.Note == nil {
		return err
	}
	werr := h.set.Note(m.account, m.cuid, b)
	if errors.Is(werr, record.ErrFull) {
		h.log.Warn("a station has told more than is kept of a day", event.Account(m.account), event.CUID(m.cuid))
		return tooOften(time.Hour)
	}
	if werr != nil {
		h.log.Error("a note of a station cannot be written", event.Account(m.account), event.CUID(m.cuid), "err", werr)
		return fault.New(fault.HubDegraded)
	}
	return nil
}

// cause is why a session ended, as the log says it.
func cause(err error) error {
	switch {
	case err == nil:
		return errors.New("said goodbye")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("silent for %v", wire.DeadAfter)
	}
	return fault.Root(err)
}

var (
	errSignInTime = errors.New("no sign-in in time")
	errClosed     = errors.New("closed by the hub")
)

// fail tells the client what is wrong before its socket is closed.
func (s *socket) fail(e wire.Envelope, err error) {
	var f *fault.Error
	if errors.As(err, &f) {
		s.send(wire.Reply(e, f))
	}
}

// closing is the close code for the end of a session.
func closing(err error) (int, string) {
	switch {
	case err == nil:
		return int(websocket.StatusNormalClosure), ""
	case errors.Is(err, errSignInTime):
		return wire.CloseSignInTime, "no sign-in within 10 s"
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return int(websocket.StatusGoingAway), ""
	}
	code := wire.CloseBadFrame
	switch f.Code {
	case fault.Credentials, fault.MissingInit, fault.InvalidInit:
		code = wire.CloseCredentials
	case fault.AlreadySignedIn:
		code = wire.CloseTaken
	case fault.TooLarge:
		code = wire.CloseTooLarge
	case fault.RateLimited:
		code = wire.CloseRate
	case fault.HubDegraded, fault.NotAllowed:
		code = wire.CloseOverload
	}
	return code, string(f.Code)
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
