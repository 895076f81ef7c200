package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/api"
	"intercom/internal/fault"
	"intercom/wire"
)

// Attacks of those from whom something was taken away, and of those who want more than they have.
var accessAttacks = []attack{
	{"access/pending-sign-in",
		"signs in, and waits for a seat while the key is revoked, the operator removed, the account taken away",
		pendingSignIn},
	{"access/after-the-key", "stays, and comes again by a token, after the key was revoked", afterTheKey},
	{"access/after-the-password",
		"goes on with cookie, token and socket after the password was changed, or the operator removed and made anew",
		afterThePassword},
	{"access/after-signing-out",
		"goes on with a copied cookie, a token and a socket after signing out, also when the hub was restarted",
		afterSigningOut},
	{"access/edits-at-once", "changes an account by pages and commands at the same time, to undo what was revoked",
		editsAtOnce},
	{"access/setup-link", "makes an administrator, or overwrites one, by the set-up link when there is one", setupLink},
	{"access/operators", "overwrites a colleague, and takes the last administrator away", overwriteOperators},
	{"access/half-a-file", "empties and halves the account's file, to lock everybody out", halfAFile},
	{"access/too-many-devices",
		"signs in under ever new cuids with one key; then a station comes back, and an operator wants to put it right",
		tooManyDevices},
	{"access/password-flood",
		"floods the hub with passwords from one address, while others sign in, and a known browser of that address",
		passwordFlood},
}

// leaveTime is how long what was taken away may be good.
const leaveTime = 5 * time.Second

const goodPassword = "correct horse battery"

// web is a request to the hub with the cookies of a session and of a known browser, from an address of this machine
// where one is named.
type web struct {
	method, path, body, cookie, from string
	known                            *string // read, and set by the answer
}

// send gives the status, 0 where there was no answer, the JSON of the answer and the cookie that it sets.
func (t *trial) send(w web) (status int, got map[string]any, cookie string) {
	dialer := &net.Dialer{}
	if w.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(w.from)}
	}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	q, err := http.NewRequestWithContext(t.ctx, w.method, t.url(w.path), strings.NewReader(w.body))
	if err != nil {
		return 0, nil, ""
	}
	if w.cookie != "" {
		q.AddCookie(&http.Cookie{Name: api.Cookie, Value: w.cookie})
	}
	if w.known != nil && *w.known != "" {
		q.AddCookie(&http.Cookie{Name: api.KnownCookie, Value: *w.known})
	}
	r, err := client.Do(q)
	if err != nil {
		return 0, nil, ""
	}
	defer r.Body.Close()
	_ = json.NewDecoder(r.Body).Decode(&got)
	for _, c := range r.Cookies() {
		switch {
		case c.Name == api.Cookie:
			cookie = c.Value
		case c.Name == api.KnownCookie && w.known != nil:
			*w.known = c.Value
		}
	}
	return r.StatusCode, got, cookie
}

// operator makes one, signs in, and gives cookie and token.
func (t *trial) operator(name, role string) (cookie, token string) {
	_, err := t.hubCommand(goodPassword+"\n", "user", "add", "-account", "demo", "-name", name, "-role", role)
	t.must(err)
	t.until(name+" was let in", func() bool {
		var got map[string]any
		var status int
		status, got, cookie = t.send(web{method: http.MethodPost, path: api.SessionPath,
			body: signInBody(name, goodPassword)})
		token, _ = got["token"].(string)
		return status == http.StatusOK
	})
	return cookie, token
}

func signInBody(name, password string) string {
	return fmt.Sprintf(`{"account":"demo","name":%q,"password":%q}`, name, password)
}

func (t *trial) enter(cuid, token string) *client {
	c, err := t.dial()
	t.must(err)
	_, err = c.hello(t.tokenIdentity(cuid, token))
	t.must(err)
	return c
}

func (t *trial) tokenIdentity(cuid, token string) wire.HelloBody {
	h := t.identity(cuid)
	h.APIKey, h.Token = "", token
	return h
}

