package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// server is a real hub on a real socket.
type server struct {
	*testing.T
	*httptest.Server
	hub *Hub
	key string
}

func serve(t *testing.T) *server {
	path := filepath.Join(t.TempDir(), "accounts.toml")
	key, err := NewKey(path, "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := LoadAccounts(path)
	if err != nil {
		t.Fatal(err)
	}
	records := NewRecords(filepath.Join(t.TempDir(), "calls.jsonl"), quiet)
	s := &server{T: t, hub: New(30*time.Second, accounts, records, quiet), key: key}
	s.Server = httptest.NewServer(s.hub)
	t.Cleanup(func() { s.hub.Stop(); s.hub.Wait(5 * time.Second); s.Server.Close() })
	return s
}

// client is a raw connection.
type client struct {
	*testing.T
	ws *websocket.Conn
}

func (s *server) dial() *client {
	s.Helper()
	ws, _, err := websocket.Dial(s.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+wire.Path, &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { ws.CloseNow() })
	return &client{s.T, ws}
}

func (c *client) write(kind websocket.MessageType, b []byte) {
	c.Helper()
	if err := c.ws.Write(c.Context(), kind, b); err != nil {
		c.Fatal(err)
	}
}

func (c *client) say(e wire.Envelope) {
	c.Helper()
	b, _ := json.Marshal(e)
	c.write(websocket.MessageText, b)
}

// next is the next message; its type is empty when the connection was closed, with the code.
func (c *client) next() (wire.Envelope, websocket.StatusCode) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		var closed websocket.CloseError
		if !errors.As(err, &closed) {
			c.Fatal(err)
		}
		return wire.Envelope{}, closed.Code
	}
	var e wire.Envelope
	if err := json.Unmarshal(b, &e); err != nil {
		c.Fatal(err)
	}
	return e, 0
}

// until reads until a message of a type, or the end.
func (c *client) until(t wire.Type) (wire.Envelope, websocket.StatusCode) {
	c.Helper()
	for {
		e, code := c.next()
		if e.T == t || code != 0 {
			return e, code
		}
	}
}

func (c *client) hello(b wire.HelloBody) {
	e := wire.New(wire.Hello, "", b)
	e.ID = 1
	c.say(e)
}

// sign connects a device that is let in.
func (s *server) sign(cuid, instance string) *client {
	s.Helper()
	c := s.dial()
	c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: cuid, Instance: instance})
	if e, code := c.until(wire.Welcome); e.T != wire.Welcome || e.Re != 1 {
		s.Fatalf("%s was not let in: %d", cuid, code)
	}
	return c
}

func TestSignInThatIsRefused(t *testing.T) {
	s := serve(t)
	good := wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "i"}
	for name, c := range map[string]struct {
		change func(*wire.HelloBody)
		code   fault.Code
		close  websocket.StatusCode
	}{
		"a wrong key":            {func(b *wire.HelloBody) { b.APIKey = "ik_wrong" }, fault.Credentials, wire.CloseCredentials},
		"an unknown account":     {func(b *wire.HelloBody) { b.Account = "nobody" }, fault.Credentials, wire.CloseCredentials},
		"no key":                 {func(b *wire.HelloBody) { b.APIKey = "" }, fault.MissingInit, wire.CloseCredentials},
		"a cuid of numbers":      {func(b *wire.HelloBody) { b.CUID = "91_8899555" }, fault.InvalidInit, wire.CloseCredentials},
		"a short name":           {func(b *wire.HelloBody) { b.Name = "ab" }, fault.InvalidInit, wire.CloseCredentials},
		"a hello of 5,000 bytes": {func(b *wire.HelloBody) { b.Agent = strings.Repeat("x", 5000) }, fault.TooLarge, wire.CloseTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			b := good
			c.change(&b)
			s.T = t
			x := s.dial()
			x.hello(b)
			e, _ := x.until(wire.Fail)
			f, _ := wire.Body[fault.Error](e)
			if _, code := x.until("nothing"); f.Code != c.code || code != c.close {
				t.Errorf("%s and close %d", f.Code, code)
			}
		})
	}
}

func TestTheSameDeviceTakesOverAndAnotherIsRefused(t *testing.T) {
	s := serve(t)
	first := s.sign("front_door", "one")
	again := s.sign("front_door", "one")
	if _, code := first.until("nothing"); code != wire.CloseReplaced {
		t.Errorf("the old connection was closed with %d", code)
	}
	answered := make(chan struct{})
	go func() { // reading answers the hub's question
		defer close(answered)
		_, _, _ = again.ws.Read(t.Context())
	}()
	other := s.dial()
	other.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "two"})
	if e, code := other.until(wire.Fail); e.T != wire.Fail {
		t.Errorf("another device was not refused: %d", code)
	}
	if _, code := other.until("nothing"); code != wire.CloseTaken {
		t.Errorf("closed with %d", code)
	}
	again.ws.CloseNow()
	<-answered
}

