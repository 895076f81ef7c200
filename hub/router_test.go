package hub

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"intercom/hub/access"
	"intercom/hub/cluster"
	"intercom/hub/hubtest"
	"intercom/hub/presence"
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
	hub   *Hub
	m     *session
	lost  bool
	// Under the world's notes.
	ended   map[string][]outcome.Outcome
	tickets map[string]string
	refusal *fault.Error
	session string
	seq     uint64
	sees    map[string]wire.DeviceState // what it is told of the others
	told    int                         // in how many messages
	served  []wire.ICEServer            // for its media path
	latest  map[wire.Type]wire.Envelope // of each kind
	auto    bool                        // of the latest call that came in: the rules let it answer by itself
}

func (s *station) send(e wire.Envelope) {
	line := fmt.Sprintf("%s<%s", s.name, e.T)
	s.world.notes.Lock()
	defer s.world.notes.Unlock()
	s.seq = max(s.seq, e.Seq)
	s.latest[e.T] = e
	switch e.T {
	case wire.Welcome:
		b, _ := wire.Body[wire.WelcomeBody](e)
		s.session = b.Session
		return
	case wire.OK:
		return
	case wire.Presence:
		b, _ := wire.Body[wire.PresenceBody](e)
		if b.Whole {
			s.sees = map[string]wire.DeviceState{}
		}
		for _, d := range b.Devices {
			s.sees[d.CUID] = d.State
		}
		s.told++
		return
	case wire.Fail:
		b, _ := wire.Body[fault.Error](e)
		s.refusal = &b
		if e.Re != 0 {
			return
		}
		line += " " + string(b.Code)
	case wire.Incoming:
		b, _ := wire.Body[wire.IncomingBody](e)
		s.auto, s.served = b.AutoAnswer, b.ICEServers
	case wire.Servers:
		b, _ := wire.Body[wire.ServersBody](e)
		s.served = b.ICEServers
	case wire.Answered:
		b, _ := wire.Body[wire.AnsweredBody](e)
		s.tickets[e.Call] = b.Ticket
	case wire.Ringing:
		b, _ := wire.Body[wire.SDPBody](e)
		line += " " + b.From
	case wire.Ended:
		b, _ := wire.Body[wire.EndedBody](e)
		line += " " + b.Outcome.String()
		s.ended[e.Call] = append(s.ended[e.Call], b.Outcome)
	}
	s.world.tape = append(s.world.tape, line)
}

func (s *station) alive(time.Duration) bool { return !s.lost }

func (s *station) close(code int, _ string) {
	s.world.notes.Lock()
	defer s.world.notes.Unlock()
	s.world.tape = append(s.world.tape, fmt.Sprintf("%s closed %d", s.name, code))
	s.lost = true
}

// world is one or more hubs with stations, and the records that they wrote.
type world struct {
	t       *testing.T
	net     hubtest.Net
	hubs    []*Hub
	stops   []context.CancelFunc
	notes   sync.Mutex // timers write too
	tape    []string
	records []outcome.Result
	noted   []string // STATION: who result why
	at      map[string]*station
	dir     *access.Directory
	secret  *access.Secret
}

// demoKey is the one by which the stations of a world came in.
var demoKey = access.Key{ID: "k", SHA256: strings.Repeat("0", 64)}

