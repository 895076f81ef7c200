// Package fault is the one list of errors that may leave a process: each has a code that never changes its meaning,
// a sentence for people that says what to do, and whether trying again can help.
//
// Rooms use plain Go errors among themselves and turn them into an [Error] at their door. Everybody may import this
// package; it imports the standard library only. It has no state and nothing to stop.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Code names an error. Its meaning never changes; docs/errors.md has a line for each.
type Code string

// The codes of the Direct Call contract.
const (
	MissingInit       Code = "ERR_MISSING_INITPARAMETERS"
	InvalidInit       Code = "ERR_INVALID_INITPARAMETERS"
	MissingAccount    Code = "ERR_MISSING_CT_ACCOUNTID"
	MissingAnalytics  Code = "ERR_MISSING_CT_ID"
	Credentials       Code = "ERR_INVALID_CREDENTIALS"
	AlreadySignedIn   Code = "ERR_ALREADY_SIGNEDIN"
	MicUnavailable    Code = "ERR_MIC_UNAVAILABLE"
	CallInProgress    Code = "ERR_OUTGOING_CALL_IN_PROGRESS"
	InvalidCall       Code = "ERR_INVALID_CALL_PARAMETERS"
	InternetLost      Code = "ERR_INTERNET_LOST"
	ReceiverOffline   Code = "404" // also known as ERR_RECEIVER_OFFLINE
	AnalyticsNotFound Code = "ERR_CLEVERTAP_DETAILS_NOT_FOUND"
	UserBusy          Code = "ERR_USER_BUSY"
	NotConnected      Code = "ERR_CONNECTION_NOT_ESTABLISHED"
)

// Our own codes.
const (
	RateLimited Code = "ERR_RATE_LIMITED"
	TooLarge    Code = "ERR_TOO_LARGE"
	BadMessage  Code = "ERR_BAD_MESSAGE"
	NotParty    Code = "ERR_NOT_PARTY"
	NotAllowed  Code = "ERR_NOT_ALLOWED"
	Identity    Code = "ERR_IDENTITY"
	HubDegraded Code = "ERR_HUB_DEGRADED"
	Conflict    Code = "ERR_CONFLICT"
	Version     Code = "ERR_VERSION"
	Internal    Code = "ERR_INTERNAL"
)

// Entry describes a code: its standard text, whether the same request may succeed later, and the status of the answer
// that carries it over HTTP (RFC 9110, section 15), at the hub and at the station alike.
type Entry struct {
	Code      Code
	Text      string
	Retryable bool
	Status    int
}

// Table returns every code there is, in the order of docs/errors.md.
func Table() []Entry {
	return []Entry{
		{MissingInit, "A required setting is missing; add it and start again.", false, 400},
		{InvalidInit, "A setting is not valid; correct it and start again.", false, 400},
		{MissingAccount, "The account is not set up on this hub; add it to the hub's accounts file.", false, 400},
		{MissingAnalytics, "The analytics instance has no id; start it before signing in.", false, 400},
		{Credentials, "The account or the API key is wrong; make a new key with 'intercom-hub key new'.", false, 401},
		{AlreadySignedIn, "This cuid is connected on another device; give each device a cuid of its own.", true, 409},
		{MicUnavailable, "No microphone; check that one is connected and that the sound server offers it.", true, 503},
		{CallInProgress, "A call is already in progress on this device; end it first.", true, 409},
		{InvalidCall, "The receiver or the context is missing or not valid; correct it and call again.", false, 400},
		{InternetLost, "The hub cannot be reached; check the network and the hub's address.", true, 503},
		{ReceiverOffline, "The receiver is offline; check that its station is on and registered.", true, 404},
		{AnalyticsNotFound, "initDirectCall needs an analytics instance; pass one, or use connect.", false, 400},
		{UserBusy, "The receiver is in another call; try again later.", true, 409},
		{NotConnected, "Not signed in yet; wait for the sign-in and try again.", true, 503},
		{RateLimited, "Too many requests; wait and try again.", true, 429},
		{TooLarge, "The message is too large; send at most 64 KiB (4 KiB before the sign-in).", false, 413},
		{BadMessage, "The message is not understood; see docs/protocol.md.", false, 400},
		{NotParty, "There is no such call for this device; it has ended or was never its own.", false, 409},
		{NotAllowed, "This device may not do that; ask the operator of the hub.", false, 403},
		{Identity, "The other side could not prove who it is; the call was refused.", false, 403},
		{HubDegraded, "The hub cannot do this just now; try again shortly.", true, 503},
		{Conflict, "The other side is calling at this moment; answer its call.", true, 409},
		{Version, "The hub and this program speak different protocol versions; update the older one.", false, 400},
		{Internal, "Something went wrong inside; the log of the hub and the station has the cause.", true, 500},
	}
}

// Entry returns the code's row of the table; that of [Internal] for a code that is not listed.
func (c Code) Entry() Entry {
	all := Table()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Code == c })
	if i < 0 {
		return Internal.Entry()
	}
	return all[i]
}

// Error is an error as it leaves a process, in JSON exactly as docs/protocol.md shows it.
type Error struct {
	Code         Code   `json:"code"`
	Message      string `json:"message"`
	Field        string `json:"field,omitempty"`
	Retryable    bool   `json:"retryable"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// Error gives the code and the sentence.
func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s: %s: %s", e.Code, e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Status is the HTTP status of an answer that carries the error.
func (e *Error) Status() int { return e.Code.Entry().Status }

// RetryAfter is how long the hub asks to wait before another try, a day at most; 0 when it does not say.
func (e *Error) RetryAfter() time.Duration {
	return time.Duration(max(0, min(e.RetryAfterMS, (24*time.Hour).Milliseconds()))) * time.Millisecond
}

// New makes an error with the standard text of its code.
func New(code Code) *Error {
	e := code.Entry()
	if e.Code != code {
		return &Error{Code: Internal, Message: "Unknown code " + string(code) + ".", Retryable: true}
	}
	return &Error{Code: code, Message: e.Text, Retryable: e.Retryable}
}

// In makes an error about one field with a text of its own.
func In(code Code, field, format string, args ...any) *Error {
	e := New(code)
	e.Field, e.Message = field, fmt.Sprintf(format, args...)
	return e
}

// Of finds the Error in err, or wraps it as [Internal] without showing its text: what a stranger reads must not depend
// on what went wrong inside.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(Internal)
}

// Root is the innermost cause of an error, for a log: libraries wrap it in the names of their own steps.
func Root(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// Is reports whether err carries the code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}
