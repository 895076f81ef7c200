package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire/wiretest"
)

var update = flag.Bool("update", false, "write the golden files")

func TestIdentityFromTheSharedTable(t *testing.T) {
	b, err := os.ReadFile("testdata/identity.json")
	if err != nil {
		t.Fatal(err)
	}
	var table map[string][]struct {
		In string
		OK bool
	}
	if err := json.Unmarshal(b, &table); err != nil {
		t.Fatal(err)
	}
	checks := map[string]func(string) *fault.Error{"cuid": CheckCUID, "name": CheckName, "context": CheckContext,
		"image": CheckImage}
	if len(table) != len(checks) {
		t.Fatal("the table and the checks differ")
	}
	for kind, cases := range table {
		for _, c := range cases {
			if err := checks[kind](c.In); (err == nil) != c.OK {
				t.Errorf("%s %q: got %v, want ok=%v", kind, c.In, err, c.OK)
			}
		}
	}
	for _, to := range []string{"", "front_door", "door-1"} {
		if CheckReceiver(to, "front_door") == nil {
			t.Errorf("a call from front_door to %q is allowed", to)
		}
	}
	if CheckReceiver("reception", "front_door") != nil {
		t.Error("a good receiver is refused")
	}
}

// The golden file is the protocol, message by message.
func TestGoldenMessages(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := outcome.Result{Call: "c1", From: "front_door", To: "reception", Context: "Delivery", InvitedAt: &at}
	r.Finish(outcome.Of(outcome.Missed, outcome.Offline), "hub", at)
	hello := New(Hello, "", HelloBody{Account: "demo", APIKey: "ik_x", CUID: "front_door", Name: "Front door",
		Instance: "i", Agent: "intercomd/0.1", Resume: &Resume{Session: "s", Seq: 7},
		Calls: []CallRef{{Call: "c1", Ticket: "dGlja2V0.bWFj"}}})
	hello.ID = 1
	invite := New(Invite, "c1", InviteBody{To: Receivers{"reception"}, Context: "Delivery",
		InitiatorImage: "https://example.org/a.png"})
	invite.ID = 2
	all := []Envelope{
		New(Challenge, "", ChallengeBody{Nonce: "00ff", Version: Subprotocol}),
		hello,
		func() Envelope {
			e := New(Welcome, "", WelcomeBody{Session: "s", ServerTime: at, RingMS: 30000, PingMS: 15000,
				ICEServers: []ICEServer{{URLs: []string{"stun:hub:3478"}}}})
			e.Re = 1
			return e
		}(),
		{T: Ping, ID: 9},
		{T: OK, Re: 9},
		New(GoAway, "", GoAwayBody{SpreadMS: 2000}),
		{T: Bye},
		func() Envelope {
			e := New(State, "", StateBody{DND: true, Health: "degraded",
				Faults: map[string]string{"audio": "no microphone"}})
			e.ID = 5
			return e
		}(),
		{T: Watch, ID: 6},
		New(Presence, "", PresenceBody{Whole: true,
			Devices: []Device{{CUID: "front_door", Name: "Front door", State: Degraded, Health: "degraded",
				Faults: map[string]string{"audio": "no microphone"},
				Agent:  "intercomd/0.1", Hub: "hub1", Since: at}, {CUID: "reception", State: Offline, LastSeen: at}}}),
		New(Expiring, "", ExpiringBody{LeftMS: 60000}),
		func() Envelope { e := New(Renew, "", RenewBody{Token: "it_x"}); e.ID = 4; return e }(),
		invite,
		New(Invite, "c1", InviteBody{To: Receivers{"reception", "office"}, Context: "Delivery", Mode: Sequence,
			EachMS: 15000, MaxDurationMS: 60000}),
		func() Envelope {
			e := New(OK, "c1", InvitedBody{RingMS: 30000})
			e.Re, e.Seq, e.Ack = 2, 1, 1
			return e
		}(),
		Reply(invite, fault.In(fault.InvalidCall, "to", "A device cannot call itself; name another cuid.")),
		New(Incoming, "c1", IncomingBody{From: "front_door", Name: "Front door", Context: "Delivery", RingMS: 30000}),
		New(Servers, "c1", ServersBody{ICEServers: []ICEServer{{URLs: []string{"turn:hub:3478?transport=udp"},
			Username: "demo:front_door:c1", Credential: "c2VjcmV0"}}}),
		{T: Servers, ID: 7, Call: "c1"},
		New(Ringing, "c1", SDPBody{SDP: "v=0", From: "reception"}),
		New(SDP, "c1", SDPBody{SDP: "v=0", To: "reception"}),
		New(ICE, "c1", ICEBody{Candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host"}),
		{T: Answer, ID: 3, Call: "c1"},
		New(Answered, "c1", AnsweredBody{Peer: "reception", Ticket: "dGlja2V0.bWFj", LimitMS: 60000}),
		New(Warning, "c1", WarningBody{LeftMS: 10000}),
		New(Decline, "c1", DeclineBody{Reason: outcome.ByHand}),
		New(Cancel, "c1", CancelBody{Reason: outcome.ByCaller}),
		New(HangUp, "c1", HangUpBody{Reason: outcome.HangUp}),
		New(HangUp, "c1", HangUpBody{Reason: outcome.HangUp, Ticket: "dGlja2V0.bWFj", EndedAt: &at}),
		New(Identify, "", IdentifyBody{CUID: "front_door"}),
		New(State, "", StateBody{Health: "degraded", Faults: map[string]string{"audio": "no microphone"},
			Light: "fault"}),
		New(Settings, "", SettingsBody{Version: 7, Text: "[call]\nto = \"reception\"\n", Signature: "c2lnbmF0dXJl"}),
		New(State, "", StateBody{Health: "healthy", Light: "idle", Settings: 7}),
		New(Note, "", NoteBody{ID: "000102030405060708090a0b0c0d0e0f", Kind: CallNote, At: at, Call: "c1",
			Quality: &Quality{Codec: "opus", Route: "direct", DelayMS: 44, RoundTripMS: 1, JitterMS: 0.5, Loss: 0.01,
				ConcealedMS: 20}}),
		New(Capabilities, "c1", CapabilitiesBody{Door: true}),
		New(Door, "c1", DoorBody{From: "reception"}),
		New(DoorDone, "c1", DoorBody{From: "front_door", Result: DoorRefused, Reason: DoorLocked}),
		New(State, "", StateBody{Health: "healthy", Door: []string{"console_*"}}),
		New(OpenDoor, "", OpenDoorBody{ID: "000102030405060708090a0b0c0d0e0f", CUID: "front_door"}),
		New(OpenDoor, "", OpenDoorBody{ID: "000102030405060708090a0b0c0d0e0f", From: "console_anna_3f9a1c",
			By: "Anna"}),
		New(OpenDone, "", OpenDoorBody{ID: "000102030405060708090a0b0c0d0e0f", From: "front_door", Result: DoorOpened}),
		New(Presence, "", PresenceBody{Devices: []Device{{CUID: "front_door", State: Idle, Door: true}}}),
		New(Ended, "c1", EndedBody{Result: r, Error: fault.New(fault.ReceiverOffline)}),
	}
	var b bytes.Buffer
	for _, e := range all {
		js := Encode(e)
		back, ferr := Decode(js, MaxMessage)
		if ferr != nil {
			t.Fatalf("%s: %v", js, ferr)
		}
		if again := Encode(back); !bytes.Equal(js, again) {
			t.Errorf("%s came back as %s", js, again)
		}
		b.Write(append(js, '\n'))
	}
	const path = "testdata/messages.jsonl"
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := os.ReadFile(path)
	if !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the protocol changed; run 'go test ./wire -update' and read the diff")
	}
}

func TestGarbageIsRefused(t *testing.T) {
	for _, s := range []string{
		``, `null`, `1`, `[]`, `"x"`, `{}`, `{"t":1}`, `{"t":""}`, `{"t":"ping"} {}`, `{"t":"ping","t":"bye"}`,
		`{"t":"ping","b":{"a":1,"a":2}}`,
		`{"t":"ping","id":-1}`, `{"t":"ping","id":1e400}`, `{"t":"ping","id":99999999999999999999}`, "{\"t\":\"\xff\"}",
		`{"t":"ping"`,
		`{"t":"` + strings.Repeat("x", 33) + `"}`, `{"t":"ping","call":"` + strings.Repeat("x", 65) + `"}`,
		`{"t":"ping","b":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`,
	} {
		if e, err := Decode([]byte(s), MaxMessage); err == nil {
			t.Errorf("%q was taken as %+v", s, e)
		}
	}
	if _, err := Decode(make([]byte, MaxBeforeSignIn+1), MaxBeforeSignIn); err == nil || err.Code != fault.TooLarge {
		t.Errorf("too large: %v", err)
	}
	if _, err := Body[InviteBody](Envelope{T: Invite, B: []byte(`{"to":5}`)}); err == nil || err.Field != "to" {
		t.Errorf("a wrong type in a body: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	golden, _ := os.ReadFile("testdata/messages.jsonl")
	for _, line := range bytes.Split(golden, []byte("\n")) {
		f.Add(line)
	}
	for _, b := range wiretest.Weird(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Decode(b, MaxMessage)
		if err != nil {
			return
		}
		if _, err := json.Marshal(e); err != nil {
			t.Fatalf("%q decodes but does not encode: %v", b, err)
		}
		_, _ = Body[InviteBody](e)
		_, _ = Body[HelloBody](e)
		_, _ = Body[SDPBody](e)
	})
}

// slowShape is the same by the standard library, for comparison: it refuses what a decoder would swallow: nesting, keys
// that come twice, more than one value.
func slowShape(frame []byte) error {
	d := json.NewDecoder(bytes.NewReader(frame))
	d.UseNumber()
	type level struct {
		keys  map[string]bool // nil in an array
		value bool            // the next token in an object is a value
	}
	var stack []level
	for first := true; ; first = false {
		t, err := d.Token()
		if err == io.EOF && !first && len(stack) == 0 {
			return nil
		}
		if err != nil {
			return errors.New("is not JSON")
		}
		if !first && len(stack) == 0 {
			return errors.New("has more than one value")
		}
		if t == json.Delim('}') || t == json.Delim(']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].keys != nil {
			top := &stack[n-1]
			if !top.value {
				key, _ := t.(string)
				if top.keys[key] {
					return errors.New("has a key twice")
				}
				top.keys[key], top.value = true, true
				continue
			}
			top.value = false
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, level{keys: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, level{})
		default:
			if first {
				return errors.New("is not an object")
			}
		}
		if len(stack) > MaxDepth {
			return errors.New("is nested too deeply")
		}
	}
}

func FuzzShape(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":{"a":2}}`, `{"a":1,"\u0061":2}`, `{"a":[{"a":1},{"a":1}],"b":"}{"}`, `[]`,
		`{} {}`, `{"t":"\\"}`, ` {"a" : 1 , "a":2}`,
		`{"a":[[[[[[[]]]]]]]}`, `{"a":[[[[[[[[]]]]]]]]}`,
		`{"1":1,"2":1,"3":1,"4":1,"5":1,"6":1,"7":1,"8":1,"9":1,"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"h":2}`,
		`{"":1,"":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) || !utf8.Valid(b) {
			shape(b) // no panic
			return
		}
		if bytes.TrimSpace(b)[0] != '{' {
			return // the slow one leaves arrays to the decoder
		}
		if fast, slow := shape(b), slowShape(b); (fast == "") != (slow == nil) {
			t.Fatalf("%s: %q, but the slow one says %v", b, fast, slow)
		}
	})
}

func FuzzEncode(f *testing.F) {
	f.Add("ping", uint64(1), uint64(0), "c1", []byte(`{"a":1}`))
	f.Add("x\"", uint64(0), uint64(9), "\x00\u2028", []byte(nil))
	f.Fuzz(func(t *testing.T, typ string, id, re uint64, call string, body []byte) {
		e := Envelope{T: Type(typ), ID: id, Re: re, Seq: id, Ack: re, Call: call, B: body}
		if len(body) > 0 && !json.Valid(body) || !utf8.ValidString(typ) || !utf8.ValidString(call) {
			return
		}
		var fast, slow any
		b, err := json.Marshal(e)
		if err != nil || json.Unmarshal(b, &slow) != nil || json.Unmarshal(Encode(e), &fast) != nil ||
			!reflect.DeepEqual(fast, slow) {
			t.Fatalf("%s, but the standard library writes %s (%v)", Encode(e), b, err)
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{"audio": "audio", "a\nb\x1b[31m\u202e": "a b [31m ", "": " ", "\xff": " ",
		"äöü": "äöü", "toolong": "toolon"} {
		if got := Printable(in, 6); got != want && len([]rune(want)) <= 6 || text(got, 1, 6) != "" {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