// left sees that a connection is closed in time, and counts how long that took since a moment.
func (t *trial) left(c *client, since time.Time, what string) {
	for !c.gone() {
		if time.Since(since) > leaveTime {
			t.through("%s is still served after %v", what, leaveTime)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.figure("left_ms", float64(time.Since(since).Milliseconds()))
}

// refused sees that neither token nor cookie is good any more.
func (t *trial) refused(cookie, token, after string) {
	if status, _, _ := t.send(web{method: http.MethodGet, path: api.SessionPath, cookie: cookie}); cookie != "" &&
		status != http.StatusUnauthorized {
		t.through("the cookie is good after %s: %d", after, status)
	}
	c, err := t.dial()
	t.must(err)
	if _, err := c.hello(t.tokenIdentity("again_1", token)); err == nil {
		t.through("the token is good after %s", after)
	}
}

func (t *trial) keyID() string {
	out, err := t.hubCommand("", "key", "list", "-account", "demo")
	t.must(err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Fields(lines[len(lines)-1])[0]
}

func (t *trial) revoke() {
	_, err := t.hubCommand("", "key", "revoke", "-account", "demo", "-id", t.keyID())
	t.must(err)
}

func (t *trial) minted() string {
	q, err := http.NewRequestWithContext(t.ctx, http.MethodPost, t.url(api.TokenPath),
		strings.NewReader(`{"account":"demo"}`))
	t.must(err)
	q.Header.Set("Authorization", "Bearer "+t.hub.Key)
	r, err := http.DefaultClient.Do(q)
	t.must(err)
	defer r.Body.Close()
	var got struct{ Token string }
	t.must(json.NewDecoder(r.Body).Decode(&got))
	return got.Token
}

func pendingSignIn(t *trial) {
	t.startHub("")
	_, chief := t.operator("chief", "administrator")
	_, token := t.operator("anna", "operator")
	waiting := func(hello wire.HelloBody, take func()) {
		t.deaf(t.tokenIdentity(hello.CUID, chief)) // for a sign of which the hub waits
		c, err := t.dial()
		t.must(err)
		t.must(c.say(helloMessage(hello)))
		take()
		began := time.Now()
		for time.Since(began) < leaveTime {
			if c.gone() {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.through("%s came in by what was taken away", hello.CUID)
	}
	waiting(t.tokenIdentity("by_operator", token), func() {
		_, err := t.hubCommand("", "user", "remove", "-account", "demo", "-name", "anna")
		t.must(err)
	})
	waiting(t.identity("by_key"), t.revoke)
}

// deaf signs in, and reads nothing from then on.
func (t *trial) deaf(h wire.HelloBody) {
	ws, _, err := websocket.Dial(t.ctx, "ws://"+t.hub.Addr+wire.Path,
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	t.must(err)
	t.cleanup(func() { _ = ws.CloseNow() })
	t.must(ws.Write(t.ctx, websocket.MessageText, wire.Encode(helloMessage(h))))
	for e := (wire.Envelope{}); e.T != wire.Welcome; {
		_, b, err := ws.Read(t.ctx)
		t.must(err)
		e, _ = wire.Decode(b, wire.MaxMessage)
	}
}

func helloMessage(h wire.HelloBody) wire.Envelope {
	e := wire.New(wire.Hello, "", h)
	e.ID = 1
	return e
}

func afterTheKey(t *trial) {
	t.startHub("")
	token := t.minted()
	direct, byToken := t.signIn("front_door"), t.enter("browser_1", token)
	t.revoke()
	began := time.Now()
	// Somebody else with a wrong key has the hub look at the files first.
	if c, err := t.dial(); err == nil {
		h := t.identity("nobody_1")
		h.APIKey = "ik_wrong"
		_, _ = c.hello(h)
	}
	t.left(direct, began, "who came in by the key")
	t.left(byToken, began, "who came in by a token of the key")
	t.refused("", token, "its key was revoked")
}

func afterThePassword(t *trial) {
	t.startHub("")
	user := func(input, what, name string) {
		_, err := t.hubCommand(input+"\n", "user", what, "-account", "demo", "-name", name)
		t.must(err)
	}
	// Each its own operator: the hub may still know the one before when a command has taken him away.
	for name, take := range map[string]struct {
		what string
		do   func(name string)
	}{
		"anna": {"the password was changed", func(name string) { user("another horse battery", "password", name) }},
		"berta": {"the operator was removed and made anew", func(name string) {
			user("", "remove", name)
			user(goodPassword, "add", name)
		}},
	} {
		cookie, token := t.operator(name, "operator")
		c := t.enter("console_1", token)
		take.do(name)
		t.left(c, time.Now(), "an operator's socket after "+take.what)
		t.refused(cookie, token, take.what)
	}
}

func afterSigningOut(t *trial) {
	h := t.startHub("")
	cookie, token := t.operator("anna", "operator")
	c := t.enter("console_1", token)
	if status, _, _ := t.send(web{method: http.MethodDelete, path: api.SessionPath,
		cookie: cookie}); status != http.StatusNoContent {
		t.through("signing out: %d", status)
	}
	t.left(c, time.Now(), "the socket of who signed out")
	t.refused(cookie, token, "signing out")
	t.must(h.Signal(syscall.SIGKILL))
	<-h.Process.Ended()
	t.must(h.Up(t.ctx))
	t.processes = append(t.processes, h.Process)
	t.refused(cookie, token, "signing out, and the hub was killed and started again")
}

func editsAtOnce(t *trial) {
	t.startHub("")
	cookie, _ := t.operator("chief", "administrator")
	for round := range 6 {
		status, got, _ := t.send(web{method: http.MethodPost, path: api.AccountPath + "/keys", cookie: cookie})
		if status != http.StatusOK {
			t.must(fmt.Errorf("making a key: %d %v", status, got))
		}
		id := t.keyID()
		var all sync.WaitGroup
		all.Go(func() {
			if status, got, _ := t.send(web{method: http.MethodDelete, path: api.AccountPath + "/keys/" + id,
				cookie: cookie}); status != http.StatusNoContent {
				t.through("the key could not be revoked: %d %v", status, got)
			}
		})
		for i := range 3 {
			all.Go(func() {
				if status, got, _ := t.send(web{method: http.MethodPut,
					path: fmt.Sprintf("%s/groups/group_%d_%d", api.AccountPath, round, i),
					body: `{"members":["front_door"]}`, cookie: cookie}); status != http.StatusNoContent {
					t.through("a group: %d %v", status, got)
				}
			})
		}
		all.Go(func() {
			if _, err := t.hubCommand("", "group", "set", "-account", "demo", "-id", fmt.Sprint("command_", round),
				"-members", "front_door"); err != nil {
				t.through("a command: %v", err)
			}
		})
		all.Wait()
		b, err := os.ReadFile(t.path("accounts/demo.toml"))
		t.must(err)
		if strings.Contains(string(b), id) {
			t.through("a revoked key is there again")
		}
		if n := strings.Count(string(b), "[[group]]"); n != 4*(round+1) {
			t.through("of %d groups %d are there", 4*(round+1), n)
		}
	}
}

func setupLink(t *trial) {
	h := t.startHub("")
	_, code, _ := strings.Cut(h.SetupURL(), "#")
	cookie, _ := t.operator("anna", "administrator")
	for _, name := range []string{"anna", "eve and eve"} {
		for _, account := range []string{"demo", "another"} {
			status, _, got := t.send(web{method: http.MethodPost, path: api.SetupPath,
				body: fmt.Sprintf(`{"account":%q,"name":%q,"password":"another horse battery","code":%q}`, account,
					name, strings.TrimSpace(code))})
			if status != http.StatusUnauthorized || got != "" {
				t.through("the link made %s of %s: %d", name, account, status)
			}
		}
	}
	if status, _, _ := t.send(web{method: http.MethodGet, path: api.AccountPath,
		cookie: cookie}); status != http.StatusOK {
		t.through("the administrator is one no more: %d", status)
	}
}

func overwriteOperators(t *trial) {
	t.startHub("")
	cookie, _ := t.operator("chief", "administrator")
	t.operator("anna", "operator")
	users := api.AccountPath + "/users"
	for _, w := range []web{
		{method: http.MethodPost, path: users,
			body: `{"name":"anna","password":"another horse battery","role":"operator"}`},
		{method: http.MethodPut, path: users + "/chief", body: `{"role":"operator"}`},
		{method: http.MethodDelete, path: users + "/chief"},
	} {
		w.cookie = cookie
		if status, _, _ := t.send(w); status < 400 {
			t.through("%s %s %s: %d", w.method, w.path, w.body, status)
		}
	}
	for _, args := range [][]string{{"user", "add", "-name", "anna"},
		{"user", "role", "-name", "chief", "-role", "operator"}, {"user", "remove", "-name", "chief"}} {
		if _, err := t.hubCommand("another horse battery\n", append(args, "-account", "demo")...); err == nil {
			t.through("intercom-hub %s", strings.Join(args, " "))
		}
	}
	_, _, cookie = t.send(web{method: http.MethodPut, path: users + "/chief",
		body: `{"password":"another horse battery"}`, cookie: cookie})
	if status, _, _ := t.send(web{method: http.MethodGet, path: api.AccountPath,
		cookie: cookie}); status != http.StatusOK {
		t.through("who changed the own password is no administrator: %d", status)
	}
	if status, _, _ := t.send(web{method: http.MethodPost, path: api.SessionPath,
		body: signInBody("anna", goodPassword)}); status != http.StatusOK {
		t.through("a colleague's password is another: %d", status)
	}
}

// tooManyDevices has an account of 50 devices.
func tooManyDevices(t *trial) {
	const may = 50
	t.startHub("")
	t.operator("chief", "administrator")
	file := t.path("accounts/demo.toml")
	text, err := os.ReadFile(file)
	t.must(err)
	t.must(os.WriteFile(file, append([]byte(fmt.Sprintf("max_devices = %d\n", may)), text...), 0o600))
	t.must(t.hub.Signal(syscall.SIGHUP))
	t.until("the hub read the account again", func() bool {
		log, err := os.ReadFile(t.hub.Log)
		t.must(err)
		return strings.Contains(string(log), "accounts read again")
	})
	ours := t.identity("front_door")
	station, err := t.dial()
	t.must(err)
	_, err = station.hello(ours)
	t.must(err)
	in, at := map[string]*client{}, time.Now()
	refused := false
	for i := 0; i < 3*may || !refused; i++ {
		c, err := t.dial()
		t.must(err)
		_, err = c.hello(t.identity(fmt.Sprint("made_up_", i)))
		var f *fault.Error
		switch {
		case err == nil:
			in[fmt.Sprint("made_up_", i)] = c
		case errors.As(err, &f) && f.Code == fault.NotAllowed && f.RetryAfterMS > 0:
			refused = true
		default:
			t.through("made_up_%d is refused without a reason: %v", i, err)
		}
		if i%5 == 0 { // leaves without a word, and another comes in its place
			_ = c.CloseNow()
		}
		if time.Since(at) > 30*time.Second {
			t.through("after %v %d devices are signed in", time.Since(at), len(in))
			return
		}
	}
	t.figure("let_in", float64(len(in)))
	if len(in) > may { // with the station
		t.through("%d devices of an account of %d were let in", len(in)+1, may)
	}
	_ = station.CloseNow()
	station, err = t.dial()
	t.must(err)
	if _, err := station.hello(ours); err != nil {
		t.through("the station that was there cannot come back: %v", err)
	}
	status, _, cookie := t.send(web{method: http.MethodPost, path: api.SessionPath,
		body: signInBody("chief", goodPassword)})
	if status != http.StatusOK {
		t.through("the operator cannot sign in: %d", status)
	}
	if status, _, _ = t.send(web{method: http.MethodGet, path: "/v1/account", cookie: cookie}); status != 200 {
		t.through("the operator cannot look at the account: %d", status)
	}
}

func halfAFile(t *trial) {
	h := t.startHub("")
	t.operator("chief", "administrator")
	c := t.signIn("front_door")
	file := t.path("accounts/demo.toml")
	whole, err := os.ReadFile(file)
	t.must(err)
	_, rest, _ := strings.Cut(string(whole), "[[key]]")
	key, user, _ := strings.Cut(rest, "[[user]]")
	for what, text := range map[string]string{"empty": "", "cut in a line": string(whole[:len(whole)*2/3]),
		"without its key": "[[user]]" + user, "without its operator": "[[key]]" + key} {
		t.must(os.WriteFile(file, []byte(text), 0o600))
		for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(20 * time.Millisecond) {
			if c.gone() {
				t.must(os.WriteFile(file, whole, 0o600))
				t.through("a station had to leave when the file was %s", what)
				c = t.signIn("front_door")
			}
		}
		if status, _, _ := t.send(web{method: http.MethodPost, path: api.SessionPath,
			body: signInBody("chief", goodPassword)}); status != http.StatusOK {
			t.through("the administrator is locked out when the file is %s: %d", what, status)
		}
		t.must(os.WriteFile(file, whole, 0o600))
	}
	if log, err := os.ReadFile(h.Log); err != nil || !strings.Contains(string(log), "demo.toml") {
		t.through("nothing is said of the file")
	}
	t.must(os.WriteFile(file, []byte("[[user]]"+user), 0o600)) // and really taken away
	t.left(c, time.Now(), "who came in by a key that an editor took out")
}

// passwordFlood also sees that a right password of another address comes in, and that the memory stays.
func passwordFlood(t *trial) {
	h := t.startHub("")
	t.operator("anna", "operator")
	known := ""
	if status, _, _ := t.send(web{method: http.MethodPost, path: api.SessionPath, known: &known,
		body: signInBody("anna", goodPassword)}); status != http.StatusOK || known == "" {
		t.must(fmt.Errorf("the browser is not remembered: %d", status))
	}
	before := memory(t, h.Process.PID())
	var answers atomic.Int64
	t.served(40, func(ctx context.Context) {
		var all sync.WaitGroup
		for range 40 {
			all.Go(func() {
				for ctx.Err() == nil {
					if status, _, _ := t.send(web{method: http.MethodPost, path: api.SessionPath,
						body: signInBody("anna", "wrong horse battery"),
						from: "127.0.0.7"}); status == http.StatusUnauthorized {
						answers.Add(1)
					}
				}
			})
		}
		all.Go(func() {
			for range 5 {
				if status, got, _ := t.send(web{method: http.MethodPost, path: api.SessionPath,
					body: signInBody("anna", goodPassword), from: "127.0.0.7", known: &known,
				}); status != http.StatusOK && ctx.Err() == nil {
					t.through("a right password of a known browser at the same address: %d %v", status, got)
				}
			}
		})
		all.Go(func() {
			var took []float64
			for range 5 {
				began := time.Now()
				if status, got, _ := t.send(web{method: http.MethodPost, path: api.SessionPath,
					body: signInBody("anna", goodPassword)}); status != http.StatusOK && t.ctx.Err() == nil {
					t.through("a right password of another address: %d %v", status, got)
				}
				took = append(took, float64(time.Since(began).Milliseconds()))
			}
			t.figure("right_password_ms", slices.Max(took))
		})
		all.Wait()
	})
	peak := memory(t, h.Process.PID())
	t.figure("memory_before_mb", before)
	t.figure("memory_peak_mb", peak)
	t.figure("wrong_answers", float64(answers.Load()))
	if peak-before > 200 { // a hash takes 19 MiB; without a limit, forty took 660
		t.through("the hub's memory went from %.0f to %.0f MB", before, peak)
	}
}

// memory is the most that a process ever had, in MB.
func memory(t *trial, pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	t.must(err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			t.must(err)
			return float64(kb) / 1024
		}
	}
	t.must(errors.New("the kernel does not say how much memory a process had"))
	return 0
}
