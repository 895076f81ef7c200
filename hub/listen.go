package hub

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"intercom/hub/api"
	"intercom/internal/backoff"
	"intercom/wire"
)

// Serve serves what connects to a listener until ctx ends, and then stops the hub: see [Hub.Stop].
//
// It speaks HTTP/1.1 only: WebSockets need no more, and HTTP/2 would let one connection hold a hundred requests.
func (h *Hub) Serve(ctx context.Context, l net.Listener, certificates *tls.Config) error {
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s := h.admission.server(requests, h)
	s.TLSConfig = certificates
	ended := make(chan error, 1)
	go func() {
		if certificates != nil {
			ended <- s.ServeTLS(counter{l, h.admission, h.admission.handshakes}, "", "")
		} else {
			ended <- s.Serve(counter{l, h.admission, nil})
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	h.Stop()
	cancel()
	h.Wait(3 * time.Second)
	s.Close()
	<-ended
	return nil
}

// ServePages serves other pages, without TLS, within the same limits.
func (h *Hub) ServePages(ctx context.Context, l net.Listener, pages http.Handler) error {
	admitted := func(w http.ResponseWriter, r *http.Request) { h.admission.admitRequest(w, r, pages) }
	s := h.admission.server(ctx, http.HandlerFunc(admitted))
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(counter{l, h.admission, nil}); ctx.Err() == nil {
		return err
	}
	return nil
}

func (h *admission) server(requests context.Context, handler http.Handler) *http.Server {
	s := &http.Server{
		Handler: handler, BaseContext: func(net.Listener) context.Context {
			return requests
		}, Protocols: new(http.Protocols),
		ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, countedOf(c))
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateActive {
				countedOf(c).active()
			}
		}}
	s.Protocols.SetHTTP1(true)
	return s
}

type (
	connKey  struct{}
	placeKey struct{}
)

// counter counts what it accepts.
type counter struct {
	net.Listener
	a          *admission
	handshakes *Handshakes // nil without TLS
}

func (l counter) Accept() (net.Conn, error) {
	c, hand, err := l.next()
	if err != nil {
		return nil, err
	}
	counted := &countedConn{Conn: c, hand: hand}
	a, _ := addressOf(c.RemoteAddr().String())
	crowd := &l.a.conns
	if l.a.proxies.trusts(a) { // its connections are of many
		crowd = &l.a.passed
	}
	counted.guest = crowd.enter(subscriber(a), func() { _ = c.Close() })
	return counted, nil
}

// next accepts a connection. One whose address may have no TLS handshake is closed.
func (l counter) next() (net.Conn, *handshake, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.handshakes == nil {
			return c, nil, err
		}
		if hand, ok := l.handshakes.begin(c); ok {
			return hand, hand, nil
		}
		_ = c.Close()
	}
}

// countedConn is a connection that counts for its address until somebody signs in on it. Each write has its own time: a
// deadline that is set once stays, and fails whoever writes later: a ping, a close, the TLS layer while it reads.
type countedConn struct {
	net.Conn
	guest *guest
	hand  *handshake   // nil without TLS
	until atomic.Int64 // the deadline of all writes, as time since born; 0 for none
}

var born = time.Now() // wall clocks jump

// countedOf finds the connection below TLS.
func countedOf(c net.Conn) *countedConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*countedConn)
}

// active is called for each request: the handshake is over, and the connection is the newest of its address.
func (c *countedConn) active() {
	if c.hand != nil {
		c.hand.done()
	}
	c.guest.renew()
}

// SetDeadline and SetWriteDeadline bound all writes together.
func (c *countedConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *countedConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		c.until.Store(0)
	} else {
		c.until.Store(int64(t.Sub(born)))
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *countedConn) Write(b []byte) (int, error) {
	until := time.Now().Add(writeTime)
	if at := time.Duration(c.until.Load()); at != 0 && at < until.Sub(born) {
		until = born.Add(at)
	}
	if err := c.Conn.SetWriteDeadline(until); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close closes it, and counts it no longer.
func (c *countedConn) Close() error {
	c.guest.leave()
	return c.Conn.Close()
}

// proved counts a request and its connection no longer: it has shown a right key.
func proved(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*countedConn); ok {
		c.guest.leave()
	}
	if g, ok := r.Context().Value(placeKey{}).(*guest); ok {
		g.leave()
	}
}

