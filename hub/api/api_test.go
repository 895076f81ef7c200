package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"intercom/hub/access"
	"intercom/hub/record"
	"intercom/internal/fault"
)

// The whole API is tried through a whole hub, in package hub; here is what it asks of the hub, and when.

const password = "correct horse"

// door is the API with a guard that writes down what it is asked.
type door struct {
	*testing.T
	api   *API
	mux   *http.ServeMux
	key   string
	asked []string
	ended []string
	full  bool // there are no turns
}

func (d *door) Wrong(*http.Request)  { d.asked = append(d.asked, "wrong") }
func (d *door) Proved(*http.Request) { d.asked = append(d.asked, "proved") }

func (d *door) Turn(_ *http.Request, account string) (func(), *fault.Error) {
	d.asked = append(d.asked, strings.TrimSpace("turn "+account))
	if d.full {
		return nil, fault.New(fault.RateLimited)
	}
	return func() { d.asked = append(d.asked, "done") }, nil
}

func (d *door) MayAsk(string) *fault.Error { d.asked = append(d.asked, "may ask"); return nil }
func (d *door) MayManage(string) *fault.Error {
	d.asked = append(d.asked, "may manage")
	return nil
}
func (d *door) MayMint(string) *fault.Error { d.asked = append(d.asked, "may mint"); return nil }

