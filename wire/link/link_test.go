package link

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"intercom/internal/fault"
	"intercom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a network in memory, so that hub and link live in simulated time. While down, nobody can be dialled.
type pipes struct {
	in   chan net.Conn
	gone chan struct{}
	mu   sync.Mutex
	down bool
	hole bool // nobody answers a dial
	all  []net.Conn
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.gone:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	p.mu.Lock()
	hole := p.hole
	p.mu.Unlock()
	if hole {
		<-p.gone
		return nil, net.ErrClosed
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	p.all = append(p.all, a, b)
	p.in <- a
	return addressed{b}, nil
}

// addressed is a connection that says addresses.
type addressed struct{ net.Conn }

func (addressed) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 1} }
func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

// swallow has dials unanswered, or no longer.
func (p *pipes) swallow(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole = on
}

// set cuts the network, or mends it.
func (p *pipes) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	if down {
		for _, c := range p.all {
			c.Close()
		}
		p.all = nil
	}
}

// bench is a link to a hub that a test plays.
type bench struct {
	*testing.T
	*Link
	net   *pipes
	began time.Time
	mu    sync.Mutex
	tape  []string
	got   []Message
	moved atomic.Bool // whether the way of a connection is another
}

func (b *bench) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tape = append(b.tape, fmt.Sprintf("%v ", time.Since(b.began).Round(time.Second))+fmt.Sprintf(format, args...))
}

func (b *bench) Up(w wire.WelcomeBody) { b.note("up %s", w.Session) }
func (b *bench) Down(err error)        { b.note("down: %v", err) }
func (b *bench) Receive(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, m)
}

func (b *bench) take() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tape
	b.tape = nil
	return t
}

// try runs f on a link whose hub is played by serve, for each connection.
func try(t *testing.T, serve func(ctx context.Context, ws *websocket.Conn), f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, net: &pipes{in: make(chan net.Conn), gone: make(chan struct{})}, began: time.Now()}
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
			if err != nil {
				return
			}
			defer ws.CloseNow()
			say(r.Context(), ws, wire.New(wire.Challenge, "",
				wire.ChallengeBody{Nonce: "n", Version: wire.Subprotocol}))
			serve(r.Context(), ws)
		})}
		b.Link = New(Config{URLs: []string{"ws://hub" + wire.Path}, Account: "demo", CUID: "front_door", Instance: "i",
			Dial: b.net.dial,
			Way: func(netip.Addr, netip.Addr) func() bool {
				b.moved.Store(false)
				return b.moved.Load
			}}, b,
			func() []wire.CallRef { return []wire.CallRef{{Call: "c1"}} }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- srv.Serve(b.net) }()
		go func() { done <- b.Link.Run(ctx) }()
		synctest.Wait()
		f(b)
		cancel()
		b.net.set(true)
		close(b.net.gone)
		srv.Close()
		<-done
		<-done
		synctest.Wait()
	})
}

func say(ctx context.Context, ws *websocket.Conn, e wire.Envelope) {
	js, _ := json.Marshal(e)
	_ = ws.Write(ctx, websocket.MessageText, js)
}

func hear(ctx context.Context, ws *websocket.Conn) (e wire.Envelope, err error) {
	_, js, err := ws.Read(ctx)
	if err == nil {
		err = json.Unmarshal(js, &e)
	}
	return e, err
}

// welcome lets a client in and answers its pings.
func welcome(ctx context.Context, ws *websocket.Conn) {
	hello, err := hear(ctx, ws)
	w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "s"})
	w.Re = hello.ID
	say(ctx, ws, w)
	for err == nil {
		var e wire.Envelope
		if e, err = hear(ctx, ws); err == nil && e.ID != 0 {
			say(ctx, ws, wire.Reply(e, nil))
		}
	}
}