// accounts makes a directory with the account demo, and more settings for it.
func accounts(t *testing.T, more string) *access.Directory {
	dir := t.TempDir()
	more += fmt.Sprintf("\n[[key]]\nid = %q\nsha256 = %q\n", demoKey.ID, demoKey.SHA256)
	if err := os.WriteFile(access.File(dir, "demo"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newWorld(t *testing.T, d *access.Directory, hubs int) *world {
	w := &world{t: t, at: map[string]*station{}, dir: d, secret: access.NewSecret()}
	for i := range hubs {
		w.hubs = append(w.hubs, nil)
		w.stops = append(w.stops, func() {})
		w.start(i)
	}
	synctest.Wait()
	for i, n := range []string{"alpha", "bravo", "charly", "delta"} {
		w.sign(n, "one", i%hubs, nil)
	}
	synctest.Wait()
	return w
}

// start starts hub i, or starts it again after it was killed.
func (w *world) start(i int) {
	h := New(Settings{Bus: w.net.Join(fmt.Sprint("hub", i)), Access: w.dir, Secret: w.secret,
		Note: func(_, cuid string, n wire.NoteBody) error {
			w.notes.Lock()
			defer w.notes.Unlock()
			w.noted = append(w.noted, fmt.Sprintf("%s: %s %s, %s", cuid, n.Who, n.Result, n.Why))
			if err := n.Check(); err != nil {
				return err
			}
			return nil
		},
		Record: func(_ string, r outcome.Result) {
			w.notes.Lock()
			defer w.notes.Unlock()
			w.records = append(w.records, r)
		}, Recorded: func(_, call string) (outcome.Result, bool) {
			w.notes.Lock()
			defer w.notes.Unlock()
			for _, r := range w.records {
				if r.Call == call {
					return r, true
				}
			}
			return outcome.Result{}, false
		}, Trouble: func() error { return nil }}, slog.New(names{slog.DiscardHandler, w.t}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.Run(ctx) }()
	w.hubs[i], w.stops[i] = h, func() { cancel(); <-ended }
	synctest.Wait()
}

// names checks of each line that hubs log that a peer is a station, and a hub a hub.
type names struct {
	slog.Handler
	*testing.T
}

func (n names) Enabled(context.Context, slog.Level) bool { return true }

func (n names) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		isHub := strings.HasPrefix(a.Value.String(), "hub")
		if a.Key == "hub" && !isHub || isHub && slices.Contains([]string{"peer", "cuid", "account"}, a.Key) {
			n.Errorf("%s: %s", r.Message, a)
		}
		return true
	})
	return nil
}

// kill ends hub i without a word, and with it the connections of its stations.
func (w *world) kill(i int) {
	w.stops[i]()
	w.stops[i] = func() {}
	for _, s := range w.at {
		if s.hub == w.hubs[i] {
			s.lost = true
		}
	}
	synctest.Wait()
}

func (w *world) end() {
	time.Sleep(2 * time.Minute) // let the remembered calls be forgotten
	for _, stop := range w.stops {
		stop()
	}
}

// sign signs a station in at hub i, with the calls that it believes in, or resuming its session.
func (w *world) sign(name, instance string, i int, resume *wire.Resume, calls ...wire.CallRef) *station {
	s := &station{latest: map[wire.Type]wire.Envelope{}, name: name, world: w, hub: w.hubs[i],
		ended: map[string][]outcome.Outcome{}, tickets: map[string]string{}}
	h := hello{grant: demoKey.Grant(), HelloBody: wire.HelloBody{Account: "demo", CUID: name,
		Name: strings.ToUpper(name), Instance: instance, Resume: resume, Calls: calls}}
	m, err := s.hub.router.enter(context.Background(), dev(name), h, s, wire.WelcomeBody{})
	if err != nil {
		return nil
	}
	s.m = m
	w.at[name] = s
	synctest.Wait()
	return s
}

// back signs a station in again with what it knows.
func (w *world) back(name string, i int) *station {
	old := w.at[name]
	var calls []wire.CallRef
	w.notes.Lock()
	for _, id := range []string{idA, idB} {
		calls = append(calls, wire.CallRef{Call: id, Ticket: old.tickets[id]})
	}
	w.notes.Unlock()
	s := w.sign(name, "one", i, nil, calls...)
	if s != nil {
		if len(w.hubs) > 1 {
			time.Sleep(2 * cluster.AskAllTime) // the hubs are asked whose the calls are
		}
		w.notes.Lock()
		defer w.notes.Unlock()
		for id, t := range old.tickets {
			s.tickets[id] = t
		}
	}
	return s
}

// lose breaks a station's connection.
func (w *world) lose(name string, forGood bool) {
	s := w.at[name]
	if !s.lost {
		s.lost = true
		s.hub.router.leave(s.m, s, forGood)
	}
	synctest.Wait()
}

func dev(name string) who { return who{"demo", name} }

// say says something as a station, and gives the hub's refusal.
func (w *world) say(name string, t wire.Type, id string, body any) *fault.Error {
	s := w.at[name]
	if s.lost {
		return nil
	}
	w.notes.Lock()
	s.refusal = nil
	w.notes.Unlock()
	e := wire.New(t, id, body)
	e.ID = 77
	s.hub.router.receive(s.m, e)
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	return s.refusal
}

func (w *world) invite(from, to, id string) *fault.Error {
	return w.say(from, wire.Invite, id, wire.InviteBody{To: strings.Split(to, ","), Context: "Delivery"})
}

func (w *world) expect(lines ...string) {
	w.t.Helper()
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	if !slices.Equal(w.tape, lines) {
		w.t.Errorf("tape\n  %s\nwant\n  %s", strings.Join(w.tape, "\n  "), strings.Join(lines, "\n  "))
	}
	w.tape = nil
}

func (w *world) clear() {
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	w.tape = nil
}

func (w *world) recorded(o ...outcome.Outcome) {
	w.t.Helper()
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	var got []outcome.Outcome
	for _, r := range w.records {
		got = append(got, r.Outcome)
	}
	if !slices.Equal(got, o) {
		w.t.Errorf("records %v, want %v", got, o)
	}
}

var (
	over = outcome.Of(outcome.Over, outcome.HangUp)
	lost = outcome.Of(outcome.Over, outcome.Lost)
)

func test(t *testing.T, name string, f func(w *world)) { testOn(t, name, 1, "", f) }

// testOn tries f on a number of hubs, with settings of the account. The stations alpha, bravo, charly and delta are
// signed in, in turn, at the hubs.
func testOn(t *testing.T, name string, hubs int, settings string, f func(w *world)) {
	t.Run(name, func(t *testing.T) {
		d := accounts(t, settings)
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, d, hubs)
			f(w)
			w.end()
		})
	})
}

