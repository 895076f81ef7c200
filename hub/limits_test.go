package hub

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/api"
	"intercom/hub/record"
	"intercom/internal/backoff"
	"intercom/internal/fault"
	"intercom/internal/needs"
	"intercom/wire"
)

// bare opens a connection and sends the beginning of a request.
func (p *pipes) bare(t *testing.T, from, text string) net.Conn {
	t.Helper()
	c, err := p.connect(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() { _, _ = io.WriteString(c, text) }()
	return c
}

const halfBody = "POST /v1/session HTTP/1.1\r\nHost: hub\r\n%sContent-Length: 100\r\n\r\n{\"account\":"

// crowding is somebody at an address who holds and tries what he can.
type crowding struct {
	*server
	p    *pipes
	from string
	head http.Header // what a proxy adds
	ctx  context.Context
	work sync.WaitGroup
}

func (x *crowding) socket(ctx context.Context) (*websocket.Conn, error) {
	ws, _, err := websocket.Dial(ctx, "ws://hub"+wire.Path,
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, HTTPClient: x.p.client(x.from),
			HTTPHeader: x.head})
	return ws, err
}

// token asks for a token with a key, and gives the HTTP status.
func (x *crowding) token(ctx context.Context, key string) int {
	q, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub"+api.TokenPath,
		strings.NewReader(`{"account":"demo"}`))
	q.Header = x.head.Clone()
	q.Header.Set("Authorization", "Bearer "+key)
	r, err := x.p.client(x.from).Do(q)
	if err != nil {
		return 0
	}
	defer r.Body.Close()
	return r.StatusCode
}

// loop has n do something again and again.
func (x *crowding) loop(n int, do func()) {
	for range n {
		x.work.Go(func() {
			for x.ctx.Err() == nil {
				do()
				backoff.Sleep(x.ctx, 10*time.Millisecond)
			}
		})
	}
}

// Whatever an address holds or tries, a right key of the same address comes in at once; and so behind a proxy.
func TestARightKeyAlwaysComesIn(t *testing.T) {
	needs.Time(t)
	const proxy, bad, roundTrip = "192.0.2.1", "198.51.100.7", 20 * time.Millisecond
	for name, hold := range map[string]func(x *crowding){
		"silent connections": func(x *crowding) {
			for range maxConns + 20 {
				x.p.bare(x.T, x.from, "")
			}
		},
		"half requests": func(x *crowding) {
			var b strings.Builder
			_ = x.head.Write(&b)
			for range maxRequests + 20 {
				x.p.bare(x.T, x.from, fmt.Sprintf(halfBody, b.String()))
			}
		},
		"WebSockets without a hello": func(x *crowding) {
			for range maxSockets + 20 {
				ws, err := x.socket(x.ctx)
				if err != nil {
					x.Fatal(err)
				}
				x.Cleanup(func() { ws.CloseNow() })
			}
		},
		"WebSockets without a hello, again and again": func(x *crowding) {
			x.loop(200, func() {
				if ws, err := x.socket(x.ctx); err == nil {
					for err == nil {
						_, _, err = ws.Read(x.ctx)
					}
					ws.CloseNow()
				}
			})
		},
		"wrong keys over HTTP": func(x *crowding) {
			x.loop(maxRequests+20, func() { x.token(x.ctx, "ik_wrong") })
		},
		"wrong keys over WebSockets": func(x *crowding) {
			x.loop(maxSockets+20, func() {
				if ws, err := x.socket(x.ctx); err == nil {
					hello :=
						`{"t":"hello","id":1,"b":{"account":"demo","apikey":"ik_wrong","cuid":"front_door","instance":"x"}}`
					_ = ws.Write(x.ctx, websocket.MessageText, []byte(hello))
					ws.CloseNow()
				}
			})
		},
		"many pages": func(x *crowding) {
			for range int(pageRate.burst) + 20 {
				x.work.Go(func() {
					q, _ := http.NewRequestWithContext(x.ctx, http.MethodGet, "http://hub/healthz", nil)
					q.Header = x.head
					if r, err := x.p.client(x.from).Do(q); err == nil {
						r.Body.Close()
					}
				})
			}
		},
	} {
		for _, behind := range []bool{false, true} {
			t.Run(fmt.Sprint(name, map[bool]string{true: " behind a proxy"}[behind]), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, p := serveInBubble(t, func(set *Settings) {
						set.Proxies = Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix(proxy + "/32")},
							Header: XForwardedFor}
					})
					ctx, cancel := context.WithCancel(t.Context())
					x := &crowding{server: s, p: p, from: bad, head: http.Header{}, ctx: ctx}
					defer x.work.Wait()
					defer cancel()
					if behind {
						x.from = proxy
						x.head.Set(XForwardedFor, bad)
					}
					hold(x)
					time.Sleep(time.Second)
					began := time.Now()
					for i := range 24 {
						ws, err := x.socket(ctx)
						if err != nil {
							t.Fatal(err)
						}
						time.Sleep(roundTrip) // in which the others come and go: the grace for a hello
						c := &client{t, ws}
						c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: fmt.Sprint("station_", i),
							Instance: "i"})
						if e, code := c.until(wire.Welcome); e.T != wire.Welcome {
							t.Fatalf("sign-in %d was closed with %d", i, code)
						}
						ws.CloseNow()
						if status := x.token(ctx, s.key); status != 200 {
							t.Fatalf("token %d: %d", i, status)
						}
					}
					if took := time.Since(began) - 24*roundTrip; took > 0 {
						t.Errorf("the right key had to wait %v", took)
					}
				})
			})
		}
	}
}

