package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"intercom/hub/access"
	"intercom/hub/api"
	"intercom/hub/record"
	"intercom/internal/fault"
	"intercom/wire"
)

// ask sends a request over HTTP and gives the status, the JSON of the answer and its cookies, but for
// [api.KnownCookie].
func (s *server) ask(method, path, body string, change func(*http.Request)) (int, map[string]any, []*http.Cookie) {
	s.Helper()
	q, err := http.NewRequestWithContext(s.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if change != nil {
		change(q)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		s.Fatal(err)
	}
	defer r.Body.Close()
	if csp := r.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
		s.Errorf("the policy is %q", csp)
	}
	var got map[string]any
	_ = json.NewDecoder(r.Body).Decode(&got)
	return r.StatusCode, got, slices.DeleteFunc(r.Cookies(), func(c *http.Cookie) bool {
		return c.Name == api.KnownCookie
	})
}

// add adds an operator to the account demo.
func (s *server) add(u access.User) {
	s.Helper()
	if err := s.dir.Edit("demo", func(e *access.Editor) error { return e.AddUser(u) }); err != nil {
		s.Fatal(err)
	}
}

func TestTheFirstOperator(t *testing.T) {
	s := serve(t)
	code := s.hub.SetupCode()
	if len(code) < 32 {
		t.Fatalf("the code is %q", code)
	}
	body := func(code, password string) string {
		return fmt.Sprintf(`{"account":"demo","name":"anna","password":%q,"code":%q}`, password, code)
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{"a wrong code": {body("x", "correct horse"), 401}, "no code": {body("", "correct horse"), 401},
		"a short password": {body(code, "short"), 400}, "nonsense": {"x", 400}} {
		if status, got, _ := s.ask(http.MethodPost, api.SetupPath, c.body, nil); status != c.status ||
			got["code"] == nil {
			t.Errorf("%s: %d %v", name, status, got)
		}
	}
	status, got, cookies := s.ask(http.MethodPost, api.SetupPath, body(code, "correct horse"), nil)
	if status != 200 || got["role"] != "administrator" || len(cookies) != 1 {
		t.Fatalf("%d %v", status, got)
	}
	if c := cookies[0]; c.Name != api.Cookie || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode ||
		c.Path != "/" || c.Domain != "" {
		t.Errorf("the cookie is %+v", c)
	}
	if status, _, _ := s.ask(http.MethodPost, api.SetupPath, body(code, "correct horse"), nil); status != 401 {
		t.Errorf("the code is good twice: %d", status)
	}
	if again := s.hub.SetupCode(); again != "" {
		t.Error("there is an operator, and a code")
	}
}

func TestOperators(t *testing.T) {
	s := serve(t)
	hash, err := access.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	s.add(access.User{Name: "anna", Password: hash, Role: access.Operator})
	good := `{"account":"demo","name":"anna","password":"correct horse"}`
	for name, body := range map[string]string{
		"a wrong password": `{"account":"demo","name":"anna","password":"wrong horse"}`,
		"nobody":           `{"account":"demo","name":"bert","password":"correct horse"}`,
	} {
		if status, _, cookies := s.ask(http.MethodPost, api.SessionPath, body, nil); status != 401 || len(cookies) > 0 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _, _ := s.ask(http.MethodPost, api.SessionPath, good, func(r *http.Request) {
		r.Header.Set("Origin", "https://evil.example")
	}); status != 403 {
		t.Errorf("a page of another site: %d", status)
	}
	status, got, cookies := s.ask(http.MethodPost, api.SessionPath, good, nil)
	if status != 200 || got["role"] != "operator" || len(cookies) != 1 {
		t.Fatalf("%d %v", status, got)
	}
	as := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: api.Cookie, Value: cookies[0].Value}) }
	status, got, _ = s.ask(http.MethodGet, api.SessionPath, "", as)
	token, _ := got["token"].(string)
	if status != 200 || got["name"] != "anna" || token == "" {
		t.Errorf("%d %v", status, got)
	}
	if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "", func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: api.Cookie, Value: cookies[0].Value[1:]})
	}); status != 401 {
		t.Errorf("a forged cookie: %d", status)
	}
	// The token signs the page in at the WebSocket, until the operator is gone.
	c := s.dial()
	c.hello(wire.HelloBody{Account: "demo", Token: token, CUID: "anna_browser", Instance: "i"})
	if e, _ := c.until(wire.Welcome); e.T != wire.Welcome {
		t.Fatal("not let in")
	}
	if err := s.dir.Edit("demo", func(e *access.Editor) error { return e.RemoveUser("anna") }); err != nil {
		t.Fatal(err)
	}
	if _, code := c.until("nothing"); code != wire.CloseCredentials {
		t.Errorf("closed with %d", code)
	}
	if status, _, _ := s.ask(http.MethodGet, api.SessionPath, "", as); status != 401 {
		t.Errorf("one who is gone is signed in: %d", status)
	}
	if status, _, cookies := s.ask(http.MethodDelete, api.SessionPath, "", as); status != 204 || len(cookies) != 1 ||
		cookies[0].MaxAge >= 0 {
		t.Errorf("signing out: %d", status)
	}
}

