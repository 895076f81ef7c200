package hub

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"github.com/coder/websocket"

	"intercom/wire"
)

// pipes is a listener within the process, so that a whole hub, its HTTP server and its clients live by the clock of
// testing/synctest.
type pipes struct {
	come chan net.Conn
	done chan struct{}
}

// serveInBubble is a hub whose clients come through pipes.
func serveInBubble(t *testing.T, change func(*Settings)) (*server, *pipes) {
	p := &pipes{make(chan net.Conn), make(chan struct{})}
	return serveOn(t, p, change), p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return pipeAddr("192.0.2.1:443") }

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }

// pipe is one end, whose other end has an address.
type pipe struct {
	net.Conn
	from string
}

func (p pipe) RemoteAddr() net.Addr { return pipeAddr(p.from) }

// connect connects from an address.
func (p *pipes) connect(ctx context.Context, from string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.come <- pipe{theirs, netip.AddrPortFrom(netip.MustParseAddr(from), 40000).String()}:
		return ours, nil
	case <-p.done:
		return nil, errors.New("the hub is gone")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// client is an HTTP client at an address, with a connection for each request.
func (p *pipes) client(from string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return p.connect(ctx, from) }}}
}

// dialFrom opens a WebSocket from an address.
func (s *server) dialFrom(p *pipes, from string) *client {
	s.Helper()
	ws, _, err := websocket.Dial(s.Context(), "ws://hub"+wire.Path,
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, HTTPClient: p.client(from)})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { ws.CloseNow() })
	return &client{s.T, ws}
}

// signFrom signs a device in from an address, and says whether it is let in, and with which close code not.
func (s *server) signFrom(p *pipes, from, cuid, instance string) (c *client, code websocket.StatusCode) {
	s.Helper()
	c = s.dialFrom(p, from)
	c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: cuid, Instance: instance})
	_, code = c.until(wire.Welcome)
	return c, code
}

// listen reads all that comes, as a client does.
func (c *client) listen() {
	go func() {
		for {
			if _, _, err := c.ws.Read(c.Context()); err != nil {
				return
			}
		}
	}()
}
