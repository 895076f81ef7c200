package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"intercom/hub/access"
	"intercom/hub/api"
	"intercom/hub/hubtest"
	"intercom/hub/record"
	"intercom/internal/durable"
	"intercom/internal/needs"
	"intercom/internal/outcome"
	"intercom/wire"
)

// house is a folder of accounts with a key and an operator, and hubs over it that share a secret.
type house struct {
	*testing.T
	net    hubtest.Net
	folder string
	key    string
	secret *access.Secret
}

const password = "correct horse"

var hashed = sync.OnceValue(func() string { h, _ := access.HashPassword(password); return h })

func newHouse(t *testing.T) *house {
	h := &house{T: t, folder: t.TempDir(), secret: access.NewSecret()}
	var err error
	if h.key, err = access.NewKey(h.folder, "demo", time.Now()); err != nil {
		t.Fatal(err)
	}
	h.edit(func(e *access.Editor) error {
		return e.AddUser(access.User{Name: "anna", Password: hashed(), Role: access.Operator})
	})
	h.edit(func(e *access.Editor) error {
		return e.AddUser(access.User{Name: "chief", Password: hashed(), Role: access.Administrator})
	})
	return h
}

// edit changes the account as a command does: no hub is told.
func (h *house) edit(change func(*access.Editor) error) {
	h.Helper()
	if err := access.Edit(h.folder, "demo", change); err != nil {
		h.Fatal(err)
	}
}

// hub starts a hub, which looks at the files as the program does; stop ends it.
func (h *house) hub(name string) (s *server, stop func()) {
	h.Helper()
	d, err := access.Open(h.folder)
	if err != nil {
		h.Fatal(err)
	}
	ended, err := access.OpenEnded(filepath.Join(h.folder, name+".signed-out"))
	if err != nil {
		h.Fatal(err)
	}
	s = &server{T: h.T, key: h.key, folder: h.folder, dir: d}
	s.hub = New(Settings{Bus: h.net.Join(name), Access: d, Secret: h.secret, Ended: ended,
		Record: func(string, outcome.Result) {},
		Recorded: func(string, string) (outcome.Result, bool) {
			return outcome.Result{}, false
		}, Trouble: func() error { return nil },
		Calls: func(f record.Filter) (record.Page, error) { return record.Query(h.folder, f) }}, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { _ = s.hub.Run(ctx) })
	all.Go(func() {
		for ctx.Err() == nil {
			_, _ = d.Reload()
			time.Sleep(50 * time.Millisecond)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.Fatal(err)
	}
	s.URL = "http://" + l.Addr().String()
	all.Go(func() { _ = s.hub.Serve(ctx, l, nil) })
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	h.Cleanup(stop)
	return s, stop
}

// signIn signs an operator in, and gives what adds the cookie to a request.
func (s *server) signIn(name string) func(*http.Request) {
	s.Helper()
	status, got, cookies := s.ask(http.MethodPost, api.SessionPath,
		fmt.Sprintf(`{"account":"demo","name":%q,"password":%q}`, name, password), nil)
	if status != 200 || len(cookies) != 1 {
		s.Fatalf("%s is not let in: %d %v", name, status, got)
	}
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: api.Cookie, Value: cookies[0].Value}) }
}

// token is the one of an operator's session.
func (s *server) token(cookie func(*http.Request)) string {
	s.Helper()
	status, got, _ := s.ask(http.MethodGet, api.SessionPath, "", cookie)
	if status != 200 {
		s.Fatalf("%d %v", status, got)
	}
	return got["token"].(string)
}

// mint makes a token with the API key.
func (s *server) mint() string {
	s.Helper()
	status, got, _ := s.ask(http.MethodPost, api.TokenPath, `{"account":"demo"}`, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+s.key)
	})
	if status != 200 {
		s.Fatalf("%d %v", status, got)
	}
	return got["token"].(string)
}

