package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/wire"
)

// Attacks by a page of somebody else, and by who guesses.
var pageAttacks = []attack{
	{"page/foreign-origin", "uses the hub from a page of another site: its WebSocket, its sign-in, its settings",
		foreignOrigin},
	{"signin/guess", "compares the hub's answers for an account that is not there, a wrong key and a wrong password",
		guess},
}

func foreignOrigin(t *trial) {
	t.startHub("")
	for _, origin := range []string{"https://evil.example", "null", "http://" + t.hub.Addr + ".evil.example",
		"https://127.0.0.1", "file://"} {
		ctx, cancel := context.WithTimeout(t.ctx, 10*time.Second)
		ws, r, err := websocket.Dial(ctx, "ws://"+t.hub.Addr+wire.Path,
			&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol},
				HTTPHeader: http.Header{"Origin": {origin}}})
		cancel()
		if err == nil {
			_ = ws.CloseNow()
			t.through("a WebSocket from %s", origin)
		} else if r == nil || r.StatusCode != http.StatusForbidden {
			t.through("a WebSocket from %s is refused with %v, not with 403", origin, err)
		}
		for _, c := range [][2]string{{"POST", "/v1/session"}, {"DELETE", "/v1/session"}, {"POST", "/v1/setup"},
			{"PUT", "/v1/account/groups/house"}, {"POST", "/v1/account/keys"}} {
			if got := t.request(c[0], c[1], `{"account":"demo","name":"anna","password":"not the password"}`, "Origin",
				origin, "Content-Type", "text/plain"); got < 400 || got >= 500 {
				t.through("%s %s from %s: %d", c[0], c[1], origin, got)
			}
		}
	}
}

// guess learns nothing from what the hub answers: the text is the same, whatever was wrong.
func guess(t *trial) {
	t.startHub("")
	_, err := t.hubCommand("a long password\n", "user", "add", "-account", "demo", "-name", "anna")
	t.must(err)
	answers := map[string]bool{}
	for _, h := range []wire.HelloBody{
		{Account: "demo", APIKey: "ik_wrong"}, {Account: "nobody", APIKey: "ik_wrong"},
		{Account: "nobody", APIKey: t.hub.Key}, {Account: "demo", Token: "it_wrong"},
	} {
		h.CUID, h.Instance = "front_door", "a"
		c, err := t.dial()
		t.must(err)
		_, err = c.hello(h)
		answers[fmt.Sprint(err)] = true
		if !fault.Is(err, fault.Credentials) {
			t.through("%+v is answered with %v", h, err)
		}
	}
	if len(answers) != 1 {
		t.through("the answers to wrong keys differ: %v", answers)
	}
	answers = map[string]bool{}
	for _, body := range []string{`{"account":"demo","name":"anna","password":"wrong password"}`,
		`{"account":"demo","name":"nobody","password":"wrong password"}`,
		`{"account":"nobody","name":"anna","password":"a long password"}`} {
		r, err := http.Post(t.url("/v1/session"), "application/json", strings.NewReader(body))
		t.must(err)
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		t.must(err)
		answers[fmt.Sprint(r.StatusCode, string(b))] = true
		if r.StatusCode == http.StatusOK {
			t.through("%s signed in", body)
		}
	}
	if len(answers) != 1 {
		t.through("the answers to wrong passwords differ: %v", answers)
	}
}
