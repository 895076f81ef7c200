package call

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

var update = flag.Bool("update", false, "write the golden table")

var (
	declined = outcome.Of(outcome.Declined, outcome.ByHand)
	busy     = outcome.Of(outcome.Declined, outcome.Busy)
	offline  = outcome.Of(outcome.Missed, outcome.Offline)
	noAnswer = outcome.Of(outcome.Missed, outcome.NoAnswer)
	lost     = outcome.Of(outcome.Failed, outcome.NetworkLost)
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// placed is a call of alpha that was just placed.
func placed(p Plan, callees ...string) State {
	p.Ring, p.Caller, p.Ack = 30*time.Second, 35*time.Second, 10*time.Second
	s := State{Plan: p, Name: "Front door", Result: outcome.Result{Call: "c", From: "alpha",
		To: strings.Join(callees, ","), Context: "x", InvitedAt: outcome.At(start)}}
	for _, c := range callees {
		s.Legs = append(s.Legs, Leg{CUID: c})
	}
	return s
}

// run applies events, one a second, and gives the state after them and the actions of the last.
func run(s State, events ...Event) (State, []Action) {
	var acts []Action
	for i, e := range events {
		s, acts = Next(s, e, start.Add(time.Duration(i)*time.Second))
	}
	return s, acts
}

func rings(by string) Event {
	return Relay{By: by, Message: wire.New(wire.Ringing, "c", wire.SDPBody{SDP: by})}
}

// elsewhere is bravo ringing in one more place.
func elsewhere(place int) Event {
	return Relay{By: "bravo", Message: wire.New(wire.Ringing, "c", wire.SDPBody{SDP: fmt.Sprint("place ", place)})}
}

// restless is a call that rings at bravo, which says so n times, each time in another place; and what follows.
func restless(n int, then ...Event) State {
	s, _ := run(placed(Plan{}, "bravo", "charly"), Begin{})
	for i := range n {
		s, _ = Next(s, elsewhere(i), start)
	}
	for _, e := range then {
		s, _ = Next(s, e, start)
	}
	return s
}

func full(by string) []Event {
	return slices.Repeat([]Event{candidate(by)}, wire.MaxCandidates)
}

func describes(by, to string) Event {
	return Relay{by, to, wire.New(wire.SDP, "c", wire.SDPBody{SDP: by})}
}

func candidate(by string) Event {
	return Relay{By: by, Message: wire.New(wire.ICE, "c", wire.ICEBody{Candidate: by})}
}

func door(by string) Event {
	return Relay{By: by, Message: wire.New(wire.Door, "c", wire.DoorBody{From: by})}
}

// situation is a call in the middle.
type situation struct {
	name   string
	placed State
	events []Event
}

var situations = []situation{
	{"offered", placed(Plan{}, "bravo"), []Event{Begin{}}},
	{"rings", placed(Plan{}, "bravo"), []Event{Begin{}, rings("bravo")}},
	{"answered", placed(Plan{}, "bravo"), []Event{Begin{}, rings("bravo"), Answer{"bravo"}}},
	{"metered", placed(Plan{Limit: time.Minute}, "bravo"), []Event{Begin{}, rings("bravo"), Answer{"bravo"}}},
	{"over", placed(Plan{}, "bravo"), []Event{Begin{}, rings("bravo"), Decline{"bravo", outcome.ByHand}}},
	{"two offered", placed(Plan{}, "bravo", "charly"), []Event{Begin{}}},
	{"two ring", placed(Plan{}, "bravo", "charly"),
		[]Event{Begin{}, rings("bravo"), rings("charly"), describes("alpha", "bravo")}},
	{"one of two", placed(Plan{}, "bravo", "charly"),
		[]Event{Begin{}, rings("bravo"), Decline{"charly", outcome.Busy}}},
	{"two, answered", placed(Plan{}, "bravo", "charly"),
		[]Event{Begin{}, rings("bravo"), rings("charly"), Answer{"charly"}}},
	{"first in turn", placed(Plan{Each: 10 * time.Second}, "bravo", "charly"), []Event{Begin{}, rings("bravo")}},
	{"last in turn", placed(Plan{Each: 10 * time.Second}, "bravo", "charly"),
		[]Event{Begin{}, rings("bravo"), Expired{TurnTimer}, rings("charly")}},
	{"adopted", Adopt(Ticket{"demo", "c", "alpha", "bravo", "x", start, nil, start, time.Minute}), []Event{Begin{}}},
}

func in(name string) State {
	s := situations[slices.IndexFunc(situations, func(s situation) bool { return s.name == name })]
	state, _ := run(s.placed, s.events...)
	return state
}

// everything that can happen to a call of these parties.
func everything(parties ...string) []Event {
	all := []Event{Shutdown{}, Expired{RingTimer}, Expired{CallerTimer}, Expired{AckTimer}, Expired{TurnTimer},
		Expired{WarnTimer}, Expired{MaxTimer}}
	for _, p := range parties {
		all = append(all, Invite{p}, Answer{p}, Decline{p, outcome.ByHand}, Decline{p, outcome.Busy},
			Cancel{p, outcome.ByCaller},
			HangUp{By: p, Reason: outcome.HangUp}, HangUp{By: p, Reason: outcome.MediaFailed},
			HangUp{By: p, Reason: outcome.MaxDuration},
			HangUp{p, outcome.Lost, start.Add(2500 * time.Millisecond)}, describes(p, ""), candidate(p), door(p),
			AskServers{p}, Lost{p}, CatchUp{p})
		if p != "alpha" {
			all = append(all, rings(p), Relay{By: p,
				Message: wire.New(wire.Ringing, "c", wire.SDPBody{SDP: "elsewhere"})}, describes("alpha", p),
				Unavailable{By: p, Outcome: offline}, Unavailable{By: p, Outcome: busy}, Unavailable{p, lost, true})
		}
	}
	return all
}

func (s State) everything() []Event {
	parties := []string{s.From}
	for _, g := range s.Legs {
		parties = append(parties, g.CUID)
	}
	return everything(parties...)
}

func ends(to string, o outcome.Outcome) string {
	return fmt.Sprintf("Send{%s,%s,%v}", to, wire.Ended, o)
}

func TestRules(t *testing.T) {
	rung := in("two ring")
	for name, c := range map[string]struct {
		before State
		event  Event
		must   string // actions as show writes them, in this order, others between; "" for none at all
	}{
		"all of several are offered the call": {placed(Plan{}, "bravo", "charly"), Begin{},
			"Offer{bravo,call.incoming,29s} Offer{charly,call.incoming,29s} SetTimer{ack,10s}"},
		"in a sequence the first": {placed(Plan{Each: 10 * time.Second}, "bravo",
			"charly"), Begin{}, "Offer{bravo,call.incoming,10s} SetTimer{turn,10s}"},
		"the first to ring is the lead": {in("two offered"), rings("charly"),
			"SendServers{alpha} Send{alpha,call.ringing,charly}"},
		"the caller does not hear of another": {in("one of two"), describes("charly", ""), ""},
		"the first answer gets the call": {rung, Answer{"charly"},
			ends("bravo", outcome.Of(outcome.Cancelled, outcome.AnsweredElsewhere)) +
				" Send{alpha,call.ringing,charly} SendAnswered{alpha,charly} SendAnswered{charly,alpha}"},
		"the second is told that it came too late": {in("two, answered"), Answer{"bravo"},
			ends("bravo", outcome.Of(outcome.Cancelled, outcome.AnsweredElsewhere))},
		"the caller cannot answer": {in("rings"), Answer{"alpha"},
			"Send{alpha,call.ringing,bravo}"},
		"a lead that declines leaves the caller to the next": {rung, Decline{"bravo", outcome.ByHand},
			ends("bravo", declined) + " Send{alpha,call.ringing,charly}"},
		"what was said to the lead before is not for the next": {in("one of two"), describes("alpha", "charly"), ""},
		"of the reasons the most human one counts": {in("one of two"), Decline{"bravo", outcome.ByHand},
			"StopTimer{} Report{declined/declined,bravo} " + ends("alpha", declined)},
		"in a sequence the next one's turn comes": {in("first in turn"), Expired{TurnTimer},
			ends("bravo", noAnswer) + " Offer{charly,call.incoming,10s} SetTimer{turn,10s}"},
		"after the last one the call is missed": {in("last in turn"), Expired{TurnTimer},
			"Report{missed/no_answer,hub}"},
		"a cancel that lost against the answer hangs up": {in("answered"), Cancel{"alpha", outcome.ByCaller},
			"Report{over/hangup,alpha}"},
		"so does a late decline": {in("answered"), Decline{"bravo", outcome.Busy},
			"Report{over/hangup,bravo}"},
		"a decline for no reason of the contract is one by hand": {in("rings"), Decline{"bravo", "whim"},
			"Report{declined/declined,bravo}"},
		"nobody cancels with what only the hub may say": {in("rings"),
			Cancel{"alpha", outcome.AnsweredElsewhere}, "Report{cancelled/cancelled,alpha}"},
		"a callee cannot cancel": {in("rings"), Cancel{"bravo", outcome.ByCaller},
			"Send{bravo,call.incoming,29s}"},
		"a caller cannot decline": {in("rings"), Decline{"alpha", outcome.Busy},
			"Send{alpha,call.ringing,bravo}"},
		"a hang-up before the answer is a cancel": {in("rings"), HangUp{By: "alpha", Reason: outcome.Lost},
			"Report{cancelled/cancelled,alpha}"},
		"or a decline": {in("rings"), HangUp{By: "bravo", Reason: outcome.Lost}, "Report{declined/declined,bravo}"},
		"a media path that failed after the answer": {in("answered"),
			HangUp{By: "alpha", Reason: outcome.MediaFailed}, "Report{failed/media_failed,alpha}"},
		"a limit that a party makes up is a hang-up": {in("answered"),
			HangUp{By: "alpha", Reason: outcome.MaxDuration}, "Report{over/hangup,alpha}"},
		"a callee that is offline ends the call of one": {in("offered"),
			Unavailable{By: "bravo", Outcome: offline}, "Report{missed/offline,hub} " + ends("alpha", offline)},
		"and hears nothing of it": {in("two offered"),
			Unavailable{By: "bravo", Outcome: offline}, ""},
		"unless it may ring all the same": {in("two offered"),
			Unavailable{"bravo", lost, true}, ends("bravo", lost)},
		"whoever does not ring in time is out": {in("one of two"), Expired{AckTimer}, ""},
		"of two, whoever rings goes on": {in("two offered"), Expired{AckTimer},
			ends("bravo", lost) + " Report{failed/network_lost,hub}"},
		"nobody answers in time": {in("rings"), Expired{RingTimer},
			"Report{missed/no_answer,hub}"},
		"the caller's patience": {in("rings"), Expired{CallerTimer},
			"Report{cancelled/ring_timeout,hub}"},
		"no timer of the ringing ends an answered call": {in("answered"), Expired{RingTimer}, ""},
		"the limit is near": {in("metered"), Expired{WarnTimer},
			"Send{alpha,call.warning} Send{bravo,call.warning}"},
		"and reached": {in("metered"), Expired{MaxTimer}, "Report{over/max_duration,hub}"},
		"a caller that is lost while it rings ends the call": {rung, Lost{"alpha"},
			"Report{failed/network_lost,alpha}"},
		"a callee only its leg": {rung, Lost{"charly"}, ends("charly", lost)},
		"whoever is lost after the answer ends it": {in("answered"), Lost{"bravo"},
			"Report{over/lost,bravo}"},
		"a hub that stops ends what rings": {in("rings"), Shutdown{},
			"Report{failed/network_lost,hub}"},
		"and leaves an answered call alone":          {in("answered"), Shutdown{}, ""},
		"a door is no matter of one that only rings": {in("rings"), door("bravo"), ""},
		"a door is asked for after the answer": {in("answered"), door("alpha"),
			"Send{bravo,call.door}"},
		"a caller that reconnects while it rings": {in("rings"), CatchUp{"alpha"},
			"SendServers{alpha} Send{alpha,call.ringing,bravo}"},
		"a callee that reconnects while it rings": {rung, CatchUp{"bravo"},
			"Send{bravo,call.incoming,29s} Send{bravo,call.sdp}"},
		"a party that reconnects after the answer": {in("answered"), CatchUp{"bravo"},
			"SendServers{bravo} SendAnswered{bravo,alpha}"},
		"a callee whose turn has not come is told nothing": {in("first in turn"), CatchUp{"charly"}, ""},
		"the result is told again to whoever comes late": {in("over"), Answer{"bravo"},
			ends("bravo", declined)},
		"but not for what was on its way to the peer": {in("over"), candidate("alpha"), ""},
		"one that rings in another place has another media path": {in("rings"),
			Relay{By: "bravo", Message: wire.New(wire.Ringing, "c", wire.SDPBody{SDP: "elsewhere"})},
			"SendServers{alpha} Send{alpha,call.ringing,bravo}"},
		"a ringing said twice is passed on, and changes nothing": {in("rings"), rings("bravo"),
			"Send{alpha,call.ringing,bravo}"},
		"one that rings in a new place again and again is heard a few times": {restless(MaxRung - 1), elsewhere(99),
			"SendServers{alpha} Send{alpha,call.ringing,bravo}"},
		"and then no more":                {restless(MaxRung), elsewhere(99), ""},
		"nor when it says the same again": {restless(MaxRung), elsewhere(MaxRung - 1), ""},
		"it can be answered all the same": {restless(MaxRung), Answer{"bravo"},
			"SendAnswered{alpha,bravo} SendAnswered{bravo,alpha}"},
		"nor by turns with another": {restless(MaxRung, rings("charly")), elsewhere(99), ""},
		"as many candidates as are kept": {restless(1, full("bravo")[1:]...), candidate("bravo"),
			"Send{alpha,call.ice}"},
		"more are not passed on":  {restless(1, full("bravo")...), candidate("bravo"), ""},
		"nor those of the caller": {restless(1, full("alpha")...), candidate("alpha"), ""},
		"in a call they are, as they come": {restless(1, append(full("alpha"), Answer{"bravo"})...), candidate("alpha"),
			"Send{bravo,call.ice}"},
		"with another description they are": {restless(1, append(full("bravo"), elsewhere(1))...), candidate("bravo"),
			"Send{alpha,call.ice}"},
		"an adopted call has what is left of its limit": {Adopt(Ticket{"demo", "c", "alpha", "bravo",
			"x", start, nil, start.Add(-40 * time.Second), time.Minute}), Begin{},
			"SetTimer{warning,9s} SetTimer{max,19s}"},
		"the servers of a media path, for one that may have such": {in("rings"), AskServers{"alpha"},
			"SendServers{alpha}"},
		"and not before anybody rings": {in("offered"), AskServers{"alpha"}, ""},
		"whoever hangs up a call that several ring is out of it alone": {rung, HangUp{By: "charly"},
			ends("charly", declined)},
	} {
		t.Run(name, func(t *testing.T) {
			_, acts := Next(c.before, c.event, start.Add(time.Second))
			did := " " + strings.Join(shown(acts), " ") + " "
			if c.must == "" && len(acts) > 0 {
				t.Errorf("did%swant nothing", did)
			}
			rest := did
			for m := range strings.FieldsSeq(c.must) {
				_, after, found := strings.Cut(rest, " "+m)
				if !found {
					t.Fatalf("did%s, want %s in its order", did, m)
				}
				rest = after
			}
		})
	}
}

// One told late ended when it did, but neither before the answer nor after now.
func TestALateHangUpIsDated(t *testing.T) {
	s := in("answered") // at start + 2 s
	for at, want := range map[time.Duration]int64{5 * time.Second: 3000, -time.Hour: 0, time.Hour: 58000} {
		after, _ := Next(s, HangUp{"alpha", outcome.HangUp, start.Add(at)}, start.Add(time.Minute))
		if after.DurationMS != want {
			t.Errorf("told to have ended at %v, it lasted %d ms, want %d", at, after.DurationMS, want)
		}
	}
}

// FuzzAnyStringOfEvents applies events in any order, and looks at what the parties and the owner see.
func FuzzAnyStringOfEvents(f *testing.F) {
	for i := range situations {
		f.Add(byte(i), []byte{0, 20, 30, 40, 3, 7, 9})
	}
	f.Fuzz(func(t *testing.T, from byte, tape []byte) {
		at := situations[int(from)%len(situations)]
		s, acts := Next(at.placed, Begin{}, start)
		w := newWorld(s)
		w.do(t, s, acts)
		all := s.everything()
		now := start
		for _, b := range tape {
			e := all[int(b)%len(all)]
			now = now.Add(time.Second)
			if !w.possible(s, e) {
				continue
			}
			before, text := s, fmt.Sprintf("%+v", s)
			s, acts = Next(s, e, now)
			if fmt.Sprintf("%+v", before) != text {
				t.Fatalf("%s changed the state that it was given", show(e))
			}
			if before.Ended() && !reflect.DeepEqual(before, s) {
				t.Fatalf("%s changed a call that is over", show(e))
			}
			w.spoke[speaker(e)] = true
			if c, ok := e.(CatchUp); ok {
				w.spoke[c.By] = true
			}
			w.do(t, s, acts)
			if s.Ended() != (w.reports == 1) || s.Ended() && len(w.timers) > 0 {
				t.Fatalf("after %s: over %v, %d reports, timers %v", show(e), s.Ended(), w.reports, w.timers)
			}
			if !s.Ended() && s.AnsweredAt == nil && !(w.timers[RingTimer] && w.timers[CallerTimer]) {
				t.Fatalf("after %s it can ring for ever: %v", show(e), w.timers)
			}
		}
		s, acts = Next(s, Lost{"alpha"}, now)
		w.do(t, s, acts)
		for cuid := range w.offered {
			if _, told := w.ended[cuid]; !told && s.Leg(cuid).Result.EndedAt == nil {
				t.Fatalf("%s was offered the call and never told of its end", cuid)
			}
		}
		if w.reports != 1 {
			t.Fatalf("%d reports", w.reports)
		}
	})
}

// world is what the parties and the owner of a call see of the actions.
type world struct {
	timers   map[Timer]bool
	offered  map[string]bool
	spoke    map[string]bool // of the call, whoever told them of it
	answered string          // the callee that got the call
	ended    map[string]outcome.Outcome
	reports  int
}

func newWorld(s State) *world {
	w := &world{timers: map[Timer]bool{}, offered: map[string]bool{}, spoke: map[string]bool{},
		ended: map[string]outcome.Outcome{}}
	if s.Adopted {
		w.offered["bravo"], w.answered = true, "bravo"
	}
	return w
}

// possible reports whether an event can happen now: a timer that was not set does not expire, and only an offer fails.
func (w *world) possible(s State, e Event) bool {
	switch e := e.(type) {
	case Expired:
		return w.timers[e.Timer]
	case Unavailable:
		return s.Leg(e.By).Phase == Offered
	}
	return true
}

func (w *world) do(t *testing.T, s State, acts []Action) {
	for _, a := range acts {
		switch a := a.(type) {
		case Offer:
			if w.answered != "" || w.reports > 0 {
				t.Fatalf("%s is offered a call that is answered or over", a.To)
			}
			w.offered[a.To] = true
		case SendAnswered:
			callee := a.To
			if callee == s.From {
				callee = a.Peer
			}
			if w.answered != "" && w.answered != callee {
				t.Fatalf("%s and %s got the call", w.answered, callee)
			}
			w.answered = callee
		case Send:
			if a.To != s.From && !w.offered[a.To] && !w.spoke[a.To] {
				t.Fatalf("%s hears of a call that it was not offered: %s", a.To, show(a))
			}
			if a.Message.T == wire.Ended {
				b, _ := wire.Body[wire.EndedBody](a.Message)
				if before, told := w.ended[a.To]; told && before != b.Outcome {
					t.Fatalf("%s is told %v, and then %v", a.To, before, b.Outcome)
				}
				w.ended[a.To] = b.Outcome
			}
		case SetTimer:
			w.timers[a.Timer] = true
		case StopTimer:
			delete(w.timers, a.Timer)
			if a.Timer == "" {
				clear(w.timers)
			}
		case Report:
			w.reports++
			if !a.Result.Valid() {
				t.Fatalf("the contract has no %v", a.Result.Outcome)
			}
		}
	}
}

func TestATicketIsOfItsCallAndItsParties(t *testing.T) {
	s := in("metered")
	b, err := json.Marshal(s.Ticket("demo"))
	if err != nil {
		t.Fatal(err)
	}
	if want :=
		`{"a":"demo","id":"c","f":"alpha","t":"bravo","x":"x","i":"2026-01-02T03:04:05Z","r":"2026-01-02T03:04:06Z","n":"2026-01-02T03:04:07Z","l":60000000000}`; string(b) != want {
		t.Errorf("the ticket is %s, want %s: hubs of other versions read it", b, want)
	}
	var k Ticket
	if err := json.Unmarshal(b, &k); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		account, cuid, call string
		after               time.Duration
		want                bool
	}{{"demo", "alpha", "c", 0, true}, {"demo", "bravo", "c", 23 * time.Hour, true},
		{"demo", "bravo", "c", 25 * time.Hour, false}, {"demo", "charly", "c", 0, false},
		{"demo", "alpha", "d", 0, false}, {"other", "alpha", "c", 0, false}} {
		if got := k.Has(c.account, c.cuid, c.call, start.Add(c.after)); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if a := Adopt(k); !a.Live() || !a.Adopted || k.Peer("alpha") != "bravo" || k.Peer("bravo") != "alpha" {
		t.Errorf("%+v", a)
	}
}

func TestSaidRefusesWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		e    wire.Envelope
		want fault.Code
	}{
		"a message of another kind": {wire.Envelope{T: "nonsense"}, fault.BadMessage},
		"a body that is none": {wire.Envelope{T: wire.HangUp, B: json.RawMessage(`[]`)},
			fault.BadMessage},
		"a description too long": {wire.New(wire.SDP, "c",
			wire.SDPBody{SDP: strings.Repeat("x", wire.MaxDescription)}), fault.TooLarge},
		"a candidate too long": {wire.New(wire.ICE, "c",
			wire.ICEBody{Candidate: strings.Repeat("x", wire.MaxCandidateBody)}), fault.TooLarge},
		"a door that says too much": {wire.New(wire.Door, "c",
			wire.DoorBody{Result: strings.Repeat("x", 500)}), fault.TooLarge},
		"an answer needs no body":                     {wire.Envelope{T: wire.Answer}, ""},
		"a door says who asks, not who it says it is": {wire.New(wire.Door, "c", wire.DoorBody{From: "delta"}), ""},
	} {
		e, err := Said("alpha", c.e)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Code != c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if r, ok := e.(Relay); ok && c.want == "" {
			if b, _ := wire.Body[wire.DoorBody](r.Message); b.From != "alpha" {
				t.Errorf("%s: from %q", name, b.From)
			}
		}
	}
}