func (s *server) enter(b wire.HelloBody) *client {
	s.Helper()
	c := s.dial()
	b.Account, b.Instance = "demo", "of "+b.CUID
	c.hello(b)
	if e, code := c.until(wire.Welcome); e.T != wire.Welcome {
		s.Fatalf("%s is not let in: %d", b.CUID, code)
	}
	return c
}

// takings are the ways in which what somebody came in by goes away, while a hub runs.
var takings = map[string]struct {
	of   string // key, operator, or both
	take func(h *house, s *server, anna func(*http.Request))
}{
	"the key is revoked": {"key", func(h *house, _ *server, _ func(*http.Request)) {
		h.edit(func(e *access.Editor) error { return e.RevokeKey(e.Keys[0].ID) })
	}},
	"the key's name is another key's": {"key", func(h *house, s *server, _ func(*http.Request)) {
		b, err := os.ReadFile(access.File(h.folder, "demo"))
		if err != nil {
			h.Fatal(err)
		}
		text := strings.Replace(string(b), s.dir.Account("demo").Keys[0].SHA256, strings.Repeat("1", 64), 1)
		if err := durable.Write(access.File(h.folder, "demo"), []byte(text)); err != nil {
			h.Fatal(err)
		}
	}},
	"the operator is removed": {"operator", func(h *house, _ *server, _ func(*http.Request)) {
		h.edit(func(e *access.Editor) error { return e.RemoveUser("anna") })
	}},
	"the operator is removed and made anew": {"operator", func(h *house, _ *server, _ func(*http.Request)) {
		hash, _ := access.HashPassword(password)
		h.edit(func(e *access.Editor) error {
			if err := e.RemoveUser("anna"); err != nil {
				return err
			}
			return e.AddUser(access.User{Name: "anna", Password: hash, Role: access.Operator})
		})
	}},
	"the password is changed": {"operator", func(h *house, _ *server, _ func(*http.Request)) {
		hash, _ := access.HashPassword("another horse")
		h.edit(func(e *access.Editor) error { return e.ChangeUser("anna", hash, "") })
	}},
	"the operator signs out": {"operator", func(_ *house, s *server, anna func(*http.Request)) {
		if status, _, _ := s.ask(http.MethodDelete, api.SessionPath, "", anna); status != 204 {
			s.Error(status)
		}
	}},
	"the account is removed": {"key operator", func(h *house, _ *server, _ func(*http.Request)) {
		if err := os.Remove(access.File(h.folder, "demo")); err != nil {
			h.Fatal(err)
		}
	}},
}

// Whatever goes away, who came in by it has to leave, and does not come again by what it was given.
func TestTakenAway(t *testing.T) {
	for name, c := range takings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			s, _ := h.hub("one")
			anna := s.signIn("anna")
			minted, session := s.mint(), s.token(anna)
			in := map[string]*client{
				"key by itself":                    s.enter(wire.HelloBody{APIKey: h.key, CUID: "front_door"}),
				"key's token":                      s.enter(wire.HelloBody{Token: minted, CUID: "browser_1"}),
				"operator's token":                 s.enter(wire.HelloBody{Token: session, CUID: "console_1"}),
				"operator, session of hub resumed": s.resume(wire.HelloBody{Token: session, CUID: "console_2"}),
				"key, session of hub resumed":      s.resume(wire.HelloBody{APIKey: h.key, CUID: "garage_1"}),
			}
			c.take(h, s, anna)
			began := time.Now()
			for by, client := range in {
				if kind, _, _ := strings.Cut(strings.ReplaceAll(strings.ReplaceAll(by, "'s", ""), ",", ""),
					" "); strings.Contains(c.of, kind) {
					client.gone(by)
				} else {
					client.stays(by)
				}
			}
			t.Logf("all gone %v after it", time.Since(began).Round(time.Millisecond))
			for by, token := range map[string]string{"key": minted, "operator": session} {
				again := s.dial()
				again.hello(wire.HelloBody{Token: token, CUID: "again_1", Instance: "i"})
				if e, _ := again.until(wire.Welcome); (e.T == wire.Welcome) == strings.Contains(c.of, by) {
					t.Errorf("with the %s's token: %q", by, e.T)
				}
			}
			if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "",
				anna); (status == 200) == strings.Contains(c.of, "operator") {
				t.Errorf("with the cookie: %d", status)
			}
		})
	}
}