// Every request and every connection ends in time, whatever of it does not come.
func TestWhoSaysNothingIsSentAway(t *testing.T) {
	const head = "GET /healthz HTTP/1.1\r\nHost: hub\r\n"
	for name, c := range map[string]struct {
		text string
		slow string // a byte a second of it comes after the text
		most time.Duration
	}{
		"nothing":                  {"", "", requestTime},
		"half a request line":      {"GET /heal", "", requestTime},
		"half a header":            {head, "", requestTime},
		"a header a byte a second": {"", head + strings.Repeat("X-Header: x\r\n", 100), requestTime},
		"half a body":              {fmt.Sprintf(halfBody, ""), "", requestTime},
		"a body a byte a second":   {fmt.Sprintf(halfBody, ""), strings.Repeat("x", 100), requestTime},
		"a page, and then nothing": {head + "\r\n", "", idleTime},
		"a page, and then half":    {head + "\r\nGET /", "", requestTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := serveInBubble(t, func(*Settings) {})
				conn := p.bare(t, "198.51.100.7", c.text)
				var work sync.WaitGroup
				defer work.Wait()
				work.Go(func() {
					for _, b := range []byte(c.slow) {
						time.Sleep(time.Second)
						if _, err := conn.Write([]byte{b}); err != nil {
							return
						}
					}
				})
				began := time.Now()
				// else the test, not the connection, would go on for ever
				_ = conn.SetReadDeadline(began.Add(10 * c.most))
				_, _ = io.Copy(io.Discard, conn)
				if took := time.Since(began); took > c.most+time.Second {
					t.Errorf("the connection lived for %v", took)
				}
			})
		})
	}
}

// Who does not take the answer does not hold the hub either: an answer has its time, and so has each write.
func TestWhoDoesNotReadIsSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p := serveInBubble(t, func(*Settings) {})
		conn := p.bare(t, "198.51.100.7", "GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n")
		time.Sleep(writeTime + time.Second)
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.ReadAll(conn); err != nil {
			t.Errorf("the connection is still there: %v", err)
		}
	})
}

// An address has twenty places for those who have not said hello. The next one takes that of the oldest, which is told;
// who has signed in keeps its own, and so has everybody of another address.
func TestTheOldestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		device, _ := s.signFrom(p, "2001:db8:1:2::1", "front_door", "1")
		other := s.dialFrom(p, "2001:db8:1:3::1")
		var all []*client
		for i := range maxSockets + 1 { // of one subscriber
			all = append(all, s.dialFrom(p, fmt.Sprintf("2001:db8:1:2::%x", i+2)))
			synctest.Wait() // else the order is not that of the numbers
		}
		time.Sleep(helloGrace)
		if _, code := all[0].until("nothing"); code != wire.CloseRate {
			t.Errorf("the oldest was closed with %d", code)
		}
		for _, c := range []*client{all[1], other} {
			c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "other_one", Instance: "1"})
			if e, code := c.until(wire.Welcome); e.T != wire.Welcome {
				t.Errorf("another had to go: %d", code)
			}
			c.ws.CloseNow()
			synctest.Wait()
			time.Sleep(time.Second)
		}
		device.say(wire.Envelope{T: wire.Ping, ID: 1})
		if e, code := device.next(); e.T != wire.OK {
			t.Errorf("who had signed in had to go: %d", code)
		}
	})
}

