package hub

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

const (
	idA = "000102030405060708090a0b0c0d0e0f"
	idB = "f00102030405060708090a0b0c0d0e0f"
)

// station is a double of a connection: it writes down what it is told.
type station struct {
	name  string
	world *world
	ended map[string][]outcome.Outcome // under the world's notes
}

func (s *station) send(e wire.Envelope) {
	line := fmt.Sprintf("%s<%s", s.name, e.T)
	s.world.notes.Lock()
	defer s.world.notes.Unlock()
	if e.T == wire.Ended {
		b, _ := wire.Body[wire.EndedBody](e)
		line += " " + b.Outcome.String()
		s.ended[e.Call] = append(s.ended[e.Call], b.Outcome)
	}
	if e.T != wire.Welcome {
		s.world.tape = append(s.world.tape, line)
	}
}

func (s *station) close(code int, _ string) {
	s.world.notes.Lock()
	defer s.world.notes.Unlock()
	s.world.tape = append(s.world.tape, fmt.Sprintf("%s closed %d", s.name, code))
}

// world is a router with stations and the records that it wrote.
type world struct {
	*router
	notes   sync.Mutex // timers write too
	tape    []string
	records []outcome.Result
	at      map[string]*station
}

func newWorld(names ...string) *world {
	w := &world{at: map[string]*station{}}
	w.router = newRouter(30*time.Second, func(r outcome.Result) {
		w.notes.Lock()
		defer w.notes.Unlock()
		w.records = append(w.records, r)
	}, quiet)
	for _, n := range names {
		w.sign(n, "one")
	}
	return w
}

func (w *world) sign(name, instance string, calls ...string) *station {
	s := &station{name: name, world: w, ended: map[string][]outcome.Outcome{}}
	old, _ := w.owner(dev(name))
	if w.join(dev(name), strings.ToUpper(name), instance, old, s, wire.Envelope{T: wire.Welcome}, calls) {
		w.at[name] = s
	}
	return s
}

func dev(name string) who { return who{"demo", name} }

func (w *world) say(name string, t wire.Type, id string, body any) *fault.Error {
	return w.receive(dev(name), wire.New(t, id, body))
}

func (w *world) invite(from, to, id string) *fault.Error {
	return w.say(from, wire.Invite, id, wire.InviteBody{To: to, Context: "Delivery"})
}

func (w *world) expect(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	if !slices.Equal(w.tape, lines) {
		t.Errorf("tape\n  %s\nwant\n  %s", strings.Join(w.tape, "\n  "), strings.Join(lines, "\n  "))
	}
	w.tape = nil
}

func (w *world) recorded(t *testing.T, o ...outcome.Outcome) {
	t.Helper()
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	var got []outcome.Outcome
	for _, r := range w.records {
		got = append(got, r.Outcome)
	}
	if !slices.Equal(got, o) {
		t.Errorf("records %v, want %v", got, o)
	}
}

var (
	over = outcome.Of(outcome.Over, outcome.HangUp)
	lost = outcome.Of(outcome.Over, outcome.Lost)
)

func test(t *testing.T, name string, f func(t *testing.T, w *world)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, newWorld("alpha", "bravo", "charly"))
			time.Sleep(2 * time.Minute) // let the remembered calls be forgotten
		})
	})
}