func TestCalls(t *testing.T) {
	sdp := wire.SDPBody{SDP: "v=0"}
	ring := func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.say("bravo", wire.Ringing, idA, sdp)
		w.clear()
	}
	answer := func(w *world) {
		ring(w)
		w.say("bravo", wire.Answer, idA, nil)
		w.clear()
	}
	test(t, "answered and hung up", func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.expect("bravo<call.incoming")
		w.say("bravo", wire.Ringing, idA, sdp)
		w.say("alpha", wire.SDP, idA, sdp)
		w.say("bravo", wire.ICE, idA, wire.ICEBody{Candidate: "x"})
		w.expect("alpha<call.ringing bravo", "bravo<call.sdp", "alpha<call.ice")
		time.Sleep(2 * time.Second)
		w.say("bravo", wire.Answer, idA, nil)
		w.expect("alpha<call.answered", "bravo<call.answered")
		time.Sleep(5 * time.Minute)
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.expect("alpha<call.ended over/hangup", "bravo<call.ended over/hangup")
		w.recorded(over)
		if r := w.records[0]; r.DurationMS != 300_000 || r.By != "alpha" || r.RingingAt == nil {
			t.Errorf("record %+v", r)
		}
	})
	testOn(t, "a door is asked for by a party of an answered call only", 1,
		"[[may_open_door]]\nfrom = [\"*\"]\nto = [\"*\"]\n", func(w *world) {
			ring(w)
			for _, who := range []string{"alpha", "bravo"} { // it only rings
				if err := w.say(who, wire.Door, idA, wire.DoorBody{}); err == nil || err.Code != fault.NotAllowed {
					t.Errorf("%s gets %v", who, err)
				}
			}
			w.expect()
			w.say("bravo", wire.Answer, idA, nil)
			w.clear()
			if err := w.say("charly", wire.Door, idA, wire.DoorBody{From: "bravo"}); err == nil ||
				err.Code != fault.NotParty {
				t.Errorf("a third gets %v", err)
			}
			w.expect()
			w.say("bravo", wire.Door, idA, wire.DoorBody{From: "delta"})
			w.say("alpha", wire.DoorDone, idA, wire.DoorBody{Result: "opened"})
			w.expect("alpha<call.door", "bravo<call.door_done")
		})
	test(t, "declined", func(w *world) {
		ring(w)
		w.say("bravo", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
		w.expect("alpha<call.ended declined/declined", "bravo<call.ended declined/declined")
	})
	test(t, "missed after exactly the ring time", func(w *world) {
		ring(w)
		time.Sleep(30*time.Second - time.Millisecond)
		w.expect()
		time.Sleep(time.Millisecond)
		w.expect("alpha<call.ended missed/no_answer", "bravo<call.ended missed/no_answer")
	})
	test(t, "one that is there and does not ring", func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.clear()
		time.Sleep(wire.AckTime - time.Millisecond)
		w.expect()
		time.Sleep(time.Millisecond)
		w.expectSome("alpha<call.ended failed/network_lost", "bravo<call.ended failed/network_lost")
	})
	test(t, "the times are the hub's settings", func(w *world) {
		w.hubs[0].router.times = Times{Ring: time.Minute, Caller: 50 * time.Second, Ack: 3 * time.Second}
		ring(w)
		time.Sleep(50*time.Second - time.Millisecond)
		w.expect()
		time.Sleep(time.Millisecond)
		w.expect("alpha<call.ended cancelled/ring_timeout", "bravo<call.ended cancelled/ring_timeout")
		w.invite("alpha", "bravo", idB)
		w.clear()
		time.Sleep(3 * time.Second)
		w.recorded(outcome.Of(outcome.Cancelled, outcome.RingTimeout), outcome.Of(outcome.Failed, outcome.NetworkLost))
	})
	test(t, "offline is said at once, with 404 and a record", func(w *world) {
		if err := w.invite("alpha", "nobody", idA); err != nil {
			t.Fatal(err)
		}
		w.expect("alpha<call.ended missed/offline")
		w.recorded(outcome.Of(outcome.Missed, outcome.Offline))
	})
	test(t, "busy does not disturb the busy one", func(w *world) {
		answer(w)
		w.invite("charly", "bravo", idB)
		w.expect("charly<call.ended declined/busy")
	})
	test(t, "both call each other: the first invite is the call", func(w *world) {
		w.invite("alpha", "bravo", idA)
		if err := w.invite("bravo", "alpha", idB); err == nil || err.Code != fault.Conflict {
			t.Fatal(err)
		}
		w.expect("bravo<call.incoming")
	})
	test(t, "an invite said twice rings once", func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.invite("alpha", "bravo", idA)
		w.expect("bravo<call.incoming")
	})
	test(t, "cancelled; the late answer gets the same final word", func(w *world) {
		ring(w)
		w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
		w.expect("alpha<call.ended cancelled/cancelled", "bravo<call.ended cancelled/cancelled")
		time.Sleep(59 * time.Second)
		w.say("bravo", wire.Answer, idA, nil)
		w.expect("bravo<call.ended cancelled/cancelled")
		time.Sleep(2 * time.Second)
		if err := w.say("bravo", wire.Answer, idA, nil); err == nil || err.Code != fault.NotParty {
			t.Fatal(err)
		}
	})
	test(t, "a cancel that lost against the answer hangs up", func(w *world) {
		answer(w)
		w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
		w.recorded(over)
	})
	test(t, "nobody else can touch a call", func(w *world) {
		answer(w)
		for _, m := range []wire.Type{wire.Answer, wire.HangUp, wire.ICE, wire.Decline} {
			if err := w.say("charly", m, idA, wire.HangUpBody{Reason: outcome.HangUp}); err == nil ||
				err.Code != fault.NotParty {
				t.Errorf("%s: %v", m, err)
			}
		}
		w.expect()
	})
	test(t, "only the called device answers", func(w *world) {
		ring(w)
		w.say("alpha", wire.Answer, idA, nil)
		if err := w.say("alpha", wire.Ringing, idA, sdp); err == nil {
			t.Error("the caller said that it rings")
		}
		w.clear()
		time.Sleep(29 * time.Second)
		w.expect() // it rings on
	})
	test(t, "a caller that dies while it rings ends it after four seconds", func(w *world) {
		ring(w)
		w.lose("alpha", false)
		time.Sleep(4*time.Second - 1)
		w.expect()
		time.Sleep(time.Nanosecond)
		w.expect("bravo<call.ended failed/network_lost")
	})
	test(t, "a party that dies in a call ends it after eight", func(w *world) {
		answer(w)
		w.lose("bravo", false)
		time.Sleep(8 * time.Second)
		w.expect("alpha<call.ended over/lost")
		w.recorded(lost)
	})
	test(t, "one that comes back in time keeps its call", func(w *world) {
		answer(w)
		w.lose("bravo", false)
		time.Sleep(8*time.Second - 1)
		w.back("bravo", 0)
		time.Sleep(time.Hour)
		w.expect("bravo<call.answered")
		w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.recorded(over)
	})
	test(t, "one that comes back without its call has lost it", func(w *world) {
		answer(w)
		w.sign("bravo", "one", 0, nil)
		w.expect("bravo closed 4410", "alpha<call.ended over/lost", "bravo<call.ended over/lost")
	})
	test(t, "one that says goodbye is not waited for", func(w *world) {
		answer(w)
		w.lose("bravo", true)
		time.Sleep(time.Millisecond)
		w.expect("alpha<call.ended over/lost")
	})
	test(t, "a stop ends what rings, and lets an answered call go on", func(w *world) {
		answer(w)
		w.invite("charly", "delta", idB)
		w.clear()
		w.hubs[0].Stop()
		w.expectSome("delta<call.ended failed/network_lost", "charly<call.ended failed/network_lost")
		w.recorded(outcome.Of(outcome.Failed, outcome.NetworkLost))
	})
	test(t, "bad invites are refused with the field", func(w *world) {
		for field, b := range map[string]wire.InviteBody{"to": {To: wire.Receivers{"alpha"}, Context: "x"},
			"context":         {To: wire.Receivers{"bravo"}},
			"image":           {To: wire.Receivers{"bravo"}, Context: "x", InitiatorImage: "javascript:1"},
			"mode":            {To: wire.Receivers{"bravo"}, Context: "x", Mode: "loud"},
			"each_ms":         {To: wire.Receivers{"bravo"}, Context: "x", EachMS: 7},
			"max_duration_ms": {To: wire.Receivers{"bravo"}, Context: "x", MaxDurationMS: -1}} {
			if err := w.say("alpha", wire.Invite, idA, b); err == nil || err.Code != fault.InvalidCall ||
				err.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		for _, to := range []string{"bravo,bravo", "bravo,alpha", "", strings.Repeat("bravo,", 17)} {
			if err := w.invite("alpha", to, idA); err == nil || err.Field != "to" {
				t.Errorf("to %q: %v", to, err)
			}
		}
		if err := w.invite("alpha", "bravo", "short"); err == nil || err.Field != "call" {
			t.Errorf("call id: %v", err)
		}
		w.recorded()
	})
}

