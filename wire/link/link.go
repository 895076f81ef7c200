// Package link is a client's session with the hub: it dials, proves who it is, registers, serves, and says why it
// ended; a keeper around it tries again with full jitter and never gives up.
//
// A [Link] is a part: Run owns its goroutines and returns when they are gone. Messages reach the [Handler] in order, on
// one goroutine that must not be blocked. The device's wiring (cmd) imports it; only here and in the hub is WebSocket
// known.
package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"intercom/internal/backoff"
	"intercom/internal/config"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// Config says which hub, and who signs in.
type Config struct {
	URLs     []string // ws:// or wss://, with path; the next is tried when one cannot be reached
	Account  string
	APIKey   config.Secret
	CUID     string
	Name     string
	Instance string // the secret by which the hub knows the same device again
	Agent    string
	TLS      *tls.Config // nil for the system's roots

	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil for the network's

	// Way watches how packets leave this machine from one address to another; moved says that they leave otherwise by
	// now. Nil where nobody can tell. Whoever can also calls NetworkChanged.
	Way func(from, to netip.Addr) (moved func() bool)
}

// Message is what came from the hub; for a reply, To is the type of the request.
type Message struct {
	wire.Envelope
	To wire.Type
}

// Handler is told what happens, in order. Up and Down must return at once; the next message is read when Receive
// returns. Down may come from the goroutine that calls NetworkChanged, or a timer, and once more when the connection
// has ended.
type Handler interface {
	Up(wire.WelcomeBody) // signed in
	Down(error)          // the session ended, or could not be made; never nil
	Receive(Message)
}

// Link keeps one session with the hub, over as many connections as it takes. Make it with [New].
type Link struct {
	cfg   Config
	log   *slog.Logger
	h     Handler
	calls func() []wire.CallRef
	url   int // the one to try, of the keeper alone
	woken chan struct{}

	mu      sync.Mutex
	try     *attempt             // the connection that there is, or is being made
	now     *session             // nil while nobody is signed in
	ids     uint64               // of the latest request
	last    time.Time            // that the hub was heard
	waiting map[uint64]wire.Type // requests without reply
	name    string               // of the session, for the hub to know it again
	out     wire.Outbox
	in      wire.Inbox
}

// New makes a link. calls says which calls the device believes to be alive when it signs in.
func New(cfg Config, h Handler, calls func() []wire.CallRef, log *slog.Logger) *Link {
	return &Link{cfg: cfg, h: h, calls: calls, log: log, waiting: map[uint64]wire.Type{}, woken: make(chan struct{}, 1)}
}

// Run keeps the session until ctx ends.
func (l *Link) Run(ctx context.Context) error {
	b := backoff.Backoff{First: time.Second, Base: time.Second, Cap: 15 * time.Second, Health: time.Minute}
	told, wrongKey := "", 0
	for ctx.Err() == nil {
		began := time.Now()
		up, left, err := l.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		l.h.Down(err)
		lasted := time.Duration(0)
		if up {
			lasted = time.Since(began)
		} else if !left {
			l.url = (l.url + 1) % len(l.cfg.URLs)
		}
		var wait time.Duration
		if !left {
			wait = b.Next(lasted)
		}
		patient := false // must not come back sooner, whatever happens here
		if fault.Is(err, fault.Credentials) {
			wrongKey++
			wait, patient = time.Duration(min(wrongKey, 5))*time.Minute, true
		} else {
			wrongKey = 0
		}
		if after := fault.Of(err).RetryAfterMS; after > 0 {
			patient = true
			wait = min(wire.Millis(after), mostRetryAfter)
		}
		// One line a change, not a line a try: a hub that is away for a night must not fill the journal.
		if err.Error() != told {
			l.log.Warn("the hub is away; trying again for ever", "err", err, "wait", wait.Round(time.Millisecond),
				"try", b.Tries())
			told = err.Error()
		}
		if up {
			told = ""
		}
		l.sleep(ctx, began, wait, patient)
	}
	return nil
}

// Send queues a message for the hub and gives requests their id. It never blocks; false means that it was not taken,
// because nobody is signed in. What was taken is said again on the next connection, if the hub knows the session.
func (l *Link) Send(e wire.Envelope) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.now
	if s == nil {
		return false
	}
	if isRequest(e.T) {
		l.ids++
		e.ID = l.ids
		l.waiting[e.ID] = e.T
	}
	if e.Ack = l.in.Last(); wire.Numbered(e) {
		e = l.out.Push(e)
	}
	select {
	case s.out <- e:
		return true
	default:
		s.stuck() // the next connection says it
		l.now = nil
		return true
	}
}

func isRequest(t wire.Type) bool {
	switch t {
	case wire.Invite, wire.Answer, wire.Decline, wire.Cancel, wire.HangUp, wire.Ping, wire.State, wire.Note, wire.Door,
		wire.DoorDone, wire.OpenDone, wire.Servers:
		return true
	}
	return false
}