// Frames of every kind count, also those that the library answers or throws away, before the sign-in and after it; so
// do bytes. Others notice nothing.
func TestFloodsOfFrames(t *testing.T) {
	for name, one := range map[string][]byte{
		"pings":             frame(0x89, nil),
		"pings of 125":      frame(0x89, bytes.Repeat([]byte("x"), 125)),
		"pongs":             frame(0x8a, nil),
		"empty messages":    frame(0x81, nil),
		"empty pieces":      frame(0x00, nil),
		"a message of pngs": append(frame(0x01, []byte(`{`)), frame(0x89, nil)...),
		"large messages":    frame(0x81, []byte(`{"t":"ping","id":1,"b":"`+strings.Repeat("x", 60000)+`"}`)),
	} {
		for _, signedIn := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", signedIn), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, p := serveInBubble(t, func(*Settings) {})
					other, _ := s.signFrom(p, "192.0.2.10", "front_door", "1")
					c := p.bare(t, "198.51.100.7",
						"GET "+wire.Path+" HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
							"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "+wire.Subprotocol+
							"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
					r := bufio.NewReader(c)
					if _, err := http.ReadResponse(r, nil); err != nil {
						t.Fatal(err)
					}
					go func() { _, _ = io.Copy(io.Discard, r) }()
					if signedIn {
						_, _ = c.Write(frame(0x81,
							fmt.Appendf(nil,
								`{"t":"hello","id":1,"b":{"account":"demo","apikey":%q,"cuid":"flood_one","instance":"x"}}`, s.key)))
						synctest.Wait()
						if strings.HasPrefix(name, "empty pieces") {
							_, _ = c.Write(frame(0x01, nil))
						}
					}
					sent, most := 0, int(lastFrames.burst+2*frameRate.burst)
					for began := time.Now(); time.Since(began) < time.Second && sent <= most; sent++ {
						if _, err := c.Write(one); err != nil {
							break
						}
						time.Sleep(10 * time.Microsecond)
					}
					if sent > most {
						t.Errorf("%d frames were taken", sent)
					}
					if bytes := sent * len(one); bytes > 2*int(byteRate.burst)+2*len(one) {
						t.Errorf("%d bytes were taken", bytes)
					}
					other.say(wire.Envelope{T: wire.Ping, ID: 1})
					if e, code := other.next(); e.T != wire.OK {
						t.Errorf("the other noticed: %d", code)
					}
				})
			})
		}
	}
}

// A client that pings as libraries do is not a flood.
func TestPingsNowAndThenAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		c, _ := s.signFrom(p, "192.0.2.10", "front_door", "1")
		c.listen()
		for i := range 600 {
			if err := c.ws.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				c.say(wire.Envelope{T: wire.Ping, ID: uint64(i + 1)})
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// The counter sees the same frames as who reads them, however they are cut.
func FuzzFrameCount(f *testing.F) {
	f.Add([]byte{0, 1, 125}, uint8(3))
	f.Add([]byte{126, 200}, uint8(1))
	f.Fuzz(func(t *testing.T, sizes []byte, cut uint8) {
		var all []byte
		for i, n := range sizes {
			size := int(n)
			if i%5 == 4 {
				size *= 300 // some need eight bytes
			}
			all = append(all, frame(0x81, make([]byte, size))...)
		}
		var c frames
		n := 0
		for len(all) > 0 {
			k := min(len(all), int(cut)+1)
			n += c.count(all[:k])
			all = all[k:]
		}
		if n != len(sizes) {
			t.Errorf("%d frames, not %d", n, len(sizes))
		}
	})
}

func TestWhoseRequestItIs(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/24"),
		netip.MustParsePrefix("fd00::/64")}
	for _, c := range []struct {
		header, peer, want string
		values             []string
	}{
		{XForwardedFor, "203.0.113.9", "203.0.113.9", []string{"198.51.100.7"}}, // not from a proxy: made up
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"198.51.100.7"}},
		// the client wrote the left one
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"8.8.8.8, 198.51.100.7"}},
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"8.8.8.8", "198.51.100.7"}},
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"198.51.100.7, 10.0.0.5"}}, // through two proxies
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"10.0.0.77, 198.51.100.7, 10.0.0.5"}},
		{XForwardedFor, "127.0.0.1", "10.0.0.6", []string{"10.0.0.6, 10.0.0.5"}}, // a proxy's own request
		{XForwardedFor, "127.0.0.1", "127.0.0.1", nil},
		{XForwardedFor, "127.0.0.1", "127.0.0.1", []string{"198.51.100.7, nonsense"}},
		{XForwardedFor, "127.0.0.1", "10.0.0.5", []string{"198.51.100.7, unknown, 10.0.0.5"}},
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"198.51.100.7:40000"}},
		{XForwardedFor, "127.0.0.1", "198.51.100.7", []string{"::ffff:198.51.100.7"}},
		{XForwardedFor, "::ffff:127.0.0.1", "198.51.100.7", []string{"198.51.100.7"}},
		{XForwardedFor, "fd00::1", "2001:db8::1", []string{"2001:db8::1"}},
		{XForwardedFor, "fd00::1", "2001:db8::1", []string{"[2001:db8::1]:4000"}},
		{Forwarded, "127.0.0.1", "198.51.100.7", []string{`for=198.51.100.7;proto=https`}},
		{Forwarded, "127.0.0.1", "2001:db8::1",
			[]string{`for=8.8.8.8, proto=https; For="[2001:db8::1]:4711";by=10.0.0.1`}},
		{Forwarded, "127.0.0.1", "127.0.0.1", []string{`for=198.51.100.7, for=_hidden`}},
		{Forwarded, "127.0.0.1", "127.0.0.1", []string{`proto=https`}},
	} {
		peer, _ := addressOf(net.JoinHostPort(c.peer, "1234"))
		h := http.Header{c.header: c.values}
		other := map[string]string{XForwardedFor: Forwarded, Forwarded: XForwardedFor}[c.header]
		h.Set(other, "for=6.6.6.6") // which the proxies pass on as the client wrote it
		if got := (Proxies{trusted, c.header}).client(peer, h); got.String() != c.want {
			t.Errorf("%s %q from %s: %v, not %s", c.header, c.values, c.peer, got, c.want)
		}
	}
}

