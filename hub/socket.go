package hub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/wire"
)

// socket is one connection. The goroutine of the HTTP handler reads, another writes; others only queue.
type socket struct {
	ws    *websocket.Conn
	out   chan wire.Envelope
	quit  chan struct{}
	once  sync.Once
	code  int
	why   string
	heard atomic.Int64 // when the last message came, in nanoseconds since the epoch
}

// send queues a message. A client that does not read is closed when its queue is full; the others notice nothing.
func (s *socket) send(e wire.Envelope) {
	select {
	case s.out <- e:
	default:
		s.close(wire.CloseOverload, "too many messages waiting")
	}
}

// close asks the writer to send what is queued and to close.
func (s *socket) close(code int, reason string) {
	s.once.Do(func() {
		s.code, s.why = code, reason
		close(s.quit)
	})
}

// alive asks the other end for a sign of life.
func (s *socket) alive(within time.Duration) bool {
	before := s.heard.Load()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	// A WebSocket ping is answered by the client's library, so also by a client whose own loop is stuck; and a message
	// of its own counts as well.
	return s.ws.Ping(ctx) == nil || s.heard.Load() > before
}

const (
	askOwner  = 2 * time.Second // how long the owner of a cuid has to prove that it is there
	bucket    = 48              // messages at once; fewer than a peer's queue holds, so that nobody can flood another out
	perSecond = 25              // messages a second
	writeTime = 10 * time.Second
)

func (h *Hub) serveSocket(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		return // Accept has answered
	}
	h.sockets.Add(1)
	defer h.sockets.Done()
	defer ws.CloseNow()
	if ws.Subprotocol() != wire.Subprotocol {
		ws.Close(wire.CloseBadFrame, "the subprotocol must be "+wire.Subprotocol)
		return
	}
	ws.SetReadLimit(-1) // we count ourselves, to close with a code of ours
	s := &socket{ws: ws, out: make(chan wire.Envelope, wire.MaxQueue), quit: make(chan struct{})}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ctx)
		cancel()
	}()
	me, forGood, err := h.session(ctx, s)
	if me != (who{}) {
		h.router.leave(me, s, forGood)
		h.log.Info("signed out", "cuid", me.cuid, "err", cause(err))
	} else {
		h.log.Info("sign-in failed", "err", cause(err), "address", r.RemoteAddr)
	}
	code, why := closing(err)
	s.close(code, why)
	<-written
}

// session signs the connection in and serves it until it ends. me is empty when the sign-in failed.
func (h *Hub) session(ctx context.Context, s *socket) (me who, forGood bool, err error) {
	s.send(wire.New(wire.Challenge, "", wire.ChallengeBody{Nonce: random(), Version: wire.Subprotocol}))
	hctx, cancel := context.WithTimeout(ctx, wire.SignInTime)
	e, err := s.read(hctx, wire.MaxBeforeSignIn)
	cancel()
	if err != nil {
		if errors.Is(hctx.Err(), context.DeadlineExceeded) {
			err = errSignInTime
		}
		s.fail(e, err)
		return who{}, false, err
	}
	if me, err = h.signIn(s, e); err != nil {
		s.fail(e, err)
		return who{}, false, err
	}
	tokens, last := float64(bucket), time.Now()
	for {
		rctx, cancel := context.WithTimeout(ctx, wire.DeadAfter)
		e, err := s.read(rctx, wire.MaxMessage)
		cancel()
		if err != nil {
			s.fail(e, err)
			return me, false, err
		}
		now := time.Now()
		tokens = min(bucket, tokens+now.Sub(last).Seconds()*perSecond) - 1
		last = now
		if tokens < 0 {
			err := fault.New(fault.RateLimited)
			s.fail(e, err)
			return me, false, err
		}
		switch e.T {
		case wire.Bye:
			return me, true, nil
		case wire.Ping:
			s.send(wire.Reply(e, nil))
		default:
			ferr := h.router.receive(me, e)
			if e.ID != 0 || ferr != nil {
				s.send(wire.Reply(e, ferr))
			}
		}
	}
}