// expectSome wants these lines among the others.
func (w *world) expectSome(lines ...string) {
	w.t.Helper()
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	for _, l := range lines {
		if !slices.Contains(w.tape, l) {
			w.t.Errorf("no %q in\n  %s", l, strings.Join(w.tape, "\n  "))
		}
	}
	w.tape = nil
}

const settings = `
max_duration = "1m"
[[group]]
id = "everyone"
members = ["bravo", "charly", "delta"]
[[group]]
id = "in_turn"
members = ["bravo", "charly", "delta"]
mode = "sequence"
each = "10s"
[[may_be_answered_automatically]]
from = ["alpha"]
to = ["bravo"]
[[may_call]]
from = ["alpha", "bravo"]
to = ["*"]
[[caller]]
cuid = "bravo"
max_duration = "0s"
`

func TestSeveralAreCalled(t *testing.T) {
	for _, hubs := range []int{1, 2} {
		on := func(name string, f func(w *world)) {
			testOn(t, fmt.Sprintf("%s, hubs: %d", name, hubs), hubs, settings, f)
		}
		rings := func(w *world, cuids ...string) {
			for _, c := range cuids {
				w.say(c, wire.Ringing, idA, wire.SDPBody{SDP: "v=0 " + c})
			}
		}
		on("all of a group ring, the first answer wins, the others stop at once", func(w *world) {
			w.invite("alpha", "everyone", idA)
			w.expectSome("bravo<call.incoming", "charly<call.incoming", "delta<call.incoming")
			rings(w, "charly", "bravo", "delta")
			w.expect("alpha<call.ringing charly")
			w.say("bravo", wire.Answer, idA, nil)
			// The caller had made a path to charly ready; it is told of bravo's before the answer.
			w.expectSome("charly<call.ended cancelled/answered_elsewhere",
				"delta<call.ended cancelled/answered_elsewhere",
				"alpha<call.ringing bravo", "alpha<call.answered", "bravo<call.answered")
			w.say("charly", wire.Answer, idA, nil)
			w.expect("charly<call.ended cancelled/answered_elsewhere")
			w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
			w.expect("alpha<call.ended over/hangup", "bravo<call.ended over/hangup")
			w.recorded(over)
			if w.records[0].To != "bravo" {
				t.Errorf("the record says %s", w.records[0].To)
			}
		})
		on("what the caller said to another's offer does not reach the one that took its place", func(w *world) {
			w.invite("alpha", "bravo,charly", idA)
			rings(w, "bravo", "charly")
			w.say("bravo", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
			w.clear()
			w.say("alpha", wire.SDP, idA, wire.SDPBody{SDP: "for bravo", To: "bravo"})
			w.expect()
			w.say("alpha", wire.SDP, idA, wire.SDPBody{SDP: "for charly", To: "charly"})
			w.expect("charly<call.sdp")
		})
		on("one declines, the others ring on; the last one's no is the end", func(w *world) {
			w.invite("alpha", "bravo,charly", idA)
			rings(w, "bravo", "charly")
			w.clear()
			w.say("bravo", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
			w.expectSome("bravo<call.ended declined/declined", "alpha<call.ringing charly")
			w.say("charly", wire.Decline, idA, wire.DeclineBody{Reason: outcome.Busy})
			w.expectSome("charly<call.ended declined/busy", "alpha<call.ended declined/declined")
		})
		on("one that does not ring is out after the time to acknowledge, the others ring on", func(w *world) {
			w.invite("alpha", "bravo,charly", idA)
			rings(w, "bravo")
			w.clear()
			time.Sleep(wire.AckTime)
			w.expect("charly<call.ended failed/network_lost")
			w.say("bravo", wire.Answer, idA, nil)
			w.expectSome("alpha<call.answered", "bravo<call.answered")
		})
		on("in turn, each for its time, those who are away or busy are passed over", func(w *world) {
			w.lose("charly", true)
			w.invite("alpha", "in_turn", idA)
			w.expect("bravo<call.incoming")
			rings(w, "bravo")
			w.clear()
			time.Sleep(10*time.Second + 2*cluster.AskAllTime)
			w.expect("bravo<call.ended missed/no_answer", "delta<call.incoming")
			rings(w, "delta")
			w.expect("alpha<call.ringing delta")
			time.Sleep(10 * time.Second)
			w.expectSome("delta<call.ended missed/no_answer", "alpha<call.ended missed/no_answer")
		})
		on("nobody of a group is there", func(w *world) {
			for _, n := range []string{"bravo", "charly", "delta"} {
				w.lose(n, true)
			}
			w.invite("alpha", "everyone", idA)
			time.Sleep(time.Second)
			w.expect("alpha<call.ended missed/offline")
		})
		on("the lists say who may call, and who may be answered by itself", func(w *world) {
			w.invite("charly", "bravo", idB)
			w.expect("charly<call.ended declined/not_allowed")
		})
		on("a limit ends a call at both ends, after a warning", func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.say("bravo", wire.Answer, idA, nil)
			w.clear()
			time.Sleep(50 * time.Second)
			w.expect("alpha<call.warning", "bravo<call.warning")
			time.Sleep(10 * time.Second)
			w.expect("alpha<call.ended over/max_duration", "bravo<call.ended over/max_duration")
		})
		on("a caller's own limit comes before the account's, and the invite can only lower it", func(w *world) {
			w.say("bravo", wire.Invite, idA, wire.InviteBody{To: wire.Receivers{"alpha"}, Context: "x",
				MaxDurationMS: 5000})
			w.say("alpha", wire.Answer, idA, nil)
			time.Sleep(5 * time.Second)
			w.recorded(outcome.Of(outcome.Over, outcome.MaxDuration))
			w.invite("bravo", "alpha", idB)
			w.say("alpha", wire.Answer, idB, nil)
			time.Sleep(time.Hour)
			w.recorded(outcome.Of(outcome.Over, outcome.MaxDuration))
			w.say("alpha", wire.HangUp, idB, wire.HangUpBody{Reason: outcome.MaxDuration})
			w.recorded(outcome.Of(outcome.Over, outcome.MaxDuration), over) // no limit, so it was a hang-up
		})
	}
}

func TestSessions(t *testing.T) {
	test(t, "a session that is resumed gets what it missed, once", func(w *world) {
		w.invite("alpha", "bravo", idA)
		b := w.at["bravo"]
		seen := b.seq
		w.lose("bravo", false)
		w.say("alpha", wire.ICE, idA, wire.ICEBody{Candidate: "x"}) // kept for nobody: bravo does not ring yet
		w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
		w.clear()
		w.sign("bravo", "one", 0, &wire.Resume{Session: b.session, Seq: seen}, wire.CallRef{Call: idA})
		w.expectSome("bravo<call.ended cancelled/cancelled")
		if s := w.at["bravo"]; s.session != b.session {
			t.Error("the session is another")
		}
	})
	test(t, "a session cannot be resumed by another device, nor after half a minute", func(w *world) {
		b := w.at["bravo"]
		w.lose("bravo", false)
		resume := &wire.Resume{Session: b.session}
		if s := w.sign("bravo", "two", 0, resume); s != nil {
			t.Error("another device got in while the session lives")
		}
		time.Sleep(wire.SessionGrace + time.Second)
		if s := w.sign("bravo", "two", 0, resume); s == nil || s.session == b.session {
			t.Error("another device got the session, or none")
		}
		c := w.at["charly"]
		w.lose("charly", false)
		time.Sleep(31 * time.Second)
		if s := w.sign("charly", "one", 0, &wire.Resume{Session: c.session}); s.session == c.session {
			t.Error("it lives for ever")
		}
	})
	test(t, "nobody resumes a session without a name", func(w *world) {
		if s := w.sign("another", "one", 0, &wire.Resume{}); s == nil || s.session == "" {
			t.Error("its session has no name")
		}
	})
	test(t, "a caller and a callee that come back while it rings are told all again", func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
		w.say("bravo", wire.ICE, idA, wire.ICEBody{Candidate: "b"})
		w.say("alpha", wire.SDP, idA, wire.SDPBody{SDP: "v=0"})
		w.say("alpha", wire.ICE, idA, wire.ICEBody{Candidate: "a"})
		w.lose("alpha", false)
		w.clear()
		w.back("alpha", 0)
		w.expect("alpha<call.ringing bravo", "alpha<call.ice")
		w.lose("bravo", false)
		w.back("bravo", 0)
		w.expect("bravo<call.incoming", "bravo<call.sdp", "bravo<call.ice")
		w.say("bravo", wire.Answer, idA, nil)
		w.expect("alpha<call.answered", "bravo<call.answered")
	})
	for _, hubs := range []int{1, 2} {
		testOn(t, fmt.Sprintf("the same device takes over at once, another is refused, on %d hubs", hubs), hubs, "",
			func(w *world) {
				first := w.at["alpha"]
				if w.sign("alpha", "one", hubs-1, nil); !first.lost {
					t.Error("the first is still there")
				}
				w.expect("alpha closed 4410")
				if s := w.sign("alpha", "two", 0, nil); s != nil {
					t.Error("another device got in")
				}
				w.lose("alpha", false) // half open: it does not answer
				if s := w.sign("alpha", "two", 0, nil); s != nil {
					t.Error("another device got in while the session lives")
				}
				time.Sleep(wire.SessionGrace + time.Second)
				if s := w.sign("alpha", "two", 0, nil); s == nil {
					t.Error("another device did not get the place of a dead one")
				}
			})
	}
}

