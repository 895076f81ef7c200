package api

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
)

// A browser in which an operator signed in before is known (OWASP: device cookies). All that it gets for that is a
// queue that a flood from its address cannot fill: the password is checked like any other, and wrong ones slow its
// address down.

// KnownCookie says that somebody signed in with this browser.
const KnownCookie = "__Host-intercom-known"

// knownTime is how long a browser is known after the last sign-in.
const knownTime = 180 * 24 * time.Hour

// known is what that cookie says, signed. It stays after signing out, so it has a hash instead of the name.
type known struct {
	Who   [sha256.Size]byte `json:"w"`
	Until int64             `json:"u"`
}

func hashOf(account, name string) [sha256.Size]byte {
	return sha256.Sum256([]byte(account + "\x00" + name))
}

// remember makes a browser known for an operator who signs in with it.
func (s *operators) remember(w http.ResponseWriter, account, name string) {
	until := time.Now().Add(knownTime)
	if b, err := json.Marshal(known{hashOf(account, name), until.Unix()}); err == nil {
		setCookie(w, http.Cookie{Name: KnownCookie, Value: s.browsers.Sign(b), Expires: until})
	}
}

// knows reports whether a request's browser is known for an operator who still exists.
func (s *operators) knows(r *http.Request, account, name string) bool {
	var k known
	for _, c := range r.CookiesNamed(KnownCookie) {
		b, ok := s.browsers.Open(c.Value)
		if ok && json.Unmarshal(b, &k) == nil && time.Now().Unix() < k.Until && k.Who == hashOf(account, name) {
			_, ok := s.Access.User(account, name)
			return ok
		}
	}
	return false
}

// checkPassword waits for a turn and checks a password.
func (s *operators) checkPassword(r *http.Request, q signInRequest) (access.User, *fault.Error) {
	account := ""
	if s.knows(r, q.Account, q.Name) {
		account = q.Account
	}
	done, busy := s.Guard.Turn(r, account)
	if busy != nil {
		return access.User{}, busy
	}
	defer done()
	u, ok := s.Access.CheckPassword(q.Account, q.Name, q.Password)
	if !ok {
		return u, fault.In(fault.Credentials, "", "The account, the name or the password is wrong.")
	}
	return u, nil
}