func TestTheHistory(t *testing.T) {
	s := serve(t)
	lines := ""
	for i, account := range []string{"demo", "demo", "other", "demo"} {
		at := time.Date(2026, 1, 2, 3, i, 0, 0, time.UTC).Format(time.RFC3339)
		lines += fmt.Sprintf(
			`{"account":%q,"hub":"h","call":"c%d","status":"missed","reason":"no_answer","by":"hub","from":"front_door","to":"reception","context":"x","invited_at":%q,"ended_at":%q,"duration_ms":0}`+"\n", account, i, at, at)
	}
	if err := os.WriteFile(filepath.Join(s.folder, "calls-2026-01-02.jsonl"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }
	}
	status, got, _ := s.ask(http.MethodGet, api.CallsPath+"?account=demo&limit=2", "", with(s.key))
	list, _ := got["calls"].([]any)
	if status != 200 || len(list) != 2 || list[0].(map[string]any)["call"] != "c3" || got["next"] == nil {
		t.Fatalf("%d %v", status, got)
	}
	status, got, _ = s.ask(http.MethodGet, fmt.Sprint(api.CallsPath, "?account=demo&after=", got["next"]), "",
		with(s.key))
	list, _ = got["calls"].([]any)
	if status != 200 || len(list) != 1 || list[0].(map[string]any)["call"] != "c0" || got["next"] != nil {
		t.Errorf("%d %v", status, got)
	}
	for query, want := range map[string]int{"account=other": 401, "account=demo&status=lost": 400,
		"account=demo&since=yesterday": 400, "account=demo&limit=0": 400, "account=demo&after=x": 400,
		"account=demo&cuid=nobody_1": 200} {
		if status, got, _ := s.ask(http.MethodGet, api.CallsPath+"?"+query, "", with(s.key)); status != want {
			t.Errorf("%s: %d %v", query, status, got)
		}
	}
	if status, _, _ := s.ask(http.MethodGet, api.CallsPath+"?account=demo", "", nil); status != 401 {
		t.Errorf("without a key: %d", status)
	}
}

// What an operator's page needs beside the calls: what happened at stations, who must be there, and which one is which.
func TestWhatAnOperatorSees(t *testing.T) {
	asked := ""
	s := serveWith(t, func(set *Settings) {
		set.Notes = func(account, station string, limit int) ([]record.Note, error) {
			asked = fmt.Sprint(account, station, limit)
			return []record.Note{{Account: account, Station: station}}, nil
		}
	})
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.key) }
	if status, got, _ := s.ask(http.MethodGet, api.NotesPath+"?account=demo&station=front_door&limit=7", "",
		bearer); status != 200 || asked != "demofront_door7" || got["notes"] == nil {
		t.Errorf("%d %v %s", status, got, asked)
	}
	if status, _, _ := s.ask(http.MethodGet, api.NotesPath+"?account=demo&limit=0", "", bearer); status != 400 {
		t.Error(status)
	}
	for _, path := range []string{api.NotesPath, api.ExpectPath} {
		if status, _, _ := s.ask(http.MethodGet, path+"?account=demo", "", nil); status != 401 {
			t.Errorf("%s to anybody: %d", path, status)
		}
	}
	if status, got, _ := s.ask(http.MethodGet, api.ExpectPath+"?account=demo", "", bearer); status != 200 ||
		got["stations"] == nil {
		t.Errorf("%d %v", status, got)
	}
	door, other := s.sign("front_door", "1"), s.sign("other_one", "2")
	operator := s.dial()
	hash, _ := access.HashPassword("correct horse")
	anna := access.User{Name: "anna", Password: hash, Role: access.Operator}
	s.add(anna)
	token, _ := s.hub.sockets.tokens.Mint(access.Token{Account: "demo", Grant: anna.Grant(),
		Expires: time.Now().Unix() + 60})
	operator.hello(wire.HelloBody{Token: token, CUID: "anna_browser", Instance: "i"})
	operator.until(wire.Welcome)
	for c, want := range map[*client]wire.Type{other: wire.Fail, operator: wire.OK} {
		e := wire.New(wire.Identify, "", wire.IdentifyBody{CUID: "front_door"})
		e.ID = 9
		c.say(e)
		if got, _ := c.until(want); got.Re != 9 {
			t.Errorf("%+v", got)
		}
	}
	if e, _ := door.until(wire.Identify); e.T != wire.Identify {
		t.Error("the station was not told")
	}
}