// The whole table, so that a changed rule shows as a diff.
func TestGoldenTable(t *testing.T) {
	var b strings.Builder
	for _, at := range situations {
		s, w := at.placed, newWorld(at.placed)
		for i, e := range at.events {
			var acts []Action
			s, acts = Next(s, e, start.Add(time.Duration(i)*time.Second))
			w.do(t, s, acts)
		}
		for _, e := range s.everything() {
			after, acts := Next(s, e, start.Add(9*time.Second))
			if !w.possible(s, e) || reflect.DeepEqual(s, after) && len(acts) == 0 {
				continue
			}
			row := fmt.Sprintf("%-13s %-40s → %-30s %s", at.name, show(e), phases(after),
				strings.Join(shown(acts), " "))
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	const path = "testdata/table.golden"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := os.ReadFile(path)
	if b.String() != string(want) {
		t.Error("the rules of a call at the hub changed; run 'go test ./hub/call -update' and read the diff")
	}
}

// phases writes a state: its result, if it has one, and the phase of each leg; * is the lead.
func phases(s State) string {
	var all []string
	for _, g := range s.Legs {
		one := g.CUID + ":" + string(g.Phase)
		if g.Phase == Waiting {
			one += "waiting"
		}
		if g.CUID == s.Lead {
			one += "*"
		}
		all = append(all, one)
	}
	if s.Ended() {
		return s.Outcome.String()
	}
	return strings.Join(all, " ")
}

func shown(acts []Action) (all []string) {
	for _, a := range acts {
		all = append(all, show(a))
	}
	return all
}

// show writes an event or an action in one word.
func show(v any) string {
	var fields []string
	for i := range reflect.ValueOf(v).NumField() {
		switch f := reflect.ValueOf(v).Field(i).Interface().(type) {
		case wire.Envelope:
			fields = append(fields, message(f)...)
		case outcome.Result:
			fields = append(fields, f.Outcome.String(), f.By)
		case time.Time:
			if !f.IsZero() {
				fields = append(fields, f.Sub(start).String())
			}
		case bool:
			if f {
				fields = append(fields, strings.ToLower(reflect.TypeOf(v).Field(i).Name))
			}
		default:
			fields = append(fields, fmt.Sprint(f))
		}
	}
	return reflect.TypeOf(v).Name() + "{" + strings.Trim(strings.Join(fields, ","), ",") + "}"
}

// message is a message's type and what matters of its body.
func message(e wire.Envelope) []string {
	switch e.T {
	case wire.Ringing:
		b, _ := wire.Body[wire.SDPBody](e)
		return []string{string(e.T), cmp.Or(b.From, b.SDP)}
	case wire.Incoming:
		b, _ := wire.Body[wire.IncomingBody](e)
		return []string{string(e.T), (time.Duration(b.RingMS) * time.Millisecond).String()}
	case wire.Ended:
		b, _ := wire.Body[wire.EndedBody](e)
		return []string{string(e.T), b.Outcome.String()}
	}
	return []string{string(e.T)}
}
