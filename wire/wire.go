// Package wire is the protocol intercom.v1 between device, hub and browser: the envelope, the messages, the limits, the
// close codes and the checks of names, exactly as docs/protocol.md shows them.
//
// It is pure: no network, no files, no clock. The hub, the link and whoever translates to and from it import it. The
// golden files in testdata are the protocol; a change there is a change of the protocol.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"intercom/internal/fault"
)

// Subprotocol is the WebSocket subprotocol, Path where the hub serves it.
const (
	Subprotocol = "intercom.v1"
	Path        = "/v1/ws"
)

// Limits of the protocol.
const (
	MaxMessage       = 64 << 10           // bytes, once signed in
	MaxBody          = MaxMessage - 1<<10 // bytes: with such a body every message is within MaxMessage
	MaxDescription   = 16 << 10           // bytes of the body of call.ringing and call.sdp, as the hub writes it
	MaxCandidateBody = 2 << 10            // bytes of the body of call.ice, as the hub writes it
	MaxState         = 32 << 10           // bytes of the body of state, as the hub writes it
	MaxBeforeSignIn  = 4 << 10            // bytes, before
	MaxDepth         = 8                  // levels of JSON nesting
	MaxQueue         = 128                // messages waiting in the hub for one socket, then close 1013
	SignInTime       = 10 * time.Second   // from open socket to hello
	AckTime          = 10 * time.Second   // within which the hub acknowledges a request
	PingEvery        = 15 * time.Second
	DeadAfter        = 20 * time.Second // of silence
	RingTime         = 30 * time.Second // unless the hub is set otherwise
	CallerLimit      = 35 * time.Second // without a result, on the caller's own clock
	RememberEnded    = 60 * time.Second // late messages get the same final answer so long
	ResumeGrace      = 8 * time.Second  // a party of an answered call may be away so long
	AdoptGrace       = 25 * time.Second // the same when the hub of the call was lost: it notices in 20 s, and dials
	SessionGrace     = 30 * time.Second // a session can be resumed so long
	LimitWarning     = 10 * time.Second // before the end of a metered call
	MaxIDLen         = 64
	MaxNonceOrSecret = 128       // bytes
	MaxTicket        = 2 << 10   // bytes
	MaxReceivers     = 16        // cuids in one invite or group
	MaxCalls         = 8         // calls named in a hello
	MaxCandidates    = 32        // candidates of one side that the hub keeps while it rings
	MaxServers       = 16        // STUN and TURN servers for a call, and addresses of one
	MaxServerText    = 512       // bytes of an address, a name or a password of one
	KeptMessages     = 64        // messages that a side keeps until they are acknowledged
	KeptBytes        = 256 << 10 // bytes of them
)

// Close codes of the WebSocket (RFC 6455, section 7.4.2: 4000 to 4999 are for private use).
const (
	CloseBadFrame    = 4400
	CloseCredentials = 4401
	CloseSignInTime  = 4408
	CloseTaken       = 4409
	CloseReplaced    = 4410
	CloseTooLarge    = 4413
	CloseRate        = 4429
	CloseRestart     = 1012
	CloseOverload    = 1013
)

// Type names a message.
type Type string

// The messages. Requests have a reply of type [OK] or [Fail]; the others have none.
const (
	OK   Type = "ok"    // reply; body depends on the request, mostly none
	Fail Type = "error" // reply, or before a close; body fault.Error

	Challenge Type = "challenge" // hub → client, first message
	Hello     Type = "hello"     // client → hub, request
	Welcome   Type = "welcome"   // hub → client, the reply to hello
	GoAway    Type = "goaway"    // hub → client, before it restarts
	Ping      Type = "ping"      // either way, request
	Bye       Type = "bye"       // client → hub, before it leaves for good
	Expiring  Type = "expiring"  // hub → client: its token is about to expire
	Renew     Type = "renew"     // client → hub, request: a new token
	State     Type = "state"     // client → hub, request: how it is
	Note      Type = "note"      // client → hub, request: something happened there that is to be on record
	Identify  Type = "identify"  // client of an operator → hub, request; hub → station: blink and sound
	Settings  Type = "settings"  // hub → station: a part of its configuration
	Watch     Type = "watch"     // client → hub, request: tell me who is there
	Presence  Type = "presence"  // hub → client that watches

	Invite   Type = "call.invite"    // caller → hub, request
	Incoming Type = "call.incoming"  // hub → callee
	Servers  Type = "call.servers"   // hub → party; party → hub, request: tell me anew
	Ringing  Type = "call.ringing"   // callee → hub → caller
	SDP      Type = "call.sdp"       // either party → hub → the other: a session description
	ICE      Type = "call.ice"       // either party → hub → the other: a candidate
	Answer   Type = "call.answer"    // callee → hub, request
	Answered Type = "call.answered"  // hub → both
	Decline  Type = "call.decline"   // callee → hub, request
	Cancel   Type = "call.cancel"    // caller → hub, request
	HangUp   Type = "call.hangup"    // either party → hub, request
	Warning  Type = "call.warning"   // hub → both: the call's limit is near
	Ended    Type = "call.ended"     // hub → both
	Door     Type = "call.door"      // either party → hub, request → the other: open your door
	DoorDone Type = "call.door_done" // the other → hub, request → the one who asked: what became of it

	Capabilities Type = "call.capabilities" // either party → hub → the other: what the other may do here
	// client of an operator → hub, request; hub → station: open your door, outside a call
	OpenDoor Type = "door.open"
	OpenDone Type = "door.done" // station → hub, request; hub → the client that asked: what became of it
)