// An administrator changes keys, groups and operators; an operator does not.
func TestAnAdministrator(t *testing.T) {
	s := serve(t)
	hash, err := access.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	as := func(name string, role access.Role) func(*http.Request) {
		s.add(access.User{Name: name, Password: hash, Role: role})
		_, _, cookies := s.ask(http.MethodPost, api.SessionPath,
			fmt.Sprintf(`{"account":"demo","name":%q,"password":"correct horse"}`, name), nil)
		if len(cookies) != 1 {
			t.Fatal("not let in")
		}
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: api.Cookie, Value: cookies[0].Value}) }
	}
	chief, anna := as("chief", access.Administrator), as("anna", access.Operator)
	for who, want := range map[string]int{"nobody": 401, "anna": 403} {
		how := map[string]func(*http.Request){"nobody": nil, "anna": anna}[who]
		if status, got, _ := s.ask(http.MethodPost, api.AccountPath+"/keys", "", how); status != want ||
			got["code"] == nil {
			t.Errorf("%s: %d %v", who, status, got)
		}
	}
	if status, _, _ := s.ask(http.MethodPost, api.AccountPath+"/keys", "", func(r *http.Request) {
		chief(r)
		r.Header.Set("Origin", "https://evil.example")
	}); status != 403 {
		t.Errorf("from another site: %d", status)
	}
	_, got, _ := s.ask(http.MethodPost, api.AccountPath+"/keys", "", chief)
	key, _ := got["key"].(string)
	if g, ok := s.dir.Allowed("demo", key); !ok {
		t.Error("the new key opens nothing")
	} else if status, _, _ := s.ask(http.MethodDelete, api.AccountPath+"/keys/"+g.Key, "", chief); status != 204 {
		t.Error(status)
	}
	if _, ok := s.dir.Allowed("demo", key); ok {
		t.Error("a revoked key opens")
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPut, "/groups/house", `{"members":["reception","office_1"],"mode":"sequence","each_ms":20000}`,
			204},
		{http.MethodPut, "/groups/house", `{"members":["not a cuid"]}`, 400},
		{http.MethodPut, "/groups/house", `nonsense`, 400},
		{http.MethodPut, "/groups/house", `{"members":["office_1"],"each_ms":18446744093710}`, 400}, // 2^64 ns and 20 s
		{http.MethodDelete, "/groups/nothing", ``, 400},
		{http.MethodPost, "/users", `{"name":"Berta","password":"another horse","role":"operator"}`, 204},
		{http.MethodPost, "/users", `{"name":"Carl","password":"short","role":"operator"}`, 400},
		{http.MethodPost, "/users", `{"name":"Carl","password":"another horse","role":"king"}`, 400},
		{http.MethodDelete, "/users/chief", ``, 403},
		{http.MethodDelete, "/users/anna", ``, 204},
	} {
		if status, got, _ := s.ask(c.method, api.AccountPath+c.path, c.body, chief); status != c.status {
			t.Errorf("%s %s %s: %d %v", c.method, c.path, c.body, status, got)
		}
	}
	status, got, _ := s.ask(http.MethodGet, api.AccountPath, "", chief)
	text := fmt.Sprint(got)
	if status != 200 || !strings.Contains(text, "house") || !strings.Contains(text, "Berta") ||
		strings.Contains(text, "anna") || strings.Contains(text, "argon") || strings.Contains(text, "sha256") {
		t.Errorf("%d %s", status, text)
	}
}