func TestASessionThatIsQuietLivesForever(t *testing.T) {
	try(t, welcome, func(b *bench) {
		time.Sleep(24 * time.Hour)
		if got := b.take(); !slices.Equal(got, []string{"0s up s"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestTheHelloSaysWhoAndWhichCalls(t *testing.T) {
	hello := make(chan wire.HelloBody, 1)
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		e, _ := hear(ctx, ws)
		h, _ := wire.Body[wire.HelloBody](e)
		hello <- h
		_, _ = hear(ctx, ws) // until the end
	}, func(b *bench) {
		if h := <-hello; h.CUID != "front_door" || h.Instance != "i" ||
			!slices.Equal(h.Calls, []wire.CallRef{{Call: "c1"}}) {
			t.Errorf("%+v", h)
		}
	})
}

func TestAReplyKnowsItsRequest(t *testing.T) {
	try(t, welcome, func(b *bench) {
		if !b.Send(wire.New(wire.Invite, "c1", wire.InviteBody{To: wire.Receivers{"reception"}, Context: "x"})) {
			t.Fatal("not taken")
		}
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.got) != 1 || b.got[0].To != wire.Invite || b.got[0].T != wire.OK || b.got[0].Call != "c1" {
			t.Errorf("%+v", b.got)
		}
	})
}

func TestAHubThatIsSilentIsLeftAfterTwentySeconds(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		e, _ := hear(ctx, ws)
		w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "s"})
		w.Re = e.ID
		say(ctx, ws, w)
		for { // reads, but says nothing: a black hole
			if _, err := hear(ctx, ws); err != nil {
				return
			}
		}
	}, func(b *bench) {
		time.Sleep(wire.DeadAfter + time.Second/2)
		if got := b.take(); len(got) < 2 || got[1] != "20s down: the hub was silent for 20s" {
			t.Errorf("%q", got)
		}
	})
}

func TestItComesBackWithinSixteenSecondsOfTheHubHoweverLongItWasAway(t *testing.T) {
	try(t, welcome, func(b *bench) {
		b.net.set(true)
		time.Sleep(3 * time.Hour)
		tries := len(b.take())
		if tries < 3*60*60/16 || b.Send(wire.Envelope{T: wire.Ping}) {
			t.Errorf("%d tries in three hours", tries)
		}
		b.net.set(false)
		time.Sleep(16 * time.Second)
		if got := b.take(); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], " up s") {
			t.Errorf("%q", got)
		}
	})
}

func TestAWrongKeyIsNotRetriedFast(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		e, _ := hear(ctx, ws)
		say(ctx, ws, wire.Reply(e, fault.New(fault.Credentials)))
		ws.Close(wire.CloseCredentials, "")
	}, func(b *bench) {
		time.Sleep(time.Hour)
		got := b.take()
		if len(got) != 15 || !strings.HasPrefix(got[1], "1m0s down: ERR_INVALID_CREDENTIALS") ||
			!strings.HasPrefix(got[2], "3m0s ") {
			t.Errorf("%d tries in an hour: %q", len(got), got)
		}
	})
}

func TestTheHubsWishIsWhenToComeBack(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		e, _ := hear(ctx, ws)
		f := fault.New(fault.RateLimited)
		f.RetryAfterMS = 90_000
		say(ctx, ws, wire.Reply(e, f))
	}, func(b *bench) {
		time.Sleep(10 * time.Minute)
		if got := b.take(); len(got) != 7 || !strings.HasPrefix(got[1], "1m30s ") {
			t.Errorf("%q", got)
		}
	})
}

// A hub that has nothing better to say than "come back in 30,000 years" is asked again all the same.
func TestAHubCannotSendAClientAwayForEver(t *testing.T) {
	for _, ms := range []int64{1 << 50, 1<<63 - 1} {
		try(t, func(ctx context.Context, ws *websocket.Conn) {
			e, _ := hear(ctx, ws)
			f := fault.New(fault.RateLimited)
			f.RetryAfterMS = ms
			say(ctx, ws, wire.Reply(e, f))
		}, func(b *bench) {
			time.Sleep(time.Hour)
			if got := b.take(); len(got) < 6 {
				t.Errorf("%q", got)
			}
		})
	}
}