func TestWhatCountsAsOneAddress(t *testing.T) {
	for a, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "::1": "::1/128", "fe80::1%eth0": "fe80::1/128"} {
		got, _ := addressOf(net.JoinHostPort(a, "1"))
		if subscriber(got).String() != want {
			t.Errorf("%s counts as %v, not %s", a, subscriber(got), want)
		}
	}
}

// What the log says of a refused sign-in is the client's address, not the proxy's.
func TestTheLogNamesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p := &pipes{make(chan net.Conn), make(chan struct{})}
		serveLogging(t, p, func(set *Settings) {
			set.Proxies = Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Header: XForwardedFor}
		}, slog.New(slog.NewTextHandler(&log, nil)))
		ws, _, err := websocket.Dial(t.Context(), "ws://hub"+wire.Path,
			&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, HTTPClient: p.client("192.0.2.1"),
				HTTPHeader: http.Header{XForwardedFor: {"198.51.100.7"}}})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t, ws}
		c.hello(wire.HelloBody{Account: "demo", APIKey: "ik_wrong", CUID: "front_door", Instance: "i"})
		c.until("nothing")
		synctest.Wait()
		if !strings.Contains(log.String(), "address=198.51.100.7") {
			t.Errorf("%s", log.String())
		}
	})
}

// A crowd too large as a whole loses the oldest of the address that has most, so that many addresses with few are let
// be.
func TestACrowdOfAllAddresses(t *testing.T) {
	c := crowd{each: 10, all: 12}
	var out []string
	enter := func(name, address string) *guest {
		return c.enter(netip.MustParsePrefix(address), func() { out = append(out, name) })
	}
	for i := range 10 {
		enter(fmt.Sprint("many", i), "192.0.2.1/32")
	}
	few := enter("few", "192.0.2.2/32")
	enter("other", "192.0.2.3/32")
	enter("one more", "192.0.2.4/32")
	enter("many10", "192.0.2.1/32")
	few.leave()
	few.leave()
	enter("again", "192.0.2.2/32")
	if got := strings.Join(out, " "); got != "many0 many1" || c.count != 12 {
		t.Errorf("%s had to go; %d are there", got, c.count)
	}
}

func TestAQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quota[string]{rate: rate{2, 0.5}}
		for i, want := range []bool{true, true, false, false} {
			if _, ok := q.take("a"); ok != want {
				t.Errorf("%d: %v", i, ok)
			}
		}
		wait, _ := q.take("a")
		time.Sleep(wait)
		if _, ok := q.take("a"); !ok || wait != 2*time.Second {
			t.Errorf("after %v there is none", wait)
		}
		for i := range 100_000 {
			_, _ = q.take(fmt.Sprint(i))
			time.Sleep(10 * time.Millisecond)
		}
		if len(q.left.of) > 3*sweepAt {
			t.Errorf("%d are remembered", len(q.left.of))
		}
	})
}