// Who waits for its place while it goes away gets none: it has shown a good key, and waits because the hub asks the
// connection before it whether it is still there, for another device that wants the cuid.
func TestTakenAwayWhileSigningIn(t *testing.T) {
	for name, c := range takings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			s, _ := h.hub("one")
			anna := s.signIn("anna")
			ways := map[string]wire.HelloBody{"key by itself": {APIKey: h.key}, "key's token": {Token: s.mint()}}
			if strings.Contains(c.of, "operator") {
				ways = map[string]wire.HelloBody{"operator's token": {Token: s.token(anna)}}
			}
			pending := map[string]*client{}
			chief := s.token(s.signIn("chief"))
			i := 0
			for by, b := range ways {
				i++
				cuid := fmt.Sprint("station_", i)
				// and does not read, so that the hub's question takes its time
				s.enter(wire.HelloBody{Token: chief, CUID: cuid})
				s.dial().hello(wire.HelloBody{Token: chief, Account: "demo", CUID: cuid, Instance: "another"})
				for waits := false; !waits; time.Sleep(time.Millisecond) {
					s.hub.router.signing.mu.Lock()
					waits = s.hub.router.signing.of[dev(cuid)] != nil
					s.hub.router.signing.mu.Unlock()
				}
				before := s.signInsLeft(cuid)
				b.Account, b.CUID, b.Instance = "demo", cuid, "of "+cuid
				pending[by] = s.dial()
				pending[by].hello(b)
				for s.signInsLeft(cuid) == before {
					time.Sleep(time.Millisecond)
				}
			}
			c.take(h, s, anna)
			_, _ = s.dir.Reload()
			for by, client := range pending {
				client.gone(by)
			}
		})
	}
}

// signInsLeft changes with each sign-in of a device whose key is good.
func (s *server) signInsLeft(cuid string) float64 {
	s.hub.sockets.signIns.mu.Lock()
	defer s.hub.sockets.signIns.mu.Unlock()
	return s.hub.sockets.signIns.left.of[dev(cuid)].tokens
}

// resume signs a client in, breaks its connection, and has it come back.
func (s *server) resume(b wire.HelloBody) *client {
	s.Helper()
	c := s.dial()
	b.Account, b.Instance = "demo", "of "+b.CUID
	c.hello(b)
	e, _ := c.until(wire.Welcome)
	w, err := wire.Body[wire.WelcomeBody](e)
	if err != nil {
		s.Fatal(err)
	}
	c.ws.CloseNow()
	b.Resume = &wire.Resume{Session: w.Session}
	c = s.dial()
	c.hello(b)
	e, _ = c.until(wire.Welcome)
	if w, err := wire.Body[wire.WelcomeBody](e); err != nil || !w.Resumed {
		s.Fatalf("not resumed: %+v", e)
	}
	return c
}

// stays sees that a client is still served.
func (c *client) stays(what string) {
	c.Helper()
	c.say(wire.Envelope{T: wire.Ping, ID: 77})
	if e, code := c.until(wire.OK); e.Re != 77 {
		c.Errorf("%s had to leave: %d", what, code)
	}
}

// gone sees that a client has to leave.
func (c *client) gone(what string) {
	c.Helper()
	if _, code := c.until("nothing"); code != wire.CloseCredentials {
		c.Errorf("%s was closed with %d", what, code)
	}
}

