package hub

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/access"
	"intercom/hub/hubtest"
	"intercom/internal/needs"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/wiretest"
)

// upgrade opens a bare connection that has gone through the WebSocket's handshake (RFC 6455, section 4.1), from one of
// many addresses.
func (s *server) upgrade(from int) (net.Conn, *bufio.Reader) {
	s.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 3, 0, byte(1+from%250))}}
	c, err := d.DialContext(s.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: %s\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		wire.Path, wire.Subprotocol)
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			s.Fatal(err)
		}
		if line == "\r\n" {
			return c, r
		}
	}
}

// frame is a client's frame as it goes over the wire (RFC 6455, section 5.2), with a mask of zeros.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = append(b, 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// Those who say nothing, a byte a second, or half a frame, are sent away in time, and the others notice nothing.
func TestSlowClients(t *testing.T) {
	needs.Time(t)
	s := serve(t)
	a := s.sign("alpha", "1")
	var work sync.WaitGroup
	for i := range 1000 {
		c, r := s.upgrade(i)
		hello := frame(0x81, []byte(`{"t":"hello","id":1,"b":{}}`))
		work.Go(func() {
			switch i % 3 {
			case 0: // no hello
			case 1: // half a frame
				_, _ = c.Write(hello[:len(hello)/2])
			case 2: // a byte a second
				work.Go(func() {
					for _, b := range hello {
						if _, err := c.Write([]byte{b}); err != nil {
							return
						}
						time.Sleep(time.Second) // the pace is what is tried
					}
				})
			}
			began := time.Now()
			_ = c.SetReadDeadline(began.Add(wire.SignInTime + 10*time.Second))
			if _, err := io.Copy(io.Discard, r); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("connection %d is still there after %v", i, time.Since(began))
			}
		})
	}
	b := s.sign("bravo", "1")
	invite := wire.New(wire.Invite, idA, wire.InviteBody{To: wire.Receivers{"bravo"}, Context: "x"})
	a.say(invite)
	b.until(wire.Incoming)
	b.say(wire.Envelope{T: wire.Answer, Call: idA})
	if e, _ := a.until(wire.Answered); e.T != wire.Answered {
		t.Error("the others noticed")
	}
	work.Wait()
}

// A client that stops reading is closed, with 1013 if it reads again; the others notice nothing.
func TestAClientThatStopsReading(t *testing.T) {
	s := serve(t)
	a, b := s.sign("alpha", "1"), s.sign("bravo", "1")
	a.say(wire.New(wire.Invite, idA, wire.InviteBody{To: wire.Receivers{"bravo"}, Context: "x"}))
	b.until(wire.Incoming)
	b.say(wire.New(wire.Ringing, idA, wire.SDPBody{SDP: "v=0"}))
	a.until(wire.Ringing)
	b.say(wire.Envelope{T: wire.Answer, Call: idA})
	a.until(wire.Answered)
	h := s.hub.router
	h.mu.Lock()
	m := h.sessions[dev("alpha")]
	h.mu.Unlock()
	big := wire.New(wire.SDP, idA, wire.SDPBody{SDP: strings.Repeat("x", 15<<10)})
	for range 2000 { // alpha does not read
		m.send(big)
	}
	if _, code := a.until("nothing"); code != wire.CloseOverload {
		t.Errorf("closed with %d", code)
	}
	b.say(wire.New(wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp}))
	if e, _ := b.until(wire.Ended); e.T != wire.Ended {
		t.Error("the other noticed")
	}
}

