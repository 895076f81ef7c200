package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/call"
	"intercom/internal/fault"
	"intercom/internal/outcome"
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

// Devices that call another again and again, and cancel, have it answer each time. That is not its fault: it is not
// closed for saying too much. Those who call are told that they do so too often.
func TestOneThatIsCalledAgainAndAgainStays(t *testing.T) {
	for name, callers := range map[string]int{"by one": 1, "by twenty": 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := serveInBubble(t, func(*Settings) {})
				b, _ := s.signFrom(p, "192.0.2.10", "bravo", "1")
				ctx, cancel := context.WithCancel(t.Context())
				var work sync.WaitGroup
				closed := make(chan websocket.StatusCode, 1)
				rang := 0
				work.Go(func() { // an honest station
					seq := uint64(0)
					say := func(e wire.Envelope) {
						if seq++; b.ws.Write(t.Context(), websocket.MessageText, wire.Encode(numbered(e, seq))) != nil {
							return
						}
					}
					for {
						_, text, err := b.ws.Read(ctx)
						if err != nil {
							closed <- websocket.CloseStatus(err)
							return
						}
						if e, _ := wire.Decode(text, wire.MaxMessage); e.T == wire.Incoming {
							rang++
							say(wire.New(wire.Ringing, e.Call, wire.SDPBody{SDP: strings.Repeat("x", 2000)}))
							for range 11 {
								say(wire.New(wire.ICE, e.Call, wire.ICEBody{Candidate: strings.Repeat("x", 100)}))
							}
						}
					}
				})
				var mu sync.Mutex
				refused := map[string]int{}
				for i := range callers {
					cuid := fmt.Sprintf("crank_%02d", i)
					a, _ := s.signFrom(p, "192.0.2.11", cuid, "1")
					work.Go(func() {
						for {
							_, text, err := a.ws.Read(ctx)
							if err != nil {
								return
							}
							mu.Lock()
							switch e, _ := wire.Decode(text, wire.MaxMessage); e.T {
							case wire.Fail:
								f, _ := wire.Body[fault.Error](e)
								refused[string(f.Code)]++
							case wire.Ended:
								r, _ := wire.Body[wire.EndedBody](e)
								refused[r.Outcome.String()]++
							}
							mu.Unlock()
						}
					})
					work.Go(func() {
						for n := uint64(0); n < 12*20; n++ {
							id := fmt.Sprintf("%030x%02x", n, i)
							e := wire.New(wire.Invite, id, wire.InviteBody{To: wire.Receivers{"bravo"}, Context: "x"})
							e.ID = n + 1
							_ = a.ws.Write(t.Context(), websocket.MessageText, wire.Encode(numbered(e, 2*n+1)))
							time.Sleep(42 * time.Millisecond)
							e = wire.New(wire.Cancel, id, wire.CancelBody{Reason: outcome.ByCaller})
							_ = a.ws.Write(t.Context(), websocket.MessageText, wire.Encode(numbered(e, 2*n+2)))
							time.Sleep(42 * time.Millisecond)
						}
					})
				}
				time.Sleep(time.Minute / 2)
				select {
				case code := <-closed:
					t.Errorf("the one that is called was closed with %d", code)
				default:
				}
				mu.Lock()
				if refused[string(fault.RateLimited)] < 100 || rang < 20 {
					t.Errorf("it rang %d times; the callers were told %v", rang, refused)
				}
				mu.Unlock()
				cancel()
				work.Wait()
			})
		})
	}
}

func numbered(e wire.Envelope, seq uint64) wire.Envelope {
	e.Seq = seq
	return e
}

// A caller may say what the hub asks for, and no more: the rate of its messages is still one.
func TestRepliesAreCounted(t *testing.T) {
	var r replies
	for range 10 {
		r.sent(wire.Incoming)
	}
	n := 0
	for r.took(wire.ICE) {
		n++
	}
	if n != mostReplies || mostReplies+int(messageRate.burst) >= wire.MaxQueue || r.took(wire.Ringing) {
		t.Errorf("%d replies, and %v messages; a peer's queue holds %d", n, messageRate.burst, wire.MaxQueue)
	}
	r.sent(wire.Incoming)
	if r.took(wire.Invite) || r.took(wire.State) || r.took(wire.Ping) || !r.took(wire.Decline) {
		t.Error("what is no reply is taken for one")
	}
	synctest.Test(t, func(t *testing.T) { // two who restart their path without end say no more for it
		r := replies{}
		n := 0
		for range 100 {
			r.sent(wire.SDP)
			for r.took(wire.ICE) {
				n++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n > 4*replyCost {
			t.Errorf("%d in a second", n)
		}
	})
}

// saidTo is what the peer is sent of a message.
func saidTo(e wire.Envelope) (wire.Envelope, error) {
	said, err := call.Said("alpha", e)
	if err != nil {
		return wire.Envelope{}, err
	}
	return said.(call.Relay).Message, nil
}