// What a device asks for has a rate of its own where it costs more than a message: who goes beyond it is told how long
// to wait, and stays signed in.
func TestCostlyRequestsHaveARate(t *testing.T) {
	note := 0
	for name, c := range map[string]struct {
		rate rate
		ask  func() wire.Envelope
	}{
		"watch": {watchRate, func() wire.Envelope { return wire.Envelope{T: wire.Watch} }},
		"identify": {findRate, func() wire.Envelope {
			return wire.New(wire.Identify, "", wire.IdentifyBody{CUID: "front_door"})
		}},
		"notes": {noteRate, func() wire.Envelope {
			note++
			return wire.New(wire.Note, "", wire.NoteBody{ID: fmt.Sprintf("%032x", note), Kind: wire.Visit})
		}},
		"invites": {inviteRate, func() wire.Envelope {
			note++
			return wire.New(wire.Invite, fmt.Sprintf("%032x", note),
				wire.InviteBody{To: wire.Receivers{fmt.Sprint("nobody_", note)}, Context: "x"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := serveInBubble(t, func(*Settings) {})
				c2, _ := s.signFrom(p, "192.0.2.10", "front_door", "1")
				const n, pause = 400, 50 * time.Millisecond
				refused, seq := 0, uint64(0)
				for i := range uint64(n) {
					e := c.ask()
					if e.ID = i + 1; wire.Numbered(e) {
						seq++
						e.Seq = seq
					}
					c2.say(e)
					for {
						r, code := c2.next()
						if code != 0 {
							t.Fatalf("closed with %d", code)
						}
						if r.Re != e.ID {
							continue
						}
						if f, err := wire.Body[fault.Error](r); r.T == wire.Fail && err == nil &&
							f.Code == fault.RateLimited && f.RetryAfter() > 0 {
							refused++
						}
						break
					}
					time.Sleep(pause)
				}
				passed := c.rate.burst + c.rate.perSecond*(n*pause).Seconds()
				if got := float64(n - refused); got < passed-1 || got > passed+1 {
					t.Errorf("%v of %d passed, not %v", got, n, passed)
				}
			})
		})
	}
}

// A device that signs in again and again is asked to wait; another is not.
func TestSignInsHaveARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		for range int(signInRate.burst) {
			c, code := s.signFrom(p, "192.0.2.10", "front_door", "1")
			if code != 0 {
				t.Fatal(code)
			}
			c.ws.CloseNow()
		}
		if _, code := s.signFrom(p, "192.0.2.10", "front_door", "1"); code != wire.CloseRate {
			t.Errorf("closed with %d", code)
		}
		if _, code := s.signFrom(p, "192.0.2.10", "reception", "1"); code != 0 {
			t.Errorf("another is closed with %d", code)
		}
		time.Sleep(2 * time.Second)
		if _, code := s.signFrom(p, "192.0.2.10", "front_door", "1"); code != 0 {
			t.Errorf("after the wait it is closed with %d", code)
		}
	})
}

// A station that has told enough of a day is told so, and keeps its notes.
func TestADayOfNotesIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(set *Settings) {
			set.Note = func(string, string, wire.NoteBody) error { return record.ErrFull }
		})
		c, _ := s.signFrom(p, "192.0.2.10", "front_door", "1")
		e := wire.New(wire.Note, "", wire.NoteBody{ID: idA, Kind: wire.Visit})
		e.ID = 1
		c.say(e)
		r, _ := c.until(wire.Fail)
		if f, err := wire.Body[fault.Error](r); err != nil || f.Code != fault.RateLimited || !f.Retryable ||
			f.RetryAfter() == 0 {
			t.Errorf("%+v", r)
		}
	})
}

// A body that does not come in time has one answer, however it is sent and wherever it was going.
func TestABodyThatComesTooLate(t *testing.T) {
	for name, head := range map[string]string{
		"with its length": "Content-Length: 400\r\n\r\n{\"account\":",
		"in chunks":       "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"ac\r\n",
		"half a chunk":    "Transfer-Encoding: chunked\r\n\r\n20\r\n{\"account\":",
		"half a size":     "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"ac\r\n2",
	} {
		for _, path := range []string{api.TokenPath, api.SessionPath, api.SetupPath} {
			synctest.Test(t, func(t *testing.T) {
				_, p := serveInBubble(t, func(*Settings) {})
				conn := p.bare(t, "198.51.100.7", "POST "+path+" HTTP/1.1\r\nHost: hub\r\n"+head)
				_ = conn.SetReadDeadline(time.Now().Add(10 * requestTime))
				got, _ := io.ReadAll(conn)
				if text := string(got); !strings.HasPrefix(text, "HTTP/1.1 429 ") ||
					!strings.Contains(text, "did not come in time") {
					t.Errorf("%s, %s: %s", path, name, got)
				}
			})
		}
	}
}