// A hub that floods the client with messages is left, and tried again.
func TestAHubThatFloods(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		hello, _ := hear(ctx, ws)
		w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "s"})
		w.Re = hello.ID
		say(ctx, ws, w)
		for i := 0; i < 5000 && ws.Write(ctx, websocket.MessageText, []byte(`{"t":"identify","b":{}}`)) == nil; i++ {
		}
		_, _ = hear(ctx, ws)
	}, func(b *bench) {
		time.Sleep(time.Second)
		synctest.Wait()
		got := b.take()
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := len(b.got); n > wire.MaxQueue+wire.KeptMessages+2*perSecond {
			t.Errorf("%d messages were taken in a second", n)
		}
		if len(got) < 2 || !strings.Contains(got[1], "ERR_RATE_LIMITED") {
			t.Errorf("%q", got)
		}
	})
}

// A flood of pings is answered no faster than it may be, and the session goes on.
func TestAHubThatPings(t *testing.T) {
	var pongs atomic.Int32
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		for range 2000 {
			go func() {
				time.Sleep(time.Second) // after the sign-in
				if ws.Ping(ctx) == nil {
					pongs.Add(1)
				}
			}()
		}
		welcome(ctx, ws)
	}, func(b *bench) {
		time.Sleep(5 * time.Second)
		if n := pongs.Load(); n < perSecond || n > 5*perSecond {
			t.Errorf("%d pongs in four seconds", n)
		}
		if got := b.take(); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

func TestAHubThatRestartsIsComeBackToWithinItsSpread(t *testing.T) {
	restarted := false
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		if restarted {
			welcome(ctx, ws)
			return
		}
		restarted = true
		e, _ := hear(ctx, ws)
		w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "first"})
		w.Re = e.ID
		say(ctx, ws, w)
		say(ctx, ws, wire.New(wire.GoAway, "", wire.GoAwayBody{SpreadMS: 40_000}))
		ws.Close(wire.CloseRestart, "")
	}, func(b *bench) {
		time.Sleep(41 * time.Second)
		got := b.take()
		if len(got) != 3 || !strings.Contains(got[1], "0s down: ERR_HUB_DEGRADED: The hub restarts") ||
			!strings.HasSuffix(got[2], "up s") {
			t.Errorf("%q", got)
		}
	})
}

func TestAHubThatSaysSomethingElseThanWelcome(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		_, _ = hear(ctx, ws)
		say(ctx, ws, wire.Envelope{T: wire.Ping, ID: 1})
		_, _ = hear(ctx, ws)
	}, func(b *bench) {
		time.Sleep(time.Minute)
		got := b.take()
		if len(got) < 3 {
			t.Errorf("it did not try again: %q", got)
		}
		for _, line := range got {
			if !strings.Contains(line, "ERR_BAD_MESSAGE") {
				t.Errorf("%s", line)
			}
		}
	})
}

func TestGarbageFromTheHubEndsTheSessionOnly(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		_, _ = hear(ctx, ws)
		_ = ws.Write(ctx, websocket.MessageText, []byte(`{"t":"welcome","b":{"session":7}}`))
		_, _ = hear(ctx, ws) // until the end
	}, func(b *bench) {
		time.Sleep(time.Minute)
		for _, line := range b.take() {
			if !strings.Contains(line, "ERR_BAD_MESSAGE") {
				t.Errorf("%s", line)
			}
		}
	})
}