func newDoor(t *testing.T) *door {
	folder := t.TempDir()
	key, err := access.NewKey(folder, "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := access.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := access.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	anna := access.User{Name: "anna", Password: hash, Role: access.Administrator}
	if err := dir.Edit("demo", func(e *access.Editor) error { return e.AddUser(anna) }); err != nil {
		t.Fatal(err)
	}
	ended, err := access.OpenEnded("")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{T: t, mux: http.NewServeMux(), key: key}
	d.api = New(Settings{
		Online: func(context.Context, string, string) bool { return false },
		Access: dir, Secret: access.NewSecret(), Ended: ended, Guard: d,
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
		End:   func(account string, g access.Grant) { d.ended = append(d.ended, account+" "+g.User) },
		Calls: func(record.Filter) (record.Page, error) { return record.Page{}, nil },
		Notes: func(string, string, int) ([]record.Note, error) { return nil, nil },
	})
	d.api.Handle(d.mux)
	return d
}

func (d *door) request(method, path, body, key string, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequestWithContext(d.Context(), method, path, strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// send sends a request, and wants a status and what the guard was asked.
func (d *door) send(r *http.Request, status int, asked ...string) *http.Response {
	d.Helper()
	w := httptest.NewRecorder()
	d.asked = nil
	d.mux.ServeHTTP(w, r)
	if w.Code != status || !slices.Equal(d.asked, asked) {
		d.Errorf("%s %s: %d, and the guard was asked %q; want %d, %q", r.Method, r.URL, w.Code, d.asked, status, asked)
	}
	return w.Result()
}

func (d *door) signIn(password string) *http.Request {
	body := fmt.Sprintf(`{"account":"demo","name":"anna","password":%q}`, password)
	return d.request(http.MethodPost, SessionPath, body, "")
}

func TestTheGuardIsAskedAboutEachCredential(t *testing.T) {
	d := newDoor(t)
	d.send(d.signIn("wrong horse"), 401, "turn", "done", "wrong")
	cookies := d.send(d.signIn(password), 200, "turn", "done").Cookies()
	if len(cookies) != 2 {
		t.Fatal("not let in")
	}
	again := d.signIn(password)
	again.AddCookie(cookies[1])
	d.send(again, 200, "turn demo", "done")
	d.send(d.request(http.MethodPost, SetupPath, `{"account":"demo","name":"bert","code":"x"}`, ""), 401, "wrong")
	d.send(d.request(http.MethodGet, CallsPath+"?account=demo", "", ""), 401)
	d.send(d.request(http.MethodGet, CallsPath+"?account=demo", "", "x"), 401, "wrong")
	d.send(d.request(http.MethodGet, CallsPath+"?account=demo", "", d.key), 200, "proved", "may ask")
	d.send(d.request(http.MethodGet, NotesPath, "", "", cookies...), 200, "may ask")
	d.send(d.request(http.MethodPost, TokenPath, `{"account":"demo"}`, "x"), 401, "wrong")
	d.send(d.request(http.MethodPost, TokenPath, `{"account":"demo"}`, d.key), 200, "may mint")
	d.send(d.request(http.MethodGet, AccountPath, "", "", cookies...), 200, "may manage")
	d.full = true
	user := `{"name":"bert","password":"another horse"}`
	d.send(d.request(http.MethodPost, AccountPath+"/users", user, "", cookies...), 429, "may manage", "turn demo")
}

// A body that does not come in time is no mistake in it, wherever it was going.
func TestABodyThatDoesNotCome(t *testing.T) {
	d := newDoor(t)
	cookies := d.send(d.signIn(password), 200, "turn", "done").Cookies()
	for _, r := range []*http.Request{
		d.request(http.MethodPut, AccountPath+"/groups/house", "", "", cookies...),
		d.request(http.MethodPost, AccountPath+"/users", "", "", cookies...),
		d.request(http.MethodPut, AccountPath+"/users/anna", "", "", cookies...),
	} {
		r.Body = io.NopCloser(iotest.ErrReader(os.ErrDeadlineExceeded))
		d.send(r, 429, "may manage")
	}
	d.send(d.request(http.MethodPut, AccountPath+"/groups/house", "nonsense", "", cookies...), 400, "may manage")
}

// What is wrong with a change is told without the place of the account's file on the server.
func TestWhatIsWrongIsToldWithoutTheFile(t *testing.T) {
	d := newDoor(t)
	cookies := d.send(d.signIn(password), 200, "turn", "done").Cookies()
	bad := d.request(http.MethodPut, AccountPath+"/groups/house", `{"members":["not a cuid"]}`, "", cookies...)
	var got fault.Error
	if err := json.NewDecoder(d.send(bad, 400, "may manage").Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := fault.In(fault.InvalidInit, "members[0]", `"not a cuid" is not a cuid`)
	if got.Code != want.Code || got.Field != want.Field || got.Message != want.Message {
		t.Error(got)
	}
}

// Who takes an answer slowly keeps nobody else from reading records.
func TestASlowReaderHoldsNoTurn(t *testing.T) {
	for _, path := range []string{CallsPath, NotesPath} {
		d := newDoor(t)
		slow := &slowWriter{ResponseRecorder: httptest.NewRecorder(), wrote: func() {
			if n := len(d.api.records.reading); n != 0 {
				t.Errorf("%s: %d turns are held while the answer is written", path, n)
			}
		}}
		d.mux.ServeHTTP(slow, d.request(http.MethodGet, path+"?account=demo", "", d.key))
		if slow.Code != http.StatusOK || slow.Body.Len() == 0 {
			t.Errorf("%s: %d", path, slow.Code)
		}
	}
}

type slowWriter struct {
	*httptest.ResponseRecorder
	wrote func()
}

func (w *slowWriter) Write(b []byte) (int, error) {
	w.wrote()
	return w.ResponseRecorder.Write(b)
}

func TestSignOutEndsTheSessionEverywhere(t *testing.T) {
	d := newDoor(t)
	cookies := d.send(d.signIn(password), 200, "turn", "done").Cookies()
	d.send(d.request(http.MethodDelete, SessionPath, "", ""), 204) // of nobody
	d.send(d.request(http.MethodDelete, SessionPath, "", "", cookies...), 204)
	if want := []string{"demo anna"}; !slices.Equal(d.ended, want) {
		t.Errorf("ended are %q, want %q", d.ended, want)
	}
}

func TestWhatProvesItself(t *testing.T) {
	d := newDoor(t)
	cookies := d.send(d.signIn(password), 200, "turn", "done").Cookies()
	for _, c := range []struct {
		r    *http.Request
		want bool
	}{
		{d.request(http.MethodPost, SessionPath, "", ""), true},
		{d.request(http.MethodGet, SessionPath, "", ""), false},
		{d.request(http.MethodGet, SessionPath, "", "", cookies...), true},
		{d.request(http.MethodPost, SetupPath, "", ""), true},
		{d.request(http.MethodPost, TokenPath, "", ""), true},
		{d.request(http.MethodGet, TokenPath, "", ""), false},
		{d.request(http.MethodGet, CallsPath, "", ""), false},
		{d.request(http.MethodGet, CallsPath, "", "x"), true},
		{d.request(http.MethodGet, "/console/", "", "x"), false},
		{d.request(http.MethodGet, "/console/", "", "", cookies...), true},
	} {
		if got := d.api.ProvesItself(c.r); got != c.want {
			t.Errorf("%s %s: %v", c.r.Method, c.r.URL, got)
		}
	}
}
