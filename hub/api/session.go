package api

import (
	"encoding/json"
	"net/http"
	"time"

	"intercom/hub/access"
	"intercom/internal/backoff"
	"intercom/internal/event"
	"intercom/internal/fault"
)

// Cookie of an operator's session. The prefix binds it to this host and to TLS (RFC 6265bis, section 4.1.3.2).
const Cookie = "__Host-intercom"

// SessionTime is how long an operator stays signed in.
const SessionTime = 12 * time.Hour

// operators are the people who sign in with a password.
type operators struct {
	Settings
	tokens, sessions, browsers *access.Signer
	setup                      setupCode
}

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

// guarded reads a request with a password. A wrong one is answered late.
func (s *operators) guarded(w http.ResponseWriter, r *http.Request, then func(q signInRequest) *fault.Error) {
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
			s.Guard.Wrong(r)
		case fault.RateLimited: // so that who does not wait does not come again at once
			backoff.Sleep(r.Context(), time.Second)
		}
		Refuse(w, err)
	}
}

func (s *operators) signIn(w http.ResponseWriter, r *http.Request) {
	s.guarded(w, r, func(q signInRequest) *fault.Error {
		u, err := s.checkPassword(r, q)
		if err != nil {
			return err
		}
		s.Log.Info("operator signed in", event.Account(q.Account), "name", q.Name)
		return s.admit(w, q.Account, u)
	})
}

// hash makes what is kept of a password, in turn with all the others; account is that of who is signed in.
func (s *operators) hash(r *http.Request, account, password string) (string, *fault.Error) {
	done, busy := s.Guard.Turn(r, account)
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
func (s *operators) admit(w http.ResponseWriter, account string, u access.User) *fault.Error {
	o, err := s.begin(w, account, u)
	if err == nil {
		s.remember(w, account, u.Name)
		s.introduce(w, o, u)
	}
	return err
}

// begin gives an operator the cookie of a new session.
func (s *operators) begin(w http.ResponseWriter, account string, u access.User) (operator, *fault.Error) {
	until := time.Now().Add(SessionTime)
	o := operator{account, u.Grant()}
	o.Session, o.Until = access.Random(), until.Unix()
	b, err := json.Marshal(o)
	if err != nil {
		return o, fault.New(fault.Internal)
	}
	setCookie(w, http.Cookie{Name: Cookie, Value: s.sessions.Sign(b), Expires: until})
	return o, nil
}

func setCookie(w http.ResponseWriter, c http.Cookie) {
	c.Path, c.Secure, c.HttpOnly, c.SameSite = "/", true, true, http.SameSiteStrictMode
	http.SetCookie(w, &c)
}

// valid reports whether a session still is: it was not ended, and neither was what it stands on.
func (s *operators) valid(o operator) bool {
	return s.Access.Stands(o.Account, o.Grant) && !s.Ended.Has(o.Account, o.Grant)
}

// of finds who a request's cookie belongs to.
func (s *operators) of(r *http.Request) (o operator, u access.User, ok bool) {
	c, err := r.Cookie(Cookie)
	if err != nil {
		return o, u, false
	}
	b, ok := s.sessions.Open(c.Value)
	if !ok || json.Unmarshal(b, &o) != nil || o.Session == "" || time.Now().Unix() >= o.Until || !s.valid(o) {
		return operator{}, u, false
	}
	u, ok = s.Access.User(o.Account, o.User)
	return o, u, ok
}

func (s *operators) whoIsThis(w http.ResponseWriter, r *http.Request) {
	o, u, ok := s.of(r)
	if !ok {
		Refuse(w, fault.In(fault.Credentials, "", "Not signed in."))
		return
	}
	if err := s.Guard.MayManage(o.Account); err != nil {
		Refuse(w, err)
		return
	}
	s.introduce(w, o, u)
}

// introduce says who is signed in, with a token that is good as long as the session is.
func (s *operators) introduce(w http.ResponseWriter, o operator, u access.User) {
	until := min(time.Now().Add(access.TokenTime).Unix(), o.Until)
	token, err := s.tokens.Mint(access.Token{Account: o.Account, Grant: o.Grant, Expires: until})
	if err != nil {
		Refuse(w, fault.New(fault.Internal))
		return
	}
	answer(w, sessionReply{o.Account, u.Name, u.Role, token, time.Unix(until, 0).UTC()})
}

// signOut ends the session: the cookie, also for whoever copied it, its tokens, and who came in by them.
func (s *operators) signOut(w http.ResponseWriter, r *http.Request) {
	if err := sameOrigin(r); err != nil {
		Refuse(w, err)
		return
	}
	if o, _, ok := s.of(r); ok {
		s.End(o.Account, o.Grant)
		s.Log.Info("operator signed out", event.Account(o.Account), "name", o.User)
	}
	setCookie(w, http.Cookie{Name: Cookie, MaxAge: -1})
	w.WriteHeader(http.StatusNoContent)
}