func TestPresence(t *testing.T) {
	for _, hubs := range []int{1, 2, 3} {
		testOn(t, fmt.Sprintf("who watches sees all, on %d hubs", hubs), hubs,
			"[[may_see]]\nfrom = ['alpha']\nto = ['*']\n", func(w *world) {
				a := w.at["alpha"]
				sees := func(want map[string]wire.DeviceState) {
					t.Helper()
					time.Sleep(time.Second)
					synctest.Wait()
					w.notes.Lock()
					defer w.notes.Unlock()
					for cuid, state := range want {
						if a.sees[cuid] != state {
							t.Errorf("%s is %q, want %q", cuid, a.sees[cuid], state)
						}
					}
				}
				a.hub.router.watch(a.m)
				sees(map[string]wire.DeviceState{"alpha": wire.Idle, "bravo": wire.Idle, "charly": wire.Idle,
					"delta": wire.Idle})
				w.invite("charly", "bravo", idA)
				sees(map[string]wire.DeviceState{"charly": wire.Busy, "bravo": wire.Rings})
				w.say("bravo", wire.Answer, idA, nil)
				sees(map[string]wire.DeviceState{"charly": wire.Busy, "bravo": wire.Busy})
				w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
				b := w.at["bravo"]
				if err := b.hub.router.declare(b.m,
					wire.New(wire.State, "", wire.StateBody{Health: "degraded",
						Faults: map[string]string{"audio": "no microphone"}})); err != nil {
					t.Error(err)
				}
				sees(map[string]wire.DeviceState{"charly": wire.Idle, "bravo": wire.Degraded})
				if err := b.hub.router.declare(b.m, wire.New(wire.State, "", wire.StateBody{DND: true})); err != nil {
					t.Error(err)
				}
				w.clear()
				w.invite("charly", "bravo", idB)
				w.expect("charly<call.ended declined/busy") // and bravo hears nothing
				sees(map[string]wire.DeviceState{"bravo": wire.DoNotDisturb})
				w.lose("delta", true)
				sees(map[string]wire.DeviceState{"delta": wire.Offline})
				w.sign("delta", "one", 0, nil)
				sees(map[string]wire.DeviceState{"delta": wire.Idle})
				// Changes are told together.
				before := a.told
				for range 50 {
					w.lose("delta", true)
					w.sign("delta", "one", 0, nil)
				}
				sees(map[string]wire.DeviceState{"delta": wire.Idle})
				if a.told > before+2 {
					t.Errorf("%d messages", a.told-before)
				}
				if hubs == 3 { // charly's hub dies
					w.kill(2)
					time.Sleep(presence.WatchEnds + 2*presence.WatchEvery)
					sees(map[string]wire.DeviceState{"charly": wire.Offline, "bravo": wire.DoNotDisturb})
				}
				// The lists count: nobody but alpha sees anybody.
				c := w.at["bravo"]
				c.hub.router.watch(c.m)
				time.Sleep(time.Second)
				if len(c.sees) != 0 {
					t.Errorf("bravo sees %v", c.sees)
				}
			})
	}
	test(t, "what a device says of itself is looked at", func(w *world) {
		a := w.at["alpha"]
		for _, b := range []wire.StateBody{{Health: "great"}, {Faults: map[string]string{"audio": "line\nbreak"}},
			{Faults: map[string]string{"audio": "\u202eevil"}}, {Faults: map[string]string{"": "x"}},
			{Faults: map[string]string{"x": strings.Repeat("y", 501)}}} {
			if err := a.hub.router.declare(a.m, wire.New(wire.State, "", b)); err == nil {
				t.Errorf("%+v is taken", b)
			}
		}
	})
}