// Who has to leave, and keeps the hub from saying so by not reading, is heard no more.
func TestTakenAwayFromAClientThatIsStuck(t *testing.T) {
	h := newHouse(t)
	s, _ := h.hub("one")
	c := s.enter(wire.HelloBody{Token: s.token(s.signIn("anna")), CUID: "console_1"})
	s.hub.router.mu.Lock()
	m := s.hub.router.sessions[dev("console_1")]
	s.hub.router.mu.Unlock()
	socket := m.conn.(*socket)
	socket.mu.Lock()
	socket.writing = true // and does not come to an end
	socket.mu.Unlock()
	h.edit(func(e *access.Editor) error { return e.RemoveUser("anna") })
	if err := reload(s); err != nil {
		t.Fatal(err)
	}
	before := socket.out.heard.Load()
	c.say(wire.Envelope{T: wire.Watch, ID: 5})
	for socket.out.heard.Load() == before {
		time.Sleep(time.Millisecond)
	}
	socket.flush()
	for {
		e, code := c.next()
		if e.Re == 5 || e.T == wire.Presence {
			t.Errorf("it was answered with %q", e.T)
		}
		if code != 0 {
			break
		}
	}
	s.hub.router.watch(m) // also when that crossed
	if s.hub.router.presence.Watches(watcher{s.hub.router.registrar, m}) {
		t.Error("it watches who is there")
	}
}

// Signing out ends the session at every hub, also at one that does not hear it at once, and after a restart.
func TestSignedOutEverywhere(t *testing.T) {
	h := newHouse(t)
	one, stop := h.hub("one")
	two, _ := h.hub("two")
	anna := one.signIn("anna")
	other := two.signIn("anna") // in another browser
	there, stays := two.enter(wire.HelloBody{Token: one.token(anna),
		CUID: "console_1"}), two.enter(wire.HelloBody{Token: two.token(other), CUID: "console_2"})
	if status, _, cookies := one.ask(http.MethodDelete, api.SessionPath, "", anna); status != 204 ||
		len(cookies) != 1 || cookies[0].MaxAge >= 0 {
		t.Errorf("signing out: %d %v", status, cookies)
	}
	there.gone("a socket at the other hub")
	stays.stays("the session of another browser")
	refused := func(s *server, where string) {
		t.Helper()
		if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "", anna); status != 401 {
			t.Errorf("%s: the cookie is good after signing out: %d", where, status)
		}
		if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "", other); status != 200 {
			t.Errorf("%s: another session was ended: %d", where, status)
		}
	}
	refused(one, "here")
	refused(two, "at another hub")
	stop()
	one, _ = h.hub("one")
	refused(one, "after a restart")
	// A hub that was not there, and knows nothing, learns it from the others.
	three, _ := h.hub("three")
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, sum := three.hub.set.Ended.All(time.Now()); sum == sumOf(one) {
			break
		} else if time.Since(began) > 30*time.Second {
			t.Fatal("a hub that joined does not know who signed out")
		}
	}
	refused(three, "at a hub that was not there")
}

func sumOf(s *server) string {
	_, sum := s.hub.set.Ended.All(time.Now())
	return sum
}

