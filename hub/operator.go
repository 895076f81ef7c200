package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/hub/record"
	"intercom/internal/backoff"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// This file is what people see of the hub over HTTP: operators sign in with a password and get a cookie; the history of
// calls, for them and for programs with an API key; and the first operator, made with a link that the first start
// prints.

// Paths.
const (
	SessionPath = "/v1/session" // POST signs in, GET says who one is, DELETE signs out
	SetupPath   = "/v1/setup"   // POST makes the first operator
	CallsPath   = "/v1/calls"   // GET the history
	NotesPath   = "/v1/notes"   // GET what happened at stations, the newest first: visits, doors, how calls were heard
	ExpectPath  = "/v1/expect"  // GET the stations that must be there, as the account's file says
)

// Cookie of an operator's session. The prefix binds it to this host and to TLS (RFC 6265bis, section 4.1.3.2).
const Cookie = "__Host-intercom"

// SessionTime is how long an operator stays signed in.
const SessionTime = 12 * time.Hour

// operator is what the cookie says, signed.
type operator struct {
	Account string `json:"a"`
	access.Grant
}

type signInRequest struct {
	Account  string `json:"account"`
	Name     string `json:"name"`
	Password string `json:"password"`
	Code     string `json:"code,omitempty"` // of the set-up link
}

// sessionReply says who is signed in; the token signs the page in at the WebSocket.
type sessionReply struct {
	Account string      `json:"account"`
	Name    string      `json:"name"`
	Role    access.Role `json:"role"`
	Token   string      `json:"token"`
	Expires time.Time   `json:"expires_at"` // of the token
}

// setup is the code of the one-time link.
type setup struct {
	mu   sync.Mutex
	code string
}

// forget makes the code worthless once there is an operator.
func (s *setup) forget(d *access.Directory) {
	if d.Operators() {
		s.use()
	}
}

func (s *setup) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = ""
}

func (s *setup) is(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code != "" && access.Equal(code, s.code)
}

// SetupCode makes the code of the link with which the first operator is made, if there is none yet; "" otherwise. It is
// good once, until there is an operator, and until the hub stops.
func (h *Hub) SetupCode() string {
	if h.set.Access.Operators() {
		return ""
	}
	h.setup.mu.Lock()
	defer h.setup.mu.Unlock()
	h.setup.code = random() + random()
	return h.setup.code
}

func (h *Hub) people(mux *http.ServeMux) {
	mux.HandleFunc("POST "+SessionPath, h.signInOperator)
	mux.HandleFunc("GET "+SessionPath, h.whoIsThis)
	mux.HandleFunc("DELETE "+SessionPath, h.signOutOperator)
	mux.HandleFunc("POST "+SetupPath, h.firstOperator)
	mux.HandleFunc("GET "+CallsPath, h.history)
	h.manage(mux)
	mux.HandleFunc("GET "+NotesPath, h.notes)
	mux.HandleFunc("GET "+ExpectPath, h.expected)
}

// sameOrigin refuses what a page of another site sends (RFC 6454).
func sameOrigin(r *http.Request) *fault.Error {
	if o := r.Header.Get("Origin"); o != "" {
		if u, err := url.Parse(o); err != nil || u.Host != r.Host {
			return fault.In(fault.NotAllowed, "", "The request comes from a page of another site.")
		}
	}
	return nil
}

// guarded reads a request with a password. A wrong one is answered late.
func (h *Hub) guarded(w http.ResponseWriter, r *http.Request, then func(q signInRequest) *fault.Error) {
	var q signInRequest
	err := sameOrigin(r)
	if err == nil {
		err = body(w, r, &q, "The body must be JSON with account, name and password.")
	}
	if err == nil {
		err = then(q)
	}
	if err != nil {
		switch err.Code {
		case fault.Credentials:
			h.wrong(r)
		case fault.RateLimited: // so that who does not wait does not come again at once
			backoff.Sleep(r.Context(), time.Second)
		}
		refuse(w, err)
	}
}

func (h *Hub) signInOperator(w http.ResponseWriter, r *http.Request) {
	h.guarded(w, r, func(q signInRequest) *fault.Error {
		done, busy := h.hashing.wait(r.Context(), clientOf(r).String())
		if busy != nil {
			return busy
		}
		u, ok := h.set.Access.CheckPassword(q.Account, q.Name, q.Password)
		done()
		if !ok {
			return fault.In(fault.Credentials, "", "The account, the name or the password is wrong.")
		}
		h.log.Info("operator signed in", event.Account(q.Account), "name", q.Name)
		return h.admit(w, q.Account, u)
	})
}