func TestCalls(t *testing.T) {
	sdp := wire.SDPBody{SDP: "v=0"}
	ring := func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.say("bravo", wire.Ringing, idA, sdp)
		w.tape = nil
	}
	answer := func(w *world) {
		ring(w)
		w.say("bravo", wire.Answer, idA, nil)
		w.tape = nil
	}
	test(t, "answered and hung up", func(t *testing.T, w *world) {
		w.invite("alpha", "bravo", idA)
		w.expect(t, "bravo<call.incoming")
		w.say("bravo", wire.Ringing, idA, sdp)
		w.say("alpha", wire.SDP, idA, sdp)
		w.say("bravo", wire.ICE, idA, wire.ICEBody{Candidate: "x"})
		w.expect(t, "alpha<call.ringing", "bravo<call.sdp", "alpha<call.ice")
		time.Sleep(2 * time.Second)
		w.say("bravo", wire.Answer, idA, nil)
		w.expect(t, "alpha<call.answered", "bravo<call.answered")
		time.Sleep(5 * time.Minute)
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.expect(t, "alpha<call.ended over/hangup", "bravo<call.ended over/hangup")
		w.recorded(t, over)
		if r := w.records[0]; r.DurationMS != 300_000 || r.By != "alpha" || r.RingingAt == nil {
			t.Errorf("record %+v", r)
		}
	})
	test(t, "declined", func(t *testing.T, w *world) {
		ring(w)
		w.say("bravo", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
		w.expect(t, "alpha<call.ended declined/declined", "bravo<call.ended declined/declined")
	})
	test(t, "missed after exactly the ring time", func(t *testing.T, w *world) {
		ring(w)
		time.Sleep(30*time.Second - time.Millisecond)
		w.expect(t)
		time.Sleep(time.Millisecond)
		w.expect(t, "alpha<call.ended missed/no_answer", "bravo<call.ended missed/no_answer")
	})
	test(t, "offline is said at once, with 404 and a record", func(t *testing.T, w *world) {
		if err := w.invite("alpha", "nobody", idA); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "alpha<call.ended missed/offline")
		w.recorded(t, outcome.Of(outcome.Missed, outcome.Offline))
	})
	test(t, "busy does not disturb the busy one", func(t *testing.T, w *world) {
		answer(w)
		w.invite("charly", "bravo", idB)
		w.expect(t, "charly<call.ended declined/busy")
	})
	test(t, "both call each other: the first invite is the call", func(t *testing.T, w *world) {
		w.invite("alpha", "bravo", idA)
		if err := w.invite("bravo", "alpha", idB); err == nil || err.Code != fault.Conflict {
			t.Fatal(err)
		}
		w.expect(t, "bravo<call.incoming")
	})
	test(t, "an invite said twice rings once", func(t *testing.T, w *world) {
		w.invite("alpha", "bravo", idA)
		w.invite("alpha", "bravo", idA)
		w.expect(t, "bravo<call.incoming")
	})
	test(t, "cancelled; the late answer gets the same final word", func(t *testing.T, w *world) {
		ring(w)
		w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
		w.expect(t, "alpha<call.ended cancelled/cancelled", "bravo<call.ended cancelled/cancelled")
		time.Sleep(59 * time.Second)
		w.say("bravo", wire.Answer, idA, nil)
		w.expect(t, "bravo<call.ended cancelled/cancelled")
		time.Sleep(2 * time.Second)
		if err := w.say("bravo", wire.Answer, idA, nil); err == nil || err.Code != fault.NotParty {
			t.Fatal(err)
		}
	})
	test(t, "a cancel that lost against the answer hangs up", func(t *testing.T, w *world) {
		answer(w)
		w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
		w.recorded(t, over)
	})
	test(t, "nobody else can touch a call", func(t *testing.T, w *world) {
		answer(w)
		for _, m := range []wire.Type{wire.Answer, wire.HangUp, wire.ICE, wire.Decline} {
			if err := w.say("charly", m, idA, wire.HangUpBody{Reason: outcome.HangUp}); err == nil || err.Code != fault.NotParty {
				t.Errorf("%s: %v", m, err)
			}
		}
		if err := w.receive(who{"other", "alpha"}, wire.New(wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})); err == nil {
			t.Error("another account's device of the same name ended the call")
		}
		w.expect(t)
	})
	test(t, "only the called device answers", func(t *testing.T, w *world) {
		ring(w)
		w.say("alpha", wire.Answer, idA, nil)
		if err := w.say("alpha", wire.Ringing, idA, sdp); err == nil {
			t.Error("the caller said that it rings")
		}
		w.expect(t)
	})
	test(t, "a caller that dies while it rings ends it after four seconds", func(t *testing.T, w *world) {
		ring(w)
		w.leave(dev("alpha"), w.at["alpha"], false)
		time.Sleep(4*time.Second - 1)
		w.expect(t)
		time.Sleep(time.Nanosecond)
		w.expect(t, "bravo<call.ended failed/network_lost")
	})
	test(t, "a party that dies in a call ends it after eight", func(t *testing.T, w *world) {
		answer(w)
		w.leave(dev("bravo"), w.at["bravo"], false)
		time.Sleep(8 * time.Second)
		w.expect(t, "alpha<call.ended over/lost")
		w.recorded(t, lost)
	})
	test(t, "one that comes back in time keeps its call", func(t *testing.T, w *world) {
		answer(w)
		w.leave(dev("bravo"), w.at["bravo"], false)
		time.Sleep(7 * time.Second)
		w.sign("bravo", "one", idA)
		time.Sleep(time.Hour)
		w.expect(t, "bravo<call.answered")
		w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.recorded(t, over)
	})
	test(t, "one that comes back without its call has lost it", func(t *testing.T, w *world) {
		answer(w)
		w.sign("bravo", "one")
		w.expect(t, "bravo closed 4410", "alpha<call.ended over/lost", "bravo<call.ended over/lost")
	})
	test(t, "one that says goodbye is not waited for", func(t *testing.T, w *world) {
		answer(w)
		w.leave(dev("bravo"), w.at["bravo"], true)
		time.Sleep(time.Millisecond)
		w.expect(t, "alpha<call.ended over/lost")
	})
	test(t, "a stop ends every call with an outcome", func(t *testing.T, w *world) {
		answer(w)
		w.stop()
		synctest.Wait()
		w.recorded(t, outcome.Of(outcome.Over, outcome.Shutdown))
		if err := w.invite("charly", "alpha", idB); err == nil {
			t.Error("a stopped hub takes calls")
		}
	})
	test(t, "bad invites are refused with the field", func(t *testing.T, w *world) {
		for field, b := range map[string]wire.InviteBody{"to": {To: "alpha", Context: "x"}, "context": {To: "bravo"}, "image": {To: "bravo", Context: "x", InitiatorImage: "javascript:1"}} {
			if err := w.say("alpha", wire.Invite, idA, b); err == nil || err.Code != fault.InvalidCall || err.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if err := w.invite("alpha", "bravo", "short"); err == nil || err.Field != "call" {
			t.Errorf("call id: %v", err)
		}
		w.recorded(t)
	})
}

