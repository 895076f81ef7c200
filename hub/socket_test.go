package hub

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/access"
	"intercom/hub/api"
	"intercom/hub/hubtest"
	"intercom/hub/record"
	"intercom/internal/fault"
	"intercom/internal/needs"
	"intercom/internal/outcome"
	"intercom/wire"
)

// server is a real hub on a real socket.
type server struct {
	*testing.T
	URL    string
	hub    *Hub
	key    string
	folder string
	dir    *access.Directory
}

func serve(t *testing.T) *server { return serveWith(t, func(*Settings) {}) }

func serveWith(t *testing.T, change func(*Settings)) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, change)
}

func serveOn(t *testing.T, l net.Listener, change func(*Settings)) *server {
	return serveLogging(t, l, change, quiet)
}

func serveLogging(t *testing.T, l net.Listener, change func(*Settings), log *slog.Logger) *server {
	return serveAll(t, l, nil, change, log)
}

func serveTLS(t *testing.T, l net.Listener, certificates *tls.Config) *server {
	return serveAll(t, l, certificates, func(*Settings) {}, quiet)
}

func serveAll(t *testing.T, l net.Listener, certificates *tls.Config, change func(*Settings), log *slog.Logger) *server {
	folder := t.TempDir()
	key, err := access.NewKey(folder, "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d, err := access.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{T: t, key: key, folder: folder, dir: d}
	var bus hubtest.Net
	set := Settings{Origins: []string{"https://crm.example.org"}, Bus: bus.Join("hub"), Access: d, Secret: access.NewSecret(), Record: func(string, outcome.Result) {},
		Recorded: func(string, string) (outcome.Result, bool) { return outcome.Result{}, false }, Trouble: func() error { return nil },
		Calls: func(f record.Filter) (record.Page, error) { return record.Query(folder, f) }}
	change(&set)
	s.hub = New(set, log)
	s.URL = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = s.hub.Run(ctx) })
	work.Go(func() { _ = s.hub.Serve(ctx, l, certificates) })
	t.Cleanup(func() { cancel(); work.Wait() })
	return s
}

// client is a raw connection.
type client struct {
	*testing.T
	ws *websocket.Conn
}

func (s *server) dial() *client { return s.dialWith(nil, nil) }

func (s *server) dialWith(c *http.Client, head http.Header) *client {
	s.Helper()
	ws, _, err := websocket.Dial(s.Context(), "ws"+strings.TrimPrefix(s.URL, "http")+wire.Path, &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, HTTPClient: c, HTTPHeader: head})
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

// Garbage ends the connection that sends it, with its code, and nothing else: a call of others goes on.
func TestGarbageEndsItsOwnConnectionOnly(t *testing.T) {
	s := serve(t)
	a, b := s.sign("alpha", "1"), s.sign("bravo", "1")
	invite := wire.New(wire.Invite, idA, wire.InviteBody{To: wire.Receivers{"bravo"}, Context: "x"})
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

// A key that is revoked lets nobody in, and nobody stay.
func TestARevokedKey(t *testing.T) {
	s := serve(t)
	c := s.sign("front_door", "1")
	keys := s.dir.Account("demo").Keys
	if err := access.Edit(s.folder, "demo", func(e *access.Editor) error { return e.RevokeKey(keys[0].ID) }); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.dir.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	if _, code := c.until("nothing"); code != wire.CloseCredentials {
		t.Errorf("closed with %d", code)
	}
	again := s.dial()
	again.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "1"})
	if _, code := again.until("nothing"); code != wire.CloseCredentials {
		t.Errorf("let in: %d", code)
	}
}

func TestTokens(t *testing.T) {
	needs.Time(t)
	s := serve(t)
	key := s.dir.Account("demo").Keys[0].Grant()
	another := key
	another.Mark = "of the same name"
	for name, c := range map[string]struct {
		signer *access.Signer
		token  access.Token
		ok     bool
	}{
		"good for any":        {s.hub.sockets.tokens, access.Token{Account: "demo", Grant: key, Expires: time.Now().Unix() + 60}, true},
		"good for this":       {s.hub.sockets.tokens, access.Token{Account: "demo", Grant: key, CUID: "front_door", Expires: time.Now().Unix() + 60}, true},
		"for another cuid":    {s.hub.sockets.tokens, access.Token{Account: "demo", Grant: key, CUID: "other_1", Expires: time.Now().Unix() + 60}, false},
		"for another account": {s.hub.sockets.tokens, access.Token{Account: "other", Grant: key, Expires: time.Now().Unix() + 60}, false},
		"expired":             {s.hub.sockets.tokens, access.Token{Account: "demo", Grant: key, Expires: time.Now().Unix()}, false},
		"of a revoked key":    {s.hub.sockets.tokens, access.Token{Account: "demo", Grant: access.Grant{Key: "gone", Mark: key.Mark}, Expires: time.Now().Unix() + 60}, false},
		"of another key":      {s.hub.sockets.tokens, access.Token{Account: "demo", Grant: another, Expires: time.Now().Unix() + 60}, false},
		"signed by another":   {access.NewSecret().For(access.ForTokens), access.Token{Account: "demo", Grant: key, Expires: time.Now().Unix() + 60}, false},
	} {
		text, err := c.signer.Mint(c.token)
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{"demo", ""} { // which the token names
			x := s.dial()
			x.hello(wire.HelloBody{Account: account, Token: text, CUID: "front_door", Instance: "i"})
			if e, code := x.until(wire.Welcome); (e.T == wire.Welcome) != c.ok || !c.ok && code != wire.CloseCredentials {
				t.Errorf("%s: %q, close %d", name, e.T, code)
			}
		}
	}
}

