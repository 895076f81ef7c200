package hub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"intercom/hub/call"
	"intercom/internal/fault"
	"intercom/wire"
)

// inCall has alpha call bravo, who answers.
func (s *server) inCall(a, b *client) {
	s.Helper()
	a.say(wire.New(wire.Invite, idA, wire.InviteBody{To: wire.Receivers{"bravo"}, Context: "x"}))
	b.until(wire.Incoming)
	b.say(wire.New(wire.Ringing, idA, wire.SDPBody{SDP: "v=0"}))
	a.until(wire.Ringing)
	b.say(wire.Envelope{T: wire.Answer, Call: idA})
	a.until(wire.Answered)
	b.until(wire.Answered)
}

// A message about a call is as long as the protocol lets it be, or refused. The peer gets only what the protocol has,
// and nothing that its own limit would end its connection for, now or when its session is resumed.
func TestNoMessageIsTooLargeForThePeer(t *testing.T) {
	const head = `{"t":"%s","call":"` + idA + `","b":{%s`
	long := func(kind wire.Type, b, fill string) []byte {
		text := fmt.Sprintf(head, kind, b)
		n := (wire.MaxMessage - len(text) - len(`"}}`)) / len(fill)
		text += strings.Repeat(fill, n) + `"}}`
		return []byte(text + strings.Repeat(" ", wire.MaxMessage-len(text)))
	}
	for _, kind := range []wire.Type{wire.ICE, wire.SDP, wire.Ringing, wire.Door, wire.DoorDone, wire.Capabilities} {
		for _, fill := range []string{"A", "<", `\"`, `\u0001`, `\ud800`, "\u2028"} {
			for _, field := range []string{`"x":"`, `"sdp":"v=0","x":"`, `"candidate":"`, `"sdp":"`, `"to":"`, `"from":"`,
				`"answers":"`, `"result":"`} {
				e, err := wire.Decode(long(kind, field, fill), wire.MaxMessage)
				if err != nil {
					t.Fatal(kind, fill, field, err)
				}
				if got, err := saidTo(e); err == nil && (!got.Fits() || len(got.B) > wire.MaxDescription) {
					t.Errorf("%s of %.10s in %s: %d bytes are passed on", kind, fill, field, len(got.B))
				}
			}
		}
	}

	s := serve(t)
	a, b := s.sign("alpha", "1"), s.sign("bravo", "1")
	s.inCall(a, b)
	a.write(websocket.MessageText, long(wire.ICE, `"candidate":"`, "A"))
	e, _ := a.until(wire.Fail)
	if f, _ := wire.Body[fault.Error](e); f.Code != fault.TooLarge || e.Call != idA {
		t.Errorf("a candidate of 64 KiB: %v", f)
	}
	a.write(websocket.MessageText, long(wire.ICE, `"candidate":"","x":"`, "A"))
	b.ws.SetReadLimit(wire.MaxMessage)
	e, code := b.until(wire.ICE)
	if code != 0 || string(e.B) != `{"candidate":""}` {
		t.Errorf("the peer got %.100s, closed %d", e.B, code)
	}
}

// The last gate: whatever the hub has to say, nothing goes out that clients do not take, and nothing of it is kept.
func TestTheHubSaysNothingTooLarge(t *testing.T) {
	s := serve(t)
	a, b := s.sign("alpha", "1"), s.sign("bravo", "1")
	s.inCall(a, b)
	r := s.hub.router
	r.mu.Lock()
	m := r.sessions[dev("bravo")]
	r.mu.Unlock()
	m.send(wire.Envelope{T: wire.ICE, Call: idA, B: json.RawMessage(`"` + strings.Repeat("x", wire.MaxBody) + `"`)})
	m.send(wire.New(wire.ICE, idA, wire.ICEBody{Candidate: "next"}))
	if e, code := b.until(wire.ICE); code != 0 || !strings.Contains(string(e.B), "next") {
		t.Errorf("got %.40s, closed %d", e.B, code)
	}
}

// What is kept for a device that has not acknowledged it has a size, not only a number.
func TestWhatIsKeptHasASize(t *testing.T) {
	var o wire.Outbox
	var b wire.Backlog
	e := wire.New(wire.SDP, idA, wire.SDPBody{SDP: strings.Repeat("x", wire.MaxDescription-100)})
	n := 0
	for range wire.KeptMessages {
		o.Push(e)
		if b.Room(e) {
			b.Add(e)
			n++
		}
	}
	if most := wire.KeptBytes / len(e.B); n != most {
		t.Errorf("%d of %d bytes wait", n, len(e.B))
	}
	if _, ok := o.After(uint64(wire.KeptMessages - wire.KeptBytes/len(e.B) - 1)); ok {
		t.Error("more than is kept can be resumed")
	}
	if missed, ok := o.After(uint64(wire.KeptMessages - wire.KeptBytes/len(e.B))); !ok || len(missed) != n {
		t.Errorf("of what is kept %d are there, %v", len(missed), ok)
	}
	if got := b.Take(idB); got != nil {
		t.Errorf("%d of another call", len(got))
	}
	if got := b.Take(idA); len(got) != n || !b.Room(e) {
		t.Errorf("%d taken out", len(got))
	}
}

// saidTo is what the peer is sent of a message.
func saidTo(e wire.Envelope) (wire.Envelope, error) {
	said, err := call.Said("alpha", e)
	if err != nil {
		return wire.Envelope{}, err
	}
	return said.(call.Relay).Message, nil
}