// Whatever happens in whatever order: one outcome that both sides share, one record, and nobody stays busy.
func TestAnyInterleavingEndsInOneOutcome(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 13), 1, 30).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			w := newWorld("alpha", "bravo", "charly")
			var all []*station
			for _, s := range w.at {
				all = append(all, s)
			}
			back := func(name string) { all = append(all, w.sign(name, "one", idA, idB)) }
			for _, s := range steps {
				switch s {
				case 0:
					w.invite("alpha", "bravo", idA)
				case 1:
					w.invite("bravo", "alpha", idB)
				case 2:
					w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
				case 3:
					w.say("bravo", wire.Answer, idA, nil)
				case 4:
					w.say("alpha", wire.Answer, idB, nil)
				case 5:
					w.say("bravo", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
				case 6:
					w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
				case 7:
					w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
				case 8:
					w.say("bravo", wire.HangUp, idB, wire.HangUpBody{Reason: outcome.Lost})
				case 9:
					w.leave(dev("alpha"), w.at["alpha"], false)
				case 10:
					back("alpha")
				case 11:
					back("bravo")
				case 12:
					time.Sleep(3 * time.Second)
				case 13:
					w.leave(dev("bravo"), w.at["bravo"], true)
				}
			}
			time.Sleep(time.Minute)
			for _, n := range []string{"alpha", "bravo"} { // who talks still has no limit: end it
				back(n)
				for _, id := range []string{idA, idB} {
					w.say(n, wire.HangUp, id, wire.HangUpBody{Reason: outcome.HangUp})
				}
			}
			synctest.Wait()
			w.notes.Lock()
			want := map[string]outcome.Outcome{}
			for _, r := range w.records {
				if _, twice := want[r.Call]; twice {
					rt.Fatalf("call %s has two records", r.Call)
				}
				want[r.Call] = r.Outcome
			}
			for _, s := range all {
				for id, told := range s.ended {
					for _, o := range told {
						if o != want[id] || !o.Valid() {
							rt.Fatalf("%s was told %v of a call recorded as %v", s.name, o, want[id])
						}
					}
				}
			}
			w.notes.Unlock()
			w.mu.Lock()
			for _, m := range w.members {
				if m.call != nil {
					rt.Fatalf("%s is still busy", m.cuid)
				}
			}
			w.mu.Unlock()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.calls) > 0 {
				rt.Fatalf("%d calls are never forgotten", len(w.calls))
			}
		})
	})
}
