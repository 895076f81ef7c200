package hub

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"intercom/hub/api"
	"intercom/wire"
)

// Who needs a second from the connection to the hello comes in, however many of the same address come in that second.
func TestASlowRightKeyComesInBetweenMany(t *testing.T) {
	const bad = "198.51.100.7"
	for name, one := range map[string]string{"silent connections": "", "half requests": fmt.Sprintf(halfBody, "")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := serveInBubble(t, func(*Settings) {})
				c := s.dialFrom(p, bad)
				for range 10 {
					for range maxConns / 5 {
						p.bare(t, bad, one)
					}
					time.Sleep(100 * time.Millisecond)
				}
				c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "i"})
				if e, code := c.until(wire.Welcome); e.T != wire.Welcome {
					t.Errorf("the right key was closed with %d", code)
				}
				time.Sleep(newGrace)
				s.hub.admission.conns.mu.Lock()
				defer s.hub.admission.conns.mu.Unlock()
				if s.hub.admission.conns.count > maxConns {
					t.Errorf("%d connections stay", s.hub.admission.conns.count)
				}
			})
		})
	}
}

// The connections of trusted proxies have a number, too: beyond it the one goes that has been idle longest, but none on
// which somebody signed in.
func TestConnectionsOfProxiesHaveANumber(t *testing.T) {
	const proxy = "192.0.2.1"
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(set *Settings) {
			set.Proxies = Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix(proxy + "/32")}, Header: XForwardedFor}
		})
		s.hub.admission.passed.all = 20
		device, _ := s.signFrom(p, proxy, "front_door", "1")
		ended := make(chan int, 40)
		open := func(i int, text string) io.Writer {
			c := p.bare(t, proxy, text)
			go func() { _, _ = io.Copy(io.Discard, c); ended <- i }()
			synctest.Wait()
			return c
		}
		const page = "GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n"
		first := open(0, page)
		for i := 1; i <= 20; i++ {
			if i == 10 {
				_, _ = io.WriteString(first, page)
				synctest.Wait()
			}
			open(i, page)
		}
		if len(ended) != 1 || <-ended != 1 {
			t.Error("not the one that was idle longest had to go")
		}
		device.say(wire.Envelope{T: wire.Ping, ID: 1})
		if e, code := device.next(); e.T != wire.OK {
			t.Errorf("who had signed in had to go: %d", code)
		}
	})
}

// A right key on a connection counts for the request that has it: the next one may be somebody else's.
func TestAConnectionCountsAgainWithTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		conn, err := p.connect(t.Context(), "198.51.100.7")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		count := func() int {
			synctest.Wait()
			s.hub.admission.conns.mu.Lock()
			defer s.hub.admission.conns.mu.Unlock()
			return s.hub.admission.conns.count
		}
		_, _ = fmt.Fprintf(conn, "GET %s?account=demo HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\n\r\n",
			api.CallsPath, s.key)
		if n := count(); n != 0 {
			t.Errorf("with a right key, %d count", n)
		}
		_, _ = io.WriteString(conn, http.MethodGet+" /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
		if n := count(); n != 1 {
			t.Errorf("after a page, %d count", n)
		}
		conn.Close()
		if n := count(); n != 0 {
			t.Errorf("at the end, %d count", n)
		}
	})
}

// The one that has most is found at once, and rightly, whatever came and went.
func TestWhoHasMost(t *testing.T) {
	var c crowd
	var all []*guest
	for range 5000 {
		a := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rand.IntN(20))}), 32)
		switch i := rand.IntN(len(all) + 1); {
		case i == len(all) || rand.IntN(3) > 0:
			all = append(all, c.enter(a, func() {}))
		case rand.IntN(2) == 0:
			all[i].leave()
		default:
			all[i].renew()
		}
		most, count := 0, 0
		for _, of := range c.of {
			most, count = max(most, len(of)), count+len(of)
		}
		if count != c.count || count > 0 && len(c.fullest()) != most {
			t.Fatalf("%d count as %d; the most are %d, not %d", count, c.count, most, len(c.fullest()))
		}
	}
}
