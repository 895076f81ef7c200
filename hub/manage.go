package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/internal/fault"
	"intercom/wire"
)

// This file is what an administrator changes over HTTP: the keys, groups and operators of the own account. The account's
// file is the truth; these write it, as the commands of intercom-hub do.

// AccountPath is what an administrator sees of the account, and below it what may be changed.
const AccountPath = "/v1/account"

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

func (h *Hub) manage(mux *http.ServeMux) {
	mux.HandleFunc("GET "+AccountPath, h.administrator(func(_ *http.Request, account string, _ access.User) (any, error) {
		return h.showAccount(account), nil
	}))
	mux.HandleFunc("POST "+AccountPath+"/keys", h.administrator(func(_ *http.Request, account string, _ access.User) (any, error) {
		var key string
		err := h.change(func(folder string) (err error) { key, err = access.NewKey(folder, account, time.Now()); return err })
		return keyView{Key: key}, err
	}))
	mux.HandleFunc("DELETE "+AccountPath+"/keys/{id}", h.administrator(func(r *http.Request, account string, _ access.User) (any, error) {
		return nil, h.change(func(folder string) error { return access.RevokeKey(folder, account, r.PathValue("id")) })
	}))
	mux.HandleFunc("PUT "+AccountPath+"/groups/{id}", h.administrator(func(r *http.Request, account string, _ access.User) (any, error) {
		q, err := sent[groupView](r)
		if err != nil {
			return nil, err
		}
		g := access.Group{ID: r.PathValue("id"), Members: q.Members, Mode: cmp.Or(q.Mode, wire.Parallel), Each: config.Duration(time.Duration(q.EachMS) * time.Millisecond)}
		return nil, h.change(func(folder string) error { return access.SetGroup(folder, account, g) })
	}))
	mux.HandleFunc("DELETE "+AccountPath+"/groups/{id}", h.administrator(func(r *http.Request, account string, _ access.User) (any, error) {
		return nil, h.change(func(folder string) error { return access.RemoveGroup(folder, account, r.PathValue("id")) })
	}))
	mux.HandleFunc("PUT "+AccountPath+"/users/{name}", h.administrator(func(r *http.Request, account string, _ access.User) (any, error) {
		q, err := sent[userView](r)
		if err != nil {
			return nil, err
		}
		u := access.User{Name: r.PathValue("name"), Role: q.Role}
		if ferr := wire.CheckName(u.Name); ferr != nil {
			return nil, ferr
		}
		if u.Password, err = access.HashPassword(q.Password); err != nil {
			return nil, fault.In(fault.InvalidInit, "password", "%v.", err)
		}
		return nil, h.change(func(folder string) error { return access.SetUser(folder, account, u) })
	}))
	mux.HandleFunc("DELETE "+AccountPath+"/users/{name}", h.administrator(func(r *http.Request, account string, who access.User) (any, error) {
		if r.PathValue("name") == who.Name {
			return nil, fault.In(fault.NotAllowed, "name", "You cannot take yourself away; another administrator can.")
		}
		return nil, h.change(func(folder string) error { return access.RemoveUser(folder, account, r.PathValue("name")) })
	}))
}

func (h *Hub) showAccount(account string) accountReply {
	reply := accountReply{Groups: []groupView{}, Keys: []keyView{}, Users: []userView{}}
	a := h.set.Access.Account(account)
	if a == nil {
		return reply
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
	return reply
}

// administrator lets only those through, from a page of our own, and answers for them.
func (h *Hub) administrator(do func(r *http.Request, account string, who access.User) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		account, who, ok := h.operatorOf(r)
		err := sameOrigin(r)
		switch {
		case err != nil:
		case !ok:
			err = fault.In(fault.Credentials, "", "Not signed in.")
		case who.Role != access.Administrator:
			err = fault.In(fault.NotAllowed, "", "Only an administrator may do that.")
		}
		if err != nil {
			refuse(w, err)
			return
		}
		reply, derr := do(r, account, who)
		switch f := (*fault.Error)(nil); {
		case errors.As(derr, &f):
			refuse(w, f)
		case derr != nil: // of the account's file, which says what to do
			refuse(w, fault.In(fault.InvalidInit, "", "%v", derr))
		case reply == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			answer(w, reply)
		}
		if derr == nil && r.Method != http.MethodGet {
			h.log.Info("account changed", "account", account, "by", who.Name, "what", r.Method+" "+r.URL.Path)
		}
	}
}

// change writes an account's file, and has the hub go by it at once.
func (h *Hub) change(write func(folder string) error) error {
	if err := h.set.Access.Change(write); err != nil {
		return err
	}
	h.Reload()
	return nil
}

func sent[T any](r *http.Request) (v T, err error) {
	if json.NewDecoder(http.MaxBytesReader(nil, r.Body, wire.MaxBeforeSignIn)).Decode(&v) != nil {
		return v, fault.In(fault.BadMessage, "", "The body must be JSON; see docs/hub.md.")
	}
	return v, nil
}