func TestASilentStationRaisesOneAlarm(t *testing.T) {
	for _, hubs := range []int{1, 3} {
		testOn(t, fmt.Sprintf("on %d hubs", hubs), hubs, "[[station]]\ncuid = 'bravo'\nsilent_after = '1m'\n",
			func(w *world) {
				var told []string
				ctx, cancel := context.WithCancel(context.Background())
				var watching sync.WaitGroup
				for _, h := range w.hubs {
					watching.Go(func() {
						_ = h.Silence(ctx, func(account, cuid string, silent bool, since time.Time) {
							w.notes.Lock()
							defer w.notes.Unlock()
							told = append(told, fmt.Sprintf("%s/%s silent %v after %v", account, cuid, silent,
								time.Since(since).Round(10*time.Second)))
						})
					})
				}
				expect := func(want ...string) {
					t.Helper()
					synctest.Wait()
					w.notes.Lock()
					defer w.notes.Unlock()
					if !slices.Equal(told, want) {
						t.Errorf("told %q, want %q", told, want)
					}
					told = nil
				}
				time.Sleep(time.Hour)
				w.lose("bravo", true)
				time.Sleep(45 * time.Second)
				w.sign("bravo", "one", 0, nil) // back in time
				time.Sleep(time.Hour)
				expect()
				w.lose("bravo", true)
				time.Sleep(time.Hour)
				expect("demo/bravo silent true after 1m0s")
				w.sign("bravo", "one", hubs-1, nil)
				time.Sleep(time.Minute)
				expect("demo/bravo silent false after 1h0m0s")
				w.lose("bravo", true)
				time.Sleep(2 * time.Minute)
				expect("demo/bravo silent true after 1m0s")
				if hubs > 1 { // whoever has told it dies; another tells the end of it
					value, _, err := w.hubs[0].set.Bus.Claimed(t.Context(), "alarm.demo.bravo")
					if err != nil {
						t.Fatal(err)
					}
					for i, h := range w.hubs {
						if h.router.hubs.Self() == string(value) {
							w.kill(i)
							defer w.start(i)
						}
					}
					time.Sleep(time.Minute)
					for i := range w.hubs {
						if w.hubs[i].router.hubs.Self() != string(value) && w.sign("bravo", "one", i, nil) != nil {
							break
						}
					}
					time.Sleep(time.Minute)
					expect("demo/bravo silent false after 3m0s")
				}
				cancel()
				watching.Wait()
			})
	}
}

