package hub

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/hub/record"
	"intercom/internal/backoff"
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
	Name    string `json:"n"`
	Mark    string `json:"m"` // of the password: a changed one ends the sessions of the old
	Expires int64  `json:"e"`
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

// SetupCode makes the code of the link with which the first operator is made, if there is none yet; "" otherwise. It is
// good once, and until the hub stops.
func (h *Hub) SetupCode() string {
	for _, id := range h.set.Access.Accounts() {
		if a := h.set.Access.Account(id); a != nil && len(a.Users) > 0 {
			return ""
		}
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

// guarded reads a request with a password, from an address that has a place in the lobby.
func (h *Hub) guarded(w http.ResponseWriter, r *http.Request, then func(q signInRequest) *fault.Error) {
	room, leave, ok := h.lobby.enter(r.RemoteAddr)
	if !ok {
		refuse(w, fault.New(fault.RateLimited))
		return
	}
	defer leave()
	var q signInRequest
	err := sameOrigin(r)
	if err == nil && json.NewDecoder(http.MaxBytesReader(w, r.Body, wire.MaxBeforeSignIn)).Decode(&q) != nil {
		err = fault.In(fault.BadMessage, "", "The body must be JSON with account, name and password.")
	}
	if err == nil {
		err = then(q)
	}
	if err != nil {
		if err.Code == fault.Credentials {
			backoff.Sleep(r.Context(), h.lobby.refuse(room))
		}
		refuse(w, err)
	}
}

func (h *Hub) signInOperator(w http.ResponseWriter, r *http.Request) {
	h.guarded(w, r, func(q signInRequest) *fault.Error {
		u, ok := h.set.Access.CheckPassword(q.Account, q.Name, q.Password)
		if !ok {
			return fault.In(fault.Credentials, "", "The account, the name or the password is wrong.")
		}
		h.log.Info("operator signed in", "account", q.Account, "name", q.Name)
		return h.admit(w, q.Account, u)
	})
}

// firstOperator makes an administrator with the code of the set-up link, which is then used up.
func (h *Hub) firstOperator(w http.ResponseWriter, r *http.Request) {
	h.guarded(w, r, func(q signInRequest) *fault.Error {
		h.setup.mu.Lock()
		defer h.setup.mu.Unlock()
		if h.setup.code == "" || !access.Equal(q.Code, h.setup.code) {
			return fault.In(fault.Credentials, "code", "The set-up link is not valid any more; a restart of the hub prints a new one while there is no operator.")
		}
		if err := access.CheckID(q.Account); err != nil {
			return fault.In(fault.InvalidInit, "account", "%v.", err)
		}
		if err := wire.CheckName(q.Name); err != nil {
			return err
		}
		hash, err := access.HashPassword(q.Password)
		if err != nil {
			return fault.In(fault.InvalidInit, "password", "%v.", err)
		}
		u := access.User{Name: q.Name, Password: hash, Role: access.Administrator}
		if err := h.set.Access.SetUser(q.Account, u); err != nil {
			h.log.Error("the first operator cannot be kept", "err", err)
			return fault.New(fault.Internal)
		}
		h.setup.code = ""
		h.log.Info("first operator made", "account", q.Account, "name", q.Name)
		return h.admit(w, q.Account, u)
	})
}

// admit gives an operator the cookie.
func (h *Hub) admit(w http.ResponseWriter, account string, u access.User) *fault.Error {
	until := time.Now().Add(SessionTime)
	b, err := json.Marshal(operator{account, u.Name, u.Mark(), until.Unix()})
	if err != nil {
		return fault.New(fault.Internal)
	}
	http.SetCookie(w, &http.Cookie{Name: Cookie, Value: h.sessions.Sign(b), Path: "/", Expires: until, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	h.introduce(w, account, u)
	return nil
}

// operatorOf finds who a request's cookie belongs to.
func (h *Hub) operatorOf(r *http.Request) (account string, u access.User, ok bool) {
	c, err := r.Cookie(Cookie)
	if err != nil {
		return "", u, false
	}
	b, ok := h.sessions.Open(c.Value)
	var o operator
	if !ok || json.Unmarshal(b, &o) != nil || time.Now().Unix() >= o.Expires {
		return "", u, false
	}
	u, ok = h.set.Access.User(o.Account, o.Name)
	return o.Account, u, ok && u.Mark() == o.Mark
}

func (h *Hub) whoIsThis(w http.ResponseWriter, r *http.Request) {
	account, u, ok := h.operatorOf(r)
	if !ok {
		refuse(w, fault.In(fault.Credentials, "", "Not signed in."))
		return
	}
	h.introduce(w, account, u)
}

func (h *Hub) introduce(w http.ResponseWriter, account string, u access.User) {
	until := time.Now().Add(access.TokenTime)
	token, err := h.tokens.Mint(access.Token{Account: account, User: u.Name, Expires: until.Unix()})
	if err != nil {
		refuse(w, fault.New(fault.Internal))
		return
	}
	answer(w, sessionReply{account, u.Name, u.Role, token, until.UTC().Truncate(time.Second)})
}

func (h *Hub) signOutOperator(w http.ResponseWriter, r *http.Request) {
	if err := sameOrigin(r); err != nil {
		refuse(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.WriteHeader(http.StatusNoContent)
}

// reader finds whose records a request may read: an operator's by the cookie, a program's by the API key. It has answered
// where it finds nobody.
func (h *Hub) reader(w http.ResponseWriter, r *http.Request) (account string, ok bool) {
	if account, _, ok = h.operatorOf(r); ok {
		return account, true
	}
	room, leave, free := h.lobby.enter(r.RemoteAddr)
	if !free {
		refuse(w, fault.New(fault.RateLimited))
		return "", false
	}
	defer leave()
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if account = r.URL.Query().Get("account"); key == "" {
		refuse(w, fault.In(fault.Credentials, "", "Sign in, or send the API key as Authorization: Bearer."))
		return "", false
	}
	if _, ok := h.set.Access.Allowed(account, key); !ok {
		backoff.Sleep(r.Context(), h.lobby.refuse(room))
		refuse(w, fault.New(fault.Credentials))
		return "", false
	}
	return account, true
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
	f.Account = account
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