// The set-up link makes the first administrator, and nothing when there is one, whoever made it.
func TestTheSetupLinkAfterTheFirst(t *testing.T) {
	needs.Time(t)
	for name, c := range map[string]struct {
		name  string
		first func(s *server) error
	}{
		"a command made one of that name": {"anna", func(s *server) error {
			return add(s, "demo", "anna", access.Administrator)
		}},
		"a command made one of another name": {"berta", func(s *server) error {
			return add(s, "demo", "berta", access.Operator)
		}},
		"a command made one in another house": {"anna", func(s *server) error {
			return add(s, "other", "anna", access.Operator)
		}},
		"one was made, and removed": {"anna", func(s *server) error {
			return errors.Join(add(s, "demo", "anna", access.Operator), reload(s),
				access.Edit(s.folder, "demo", func(e *access.Editor) error { return e.RemoveUser("anna") }), reload(s))
		}},
	} {
		s := serve(t)
		code := s.hub.SetupCode()
		if err := c.first(s); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(access.File(s.folder, "demo"))
		body := fmt.Sprintf(`{"account":"demo","name":"anna","password":"another horse","code":%q}`, code)
		for range 2 {
			if status, got, cookies := s.ask(http.MethodPost, api.SetupPath, body, nil); status != 401 ||
				got["field"] != "code" || len(cookies) > 0 {
				t.Errorf("%s: %d %v", name, status, got)
			}
		}
		if after, _ := os.ReadFile(access.File(s.folder, "demo")); string(after) != string(before) {
			t.Errorf("%s: the link changed the account", name)
		}
	}
	// Of many at once one is the first.
	s := serve(t)
	code := s.hub.SetupCode()
	statuses := map[int]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			status, _, _ := s.ask(http.MethodPost, api.SetupPath,
				fmt.Sprintf(`{"account":"demo","name":"anna %d","password":"another horse","code":%q}`, i, code), nil)
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	all.Wait()
	if statuses[200] != 1 || len(s.dir.Account("demo").Users) != 1 {
		t.Errorf("%v, %d operators", statuses, len(s.dir.Account("demo").Users))
	}
}

func add(s *server, account, name string, role access.Role) error {
	return access.Edit(s.folder, account, func(e *access.Editor) error {
		return e.AddUser(access.User{Name: name, Password: hashed(), Role: role})
	})
}

func reload(s *server) error {
	_, err := s.dir.Reload()
	return err
}

// An operator is made by one request and changed by another; the role stays with a new password, and so does the last
// administrator.
func TestOperatorsAreMadeOrChanged(t *testing.T) {
	h := newHouse(t)
	s, _ := h.hub("one")
	chief := s.signIn("chief")
	role := func(name string) access.Role {
		u, _ := s.dir.User("demo", name)
		return u.Role
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{http.MethodPost, "/users", `{"name":"anna","password":"another horse","role":"administrator"}`, 409, "name"},
		{http.MethodPut, "/users/chief", `{"role":"operator"}`, 403, "role"},
		{http.MethodPut, "/users/chief", `{"role":"operator","password":"another horse"}`, 403, "role"},
		{http.MethodDelete, "/users/chief", ``, 403, "name"},
		{http.MethodPut, "/users/nobody", `{"password":"another horse"}`, 400, ""},
		{http.MethodPut, "/users/anna", `{}`, 400, ""},
		{http.MethodPut, "/users/anna", `{"role":"king"}`, 400, "role"},
		{http.MethodPut, "/users/anna", `{"password":"short"}`, 400, "password"},
	} {
		status, got, _ := s.ask(c.method, api.AccountPath+c.path, c.body, chief)
		if field, _ := got["field"].(string); status != c.status || field != c.field {
			t.Errorf("%s %s %s: %d %v", c.method, c.path, c.body, status, got)
		}
	}
	if role("chief") != access.Administrator || role("anna") != access.Operator {
		t.Error("a refused change was made")
	}
	if _, ok := s.dir.CheckPassword("demo", "anna", password); !ok {
		t.Error("the password of a colleague was overwritten")
	}
	// Who changes the own password keeps the role, and goes on with a new cookie; the old one is worth nothing.
	status, _, cookies := s.ask(http.MethodPut, api.AccountPath+"/users/chief", `{"password":"another horse"}`, chief)
	if status != 204 || len(cookies) != 1 || role("chief") != access.Administrator {
		t.Fatalf("%d %v %q", status, cookies, role("chief"))
	}
	if status, _, _ := s.ask(http.MethodGet, api.AccountPath, "", chief); status != 401 {
		t.Errorf("the old cookie: %d", status)
	}
	chief = func(r *http.Request) { r.AddCookie(cookies[0]) }
	if status, _, _ := s.ask(http.MethodPut, api.AccountPath+"/users/anna", `{"role":"administrator"}`,
		chief); status != 204 || role("anna") != access.Administrator {
		t.Errorf("%d", status)
	}
	if status, _, _ := s.ask(http.MethodPut, api.AccountPath+"/users/chief", `{"role":"operator"}`,
		chief); status != 204 {
		t.Error("one of two administrators cannot become less", status)
	}
	if status, _, _ := s.ask(http.MethodGet, api.AccountPath, "", chief); status != 403 {
		t.Errorf("one who is no administrator any more: %d", status)
	}
}