func TestHubs(t *testing.T) {
	on := func(name string, hubs int, f func(w *world)) { testOn(t, name, hubs, "", f) }
	answer := func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
		w.say("bravo", wire.Answer, idA, nil)
		w.clear()
	}
	on("a call across hubs", 2, func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.expect("bravo<call.incoming")
		w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
		w.say("alpha", wire.SDP, idA, wire.SDPBody{SDP: "v=0"})
		w.expect("alpha<call.ringing bravo", "bravo<call.sdp")
		w.say("bravo", wire.Answer, idA, nil)
		w.expectSome("alpha<call.answered", "bravo<call.answered")
		w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.expectSome("alpha<call.ended over/hangup", "bravo<call.ended over/hangup")
		w.say("bravo", wire.Answer, idA, nil)
		w.expect("bravo<call.ended over/hangup")
		w.recorded(over)
		if err := w.say("delta", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp}); err == nil ||
			err.Code != fault.NotParty {
			t.Error(err)
		}
	})
	on("busy and offline across hubs", 2, func(w *world) {
		answer(w)
		w.invite("charly", "bravo", idB)
		w.expect("charly<call.ended declined/busy")
		w.invite("charly", "nobody", strings.Replace(idB, "f", "e", 1))
		time.Sleep(time.Second)
		w.expect("charly<call.ended missed/offline")
	})
	on("both call each other from two hubs: one call, the smaller id", 2, func(w *world) {
		w.net.Hold(true)
		w.invite("alpha", "bravo", idB)
		w.invite("bravo", "alpha", idA)
		w.net.Hold(false)
		w.expectSome("alpha<call.incoming", "alpha<call.ended cancelled/cancelled")
		w.say("alpha", wire.Answer, idA, nil)
		w.expectSome("alpha<call.answered", "bravo<call.answered")
		w.recorded(outcome.Of(outcome.Cancelled, outcome.ByCaller))
	})
	on("whoever is called cannot call the caller, also across hubs", 2, func(w *world) {
		w.invite("alpha", "bravo", idA)
		if err := w.invite("bravo", "alpha", idB); err == nil || err.Code != fault.Conflict {
			t.Error(err)
		}
	})
	on("a claim that is wrong is only a hint", 2, func(w *world) {
		w.net.Forge(cluster.DeviceClaim("demo", "bravo"), []byte("hub7"))
		w.invite("alpha", "bravo", idA)
		time.Sleep(time.Second)
		w.expect("bravo<call.incoming")
	})
	on("a party that moves to another hub keeps its call", 3, func(w *world) {
		answer(w)
		w.lose("bravo", false)
		w.back("bravo", 2)
		w.expect("bravo<call.answered")
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.expectSome("bravo<call.ended over/hangup")
		w.recorded(over)
	})
	for _, hubs := range []int{1, 2, 3} {
		on(fmt.Sprintf("a call outlives its hub, of %d", hubs), hubs, func(w *world) {
			answer(w)
			time.Sleep(10 * time.Second)
			w.kill(0)
			if hubs == 1 {
				w.start(0)
			}
			at := hubs - 1
			w.back("alpha", at)
			w.expectSome("alpha<call.answered")
			if hubs != 2 {
				w.back("bravo", at)
			}
			time.Sleep(time.Minute)
			w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
			w.expectSome("alpha<call.ended over/hangup", "bravo<call.ended over/hangup")
			w.recorded(over)
			if r := w.records[0]; r.DurationMS/1000 != 70 || r.From != "alpha" || r.Context != "Delivery" {
				t.Errorf("%d ms, from %s", r.DurationMS, r.From)
			}
			for _, h := range w.hubs[at:] {
				if who := h.busy(); len(who) > 0 {
					t.Errorf("%s: busy", who)
				}
			}
		})
	}
	on("an end that the hub did not hear is recorded when it is back", 1, func(w *world) {
		answer(w)
		w.kill(0)
		at := time.Now().Add(5 * time.Second)
		time.Sleep(time.Minute)
		w.start(0)
		b := w.at["bravo"]
		w.sign("bravo", "one", 0, nil)
		if err := w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp, Ticket: b.tickets[idA],
			EndedAt: &at}); err != nil {
			t.Error(err)
		}
		w.recorded(over)
		if r := w.records[0]; r.DurationMS != 5000 || r.By != "bravo" {
			t.Errorf("%+v", r)
		}
		w.sign("alpha", "one", 0, nil)
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp, Ticket: b.tickets[idA], EndedAt: &at})
		w.recorded(over) // once
	})
	on("an end that no hub heard is told from a new call, at another hub", 2, func(w *world) {
		answer(w)
		old := w.at["alpha"].tickets[idA]
		w.kill(0)
		w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		time.Sleep(time.Second)
		w.start(0)
		w.sign("alpha", "one", 0, nil)
		w.sign("charly", "one", 0, nil)
		w.invite("alpha", "charly", idB)
		at := time.Now()
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp, Ticket: old, EndedAt: &at})
		time.Sleep(time.Second)
		w.recorded(over)
		w.say("alpha", wire.Cancel, idB, wire.CancelBody{Reason: outcome.ByCaller})
		time.Sleep(time.Second)
		w.recorded(over, outcome.Of(outcome.Cancelled, outcome.ByCaller))
	})
	on("a forged ticket is worth nothing", 1, func(w *world) {
		answer(w)
		ticket := w.at["bravo"].tickets[idA]
		w.kill(0)
		w.start(0)
		for _, bad := range []string{"", "x", ticket[:len(ticket)-2] + "zz",
			access.NewSecret().For("call ticket").Sign([]byte(`{"a":"demo"}`))} {
			w.sign("charly", "one", 0, nil, wire.CallRef{Call: idA, Ticket: bad})
		}
		w.sign("charly", "one", 0, nil, wire.CallRef{Call: idA, Ticket: ticket}) // not its own
		if err := w.say("charly", wire.HangUp, idA,
			wire.HangUpBody{Reason: outcome.HangUp, Ticket: ticket}); err == nil || err.Code != fault.NotParty {
			t.Error(err)
		}
		w.recorded()
	})
	on("the owner of a call that rings dies: both sides have a result", 2, func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
		w.clear()
		w.kill(0)
		w.say("bravo", wire.Answer, idA, nil)
		w.expectSome("bravo<error ERR_NOT_PARTY")
	})
	on("a hub that is cut off serves its own; across hubs there is a clear end within two seconds", 2, func(w *world) {
		bus := w.hubs[0].set.Bus.(*hubtest.Bus)
		bus.Down(true)
		w.invite("alpha", "charly", idA)
		w.expect("charly<call.incoming")
		w.say("charly", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
		w.clear()
		w.invite("alpha", "bravo", idB)
		time.Sleep(2 * time.Second)
		w.expect("alpha<call.ended failed/network_lost")
		w.sign("echo_1", "one", 0, nil)
		bus.Down(false)
		time.Sleep(10 * time.Second)
		if _, revision, _ := bus.Claimed(context.Background(), cluster.DeviceClaim("demo", "echo_1")); revision == 0 ||
			w.at["echo_1"].lost {
			t.Error("its claim was not made good")
		}
	})
	on("a hub whose lease ran out lets all go, and records nothing", 2, func(w *world) {
		answer(w)
		bus := w.hubs[0].set.Bus.(*hubtest.Bus)
		bus.Down(true)
		time.Sleep(time.Minute)
		bus.Down(false)
		time.Sleep(RenewEvery)
		w.expectSome("alpha closed 1012")
		w.recorded()
		w.back("alpha", 0)
		w.expectSome("alpha<call.answered")
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.recorded(over)
	})
	for at, lose := range map[string]func(w *world){
		"the end, from the owner": func(w *world) {
			w.hubs[0].set.Bus.(*hubtest.Bus).Lose(1)
			w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		},
		"the end, from the other": func(w *world) {
			w.hubs[1].set.Bus.(*hubtest.Bus).Lose(1)
			w.lose("bravo", true)
		},
	} {
		on("a word between hubs is lost: "+at, 2, func(w *world) {
			answer(w)
			lose(w)
			time.Sleep(30 * time.Second)
			for _, h := range w.hubs {
				if who := h.busy(); len(who) > 0 || h.router.liveCalls.Load() > 0 {
					t.Errorf("%q are busy, %d calls live", who, h.router.liveCalls.Load())
				}
			}
			if len(w.records) != 1 {
				t.Errorf("%d records", len(w.records))
			}
		})
	}
	on("a word between hubs is lost: that it rings", 2, func(w *world) {
		w.hubs[1].set.Bus.(*hubtest.Bus).Lose(1)
		w.invite("alpha", "bravo", idA)
		time.Sleep(10 * time.Second)
		w.expectSome("alpha<call.ended failed/network_lost", "bravo<call.ended failed/network_lost")
		if who := w.hubs[1].busy(); len(who) > 0 {
			t.Errorf("%q are busy", who)
		}
	})
	on("a stop of the owner hands a call over", 2, func(w *world) {
		answer(w)
		w.hubs[0].Stop()
		w.expectSome("alpha closed 1012")
		w.kill(0)
		time.Sleep(5 * time.Second)
		w.back("alpha", 1)
		w.expectSome("alpha<call.answered")
		time.Sleep(time.Minute)
		w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		w.expectSome("alpha<call.ended over/hangup")
		w.recorded(over)
	})
	on("eight devices want one cuid", 3, func(w *world) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		in := 0
		for i := range 8 {
			wg.Go(func() {
				s := &station{latest: map[wire.Type]wire.Envelope{}, name: "foxtrot", world: w, hub: w.hubs[i%3],
					ended: map[string][]outcome.Outcome{}, tickets: map[string]string{}}
				h := hello{grant: demoKey.Grant(),
					HelloBody: wire.HelloBody{Account: "demo", CUID: "foxtrot", Instance: fmt.Sprint(i)}}
				if _, err := s.hub.router.enter(context.Background(), dev("foxtrot"), h, s,
					wire.WelcomeBody{}); err == nil {
					mu.Lock()
					in++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if in != 1 {
			t.Errorf("%d got in", in)
		}
	})
}

// Whatever happens in whatever order, on one hub or three: one outcome that both sides share, one record, and nobody
// stays busy.
func TestAnyInterleavingEndsInOneOutcome(t *testing.T) {
	d := accounts(t, "")
	rapid.Check(t, func(rt *rapid.T) {
		hubs := rapid.SampledFrom([]int{1, 3}).Draw(rt, "hubs")
		steps := rapid.SliceOfN(rapid.IntRange(0, 17), 1, 30).Draw(rt, "steps")
		var failure error
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, d, hubs)
			var all []*station
			for _, s := range w.at {
				all = append(all, s)
			}
			back := func(name string, at int) {
				if s := w.back(name, at%hubs); s != nil {
					all = append(all, s)
				}
			}
			for _, s := range steps {
				interleave(w, s, back)
			}
			time.Sleep(time.Minute)
			for _, n := range []string{"alpha", "bravo"} { // who talks still has no limit: end it
				back(n, 0)
				for _, id := range []string{idA, idB} {
					w.say(n, wire.HangUp, id, wire.HangUpBody{Reason: outcome.HangUp})
				}
			}
			time.Sleep(time.Minute)
			failure = w.agreed(all)
			w.end()
			if n := w.net.Keys(); n > 8 {
				failure = fmt.Errorf("%d claims are left", n)
			}
		})
		if failure != nil {
			rt.Fatal(failure)
		}
	})
}