// Frames that are broken below JSON: each ends its own connection, nothing panics, and memory does not grow.
func TestBrokenFrames(t *testing.T) {
	s := serve(t)
	big := bytes.Repeat([]byte("x"), 1<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for round := range 20 {
		for name, raw := range map[string][]byte{
			"not masked":          {0x81, 2, '{', '}'},
			"a reserved opcode":   frame(0x83, nil),
			"reserved bits":       frame(0xf1, nil),
			"a long ping":         frame(0x89, big[:200]),
			"a ping in pieces":    frame(0x09, nil),
			"nothing to continue": frame(0x80, nil),
			"a megabyte":          frame(0x81, big),
			"pieces without end":  bytes.Repeat(append(frame(0x01, big[:100]), frame(0x00, big[:100])...), 200),
			"a length of 2^63":    {0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
			"noise":               big[:3000],
		} {
			c, r := s.upgrade(round)
			_, _ = c.Write(raw)
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.CloseWrite()
			}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, r); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("%s: the connection is still there", name)
			}
			c.Close()
		}
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		runtime.GC()
		runtime.ReadMemStats(&after)
		if after.HeapAlloc < before.HeapAlloc+8<<20 {
			return
		}
	}
	t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, after.HeapAlloc)
}

// A page of another site cannot speak for the user who visits it, unless the site is on the list.
func TestAForeignOrigin(t *testing.T) {
	s := serve(t)
	for origin, ok := range map[string]bool{s.URL: true, "https://crm.example.org": true,
		"http://crm.example.org": false, "https://evil.example": false, "null": false} {
		ws, r, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+wire.Path,
			&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol},
				HTTPHeader: http.Header{"Origin": {origin}}})
		if (err == nil) != ok || !ok && (r == nil || r.StatusCode != http.StatusForbidden) {
			t.Errorf("%s: %v %v", origin, r, err)
		}
		if ws != nil {
			ws.CloseNow()
		}
	}
}

// Strange frames, before the sign-in and after it: each is answered with an error or a close of ours, or means nothing;
// the others notice nothing.
func TestWeirdFrames(t *testing.T) {
	s := serve(t)
	other := s.sign("other_one", "1")
	try := func(name, when string, c *client, b []byte) {
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			if c.ws.Write(c.Context(), kind, b) != nil {
				return // closed by the first
			}
		}
		e, code := c.until("nothing") // a binary frame ends it, whatever was in it
		if code < 4400 || code > 4500 {
			t.Errorf("%s, %s: closed with %d, %v", name, when, code, e)
		}
		c.ws.CloseNow()
	}
	for name, b := range wiretest.Weird(t) {
		try(name, "before the sign-in", s.dial(), b)
		try(name, "after it", s.sign("weird_one", "1"), b)
	}
	other.say(wire.Envelope{T: wire.Ping, ID: 5})
	if e, _ := other.until(wire.OK); e.Re != 5 {
		t.Error("another device noticed")
	}
}

// A wrong key is answered ever more slowly, and the same as an unknown account; a right key never waits.
func TestBruteForce(t *testing.T) {
	s := serve(t)
	var slowest, unknown time.Duration
	for i := range 4 {
		began := time.Now()
		c := s.dial()
		b := wire.HelloBody{Account: "demo", APIKey: "ik_wrong", CUID: "front_door", Instance: "i"}
		if i == 3 {
			b.Account = "nobody"
		}
		c.hello(b)
		e, _ := c.until(wire.Fail)
		slowest = max(slowest, time.Since(began))
		if unknown = time.Since(began); string(e.B) == "" {
			t.Error("no answer")
		}
	}
	if slowest < 400*time.Millisecond || unknown < 400*time.Millisecond {
		t.Errorf("the slowest answer took %v, that for an unknown account %v", slowest, unknown)
	}
	began := time.Now()
	s.sign("front_door", "i")
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("a right key waited %v", took)
	}
}