// A session in which the hub said what nobody can read is not resumed: the hub would say it again.
func TestASessionThatCannotBeReadIsNotResumed(t *testing.T) {
	for name, message := range map[string]string{
		"too long": `{"t":"call.ice","seq":1,"call":"c","b":{"candidate":"` + strings.Repeat("x", wire.MaxMessage) + `"}}`,
		"no JSON":  `{"t":"call.ice","seq":1`,
	} {
		t.Run(name, func(t *testing.T) {
			var lives atomic.Int32
			try(t, func(ctx context.Context, ws *websocket.Conn) {
				e, _ := hear(ctx, ws)
				hello, _ := wire.Body[wire.HelloBody](e)
				life := lives.Add(1)
				if life == 2 && hello.Resume != nil {
					t.Errorf("it resumes %+v", hello.Resume)
				}
				w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "s"})
				w.Re = e.ID
				say(ctx, ws, w)
				if life == 1 {
					_ = ws.Write(ctx, websocket.MessageText, []byte(message))
				}
				_, _ = hear(ctx, ws) // until the end
			}, func(b *bench) {
				time.Sleep(time.Minute)
				if lives.Load() < 2 {
					t.Error("it did not come back")
				}
			})
		})
	}
}

// A hub that keeps the session gets what it missed, and gives what was missed; nothing comes twice.
func TestASessionThatBreaksLosesNothing(t *testing.T) {
	life := 0
	var mu sync.Mutex
	var heard []uint64 // the numbers of what the hub heard
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		life++
		e, _ := hear(ctx, ws)
		hello, _ := wire.Body[wire.HelloBody](e)
		body := wire.WelcomeBody{Session: "s"}
		event := wire.New(wire.ICE, "c1", wire.ICEBody{Candidate: "1"})
		event.Seq, event.Ack = 1, 1
		if life > 1 {
			if hello.Resume == nil || hello.Resume.Session != "s" || hello.Resume.Seq != 1 {
				t.Errorf("resume %+v", hello.Resume)
			}
			body.Resumed, body.Ack = true, 1
		}
		w := wire.New(wire.Welcome, "", body)
		w.Re = e.ID
		say(ctx, ws, w)
		if life == 1 {
			m, _ := hear(ctx, ws)
			mu.Lock()
			heard = append(heard, m.Seq)
			mu.Unlock()
			say(ctx, ws, event)
			for { // hears, and forgets to say so
				if _, err := hear(ctx, ws); err != nil {
					return
				}
			}
		}
		say(ctx, ws, event) // again
		next := wire.New(wire.ICE, "c1", wire.ICEBody{Candidate: "2"})
		next.Seq = 2
		say(ctx, ws, next)
		for {
			m, err := hear(ctx, ws)
			if err != nil {
				return
			}
			if m.Seq > 0 {
				mu.Lock()
				heard = append(heard, m.Seq)
				mu.Unlock()
			}
		}
	}, func(b *bench) {
		b.Send(wire.New(wire.ICE, "c1", wire.ICEBody{Candidate: "a"}))
		synctest.Wait()
		b.Send(wire.New(wire.Answer, "c1", nil))
		b.Send(wire.New(wire.ICE, "c1", wire.ICEBody{Candidate: "b"}))
		synctest.Wait()
		b.net.set(true)
		b.net.set(false)
		time.Sleep(3 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(heard, []uint64{1, 2, 3}) {
			t.Errorf("the hub heard %v", heard)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.got) != 2 || b.got[1].Seq != 2 {
			t.Errorf("%+v", b.got)
		}
	})
}

func TestTheNextHubIsTriedWhenOneIsAway(t *testing.T) {
	try(t, welcome, func(b *bench) {
		b.cfg.URLs = []string{"ws://one" + wire.Path, "ws://two" + wire.Path}
		var dialled []string
		b.cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled = append(dialled, addr)
			if addr == "one:80" {
				return nil, errors.New("connection refused")
			}
			return b.net.dial(ctx, network, addr)
		}
		b.net.set(true)
		b.net.set(false)
		time.Sleep(3 * time.Second)
		if got := b.take(); !slices.Equal(dialled, []string{"one:80", "two:80"}) ||
			!strings.HasSuffix(got[len(got)-1], "up s") {
			t.Errorf("%q: %q", dialled, got)
		}
	})
}