func TestTokensOverHTTP(t *testing.T) {
	s := serve(t)
	post := func(key, body string) (int, map[string]any) {
		q, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+api.TokenPath, strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+key)
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var got map[string]any
		_ = json.NewDecoder(r.Body).Decode(&got)
		return r.StatusCode, got
	}
	for body, want := range map[string]int{`{"account":"demo","cuid":"door-1"}`: 400, `{"account":"demo","ttl_s":100000}`: 400,
		`{"account":"demo","ttl_s":9223372037}`: 400, `{"account":"demo","ttl_s":18446744074}`: 400,
		`nonsense`: 400, `{"account":"other"}`: 401} {
		if status, got := post(s.key, body); status != want || got["code"] == nil {
			t.Errorf("%s: %d %v", body, status, got)
		}
	}
	if status, _ := post("ik_wrong", `{"account":"demo"}`); status != 401 {
		t.Errorf("a wrong key: %d", status)
	}
	status, got := post(s.key, `{"account":"demo","cuid":"browser_1","ttl_s":60}`)
	token, _ := got["token"].(string)
	if status != 200 || token == "" || got["expires_at"] == nil {
		t.Fatalf("%d %v", status, got)
	}
	// It has a minute, so that its end is near at once; with a new one the session goes on.
	c := s.dial()
	c.hello(wire.HelloBody{Account: "demo", Token: token, CUID: "browser_1", Instance: "i"})
	if e, _ := c.until(wire.Expiring); e.T != wire.Expiring {
		t.Fatal("the end was not told")
	}
	_, got = post(s.key, `{"account":"demo","cuid":"browser_1"}`)
	e := wire.New(wire.Renew, "", wire.RenewBody{Token: got["token"].(string)})
	e.ID = 2
	c.say(e)
	if e, _ := c.next(); e.T != wire.OK || e.Re != 2 {
		t.Errorf("%+v", e)
	}
	e = wire.New(wire.Renew, "", wire.RenewBody{Token: "it_x"})
	e.ID = 3
	c.say(e)
	if e, _ := c.next(); e.T != wire.Fail {
		t.Errorf("%+v", e)
	}
	// One that is not renewed ends.
	_, got = post(s.key, `{"account":"demo","cuid":"browser_2","ttl_s":1}`)
	c = s.dial()
	c.hello(wire.HelloBody{Account: "demo", Token: got["token"].(string), CUID: "browser_2", Instance: "i"})
	if _, code := c.until("nothing"); code != wire.CloseCredentials {
		t.Errorf("closed with %d", code)
	}
}

// The quick reader of pings says the same as the decoder, or nothing.
func FuzzPing(f *testing.F) {
	for _, s := range []string{`{"t":"ping","id":7}`, `{"t":"ping","id":7,"ack":3}`, `{"t":"ping","id":07}`, `{"t":"ping","id":7,"ack":}`, `{"t":"ping","id":7,"id":8}`, `{"t":"ping","id":`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		quick, ok := ping(b)
		if !ok {
			return
		}
		if e, err := wire.Decode(b, wire.MaxMessage); err != nil || e.T != quick.T || e.ID != quick.ID || e.Ack != quick.Ack {
			t.Fatalf("%s: %+v, but the decoder says %+v, %v", b, quick, e, err)
		}
	})
}

// A note is acknowledged when it is written down; one that cannot be is to be said again, and one that is not a note never.
func TestNotes(t *testing.T) {
	var got []string
	full := true
	s := serveWith(t, func(set *Settings) {
		set.Note = func(account, cuid string, n wire.NoteBody) error {
			if full {
				return errors.New("no space left on device")
			}
			got = append(got, account+" "+cuid+" "+n.Who)
			return nil
		}
	})
	c := s.sign("front_door", "i")
	say := func(id uint64, n wire.NoteBody) (ok bool, e fault.Error) {
		m := wire.New(wire.Note, "", n)
		m.ID = id
		c.say(m)
		for {
			r, code := c.next()
			if code != 0 {
				t.Fatal(code)
			}
			if r.Re == id {
				_ = json.Unmarshal(r.B, &e)
				return r.T == wire.OK, e
			}
		}
	}
	n := wire.NoteBody{ID: strings.Repeat("ab", 16), Kind: wire.DoorNote, At: time.Now(), Who: "reception", Result: "opened"}
	if ok, e := say(5, n); ok || !e.Retryable {
		t.Errorf("a note that cannot be written: %v %+v", ok, e)
	}
	full = false
	if ok, e := say(6, n); !ok || len(got) != 1 || got[0] != "demo front_door reception" {
		t.Errorf("%v %+v %q", ok, e, got)
	}
	for i, bad := range []wire.NoteBody{{ID: "x", Kind: wire.Visit}, {ID: n.ID, Kind: "rumour"}, {ID: n.ID, Kind: wire.Visit, Why: "a\x1b[2Jb"}} {
		if ok, e := say(uint64(7+i), bad); ok || e.Retryable {
			t.Errorf("%+v is taken, or to be said again: %+v", bad, e)
		}
	}
}