// perSecond is how many messages a hub may say in a second, on average: four times of what it lets others say to us in
// one call, for those who watch a large account.
const perSecond = 100

// mostRetryAfter is how long a hub can keep a client away with one word.
const mostRetryAfter = 10 * time.Minute

// goodbyeTime is how long a hub that does not read can hold up the end.
const goodbyeTime = time.Second

type session struct {
	ws    *websocket.Conn
	out   chan wire.Envelope
	stuck context.CancelFunc // ends a connection that takes nothing
}

// session is one life of the connection. It reports whether the sign-in was done, and why it ended.
func (l *Link) session(ctx context.Context, t *attempt) (up bool, err error) {
	ws, welcome, err := l.signIn(ctx, t)
	if err != nil {
		return false, err
	}
	defer ws.CloseNow()

	// Reading goes on until the writer has said goodbye.
	wctx, stopWriting := context.WithCancel(ctx)
	rctx, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	s := &session{ws: ws, out: make(chan wire.Envelope, wire.MaxQueue+wire.KeptMessages), stuck: stopReading}
	l.begin(s, welcome)
	written := make(chan error, 1)
	go func() {
		written <- s.write(wctx, l)
		stopReading()
	}()
	l.h.Up(welcome)
	l.log.Info(event.SignedIn, event.Account(l.cfg.Account), event.CUID(l.cfg.CUID), "resumed", welcome.Resumed)
	err = s.read(rctx, l)
	l.mu.Lock()
	l.now = nil
	if errors.Is(err, websocket.ErrMessageTooBig) || fault.Is(err, fault.BadMessage) {
		l.name = "" // a session that is resumed would say the same again, for ever
	}
	l.mu.Unlock()
	stopWriting()
	if werr := <-written; werr != nil && rctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = werr
	}
	return true, err
}

// begin goes on with the session where the hub lost it, or begins a new one.
func (l *Link) begin(s *session, w wire.WelcomeBody) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out.Acked(w.Ack)
	missed, ok := l.out.After(w.Ack)
	if !w.Resumed || !ok {
		l.out, l.in, l.waiting = wire.Outbox{}, wire.Inbox{}, map[uint64]wire.Type{}
		missed = nil
	}
	l.name = w.Session
	for _, e := range missed {
		e.Ack = l.in.Last()
		s.out <- e // there is room for all that are kept
	}
	l.now = s
}

// signIn dials and goes through challenge, hello and welcome within the time that the protocol allows.
func (l *Link) signIn(ctx context.Context, t *attempt) (*websocket.Conn, wire.WelcomeBody, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.SignInTime)
	defer cancel()
	none := wire.WelcomeBody{}
	transport := &http.Transport{TLSClientConfig: l.cfg.TLS, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return l.dial(ctx, t, network, addr)
		}}
	// A flood of control frames waits in the network. Pongs are not left out: by them the hub knows that this one is
	// alive.
	control := rate.NewLimiter(perSecond, perSecond)
	ws, reply, err := websocket.Dial(ctx, l.cfg.URLs[l.url], &websocket.DialOptions{
		Subprotocols:   []string{wire.Subprotocol},
		OnPingReceived: func(ctx context.Context, _ []byte) bool { return control.Wait(ctx) == nil },
		OnPongReceived: func(ctx context.Context, _ []byte) { _ = control.Wait(ctx) },
		// The hello has the key: it goes to the hub that is configured, and nowhere that a reply sends us on to.
		HTTPClient: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	})
	if to := redirect(reply); to != "" {
		return nil, none, fault.In(fault.InternetLost, "hub.url",
			"Instead of the hub, a redirect to %s answered; redirects are not followed. "+
				"If that is the hub, set its address; if it is a network's sign-in page, sign in there.", to)
	}
	if err != nil {
		return nil, none, fmt.Errorf("dialling the hub: %w", inner(err))
	}
	fail := func(err error) (*websocket.Conn, wire.WelcomeBody, error) {
		ws.CloseNow()
		return nil, none, err
	}
	if ws.Subprotocol() != wire.Subprotocol {
		return fail(fault.New(fault.Version))
	}
	ws.SetReadLimit(wire.MaxMessage)
	e, err := receive(ctx, ws)
	if err != nil {
		return fail(fmt.Errorf("waiting for the hub's challenge: %w", err))
	}
	if e.T != wire.Challenge {
		return fail(refusal(e))
	}
	hello := wire.New(wire.Hello, "", wire.HelloBody{
		Account: l.cfg.Account, APIKey: l.cfg.APIKey.Reveal(), CUID: l.cfg.CUID, Name: l.cfg.Name,
		Instance: l.cfg.Instance, Agent: l.cfg.Agent, Calls: l.calls(), Resume: l.resume(),
	})
	hello.ID = 1
	if err := send(ctx, ws, hello); err != nil {
		return fail(err)
	}
	e, err = receive(ctx, ws)
	if err != nil {
		return fail(fmt.Errorf("signing in: %w", err))
	}
	if e.T != wire.Welcome {
		return fail(refusal(e))
	}
	welcome, ferr := wire.Body[wire.WelcomeBody](e)
	if ferr != nil {
		return fail(ferr)
	}
	return ws, welcome, nil
}