// A group does not get the name of a device that is signed in, at whatever hub: the device could not be called any
// more, and not sign in again.
func TestAGroupDoesNotTakeTheNameOfADevice(t *testing.T) {
	h := newHouse(t)
	one, _ := h.hub("one")
	two, _ := h.hub("two")
	one.sign("gate_1", "i")
	two.sign("gate_2", "i")
	chief := one.signIn("chief")
	for id, want := range map[string]int{"gate_1": 409, "gate_2": 409, "gate_3": 204} {
		path := api.AccountPath + "/groups/" + id
		status, got, _ := one.ask(http.MethodPut, path, `{"members":["reception"]}`, chief)
		if status != want || want == 409 && (got["code"] != string(fault.Conflict) || got["field"] != "id") {
			t.Errorf("%s: %d %v", id, status, got)
		}
		if a, err := access.Load(access.File(h.folder, "demo")); err != nil || (a.Group(id) != nil) != (want == 204) {
			t.Errorf("%s: %v, %v", id, a.Groups, err)
		}
	}
	one.sign("gate_1", "i")
}

// What the hub itself cannot read or write is no mistake of who asks: 503, and the same request may succeed later.
func TestFilesThatCannotBeReadAreTheHubsTrouble(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broken := func(string) error { return errors.New("input/output error") }
	s := serveLogging(t, l, func(set *Settings) {
		set.Calls = func(f record.Filter) (record.Page, error) { return record.Page{}, broken(f.Account) }
		set.Notes = func(account, _ string, _ int) ([]record.Note, error) { return nil, broken(account) }
	}, quiet)
	hash, err := access.HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	s.add(access.User{Name: "chief", Password: hash, Role: access.Administrator})
	_, _, cookies := s.ask(http.MethodPost, api.SessionPath,
		`{"account":"demo","name":"chief","password":"correct horse"}`, nil)
	if len(cookies) != 1 {
		t.Fatal("not let in")
	}
	chief := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: api.Cookie, Value: cookies[0].Value}) }
	file := access.File(s.folder, "demo")
	if err := os.WriteFile(file, []byte("[[key]\nid = "), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, api.CallsPath, ""}, {http.MethodGet, api.NotesPath, ""},
		{http.MethodPost, api.AccountPath + "/keys", ""}, {http.MethodDelete, api.AccountPath + "/keys/x", ""},
		{http.MethodPut, api.AccountPath + "/groups/house", `{"members":["reception"]}`},
		{http.MethodPost, api.AccountPath + "/users", `{"name":"Berta","password":"another horse"}`},
	} {
		status, got, _ := s.ask(c.method, c.path, c.body, chief)
		if status != http.StatusServiceUnavailable || got["code"] != string(fault.HubDegraded) ||
			got["retryable"] != true || strings.Contains(fmt.Sprint(got), s.folder) {
			t.Errorf("%s %s: %d %v", c.method, c.path, status, got)
		}
	}
}

// What operators ask of their session and account has a rate, for the account; and so has what they change.
func TestOperatorsRequestsHaveARate(t *testing.T) {
	s, _ := newHouse(t).hub("one")
	chief, anna := s.signIn("chief"), s.signIn("anna")
	refused := 0
	for i := range int(manageRate.burst) + 200 {
		if status, got, _ := s.ask(http.MethodGet, []string{api.SessionPath, api.AccountPath}[i%2], "",
			chief); status == http.StatusTooManyRequests {
			if refused++; got["code"] != string(fault.RateLimited) || got["retry_after_ms"] == nil {
				t.Fatal(got)
			}
		} else if status != http.StatusOK {
			t.Fatalf("%d %v", status, got)
		}
	}
	if refused == 0 {
		t.Error("no request was refused")
	}
	if status, _, _ := s.ask(http.MethodPut, api.AccountPath+"/groups/everybody", `{"members":["front_door"]}`,
		chief); status != http.StatusTooManyRequests {
		t.Errorf("a change: %d", status)
	}
	if status, _, _ := s.ask(http.MethodDelete, api.SessionPath, "", anna); status != http.StatusNoContent {
		t.Errorf("signing out: %d", status)
	}
}