const setupOver = "The set-up link is not valid any more; a restart of the hub prints a new one while there is no operator."

// firstOperator makes an administrator with the code of the set-up link, which is then used up. Where there is an operator
// already, whoever made it, the link makes none and changes none.
func (h *Hub) firstOperator(w http.ResponseWriter, r *http.Request) {
	h.guarded(w, r, func(q signInRequest) *fault.Error {
		if !h.setup.is(q.Code) {
			return fault.In(fault.Credentials, "code", setupOver)
		}
		if err := access.CheckID(q.Account); err != nil {
			return fault.In(fault.InvalidInit, "account", "%v.", err)
		}
		if err := wire.CheckName(q.Name); err != nil {
			return err
		}
		u := access.User{Name: q.Name, Role: access.Administrator}
		var err *fault.Error
		if u.Password, err = h.hash(r, q.Password); err != nil {
			return err
		}
		switch err := h.set.Access.AddFirst(q.Account, u); {
		case errors.Is(err, access.ErrNotFirst):
			h.setup.use()
			return fault.In(fault.Credentials, "code", "There is an operator already; 'intercom-hub user add' makes more.")
		case err != nil:
			h.log.Error("the first operator cannot be kept", "err", err)
			return fault.In(fault.HubDegraded, "", "The operator cannot be kept; the log of the hub says why.")
		}
		h.setup.use()
		h.log.Info("first operator made", event.Account(q.Account), "name", q.Name)
		return h.admit(w, q.Account, u)
	})
}

// hash makes what is kept of a password, in turn with all the others.
func (h *Hub) hash(r *http.Request, password string) (string, *fault.Error) {
	done, busy := h.hashing.wait(r.Context(), clientOf(r).String())
	if busy != nil {
		return "", busy
	}
	defer done()
	hash, err := access.HashPassword(password)
	if err != nil {
		return "", fault.In(fault.InvalidInit, "password", "%v.", err)
	}
	return hash, nil
}

// admit begins a session of an operator, and says so.
func (h *Hub) admit(w http.ResponseWriter, account string, u access.User) *fault.Error {
	o, err := h.begin(w, account, u)
	if err == nil {
		h.introduce(w, o, u)
	}
	return err
}