// signIn checks a hello and makes the socket the owner of its cuid.
func (h *Hub) signIn(s *socket, e wire.Envelope) (who, error) {
	if e.T != wire.Hello {
		return who{}, fault.In(fault.NotConnected, "t", "The first message must be hello; see docs/protocol.md.")
	}
	b, ferr := wire.Body[wire.HelloBody](e)
	if ferr != nil {
		return who{}, ferr
	}
	if err := checkHello(b); err != nil {
		return who{}, err
	}
	if !h.accounts.Allowed(b.Account, b.APIKey) {
		return who{}, fault.New(fault.Credentials)
	}
	me := who{b.Account, b.CUID}
	welcome := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: random(), ServerTime: time.Now().UTC().Truncate(time.Millisecond),
		RingMS: h.router.ring.Milliseconds(), PingMS: wire.PingEvery.Milliseconds(), ICEServers: []wire.ICEServer{}})
	welcome.Re = e.ID
	for range 3 { // another may take the place between the look and the join
		old, instance := h.router.owner(me)
		if asked, ok := old.(interface{ alive(time.Duration) bool }); ok && instance != b.Instance && asked.alive(askOwner) {
			return who{}, fault.New(fault.AlreadySignedIn)
		}
		if h.router.join(me, b.Name, b.Instance, old, s, welcome, b.Calls) {
			h.log.Info("signed in", "cuid", b.CUID, "account", b.Account, "agent", b.Agent)
			return me, nil
		}
	}
	return who{}, fault.New(fault.HubDegraded)
}

func checkHello(b wire.HelloBody) *fault.Error {
	for _, f := range []struct{ name, value string }{{"account", b.Account}, {"apikey", b.APIKey}, {"cuid", b.CUID}, {"instance", b.Instance}} {
		if f.value == "" {
			return fault.In(fault.MissingInit, f.name, "%s is missing; the sign-in needs it.", f.name)
		}
		if len(f.value) > wire.MaxNonceOrSecret {
			return fault.In(fault.InvalidInit, f.name, "%s is longer than %d bytes.", f.name, wire.MaxNonceOrSecret)
		}
	}
	if err := wire.CheckCUID(b.CUID); err != nil {
		return err
	}
	if b.Name != "" {
		if err := wire.CheckName(b.Name); err != nil {
			return err
		}
	}
	if len(b.Agent) > wire.MaxNonceOrSecret || len(b.Calls) > 8 {
		return fault.In(fault.InvalidInit, "agent", "The hello is longer than it may be; see docs/protocol.md.")
	}
	return nil
}

// cause is why a session ended, as the log says it.
func cause(err error) error {
	switch {
	case err == nil:
		return errors.New("said goodbye")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("silent for %v", wire.DeadAfter)
	}
	return fault.Root(err)
}

var errSignInTime = errors.New("no sign-in in time")

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
	case fault.HubDegraded:
		code = wire.CloseOverload
	}
	return code, string(f.Code)
}

// read takes one message of at most limit bytes.
func (s *socket) read(ctx context.Context, limit int) (wire.Envelope, error) {
	kind, r, err := s.ws.Reader(ctx)
	if err != nil {
		return wire.Envelope{}, err
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return wire.Envelope{}, err
	}
	s.heard.Store(time.Now().UnixNano())
	if kind != websocket.MessageText {
		return wire.Envelope{}, fault.In(fault.BadMessage, "", "The message is binary; send text.")
	}
	e, ferr := wire.Decode(b, limit)
	if ferr != nil {
		return e, ferr
	}
	return e, nil
}

// write sends what is queued until the socket is closed, and then what is left, with the close frame.
func (s *socket) write(ctx context.Context) {
	for {
		select {
		case e := <-s.out:
			if s.put(ctx, e) != nil {
				return
			}
		case <-s.quit:
			for len(s.out) > 0 {
				if s.put(ctx, <-s.out) != nil {
					return
				}
			}
			s.ws.Close(websocket.StatusCode(s.code), s.why)
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *socket) put(ctx context.Context, e wire.Envelope) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	return s.ws.Write(ctx, websocket.MessageText, b)
}

// random is 128 bits in hexadecimal.
func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