// Whatever a device says of itself, it cannot write lines or colours into the log, and no secret is there.
func TestTheLogIsSafe(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveLogging(t, l, func(*Settings) {}, slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil)))
	for _, evil := range []string{"x\nlevel=ERROR msg=forged", "x\x1b[31mred", "x\u202egnp.exe", "x\u2028y"} {
		c := s.dial()
		c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "i", Agent: evil,
			Name: "abc" + evil})
		c.until("nothing")
		c = s.dial()
		c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "secret-instance",
			Agent: evil})
		if e, _ := c.until(wire.Welcome); e.T == wire.Welcome {
			c.ws.CloseNow()
		}
		c = s.dial()
		c.hello(wire.HelloBody{Account: evil, APIKey: "ik_wrong", CUID: evil, Instance: evil})
		c.until("nothing")
	}
	mu.Lock()
	defer mu.Unlock()
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\u202e\u2028") {
			t.Errorf("a line of the log: %q", line)
		}
	}
	for _, secret := range []string{s.key, "ik_wrong", "secret-instance"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// deaf is a connection that nobody reads.
type deaf struct{}

func (deaf) send(wire.Envelope)       {}
func (deaf) close(int, string)        {}
func (deaf) alive(time.Duration) bool { return false }

// alone is a hub with three devices, of which the first is given.
func alone(f *testing.F) (*Hub, *session) {
	folder := f.TempDir()
	key, err := access.NewKey(folder, "demo", time.Now())
	if err != nil {
		f.Fatal(err)
	}
	d, err := access.Open(folder)
	if err != nil {
		f.Fatal(err)
	}
	grant, _ := d.Allowed("demo", key)
	var net hubtest.Net
	h := New(Settings{Bus: net.Join("hub"), Access: d, Secret: access.NewSecret(), Times: Times{Ring: time.Second},
		Record: func(string, outcome.Result) {},
		Recorded: func(string, string) (outcome.Result, bool) {
			return outcome.Result{}, false
		}, Trouble: func() error { return nil }}, quiet)
	f.Cleanup(h.router.end)
	var first *session
	for _, cuid := range []string{"charly", "bravo", "alpha"} {
		m, err := h.router.enter(f.Context(), dev(cuid),
			hello{grant: grant, HelloBody: wire.HelloBody{Account: "demo", CUID: cuid, Instance: cuid}}, deaf{},
			wire.WelcomeBody{})
		if err != nil {
			f.Fatal(err)
		}
		first = m
	}
	return h, first
}

// Frames of clients that are strange but whole: each is answered or ends its connection. The corpus is what was tried.
func FuzzFrames(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("..", "wire", "testdata", "messages.jsonl"))
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(golden) {
		f.Add(bytes.TrimSpace(line))
	}
	for _, s := range []string{`{"t":"call.invite","call":"` + idA +
		`","id":1,"b":{"to":["bravo","charly"],"context":"x","mode":"sequence","each_ms":1000}}`,
		`{"t":"call.hangup","call":"` + idA +
			`","b":{"reason":"hangup","ticket":"e30.e30","ended_at":"0001-01-01T00:00:00Z"}}`,
		`{"t":"state","b":{"faults":{"":""}}}`, `{"t":"watch"}`, `{"t":"renew","b":{"token":"it_."}}`,
		`{"t":"hello","b":null}`, `{"t":"call.ice","call":"","b":{}}`,
		`{"t":"ping","id":18446744073709551615,"ack":18446744073709551615,"seq":18446744073709551615}`} {
		f.Add([]byte(s))
	}
	for _, b := range wiretest.Weird(f) {
		f.Add(b)
	}
	h, m := alone(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := wire.Decode(b, wire.MaxMessage)
		if err != nil {
			return
		}
		if hi, err := h.sockets.greet(e); err == nil && hi.grant.Key == "" {
			t.Fatal("let in without a key")
		}
		m.heard(e)
		switch e.T {
		case wire.State:
			_ = h.router.declare(m, e)
		case wire.Watch:
			h.router.watch(m)
		case wire.Renew:
			_ = h.sockets.renewToken(m, e)
		default:
			h.router.receive(m, e)
		}
		if js, err := json.Marshal(e); err != nil {
			t.Fatalf("%s: %v", js, err)
		}
	})
}
