package api

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/internal/durable"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// accounts are changed by their administrators: keys, groups, operators. The account's file is the truth; this writes
// it, as the commands of intercom-hub do.
type accounts struct {
	Settings
	operators *operators
}

type accountReply struct {
	Groups []groupView `json:"groups"`
	Keys   []keyView   `json:"keys"`
	Users  []userView  `json:"users"`
}

type groupView struct {
	ID      string    `json:"id"`
	Members []string  `json:"members"`
	Mode    wire.Mode `json:"mode,omitempty"`
	EachMS  int64     `json:"each_ms,omitempty"` // that one rings in a sequence
}

type keyView struct {
	ID      string `json:"id"`
	Created string `json:"created"`
	Key     string `json:"key,omitempty"` // of a new one, this once
}

type userView struct {
	Name     string      `json:"name"`
	Role     access.Role `json:"role"`
	Password string      `json:"password,omitempty"` // of a new one
}

// action is what an administrator may do; it gives the JSON of the answer, or nil.
type action func(w http.ResponseWriter, r *http.Request, by operator) (any, error)

func (s *accounts) handle(mux *http.ServeMux) {
	for pattern, do := range map[string]action{
		"GET " + AccountPath:                      s.show,
		"POST " + AccountPath + "/keys":           s.addKey,
		"DELETE " + AccountPath + "/keys/{id}":    s.revokeKey,
		"PUT " + AccountPath + "/groups/{id}":     s.setGroup,
		"DELETE " + AccountPath + "/groups/{id}":  s.removeGroup,
		"POST " + AccountPath + "/users":          s.addUser,
		"PUT " + AccountPath + "/users/{name}":    s.changeUser,
		"DELETE " + AccountPath + "/users/{name}": s.removeUser,
	} {
		mux.HandleFunc(pattern, s.administrator(do))
	}
}

func (s *accounts) addKey(_ http.ResponseWriter, _ *http.Request, by operator) (any, error) {
	var key string
	err := s.change(by, func(e *access.Editor) (err error) { key, err = e.NewKey(time.Now()); return err })
	return keyView{Key: key}, err
}

func (s *accounts) revokeKey(_ http.ResponseWriter, r *http.Request, by operator) (any, error) {
	return nil, s.change(by, func(e *access.Editor) error { return e.RevokeKey(r.PathValue("id")) })
}

func (s *accounts) setGroup(w http.ResponseWriter, r *http.Request, by operator) (any, error) {
	q, err := sent[groupView](w, r)
	if err != nil {
		return nil, err
	}
	g := access.Group{
		ID: r.PathValue("id"), Members: q.Members, Mode: cmp.Or(q.Mode, wire.Parallel),
		Each: config.Duration(wire.Millis(q.EachMS)),
	}
	if s.Online(r.Context(), by.Account, g.ID) {
		ferr := fault.In(fault.Conflict, "id", "%s is signed in as a device; give the group another name.", g.ID)
		ferr.Retryable = false
		return nil, ferr
	}
	return nil, s.change(by, func(e *access.Editor) error { return e.SetGroup(g) })
}

func (s *accounts) removeGroup(_ http.ResponseWriter, r *http.Request, by operator) (any, error) {
	return nil, s.change(by, func(e *access.Editor) error { return e.RemoveGroup(r.PathValue("id")) })
}

func (s *accounts) removeUser(_ http.ResponseWriter, r *http.Request, by operator) (any, error) {
	if r.PathValue("name") == by.User {
		return nil, fault.In(fault.NotAllowed, "name", "You cannot take yourself away; another administrator can.")
	}
	return nil, s.change(by, func(e *access.Editor) error { return e.RemoveUser(r.PathValue("name")) })
}

// addUser makes an operator; one of that name stays as it is.
func (s *accounts) addUser(w http.ResponseWriter, r *http.Request, by operator) (any, error) {
	q, err := sent[userView](w, r)
	if err != nil {
		return nil, err
	}
	q.Name = strings.TrimSpace(q.Name)
	if ferr := wire.CheckName(q.Name); ferr != nil {
		return nil, ferr
	}
	u := access.User{Name: q.Name, Role: cmp.Or(q.Role, access.Operator)}
	var ferr *fault.Error
	if u.Password, ferr = s.operators.hash(r, by.Account, q.Password); ferr != nil {
		return nil, ferr
	}
	return nil, s.change(by, func(e *access.Editor) error { return e.AddUser(u) })
}