// One who is an administrator no more changes nothing, also when the request came before, and was slow.
func TestAChangeThatIsUnderWay(t *testing.T) {
	for name, take := range map[string]func(e *access.Editor) error{
		"removed":   func(e *access.Editor) error { return e.RemoveUser("berta") },
		"made less": func(e *access.Editor) error { return e.ChangeUser("berta", "", access.Operator) },
		"of another word": func(e *access.Editor) error {
			h, _ := access.HashPassword("another horse")
			return e.ChangeUser("berta", h, "")
		},
	} {
		h := newHouse(t)
		h.edit(func(e *access.Editor) error {
			return e.AddUser(access.User{Name: "berta", Password: hashed(), Role: access.Administrator})
		})
		s, _ := h.hub("one")
		berta := s.signIn("berta")
		body, half := io.Pipe()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+api.AccountPath+"/groups/house", body)
		if err != nil {
			t.Fatal(err)
		}
		berta(q)
		status := make(chan int)
		go func() {
			r, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Error(err)
				status <- 0
				return
			}
			r.Body.Close()
			status <- r.StatusCode
		}()
		if _, err := half.Write([]byte(`{"members":`)); err != nil {
			t.Fatal(err)
		}
		h.edit(take)
		_, _ = half.Write([]byte(`["front_door"]}`))
		half.Close()
		if got := <-status; got != 401 && got != 403 {
			t.Errorf("%s: %d", name, got)
		}
		if a, err := access.Load(access.File(h.folder, "demo")); err != nil || a.Group("house") != nil {
			t.Errorf("%s: the change was made (%v)", name, err)
		}
	}
}

// Requests that change the account at the same time all take effect, beside a command as well.
func TestRequestsAtTheSameTime(t *testing.T) {
	h := newHouse(t)
	s, _ := h.hub("one")
	chief := s.signIn("chief")
	for round := range 8 {
		_, got, _ := s.ask(http.MethodPost, api.AccountPath+"/keys", "", chief)
		g, ok := s.dir.Allowed("demo", fmt.Sprint(got["key"]))
		if !ok {
			t.Fatal(got)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if status, got, _ := s.ask(http.MethodDelete, api.AccountPath+"/keys/"+g.Key, "", chief); status != 204 {
				t.Errorf("the key: %d %v", status, got)
			}
		})
		for i := range 3 {
			all.Go(func() {
				if status, got, _ := s.ask(http.MethodPut, fmt.Sprint(api.AccountPath, "/groups/group_", i),
					fmt.Sprintf(`{"members":["station_%d"]}`, round), chief); status != 204 {
					t.Errorf("the group: %d %v", status, got)
				}
			})
		}
		all.Go(func() {
			h.edit(func(e *access.Editor) error {
				return e.SetGroup(access.Group{ID: fmt.Sprint("command_", round), Members: []string{"front_door"}})
			})
		})
		all.Wait()
		a, err := access.Load(access.File(h.folder, "demo"))
		if err != nil || len(a.Keys) != 1 || a.Group(fmt.Sprint("command_", round)) == nil {
			t.Fatalf("round %d: %v, %d keys, %v", round, err, len(a.Keys), a.Groups)
		}
		for i := range 3 {
			if g := a.Group(fmt.Sprint("group_", i)); g == nil || g.Members[0] != fmt.Sprint("station_", round) {
				t.Fatalf("round %d: an edit was lost: %v", round, g)
			}
		}
	}
}