// interleave does one of the things that can happen.
func interleave(w *world, step int, back func(string, int)) {
	hangUp := wire.HangUpBody{Reason: outcome.HangUp}
	switch step {
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
		w.say("alpha", wire.HangUp, idA, hangUp)
	case 8:
		w.say("bravo", wire.HangUp, idB, wire.HangUpBody{Reason: outcome.Lost})
	case 9:
		w.lose("alpha", false)
	case 10:
		back("alpha", 0)
	case 11:
		back("bravo", 1)
	case 12:
		time.Sleep(3 * time.Second)
	case 13:
		w.lose("bravo", true)
	case 14:
		back("alpha", 2)
	case 15:
		w.invite("alpha", "bravo,charly", idA)
	case 16:
		w.say("charly", wire.Answer, idA, nil)
	case 17:
		w.say("charly", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
	}
}

// agreed checks that each call has one record, that its parties were told what it says, and that all are free.
func (w *world) agreed(all []*station) (err error) {
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	want := map[string]outcome.Result{}
	for _, r := range w.records {
		if _, twice := want[r.Call]; twice {
			return fmt.Errorf("call %s has two records", r.Call)
		}
		want[r.Call] = r
	}
	for _, s := range all {
		for id, told := range s.ended {
			for _, o := range told {
				// Of several that were called, one may be out before the call ends.
				if r := want[id]; !o.Valid() || o != r.Outcome && (s.name == r.From || s.name == r.To) {
					return fmt.Errorf("%s was told %v of a call recorded as %v", s.name, o, want[id].Outcome)
				}
			}
		}
	}
	for _, h := range w.hubs {
		if who := h.busy(); len(who) > 0 {
			return fmt.Errorf("%s: still busy", who)
		}
		if n := h.router.liveCalls.Load(); n != 0 {
			return fmt.Errorf("%d calls live", n)
		}
	}
	return nil
}

// busy are the devices that are in a call.
func (h *Hub) busy() (who []string) {
	h.router.mu.Lock()
	defer h.router.mu.Unlock()
	for _, m := range h.router.sessions {
		if m.call.id != "" {
			who = append(who, m.cuid)
		}
	}
	return who
}