// changeUser gives an operator another password, another role, or both. Who changes the own password stays signed in,
// by a new session.
func (s *accounts) changeUser(w http.ResponseWriter, r *http.Request, by operator) (any, error) {
	q, err := sent[userView](w, r)
	if err != nil {
		return nil, err
	}
	name, hash := r.PathValue("name"), ""
	switch {
	case q.Password == "" && q.Role == "":
		return nil, fault.In(fault.BadMessage, "", "Say what to change: password, role, or both.")
	case q.Password != "":
		var ferr *fault.Error
		if hash, ferr = s.operators.hash(r, by.Account, q.Password); ferr != nil {
			return nil, ferr
		}
	}
	if err := s.change(by, func(e *access.Editor) error { return e.ChangeUser(name, hash, q.Role) }); err != nil {
		return nil, err
	}
	if u := (access.User{Name: name, Password: hash}); name == by.User && hash != "" {
		if _, ferr := s.operators.begin(w, by.Account, u); ferr != nil {
			return nil, ferr
		}
	}
	return nil, nil
}

func (s *accounts) show(_ http.ResponseWriter, _ *http.Request, by operator) (any, error) {
	reply := accountReply{Groups: []groupView{}, Keys: []keyView{}, Users: []userView{}}
	a := s.Access.Account(by.Account)
	if a == nil {
		return reply, nil
	}
	for _, g := range a.Groups {
		reply.Groups = append(reply.Groups, groupView{g.ID, g.Members, g.Mode, g.Each.Std().Milliseconds()})
	}
	for _, k := range a.Keys {
		reply.Keys = append(reply.Keys, keyView{ID: k.ID, Created: k.Created})
	}
	for _, u := range a.Users {
		reply.Users = append(reply.Users, userView{Name: u.Name, Role: u.Role})
	}
	return reply, nil
}

// administrator lets only those through, from a page of our own, and answers for them.
func (s *accounts) administrator(do action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		by, who, ok := s.operators.of(r)
		err := sameOrigin(r)
		switch {
		case err != nil:
		case !ok:
			err = fault.In(fault.Credentials, "", "Not signed in.")
		case who.Role != access.Administrator:
			err = notAdministrator()
		default:
			err = s.Guard.MayManage(by.Account)
		}
		if err != nil {
			Refuse(w, err)
			return
		}
		reply, derr := do(w, r, by)
		var wrong config.Problems
		switch f := (*fault.Error)(nil); {
		case errors.As(derr, &wrong) && len(wrong) > 0: // where the file is, is the hub's own business
			_, field, _ := strings.Cut(wrong[0].Key, "].") // of the request, without the table and its number
			Refuse(w, fault.In(fault.InvalidInit, field, "%s", wrong[0].Text))
		case errors.As(derr, &f):
			Refuse(w, f)
		case derr != nil: // what is wrong with the change, and what to do
			Refuse(w, fault.In(fault.InvalidInit, "", "%v", derr))
		case reply == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			answer(w, reply)
		}
		if derr == nil && r.Method != http.MethodGet {
			s.Log.Info("account changed", event.Account(by.Account), "name", by.User, "request", r.Method+" "+r.URL.Path)
		}
	}
}

func notAdministrator() *fault.Error {
	return fault.In(fault.NotAllowed, "", "Only an administrator may do that.")
}

// change changes an account's file for one who is still an administrator of it, by that file, and has the hub go by it
// at once. What is wrong with the change comes back as it is; a file that cannot be used is the hub's own trouble.
func (s *accounts) change(by operator, change func(*access.Editor) error) error {
	var wrong error
	err := s.Access.Edit(by.Account, func(e *access.Editor) error {
		i := slices.IndexFunc(e.Users, func(u access.User) bool {
			return u.Name == by.User && u.Grant().Mark == by.Mark
		})
		switch {
		case i < 0 || s.Ended.Has(by.Account, by.Grant):
			wrong = fault.In(fault.Credentials, "", "Not signed in.")
		case e.Users[i].Role != access.Administrator:
			wrong = notAdministrator()
		default:
			wrong = change(e)
		}
		return wrong
	})
	switch {
	case err == nil || wrong != nil:
		return err
	case errors.Is(err, durable.ErrBusy), errors.Is(err, durable.ErrChanged):
		return fault.In(fault.Conflict, "", "The account is being changed by somebody else; look at it, and try again.")
	}
	s.Log.Warn("an account's file cannot be read or written", event.Account(by.Account), "err", err)
	return fault.In(fault.HubDegraded, "", "The account's file cannot be read or written; the log of the hub says why.")
}

func sent[T any](w http.ResponseWriter, r *http.Request) (v T, err error) {
	if ferr := body(w, r, &v, "The body must be JSON; see docs/hub.md."); ferr != nil {
		return v, ferr
	}
	return v, nil
}