// A flood of passwords from one address waits in its own queue, and is told; a right one from another has its turn.
func TestPasswordsTakeTurns(t *testing.T) {
	needs.Time(t)
	s, _ := newHouse(t).hub("one")
	var free []func()
	for range s.hub.hashing.most { // others are at it
		done, err := s.hub.hashing.wait(t.Context(), "203.0.113.1")
		if err != nil {
			t.Fatal(err)
		}
		free = append(free, done)
	}
	type answer struct {
		status int
		again  string
	}
	try := func(from, password string, many int) chan answer {
		all := make(chan answer, many)
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}}
		for range many {
			go func() {
				r, err := c.Post(s.URL+api.SessionPath, "application/json",
					strings.NewReader(fmt.Sprintf(`{"account":"demo","name":"anna","password":%q}`, password)))
				if err != nil {
					all <- answer{}
					return
				}
				r.Body.Close()
				all <- answer{r.StatusCode, r.Header.Get("Retry-After")}
			}()
		}
		return all
	}
	const many = 40
	flood := try("127.0.0.7", "a wrong horse", many)
	for range many - turnsOfAddress {
		if a := <-flood; a.status != http.StatusTooManyRequests || a.again == "" {
			t.Fatalf("%+v", a)
		}
	}
	right := try("127.0.0.1", password, 1)
	for s.hub.hashing.now()[1] != turnsOfAddress+1 {
		time.Sleep(time.Millisecond)
	}
	for _, done := range free {
		done()
	}
	if a := <-right; a.status != http.StatusOK {
		t.Errorf("a right password of another address: %+v", a)
	}
	for range turnsOfAddress {
		if a := <-flood; a.status != http.StatusUnauthorized {
			t.Errorf("one who waited: %+v", a)
		}
	}
}

// Who has to leave in a call leaves the call, and the other party is told.
func TestTakenAwayInACall(t *testing.T) {
	for _, who := range []string{"alpha", "bravo"} {
		for _, answered := range []bool{false, true} {
			testOn(t, fmt.Sprintf("%s, answered %v", who, answered), 2, "", func(w *world) {
				if err := w.invite("alpha", "bravo", idA); err != nil {
					t.Fatal(err)
				}
				if answered {
					w.say("bravo", wire.Answer, idA, nil)
				}
				s := w.at[who]
				s.hub.router.mu.Lock()
				s.m.grant.Key = "revoked"
				s.hub.router.mu.Unlock()
				s.hub.Reload()
				synctest.Wait()
				if !s.lost {
					t.Error("it is still there")
				}
				other := map[string]string{"alpha": "bravo", "bravo": "alpha"}[who]
				if len(w.at[other].ended[idA]) != 1 || len(w.records) != 1 {
					t.Errorf("the other was told %v, recorded %v", w.at[other].ended[idA], w.records)
				}
				t.Log(w.at[other].ended[idA])
			})
		}
	}
}

// Signing out holds while the disk is full, is said once, and is written as soon as it can be.
func TestSignedOutOnAFullDisk(t *testing.T) {
	needs.Time(t)
	h := newHouse(t)
	s, stop := h.hub("one")
	anna := s.signIn("anna")
	file := filepath.Join(h.folder, "one.signed-out")
	if err := os.Mkdir(file, 0o700); err != nil { // what cannot be replaced, for whoever runs this
		t.Fatal(err)
	}
	if status, _, _ := s.ask(http.MethodDelete, api.SessionPath, "", anna); status != 204 {
		t.Error(status)
	}
	health := func() any {
		_, got, _ := s.ask(http.MethodGet, "/healthz", "", nil)
		return got["health"]
	}
	if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "", anna); status != 401 || health() != "degraded" {
		t.Errorf("%d, %v", status, health())
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); health() != "healthy"; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("it was not written")
		}
	}
	stop()
	s, _ = h.hub("one")
	if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "", anna); status != 401 {
		t.Errorf("after a restart: %d", status)
	}
}