// begin gives an operator the cookie of a new session.
func (h *Hub) begin(w http.ResponseWriter, account string, u access.User) (operator, *fault.Error) {
	until := time.Now().Add(SessionTime)
	o := operator{account, u.Grant()}
	o.Session, o.Until = random(), until.Unix()
	b, err := json.Marshal(o)
	if err != nil {
		return o, fault.New(fault.Internal)
	}
	http.SetCookie(w, &http.Cookie{Name: Cookie, Value: h.sessions.Sign(b), Path: "/", Expires: until, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return o, nil
}

// operatorOf finds who a request's cookie belongs to.
func (h *Hub) operatorOf(r *http.Request) (o operator, u access.User, ok bool) {
	c, err := r.Cookie(Cookie)
	if err != nil {
		return o, u, false
	}
	b, ok := h.sessions.Open(c.Value)
	if !ok || json.Unmarshal(b, &o) != nil || o.Session == "" || time.Now().Unix() >= o.Until || !h.router.stands(o.Account, o.Grant) {
		return operator{}, u, false
	}
	u, ok = h.set.Access.User(o.Account, o.User)
	return o, u, ok
}

func (h *Hub) whoIsThis(w http.ResponseWriter, r *http.Request) {
	o, u, ok := h.operatorOf(r)
	if !ok {
		refuse(w, fault.In(fault.Credentials, "", "Not signed in."))
		return
	}
	h.introduce(w, o, u)
}

// introduce says who is signed in, with a token that is good as long as the session is.
func (h *Hub) introduce(w http.ResponseWriter, o operator, u access.User) {
	until := min(time.Now().Add(access.TokenTime).Unix(), o.Until)
	token, err := h.tokens.Mint(access.Token{Account: o.Account, Grant: o.Grant, Expires: until})
	if err != nil {
		refuse(w, fault.New(fault.Internal))
		return
	}
	answer(w, sessionReply{o.Account, u.Name, u.Role, token, time.Unix(until, 0).UTC()})
}

// signOutOperator ends the session: the cookie, also for whoever copied it, its tokens, and who came in by them.
func (h *Hub) signOutOperator(w http.ResponseWriter, r *http.Request) {
	if err := sameOrigin(r); err != nil {
		refuse(w, err)
		return
	}
	if o, _, ok := h.operatorOf(r); ok {
		h.router.endSession(o.Account, o.Grant)
		h.log.Info("operator signed out", event.Account(o.Account), "name", o.User)
	}
	http.SetCookie(w, &http.Cookie{Name: Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}

// reader finds whose records a request may read: an operator's by the cookie, a program's by the API key. It has answered
// where it finds nobody.
func (h *Hub) reader(w http.ResponseWriter, r *http.Request) (account string, ok bool) {
	if o, _, ok := h.operatorOf(r); ok {
		return o.Account, h.mayAsk(w, o.Account)
	}
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if account = r.URL.Query().Get("account"); key == "" {
		refuse(w, fault.In(fault.Credentials, "", "Sign in, or send the API key as Authorization: Bearer."))
		return "", false
	}
	if _, ok := h.set.Access.Allowed(account, key); !ok {
		h.wrong(r)
		refuse(w, fault.New(fault.Credentials))
		return "", false
	}
	proved(r)
	return account, h.mayAsk(w, account)
}

// read waits for its turn to read files: who asks for much must not take the processor from calls.
func (h *Hub) read() (done func()) {
	h.reading <- struct{}{}
	return func() { <-h.reading }
}

// mayAsk lets an account ask now and then: an answer takes a look at many records.
func (h *Hub) mayAsk(w http.ResponseWriter, account string) bool {
	err := h.queries.may(account)
	if err != nil {
		refuse(w, err)
	}
	return err == nil
}

// history gives a page of call records.
func (h *Hub) history(w http.ResponseWriter, r *http.Request) {
	account, ok := h.reader(w, r)
	if !ok {
		return
	}
	f, err := filterOf(r.URL.Query())
	if err != nil {
		refuse(w, err)
		return
	}
	f.Account, f.Most = account, record.Most
	defer h.read()()
	page, qerr := h.set.Calls(f)
	if qerr != nil {
		h.log.Warn("the call records cannot be read", "err", qerr)
		refuse(w, fault.New(fault.HubDegraded))
		return
	}
	if page.Records == nil {
		page.Records = []record.Record{}
	}
	answer(w, page)
}

// notes gives the newest notes, of one station where the request names it.
func (h *Hub) notes(w http.ResponseWriter, r *http.Request) {
	account, ok := h.reader(w, r)
	if !ok {
		return
	}
	limit, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("limit"), "100"))
	if err != nil || limit < 1 || limit > record.MostNotes {
		refuse(w, fault.In(fault.BadMessage, "limit", "The limit is 1 to %d.", record.MostNotes))
		return
	}
	defer h.read()()
	all, err := h.set.Notes(account, r.URL.Query().Get("station"), limit)
	if err != nil {
		h.log.Warn("the notes cannot be read", "err", err)
		refuse(w, fault.New(fault.HubDegraded))
		return
	}
	if all == nil {
		all = []record.Note{}
	}
	answer(w, map[string]any{"notes": all})
}

// expected gives the stations that must be there.
func (h *Hub) expected(w http.ResponseWriter, r *http.Request) {
	account, ok := h.reader(w, r)
	if !ok {
		return
	}
	type station struct {
		CUID          string `json:"cuid"`
		SilentAfterMS int64  `json:"silent_after_ms"` // then it is an alarm
	}
	all := []station{}
	if a := h.set.Access.Account(account); a != nil {
		for _, s := range a.Stations {
			all = append(all, station{s.CUID, s.SilentAfter.Std().Milliseconds()})
		}
	}
	answer(w, map[string]any{"stations": all})
}

const maxPage = 1000

// filterOf reads cuid, status, reason, since, until (RFC 3339), after and limit.
func filterOf(q url.Values) (record.Filter, *fault.Error) {
	f := record.Filter{CUID: q.Get("cuid"), Status: outcome.Status(q.Get("status")), Reason: outcome.Reason(q.Get("reason")), After: q.Get("after")}
	if f.Status != "" && outcome.Reasons(f.Status) == nil {
		return f, fault.In(fault.BadMessage, "status", "The status must be over, declined, missed, cancelled or failed.")
	}
	for name, at := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return f, fault.In(fault.BadMessage, name, "A time is written like 2026-01-02T03:04:05Z.")
			}
			*at = t
		}
	}
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return f, fault.In(fault.BadMessage, "limit", "The limit is 1 to %d.", maxPage)
		}
		f.Limit = n
	}
	if err := f.Check(); err != nil {
		return f, fault.In(fault.BadMessage, "after", "The place of the next page is not one that was given out.")
	}
	return f, nil
}

// answer writes JSON that nobody keeps.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}
