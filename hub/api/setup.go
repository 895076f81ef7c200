package api

import (
	"errors"
	"net/http"
	"strings"
	"sync"

	"intercom/hub/access"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// setupCode is the code of the one-time link.
type setupCode struct {
	mu   sync.Mutex
	code string
}

func (s *setupCode) renew() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = access.Random() + access.Random()
	return s.code
}

// use makes the code worthless: it was used, or there is an operator.
func (s *setupCode) use() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = ""
}

func (s *setupCode) is(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.code != "" && access.Equal(code, s.code)
}

func (s *operators) setupCode() string {
	if s.Access.Operators() || s.Access.Trouble() != nil { // a file that cannot be read may have one
		return ""
	}
	return s.setup.renew()
}

func (s *operators) forgetSetup() {
	if s.Access.Operators() {
		s.setup.use()
	}
}

const setupOver = "The set-up link is not valid any more; " +
	"a restart of the hub prints a new one while there is no operator."

// createFirst makes an administrator with the code of the set-up link, which is then used up. Where there is an
// operator already, whoever made it, the link makes none and changes none.
func (s *operators) createFirst(w http.ResponseWriter, r *http.Request) {
	s.guarded(w, r, func(q signInRequest) *fault.Error {
		if !s.setup.is(q.Code) {
			return fault.In(fault.Credentials, "code", setupOver)
		}
		if err := access.CheckID(q.Account); err != nil {
			return fault.In(fault.InvalidInit, "account", "%v.", err)
		}
		q.Name = strings.TrimSpace(q.Name)
		if err := wire.CheckName(q.Name); err != nil {
			return err
		}
		u := access.User{Name: q.Name, Role: access.Administrator}
		var err *fault.Error
		if u.Password, err = s.hash(r, "", q.Password); err != nil {
			return err
		}
		switch err := s.Access.AddFirst(q.Account, u); {
		case errors.Is(err, access.ErrNotFirst):
			s.setup.use()
			return fault.In(fault.Credentials, "code",
				"There is an operator already; 'intercom-hub user add' makes more.")
		case err != nil:
			s.Log.Error("the first operator cannot be kept", "err", err)
			return fault.In(fault.HubDegraded, "", "The operator cannot be kept; the log of the hub says why.")
		}
		s.setup.use()
		s.Log.Info("first operator made", event.Account(q.Account), "name", q.Name)
		return s.admit(w, q.Account, u)
	})
}