// returnHandshake gives the handshake of a request's connection back to its address: a house whose stations all come
// back at once needs many.
func (h *admission) returnHandshake(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*countedConn); ok && c.hand != nil {
		h.handshakes.of.giveBack(c.guest.address)
	}
}

// ServeHTTP serves the WebSocket at /v1/ws, tokens, operators and the history under /v1, and the probes /healthz and
// /readyz. From here on, RemoteAddr of a request is the client's address without a port.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Referrer-Policy", "no-referrer")
	h.admission.admitRequest(w, r, h.mux)
}

// admission is who may come in, and how often: what clients hold before they have proved who they are; see limits.go.
type admission struct {
	log                       *slog.Logger
	proxies                   Proxies
	provesItself              func(r *http.Request) bool
	conns, requests, greeting crowd
	passed                    crowd // connections of trusted proxies
	handshakes                *Handshakes
	guesses                   guesses
	pages, refusals           quota[netip.Prefix]
	askedAs, passedOn         sync.Once
}

func newAdmission(p Proxies, log *slog.Logger) *admission {
	a := &admission{log: log, proxies: p, handshakes: newHandshakes(newSlots(), p.trusts, log)}
	a.conns, a.passed = crowd{each: maxConns, all: maxAllConns, grace: newGrace}, crowd{all: maxPassed}
	a.requests = crowd{each: maxRequests, grace: newGrace}
	a.greeting = crowd{each: maxSockets, grace: helloGrace}
	a.pages.rate, a.refusals.rate = pageRate, logRate
	return a
}

// admitRequest serves a request when it is not one too many.
func (h *admission) admitRequest(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	from := h.client(r)
	client := subscriber(from)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	control := http.NewResponseController(w)
	place := h.requests.enter(client, func() {
		cancel()
		_ = control.SetReadDeadline(time.Unix(1, 0)) // of a body that does not come
	})
	defer place.leave()
	r = r.WithContext(context.WithValue(ctx, placeKey{}, place))
	r.RemoteAddr = from.String()
	if wait, ok := h.pages.take(client); !ok && !h.provesItself(r) {
		backoff.Sleep(ctx, time.Second) // so that the same connection does not ask again at once
		api.Refuse(w, tooOften(wait))
		return
	}
	handler.ServeHTTP(w, r)
}

// provesItself says that a request is let in for what it knows, or refused for that; see [admission.wrong].
func (h *Hub) provesItself(r *http.Request) bool {
	if r.URL.Path == wire.Path {
		return r.Header.Get("Upgrade") != ""
	}
	return h.api.ProvesItself(r)
}

// client is the address that a request comes from.
func (h *admission) client(r *http.Request) netip.Addr {
	peer, _ := addressOf(r.RemoteAddr)
	p := h.proxies
	client := p.client(peer, r.Header)
	switch {
	case p.trusts(client):
		h.askedAs.Do(func() {
			h.log.Warn(
				"a trusted proxy does not say whose requests it passes on, so that all its clients count as one; "+
					"see docs/hub.md", "address", peer.String(), "header", p.Header)
		})
	case client == peer && (r.Header.Get(XForwardedFor) != "" || r.Header.Get(Forwarded) != ""):
		h.passedOn.Do(func() {
			h.log.Warn("a request says that it was passed on, but comes from no address of trusted_proxies, so that "+
				"is not believed; "+
				"see docs/hub.md", "address", peer.String())
		})
	}
	return client
}

// clientOf is what a request counts for.
func clientOf(r *http.Request) netip.Prefix {
	a, _ := addressOf(r.RemoteAddr)
	return subscriber(a)
}

// wrong waits before a wrong key is answered: the longer, the more of them the address sent. Who waits holds no place
// that somebody with a right key needs.
func (h *admission) wrong(r *http.Request) {
	backoff.Sleep(r.Context(), h.guesses.delay(clientOf(r)))
}

// guesses are the wrong keys of each address.
type guesses struct {
	mu sync.Mutex
	of table[netip.Prefix, guessed]
}

type guessed struct {
	count  int
	latest time.Time
}

// delay notes a wrong key, and says how long its answer has to wait.
func (g *guesses) delay(address netip.Prefix) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	one := g.of.at(address, func(one *guessed) bool { return now.Sub(one.latest) > wrongForgets })
	if now.Sub(one.latest) > wrongForgets {
		one.count = 0
	}
	one.count, one.latest = one.count+1, now
	return min(slowest, 50*time.Millisecond<<min(one.count, 8))
}