// Envelope is every message. A request has ID, its reply has Re. Seq numbers what a side says once signed in, Ack is
// the last number that it has from the other; see [Outbox].
type Envelope struct {
	T    Type            `json:"t"`
	ID   uint64          `json:"id,omitempty"`
	Re   uint64          `json:"re,omitempty"`
	Seq  uint64          `json:"seq,omitempty"`
	Ack  uint64          `json:"ack,omitempty"`
	Call string          `json:"call,omitempty"`
	B    json.RawMessage `json:"b,omitempty"`
}

// New makes an envelope with a body.
func New(t Type, call string, body any) Envelope {
	e := Envelope{T: t, Call: call}
	if body != nil {
		b, err := Marshal(body)
		if err == nil { // the bodies above cannot fail
			e.B = b
		}
	}
	return e
}

// Marshal writes JSON as messages have it: without the escapes for HTML, which make six bytes of a <, also within a
// [json.RawMessage] that is written for the second time.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	err := w.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Size is how many bytes a value has as JSON.
func Size(v any) int {
	b, _ := Marshal(v)
	return len(b)
}

// Fits reports whether a message is within [MaxMessage], whatever its numbers are.
func (e Envelope) Fits() bool {
	return len(e.T) <= 32 && len(e.Call) <= MaxIDLen && len(e.B) <= MaxBody
}

// Reply makes the reply to a request: [OK], or [Fail] with the error.
func Reply(to Envelope, err *fault.Error) Envelope {
	e := Envelope{T: OK, Re: to.ID, Call: to.Call}
	if err != nil {
		e = New(Fail, to.Call, err)
		e.Re = to.ID
	}
	return e
}

// Encode writes a message as one frame. Its body is JSON already, so it is not read again.
func Encode(e Envelope) []byte {
	b := make([]byte, 0, 96+len(e.B))
	b = append(b, `{"t":`...)
	b = appendText(b, string(e.T))
	for _, f := range [...]struct {
		name string
		n    uint64
	}{{`,"id":`, e.ID}, {`,"re":`, e.Re}, {`,"seq":`, e.Seq}, {`,"ack":`, e.Ack}} {
		if f.n != 0 {
			b = strconv.AppendUint(append(b, f.name...), f.n, 10)
		}
	}
	if e.Call != "" {
		b = appendText(append(b, `,"call":`...), e.Call)
	}
	if len(e.B) > 0 {
		b = append(append(b, `,"b":`...), e.B...)
	}
	return append(b, '}')
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func appendText(b []byte, s string) []byte {
	if strings.Trim(s, plain) != "" {
		if quoted, err := Marshal(s); err == nil { // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// Decode reads one frame. Size, encoding, depth and duplicate keys are checked before anything else; the error is
// [fault.TooLarge] or [fault.BadMessage].
func Decode(frame []byte, limit int) (Envelope, *fault.Error) {
	var e Envelope
	if len(frame) > limit {
		return e, fault.In(fault.TooLarge, "", "The message has %d bytes; at most %d are allowed.", len(frame), limit)
	}
	if !utf8.Valid(frame) {
		return e, bad("", "is not valid UTF-8")
	}
	if why := shape(frame); why != "" {
		return e, bad("", why)
	}
	if err := json.Unmarshal(frame, &e); err != nil {
		return e, bad("", "is not an envelope")
	}
	if e.T == "" || len(e.T) > 32 {
		return e, bad("t", "has no type")
	}
	if len(e.Call) > MaxIDLen {
		return e, bad("call", "has a call id of more than 64 characters")
	}
	return e, nil
}

// Body reads the body of a message; a missing one is an error. Unknown fields are ignored, so that an older program
// understands a newer one.
func Body[T any](e Envelope) (T, *fault.Error) {
	var b T
	if len(e.B) == 0 {
		return b, bad("b", "has no body")
	}
	if err := json.Unmarshal(e.B, &b); err != nil {
		var at *json.UnmarshalTypeError
		if errors.As(err, &at) {
			return b, bad(at.Field, "has a body with a wrong type")
		}
		return b, bad("b", "has a body that is not understood")
	}
	return b, nil
}

func bad(field, what string) *fault.Error {
	return fault.In(fault.BadMessage, field, "The message %s; see docs/protocol.md.", what)
}
