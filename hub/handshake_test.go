package hub

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"intercom/wire"
)

// secure is an HTTP client at an address that speaks TLS, with a connection for each request.
func (p *pipes) secure(from string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := p.connect(ctx, from)
			if err != nil {
				return nil, err
			}
			s := tls.Client(c, &tls.Config{InsecureSkipVerify: true}) // a test's own
			return s, s.HandshakeContext(ctx)
		}}}
}

// signOverTLS signs a device in from an address.
func (s *server) signOverTLS(p *pipes, from, cuid string) error {
	ws, _, err := websocket.Dial(s.Context(), "wss://hub"+wire.Path,
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, HTTPClient: p.secure(from)})
	if err != nil {
		return err
	}
	s.Cleanup(func() { ws.CloseNow() })
	c := &client{s.T, ws}
	c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: cuid, Instance: "i"})
	if e, code := c.until(wire.Welcome); e.T != wire.Welcome {
		return fmt.Errorf("closed with %d", code)
	}
	return nil
}

// refused opens n connections that say nothing, and counts those that are closed at once.
func (p *pipes) refused(t *testing.T, from string, n int) (refused int) {
	t.Helper()
	for range n {
		c := p.bare(t, from, "")
		ended := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, c); close(ended) }()
		synctest.Wait()
		select {
		case <-ended:
			refused++
		default:
			c.Close()
		}
	}
	return refused
}

// An address has a rate of handshakes, taken before anything is read. Other addresses and trusted proxies are not
// concerned, and it comes back by itself.
func TestHandshakesHaveARate(t *testing.T) {
	const flooding, proxy = "2001:db8:1:2::%x", "192.0.2.1"
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		s := serveAll(t, p, self(t), func(set *Settings) {
			set.Proxies = Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix(proxy + "/32")}, Header: XForwardedFor}
		}, quiet)
		most := int(handshakeRate.burst)
		if n := p.refused(t, fmt.Sprintf(flooding, 1), most); n > 0 {
			t.Errorf("%d of the first %d are refused", n, most)
		}
		if n := p.refused(t, fmt.Sprintf(flooding, 2), 20); n != 20 { // of the same subscriber
			t.Errorf("%d of 20 more are refused", n)
		}
		if err := s.signOverTLS(p, fmt.Sprintf(flooding, 3), "front_door"); err == nil {
			t.Error("a handshake is done all the same")
		}
		if err := s.signOverTLS(p, "2001:db8:1:3::1", "reception"); err != nil {
			t.Errorf("another address: %v", err)
		}
		if n := p.refused(t, proxy, most+20); n > 0 {
			t.Errorf("%d of a proxy are refused", n)
		}
		time.Sleep(time.Second)
		if err := s.signOverTLS(p, fmt.Sprintf(flooding, 3), "front_door"); err != nil {
			t.Errorf("a second later: %v", err)
		}
		if n := p.refused(t, fmt.Sprintf(flooding, 1), most); n != most-int(handshakeRate.perSecond) {
			t.Errorf("a second later %d of %d are refused", n, most)
		}
	})
}

// Handshakes after which somebody signs in do not count, so that a house of any size comes back at once.
func TestALargeHouseComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		s := serveTLS(t, p, self(t))
		for i := range int(handshakeRate.burst) + 20 {
			if err := s.signOverTLS(p, "198.51.100.7", fmt.Sprint("station_", i)); err != nil {
				t.Fatalf("station %d: %v", i, err)
			}
		}
	})
}

// Of all handshakes, few are computed at a time. One that has said half of it, or nothing, holds no place; one that
// waits too long, or is closed, waits no longer; and one that takes long, as for a new certificate, keeps nobody
// waiting.
func TestFewHandshakesAreComputedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		cfg := self(t)
		own, slow := cfg.Certificates, make(chan struct{})
		cfg.Certificates = nil
		cfg.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if hello.ServerName == "slow" {
				<-slow
			}
			return &own[0], nil
		}
		s := serveTLS(t, p, cfg)
		slots := s.hub.admission.handshakes.slot
		handshake := func(name string) (net.Conn, chan error) {
			c, err := p.connect(t.Context(), "198.51.100.7")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				done <- tls.Client(c, &tls.Config{InsecureSkipVerify: true,
					ServerName: name}).HandshakeContext(t.Context())
			}()
			t.Cleanup(func() { c.Close() })
			return c, done
		}
		waits := func(done chan error) bool {
			synctest.Wait()
			return len(done) == 0
		}

		for _, half := range []string{"", "\x16\x03\x01", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"} {
			for range 2 * cap(slots) {
				p.bare(t, "203.0.113.9", half)
			}
		}
		_, done := handshake("quick")
		if err := <-done; err != nil {
			t.Fatalf("beside half ones: %v", err)
		}
		time.Sleep(requestTime + time.Second)

		for range cap(slots) {
			slots <- struct{}{}
		}
		_, done = handshake("quick")
		gone, goneDone := handshake("quick")
		if !waits(done) || !waits(goneDone) {
			t.Error("more are computed than may be")
		}
		gone.Close()
		<-goneDone
		<-slots
		if err := <-done; err != nil {
			t.Errorf("after waiting: %v", err)
		}
		slots <- struct{}{}
		began := time.Now()
		_, done = handshake("quick")
		if err := <-done; err == nil || time.Since(began) > requestTime+time.Second {
			t.Errorf("after waiting for %v: %v", time.Since(began), err)
		}
		for range cap(slots) {
			<-slots
		}

		var all []chan error
		for range cap(slots) {
			_, done := handshake("slow")
			all = append(all, done)
		}
		synctest.Wait()
		began = time.Now()
		_, done = handshake("quick")
		if err := <-done; err != nil || time.Since(began) > slotTime {
			t.Errorf("beside slow ones: %v after %v", err, time.Since(began))
		}
		close(slow)
		for _, done := range all {
			if err := <-done; err != nil {
				t.Errorf("a slow one: %v", err)
			}
		}
		synctest.Wait()
		if len(slots) > 0 {
			t.Errorf("%d places are held by nobody", len(slots))
		}
	})
}