func TestAnotherDeviceGetsTheCUIDOfOneThatIsDead(t *testing.T) {
	s := serve(t)
	dead := s.sign("front_door", "one") // never reads again, so it gives no sign of life
	_ = dead
	s.sign("front_door", "two")
}

// Garbage ends the connection that sends it, with its code, and nothing else: a call of others goes on.
func TestGarbageEndsItsOwnConnectionOnly(t *testing.T) {
	s := serve(t)
	a, b := s.sign("alpha", "1"), s.sign("bravo", "1")
	invite := wire.New(wire.Invite, idA, wire.InviteBody{To: "bravo", Context: "x"})
	a.say(invite)
	b.until(wire.Incoming)
	b.say(wire.Envelope{T: wire.Answer, Call: idA})
	a.until(wire.Answered)
	for name, g := range map[string]struct {
		kind  websocket.MessageType
		frame []byte
		close websocket.StatusCode
	}{
		"no JSON":       {websocket.MessageText, []byte("hello?"), wire.CloseBadFrame},
		"binary":        {websocket.MessageBinary, []byte(`{"t":"ping"}`), wire.CloseBadFrame},
		"bad UTF-8":     {websocket.MessageText, []byte("{\"t\":\"\xff\"}"), wire.CloseBadFrame},
		"deep":          {websocket.MessageText, []byte(`{"t":"x","b":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), wire.CloseBadFrame},
		"a key twice":   {websocket.MessageText, []byte(`{"t":"ping","t":"bye"}`), wire.CloseBadFrame},
		"a huge number": {websocket.MessageText, []byte(`{"t":"ping","id":1e999}`), wire.CloseBadFrame},
		"100 KiB":       {websocket.MessageText, bytes.Repeat([]byte("x"), 100<<10), wire.CloseTooLarge},
	} {
		c := s.sign("charly", "1")
		c.write(g.kind, g.frame)
		if _, code := c.until("nothing"); code != g.close {
			t.Errorf("%s: closed with %d, want %d", name, code, g.close)
		}
	}
	flood := s.sign("charly", "1")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for flood.ws.Write(t.Context(), websocket.MessageText, []byte(`{"t":"ping","id":1}`)) == nil {
		}
	}()
	if _, code := flood.until("nothing"); code != wire.CloseRate {
		t.Errorf("a flood was closed with %d", code)
	}
	<-done
	odd := s.sign("charly", "1")
	odd.say(wire.Envelope{T: "call.explode", ID: 7, Call: idA})
	if e, _ := odd.next(); e.T != wire.Fail || e.Re != 7 {
		t.Errorf("an unknown message was answered with %+v", e)
	}
	b.say(wire.New(wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp}))
	e, _ := a.until(wire.Ended)
	if body, _ := wire.Body[wire.EndedBody](e); body.Outcome != over {
		t.Errorf("the call of the others ended as %v", body.Outcome)
	}
}

func TestAStopTellsAllToComeBack(t *testing.T) {
	s := serve(t)
	c := s.sign("front_door", "1")
	s.hub.Stop()
	e, _ := c.until(wire.GoAway)
	if b, err := wire.Body[wire.GoAwayBody](e); err != nil || b.SpreadMS == 0 {
		t.Errorf("%+v", e)
	}
	if _, code := c.until("nothing"); code != wire.CloseRestart {
		t.Errorf("closed with %d", code)
	}
	r, err := http.Get(s.URL + "/readyz")
	if err != nil || r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%v %v", r, err)
	}
	r.Body.Close()
}

func TestKeysAreHashedAndTwoAtMost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.toml")
	var keys []string
	for range 2 {
		k, err := NewKey(path, "demo", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if _, err := NewKey(path, "demo", time.Now()); err == nil {
		t.Error("a third key was made")
	}
	if _, err := NewKey(path, "no account", time.Now()); err == nil {
		t.Error("a bad account id was taken")
	}
	b, _ := os.ReadFile(path)
	a, err := LoadAccounts(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if strings.Contains(string(b), k) || !a.Allowed("demo", k) {
			t.Error("a key is kept as it is, or not known again")
		}
	}
	if a.Allowed("demo", keys[0]+"x") || a.Allowed("other", keys[0]) || a.Allowed("demo", "") {
		t.Error("a wrong key is allowed")
	}
	st, _ := os.Stat(path)
	if st.Mode().Perm() != 0o600 {
		t.Errorf("the accounts file has mode %v", st.Mode())
	}
}

func TestRecordsOutliveADiskThatWillNot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not there yet")
	r := NewRecords(filepath.Join(dir, "calls.jsonl"), quiet)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for _, id := range []string{"a", "b", "c"} {
		r.Add(outcome.Result{Call: id})
	}
	for end := time.Now().Add(10 * time.Second); r.Trouble() == nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if r.Trouble() == nil {
		t.Fatal("nothing is wrong with a folder that is not there")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); r.Trouble() != nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	b, _ := os.ReadFile(r.path)
	if got := strings.Count(string(b), "\n"); got != 3 {
		t.Errorf("%d of 3 records:\n%s", got, b)
	}
}
