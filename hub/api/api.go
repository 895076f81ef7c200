// Package api is the hub's HTTP API under /v1: operators sign in with a password and get a cookie, administrators
// change their account, programs with an API key mint tokens and read the records. docs/hub.md describes it.
//
// It knows accounts and records, and no device or call: that an operator's session ends everywhere, and what protects
// the hub from whoever asks too much, are given to it ([Settings]). An [API] starts nothing and needs no end. Only the
// hub imports it.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"

	"intercom/hub/access"
	"intercom/hub/record"
	"intercom/internal/fault"
)

// Paths.
const (
	SessionPath = "/v1/session" // POST signs in, GET says who is signed in, DELETE signs out
	SetupPath   = "/v1/setup"   // POST creates the first operator
	AccountPath = "/v1/account" // GET what an administrator sees of the account; below it what may be changed
	CallsPath   = "/v1/calls"   // GET the history
	NotesPath   = "/v1/notes"   // GET what happened at stations, the newest first: visits, doors, call quality
	ExpectPath  = "/v1/expect"  // GET the stations that must be online, as the account's file says
	TokenPath   = "/v1/token"   // POST mints a token
)

// Settings are what the API stands on.
type Settings struct {
	Access *access.Directory
	Secret *access.Secret
	Ended  *access.Ended                                                   // sessions that were ended
	End    func(account string, g access.Grant)                            // ends a session, at all hubs
	Calls  func(record.Filter) (record.Page, error)                        // the history
	Notes  func(account, station string, limit int) ([]record.Note, error) // the newest
	Online func(ctx context.Context, account, cuid string) bool            // a device is signed in, at whatever hub
	Guard  Guard
	Log    *slog.Logger
}

// Guard protects the hub from strangers, and from accounts that ask for too much.
type Guard interface {
	// Wrong waits before a wrong credential is answered: the longer, the more of them came.
	Wrong(r *http.Request)
	// Proved counts a request among those of strangers no longer: it showed a right credential.
	Proved(r *http.Request)
	// Turn waits for a turn to hash a password, to be ended with done. Who is signed in to an account, or comes with a
	// browser that is known there, does not wait behind its address; account is "" for everybody else.
	Turn(r *http.Request, account string) (done func(), err *fault.Error)
	// MayAsk, MayMint and MayManage say how often an account may ask for records, mint tokens, and have its operators
	// look at sessions and the account, and change it.
	MayAsk(account string) *fault.Error
	MayMint(account string) *fault.Error
	MayManage(account string) *fault.Error
}

// API is the HTTP API of a hub.
type API struct {
	operators *operators
	records   *records
	accounts  *accounts
	tokens    *tokens
}

// New makes the API.
func New(s Settings) *API {
	signer := s.Secret.For(access.ForTokens)
	o := &operators{Settings: s, tokens: signer, sessions: s.Secret.For("operator session"), browsers: s.Secret.For("known browser")}
	return &API{
		operators: o,
		records:   &records{Settings: s, operators: o, reading: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))},
		accounts:  &accounts{Settings: s, operators: o},
		tokens:    &tokens{Settings: s, signer: signer},
	}
}

// Handle adds the API's paths to a mux.
func (a *API) Handle(mux *http.ServeMux) {
	mux.HandleFunc("POST "+SessionPath, a.operators.signIn)
	mux.HandleFunc("GET "+SessionPath, a.operators.whoIsThis)
	mux.HandleFunc("DELETE "+SessionPath, a.operators.signOut)
	mux.HandleFunc("POST "+SetupPath, a.operators.createFirst)
	mux.HandleFunc("GET "+CallsPath, a.records.calls)
	mux.HandleFunc("GET "+NotesPath, a.records.notes)
	mux.HandleFunc("GET "+ExpectPath, a.records.expected)
	mux.HandleFunc("POST "+TokenPath, a.tokens.mint)
	a.accounts.handle(mux)
}

// SetupCode makes the code of the link with which the first operator is created, if there is none yet; "" otherwise. It
// is valid once, until there is an operator, and until the hub restarts.
func (a *API) SetupCode() string { return a.operators.setupCode() }

// AccountsChanged has to be called when the accounts have changed.
func (a *API) AccountsChanged() { a.operators.forgetSetup() }

// ProvesItself reports whether a request carries a credential, so that it is served or refused for that.
func (a *API) ProvesItself(r *http.Request) bool {
	switch r.URL.Path {
	case TokenPath, SetupPath:
		return r.Method == http.MethodPost
	case SessionPath:
		if r.Method == http.MethodPost {
			return true
		}
	case CallsPath, NotesPath, ExpectPath:
		if r.Header.Get("Authorization") != "" {
			return true
		}
	}
	_, _, ok := a.operators.of(r)
	return ok
}