// redirect is the place that a reply sends its client on to, without what is secret in it; empty if it does not.
func redirect(r *http.Response) string {
	if r == nil || r.StatusCode < 300 || r.StatusCode > 399 {
		return ""
	}
	to, err := r.Location()
	if err != nil {
		return "nowhere"
	}
	return wire.Printable(to.Scheme+"://"+to.Host, 100)
}

// resume names the session that was lost; nil when there was none.
func (l *Link) resume() *wire.Resume {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == "" {
		return nil
	}
	return &wire.Resume{Session: l.name, Seq: l.in.Last()}
}

// refusal is the error for a message that came in place of the one awaited: its own, or that it makes no sense.
func refusal(e wire.Envelope) error {
	if e.T != wire.Fail {
		return fault.New(fault.BadMessage)
	}
	f, err := wire.Body[fault.Error](e)
	if err != nil {
		return err
	}
	return &f
}

func (s *session) read(ctx context.Context, l *Link) error {
	// the hub said that it is about to stop
	var leaving error
	// at once: what it kept for us, and what waits
	pace := rate.NewLimiter(perSecond, wire.MaxQueue+wire.KeptMessages+perSecond)
	for {
		// The writer pings every 15 s, so that a healthy hub is never silent for 20.
		rctx, cancel := context.WithTimeout(ctx, wire.DeadAfter)
		e, err := receive(rctx, s.ws)
		cancel()
		switch {
		case err != nil && leaving != nil:
			return leaving
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			return fmt.Errorf("the hub was silent for %v", wire.DeadAfter)
		case err != nil:
			return err
		case !pace.Allow():
			return fault.In(fault.RateLimited, "",
				"The hub says more than a hub has to say: more than %d messages a second.", perSecond)
		case e.T == wire.GoAway:
			leaving = goAway(e)
			continue
		}
		if m, ok := l.heard(e); ok {
			l.h.Receive(m)
		}
	}
}

// heard notes a message, and reports whether the handler wants it.
func (l *Link) heard(e wire.Envelope) (Message, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	m := Message{Envelope: e}
	l.out.Acked(e.Ack)
	if !l.in.Fresh(e) {
		return m, false
	}
	if e.Re != 0 {
		m.To = l.waiting[e.Re]
		delete(l.waiting, e.Re)
		return m, m.To != "" && m.To != wire.Ping
	}
	return m, true
}

// goAway is the end that a hub announces: all come back within its spread, but not at once.
func goAway(e wire.Envelope) error {
	b, err := wire.Body[wire.GoAwayBody](e)
	if err != nil {
		return err
	}
	f := fault.In(fault.HubDegraded, "", "The hub restarts; the station comes back by itself.")
	f.RetryAfterMS = 1 + rand.Int64N(max(1, min(b.SpreadMS, time.Minute.Milliseconds())))
	return f
}

func (s *session) write(ctx context.Context, l *Link) error {
	ping := time.NewTicker(wire.PingEvery)
	defer ping.Stop()
	for {
		var e wire.Envelope
		select {
		case <-ctx.Done():
			bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime)
			defer cancel()
			// no close handshake: a hub that is stuck must not hold us up
			_ = send(bye, s.ws, wire.Envelope{T: wire.Bye})
			return nil
		case <-ping.C:
			l.Send(wire.Envelope{T: wire.Ping})
			continue
		case e = <-s.out:
		}
		wctx, cancel := context.WithTimeout(ctx, wire.AckTime)
		err := send(wctx, s.ws, e)
		cancel()
		if err != nil {
			return err
		}
	}
}

func send(ctx context.Context, ws *websocket.Conn, e wire.Envelope) error {
	return ws.Write(ctx, websocket.MessageText, wire.Encode(e))
}

// receive reads one message; a close by the hub becomes an error that says why.
func receive(ctx context.Context, ws *websocket.Conn) (wire.Envelope, error) {
	kind, b, err := ws.Read(ctx)
	if err != nil {
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return wire.Envelope{}, fmt.Errorf("the hub closed the connection: %d %s", closed.Code, closed.Reason)
		}
		if ctx.Err() != nil {
			return wire.Envelope{}, ctx.Err()
		}
		return wire.Envelope{}, fmt.Errorf("the connection to the hub broke: %w", fault.Root(err))
	}
	if kind != websocket.MessageText {
		return wire.Envelope{}, fault.New(fault.BadMessage)
	}
	e, ferr := wire.Decode(b, wire.MaxMessage)
	if ferr != nil {
		return e, ferr
	}
	return e, nil
}

// inner finds the network's own error below the layers of the libraries: it names the address and the cause.
func inner(err error) error {
	var op *net.OpError
	var get *url.Error
	switch {
	case errors.As(err, &op):
		return op
	case errors.As(err, &get):
		return get.Err
	}
	return err
}
