package call

import (
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
)

var update = flag.Bool("update", false, "write the golden table")

var (
	over     = outcome.Of(outcome.Over, outcome.HangUp)
	declined = outcome.Of(outcome.Declined, outcome.ByHand)
	offline  = outcome.Of(outcome.Missed, outcome.Offline)
	noAnswer = outcome.Of(outcome.Missed, outcome.NoAnswer)
	internal = outcome.Of(outcome.Failed, outcome.Internal)
)

// run feeds events to a device that is online and idle, and gives where it ends and what it did on the last event.
func run(events ...Event) (State, []Action) {
	s, acts := Next(Start(), LinkUp{})
	for _, e := range events {
		s, acts = Next(s, e)
	}
	return s, acts
}

var (
	dialled  = []Event{Dial{"c", "reception"}, Acked{ID: "c"}}
	rung     = append(slices.Clone(dialled), PeerRings{"c", "peer1", "a"})
	called   = []Event{Incoming{ID: "c", Peer: "front_door"}}
	talking  = append(slices.Clone(rung), MediaUp{"c"}, Confirmed{ID: "c"})
	answered = append(slices.Clone(called), MediaUp{"c"}, Pick{}, Confirmed{ID: "c"})
)

// moves is the peer ringing in n new places.
func moves(n int) (all []Event) {
	for i := range n {
		all = append(all, PeerRings{"c", "peer1", fmt.Sprint("place ", i)})
	}
	return all
}

func TestEdges(t *testing.T) {
	for name, c := range map[string]struct {
		before []Event
		event  Event
		phase  Phase
		must   []Action
	}{
		"a press while online places a call": {
			nil, Dial{"c", "reception"}, Calling, []Action{SendInvite{"c", "reception"}}},
		"a press while offline is answered at once": {
			[]Event{LinkDown{}}, Dial{"c", "r"}, Idle, []Action{Play{OfflineTone},
				Report{"c", outcome.Of(outcome.Failed, outcome.NetworkLost), fault.InternetLost}}},
		"a second call of ours is refused and disturbs nothing": {
			rung, Dial{"d", "x"}, Ringback, []Action{Report{"d", internal, fault.CallInProgress}}},
		"ringback starts when it really rings": {
			dialled, PeerRings{"c", "peer1", "a"}, Ringback, []Action{Prepare{"c", false}, Play{RingbackTone}}},
		"an invite rings and prepares the media": {
			nil, Incoming{ID: "c", Peer: "front_door"}, Ringing, []Action{Play{RingTone}, Prepare{"c", true}}},
		"an invite said twice rings once": {
			called, Incoming{ID: "c", Peer: "front_door"}, Ringing, nil},
		"a third caller gets busy and is not heard": {
			talking, Incoming{ID: "d", Peer: "x_door"}, Talking, []Action{SendDecline{"d", outcome.Busy}}},
		"whoever calls the one who calls it takes that call": {
			rung, Incoming{ID: "d", Peer: "reception"}, Ringing,
			[]Action{SendCancel{"c", outcome.ByCaller}, Play{RingTone}, Prepare{"d", true}}},
		"an answer asks the hub and stops the ringing": {
			called, Pick{}, Answering, []Action{Silence{}, SendAnswer{"c"}}},
		"the voice opens when the hub says answered": {
			append(slices.Clone(called), MediaUp{"c"}, Pick{}), Confirmed{ID: "c"}, Talking, []Action{OpenVoice{}}},
		"without a media path it is connecting, not talking": {
			append(slices.Clone(called), Pick{}), Confirmed{ID: "c"}, Connecting,
			[]Action{SetTimer{MediaTimer, MediaLimit}, OpenVoice{}}},
		"a refused microphone declines the call": {
			called, NoVoice{}, Ending, []Action{SendDecline{"c", outcome.MicUnavailable}}},
		"a decline ends it here at once": {
			called, Refuse{}, Ending, []Action{Silence{}, CloseMedia{}, SendDecline{"c", outcome.ByHand}}},
		"hanging up while it rings there cancels": {
			rung, HangUp{}, Ending, []Action{Silence{}, SendCancel{"c", outcome.ByCaller}}},
		"hanging up in a call": {
			talking, HangUp{}, Ending, []Action{CloseMedia{}, SendHangUp{"c", outcome.HangUp}}},
		"stopping the daemon in a call": {
			answered, Quit{}, Ending, []Action{SendHangUp{"c", outcome.Shutdown}}},
		"the hub's word is the outcome, not ours": {
			append(slices.Clone(talking), HangUp{}), Ended{"c", noAnswer, ""}, Idle,
			[]Action{Report{"c", noAnswer, ""}}},
		"without the hub's word ours stands": {
			append(slices.Clone(talking), HangUp{}), Expired{"c", EndTimer}, Idle, []Action{Report{"c", over, ""}}},
		"a hub that forgot the call leaves us our own word": {
			append(slices.Clone(talking), HangUp{}), Rejected{"c", fault.NotParty}, Idle,
			[]Action{Report{"c", over, ""}}},
		"the caller hears that it was declined": {
			rung, Ended{"c", declined, ""}, Idle, []Action{Silence{}, CloseMedia{}, Play{DeclinedTone},
				Report{"c", declined, ""}}},
		"the caller hears that nobody is there": {
			dialled, Ended{"c", offline, fault.ReceiverOffline}, Idle,
			[]Action{Play{OfflineTone}, Report{"c", offline, fault.ReceiverOffline}}},
		"the caller hears that nobody came": {
			rung, Ended{"c", noAnswer, ""}, Idle, []Action{Play{MissedTone}}},
		"the callee's own limit, should the hub never end it": {
			called, Expired{"c", LimitTimer}, Idle, []Action{Report{"c", noAnswer, ""}}},
		"the caller gives up after its limit": {
			rung, Expired{"c", LimitTimer}, Ending, []Action{SendCancel{"c", outcome.RingTimeout}}},
		"the hub says how long an acknowledgement may take": {
			[]Event{LinkDown{}, LinkUp{3 * time.Second}}, Dial{"c", "r"}, Calling,
			[]Action{SetTimer{AckTimer, 3 * time.Second}}},
		"and how long the caller waits": {
			[]Event{Dial{"c", "r"}}, Acked{"c", time.Minute}, Calling,
			[]Action{StopTimer{AckTimer}, SetTimer{LimitTimer, time.Minute}}},
		"and how long it rings": {
			nil, Incoming{"c", "r", time.Minute}, Ringing, []Action{SetTimer{LimitTimer, 70 * time.Second}}},
		"no acknowledgement means that the hub is lost": {
			[]Event{Dial{"c", "r"}}, Expired{"c", AckTimer}, Idle,
			[]Action{Report{"c", outcome.Of(outcome.Failed, outcome.NetworkLost), fault.InternetLost}}},
		"a bad invite ends with the hub's code": {
			[]Event{Dial{"c", "r"}}, Rejected{"c", fault.InvalidCall}, Idle,
			[]Action{Report{"c", internal, fault.InvalidCall}}},
		"losing the hub does not end a call": {
			talking, LinkDown{}, Talking, nil},
		"losing the hub while it rings gives it four seconds": {
			rung, LinkDown{}, Ringback, []Action{SetTimer{LostTimer, LostLimit}}},
		"an unacknowledged invite is said again": {
			[]Event{Dial{"c", "r"}, LinkDown{}}, LinkUp{}, Calling, []Action{SendInvite{"c", "r"}}},
		"an unconfirmed end is said again": {
			append(slices.Clone(talking), LinkDown{}, HangUp{}), LinkUp{}, Ending,
			[]Action{SendHangUp{"c", outcome.HangUp}}},
		"a broken media path may come back": {
			talking, MediaBroke{"c"}, Reconnecting, []Action{SetTimer{MediaTimer, BreakLimit}}},
		"and does": {
			append(slices.Clone(talking), MediaBroke{"c"}), MediaUp{"c"}, Talking, []Action{StopTimer{MediaTimer}}},
		"or does not": {
			append(slices.Clone(talking), MediaBroke{"c"}), Expired{"c", MediaTimer}, Ending,
			[]Action{SendHangUp{"c", outcome.Lost}}},
		"the caller restarts a path that broke": {
			talking, MediaBroke{"c"}, Reconnecting,
			[]Action{CheckLink{}, RestartMedia{}, SetTimer{RestartTimer, RestartTime}}},
		"the callee leaves that to the caller at first": {
			answered, MediaBroke{"c"}, Reconnecting, []Action{SetTimer{RestartTimer, CallerFirst}}},
		"whose restart has its time": {
			append(slices.Clone(answered), MediaBroke{"c"}), MediaTold{"c"}, Reconnecting,
			[]Action{SetTimer{RestartTimer, 2 * RestartTime}}},
		"a description of a path that is up is nothing": {
			answered, MediaTold{"c"}, Talking, nil},
		"but not for long": {
			append(slices.Clone(answered), MediaBroke{"c"}), Expired{"c", RestartTimer}, Reconnecting,
			[]Action{RestartMedia{}}},
		"whose address is another restarts it at once": {
			answered, MediaMoved{"c"}, Reconnecting, []Action{SetTimer{MediaTimer, BreakLimit}, RestartMedia{}}},
		"and again, if it is another once more": {
			append(slices.Clone(answered), MediaMoved{"c"}), MediaMoved{"c"}, Reconnecting, []Action{RestartMedia{}}},
		"a restart that did not help is tried again, later each time": {
			append(slices.Clone(talking), MediaBroke{"c"}), Expired{"c", RestartTimer}, Reconnecting,
			[]Action{RestartMedia{}, SetTimer{RestartTimer, 2 * RestartTime}}},
		"but not more seldom than that": {
			append(slices.Clone(talking), MediaBroke{"c"}, Expired{"c", RestartTimer}, Expired{"c", RestartTimer},
				Expired{"c", RestartTimer}), Expired{"c", RestartTimer}, Reconnecting,
			[]Action{SetTimer{RestartTimer, RestartMost}}},
		"a restart waits for the hub": {
			append(slices.Clone(talking), LinkDown{}), MediaMoved{"c"}, Talking, nil},
		"until then the path may still do": {
			append(slices.Clone(talking), LinkDown{}, MediaMoved{"c"}), MediaBroke{"c"}, Reconnecting,
			[]Action{SetTimer{MediaTimer, BreakLimit}}},
		"and is made when it is back": {
			append(slices.Clone(talking), LinkDown{}, MediaMoved{"c"}), LinkUp{}, Reconnecting,
			[]Action{RestartMedia{}, SetTimer{RestartTimer, RestartTime}}},
		"a hub that is back restarts no path that is up": {
			append(slices.Clone(talking), LinkDown{}), LinkUp{}, Talking, []Action{StopTimer{LostTimer}}},
		"a path that is up again is not restarted": {
			append(slices.Clone(talking), MediaBroke{"c"}, MediaUp{"c"}), Expired{"c", RestartTimer}, Talking, nil},
		"who moves while it rings restarts when it is answered": {
			append(slices.Clone(called), MediaUp{"c"}, MediaMoved{"c"}, Pick{}), Confirmed{ID: "c"}, Reconnecting,
			[]Action{OpenVoice{}, SetTimer{MediaTimer, BreakLimit}, RestartMedia{}}},
		"a path that the other side closed is not restarted": {
			append(slices.Clone(talking), MediaBroke{"c"}, MediaClosed{"c"}), Expired{"c", RestartTimer},
			Reconnecting, nil},
		"a call that never had media has failed": {
			append(slices.Clone(rung), Confirmed{ID: "c"}), Expired{"c", MediaTimer}, Ending,
			[]Action{SendHangUp{"c", outcome.MediaFailed}}},
		"a path closed by the other side is first the hub's to explain": {
			talking, MediaClosed{"c"}, Reconnecting, []Action{SetTimer{CloseTimer, CloseLimit}}},
		"and without the hub it was a hang-up": {
			append(slices.Clone(talking), MediaClosed{"c"}), Expired{"c", CloseTimer}, Ending,
			[]Action{CloseMedia{}, SendHangUp{"c", outcome.HangUp}}},
		"news about another call is ignored": {
			talking, Ended{"d", declined, ""}, Talking, nil},
		"a late answer to a cancelled call changes nothing": {
			append(slices.Clone(rung), HangUp{}), Confirmed{ID: "c"}, Ending, nil},
		"a restarted hub that does not know the call leaves us be": {
			talking, Rejected{"c", fault.NotParty}, Talking, nil},
		"pressing answer twice asks once": {
			append(slices.Clone(called), Pick{}), Pick{}, Answering, nil},
		"pressing hang up when idle is nothing": {
			nil, HangUp{}, Idle, nil},
		"the microphone opens for nobody before the answer": {
			called, MediaUp{"c"}, Ringing, nil},
		"an answer that the hub never confirms has failed": {
			append(slices.Clone(called), Pick{}), Expired{"c", AckTimer}, Idle, []Action{CloseMedia{}}},
		"the media that comes after the answer starts the talk": {
			append(slices.Clone(rung), Confirmed{ID: "c"}), MediaUp{"c"}, Talking, []Action{StopTimer{MediaTimer}}},
		"of several who ring, another's media path is made ready": {
			rung, PeerRings{"c", "peer2", "a"}, Ringback, []Action{CloseMedia{}, Prepare{"c", false}}},
		"one who rings in another place has another media path": {
			rung, PeerRings{"c", "peer1", "b"}, Ringback, []Action{CloseMedia{}, Prepare{"c", false}}},
		"that it moves again and again is followed a few times": {
			append(slices.Clone(rung), moves(MostMoves-1)...), PeerRings{"c", "peer2", "new"}, Ringback,
			[]Action{CloseMedia{}, Prepare{"c", false}}},
		"and then no more": {
			append(slices.Clone(rung), moves(MostMoves)...), PeerRings{"c", "peer2", "new"}, Ringback, nil},
		"the next call begins with none": {
			append(append(slices.Clone(rung), moves(MostMoves)...), Ended{"c", declined, ""}, Dial{"d", "reception"},
				PeerRings{"d", "peer1", "a"}), PeerRings{"d", "peer1", "b"}, Ringback,
			[]Action{CloseMedia{}, Prepare{"d", false}}},
		"a ringing said twice is nothing": {
			rung, PeerRings{"c", "peer1", "a"}, Ringback, nil},
		"a metered call is ended here too": {
			append(slices.Clone(talking[:len(talking)-1]), Confirmed{"c", "", time.Minute}), Expired{"c", MaxTimer},
			Ending, []Action{SendHangUp{"c", outcome.MaxDuration}}},
		"the limit's clock runs a little longer than the hub's": {
			talking[:len(talking)-1], Confirmed{"c", "", time.Minute}, Talking,
			[]Action{SetTimer{MaxTimer, 61 * time.Second}}},
		"the limit is near": {
			talking, Warned{"c"}, Talking, []Action{Play{LimitTone}}},
		"the hub's word does not answer what rings here": {
			append(slices.Clone(called), MediaUp{"c"}), Confirmed{ID: "c"}, Ringing, nil},
		"the hub cannot make a caller wait for hours": {
			[]Event{Dial{"c", "r"}}, Acked{"c", 24 * time.Hour}, Calling,
			[]Action{SetTimer{LimitTimer, MostCallerLimit}}},
		"nor a callee ring": {
			nil, Incoming{"c", "r", 24 * time.Hour}, Ringing, []Action{SetTimer{LimitTimer, MostRingTime + RingSlack}}},
		"nor an answer wait for its confirmation": {
			[]Event{LinkDown{}, LinkUp{24 * time.Hour}, Incoming{ID: "c", Peer: "r"}}, Pick{}, Answering,
			[]Action{SetTimer{AckTimer, MostAckTime}}},
		"who is not to be disturbed is busy": {
			[]Event{DoNotDisturb{true}}, Incoming{ID: "c", Peer: "front_door"}, Idle,
			[]Action{SendDecline{"c", outcome.Busy}}},
		"until that is taken back": {
			[]Event{DoNotDisturb{true}, DoNotDisturb{false}}, Incoming{ID: "c", Peer: "front_door"}, Ringing,
			[]Action{Play{RingTone}}},
		"but may call": {
			[]Event{DoNotDisturb{true}}, Dial{"c", "reception"}, Calling, []Action{SendInvite{"c", "reception"}}},
		"and takes the call of the one whom it calls": {
			[]Event{DoNotDisturb{true}, Dial{"c", "reception"}}, Incoming{ID: "d", Peer: "reception"}, Ringing,
			[]Action{SendCancel{"c", outcome.ByCaller}, Play{RingTone}}},
		"a call that is there is no disturbance": {
			called, DoNotDisturb{true}, Ringing, nil},
		"the next one is": {
			append(slices.Clone(talking), DoNotDisturb{true}, Ended{"c", over, ""}),
			Incoming{ID: "d", Peer: "front_door"}, Idle, []Action{SendDecline{"d", outcome.Busy}}},
		"also when the hub was away": {
			[]Event{DoNotDisturb{true}, LinkDown{}, LinkUp{}}, Incoming{ID: "c", Peer: "front_door"}, Idle,
			[]Action{SendDecline{"c", outcome.Busy}}},
		"a media path that fails while it rings is not yet an error": {
			called, MediaFailed{"c"}, Ringing, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, acts := run(append(slices.Clone(c.before), c.event)...)
			if s.Phase != c.phase {
				t.Errorf("phase %s, want %s", s.Phase, c.phase)
			}
			if c.must == nil && len(acts) > 0 {
				t.Errorf("did %v, want nothing", acts)
			}
			at := 0
			for _, m := range c.must { // in this order, others between
				i := slices.IndexFunc(acts[at:], func(a Action) bool { return a == m })
				if i < 0 {
					t.Fatalf("did %#v, want %#v in its order", acts, m)
				}
				at += i + 1
			}
		})
	}
}

// events that can happen to the call "c" and to another, "d".
func everything() []Event {
	all := []Event{Dial{"c", "peer1"}, Dial{"d", "peer2"}, Incoming{ID: "c", Peer: "peer1"},
		Incoming{ID: "d", Peer: "peer1"}, Incoming{ID: "d", Peer: "peer2"},
		Pick{}, Refuse{}, HangUp{}, Quit{}, NoVoice{}, LinkUp{}, LinkDown{}}
	for _, id := range []string{"c", "d"} {
		all = append(all, Acked{ID: id}, Rejected{id, fault.NotParty}, Rejected{id, fault.InvalidCall},
			PeerRings{id, "peer1", "a"}, Confirmed{ID: id}, MediaUp{id}, MediaBroke{id}, MediaTold{id}, MediaMoved{id},
			MediaFailed{id}, MediaClosed{id},
			Acked{id, time.Minute}, PeerRings{id, "peer2", "a"}, Confirmed{id, "peer2", time.Minute}, Warned{id})
		for _, s := range []outcome.Status{outcome.Over, outcome.Declined, outcome.Missed, outcome.Cancelled,
			outcome.Failed} {
			for _, r := range outcome.Reasons(s) {
				all = append(all, Ended{id, outcome.Of(s, r), ""})
			}
		}
		for _, t := range []Timer{AckTimer, LimitTimer, MediaTimer, RestartTimer, LostTimer, CloseTimer, EndTimer,
			MaxTimer} {
			all = append(all, Expired{id, t})
		}
	}
	return append(all, DoNotDisturb{true}, DoNotDisturb{false})
}

// No word of a hub, of the other side or of a timer opens the voice: every state that they can lead to is visited.
func TestOnlySomebodyHereOpensTheVoice(t *testing.T) {
	byHand := func(e Event) bool {
		switch e.(type) {
		case Dial, Pick:
			return true
		}
		return false
	}
	seen, next := map[State]bool{Start(): true}, []State{Start()}
	for len(next) > 0 {
		s := next[0]
		next = next[1:]
		for _, e := range everything() {
			if byHand(e) {
				continue
			}
			after, acts := Next(s, e)
			if after.Live() || slices.Contains(acts, Action(OpenVoice{})) {
				t.Fatalf("%#v after %+v: %+v", e, s, after)
			}
			if !seen[after] {
				seen[after] = true
				next = append(next, after)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d states were visited", len(seen))
	}
}

// world is what a device does with the actions, as far as the invariants need it.
type world struct {
	ringing, voice, media bool
	timers                map[Timer]bool
	reports               map[string]int
}

func (w *world) do(t *testing.T, acts []Action) {
	for _, a := range acts {
		switch a := a.(type) {
		case Play:
			if a.Tone == RingTone || a.Tone == RingbackTone {
				w.ringing = true
			}
		case Silence:
			w.ringing = false
		case Prepare:
			w.media = true
		case RestartMedia:
			if !w.voice {
				t.Fatal("a path is restarted before the answer")
			}
		case OpenVoice:
			if !w.media {
				t.Fatal("the voice opens without a media path")
			}
			w.voice = true
		case CloseMedia:
			w.voice, w.media = false, false
		case SetTimer:
			w.timers[a.Timer] = true
		case StopTimer:
			delete(w.timers, a.Timer)
			if a.Timer == "" {
				clear(w.timers)
			}
		case Report:
			if !a.Outcome.Valid() {
				t.Fatalf("the contract has no %v", a.Outcome)
			}
			w.reports[a.ID]++
		}
	}
}

func FuzzAnyStringOfEvents(f *testing.F) {
	all := everything()
	f.Add([]byte{10, 0, 12, 14, 15, 16, 7})
	f.Add([]byte{10, 2, 5, 15, 16, 17, 11, 7, 10})
	f.Fuzz(func(t *testing.T, tape []byte) {
		s, w := Start(), &world{timers: map[Timer]bool{}, reports: map[string]int{}}
		lives, wanted := map[string]int{}, map[string]bool{} // wanted: dialled or answered here
		for _, b := range tape {
			before, quiet := s.ID, s.DND && s.Phase == Idle
			var acts []Action
			e := all[int(b)%len(all)]
			if d, ok := e.(Dial); ok && lives[d.ID] > 0 || ok && s.Phase == Idle && !s.Online {
				continue // ids are new each time; the offline press reports without a call
			}
			if _, ok := e.(Pick); ok && s.Phase == Ringing {
				wanted[s.ID] = true
			}
			s, acts = Next(s, e)
			w.do(t, acts)
			if s.ID != before {
				delete(wanted, before)
			}
			if s.Phase == Calling {
				wanted[s.ID] = true
			}
			if quiet && s.Phase == Ringing {
				t.Fatalf("%#v rings, and is not to be disturbed", e)
			}
			if s.Live() && !wanted[s.ID] {
				t.Fatalf("%+v after %#v: nobody here dialled or answered", s, e)
			}
			if s.ID != before && s.ID != "" {
				lives[s.ID]++
			}
			if (s.Phase == Idle) != (s.ID == "") {
				t.Fatalf("%+v after %#v: idle means no call id", s, e)
			}
			if s.Phase == Idle && (w.ringing || w.voice || w.media || len(w.timers) > 0) {
				t.Fatalf("idle after %#v, but %+v", e, w)
			}
			if w.voice && !s.Live() {
				t.Fatalf("the microphone is open in %s after %#v", s.Phase, e)
			}
			if s.Phase != Idle && len(w.timers) == 0 && s.Phase != Talking && s.Phase != Ringing {
				t.Fatalf("%s after %#v can last for ever", s.Phase, e)
			}
		}
		if s.Phase != Idle {
			s, acts := Next(s, Ended{s.ID, over, ""})
			w.do(t, acts)
			if s.Phase != Idle {
				t.Fatal("the hub's end did not end it")
			}
		}
		for id, n := range lives {
			if w.reports[id] < n {
				t.Fatalf("call %s lived %d times and was reported %d times", id, n, w.reports[id])
			}
		}
	})
}

// The whole table, so that a changed rule shows as a diff.
func TestGoldenTable(t *testing.T) {
	const idleDND = "idle, dnd"
	start := map[Phase]State{
		Idle:         {Phase: Idle, Online: true},
		idleDND:      {Phase: Idle, Online: true, DND: true},
		Calling:      {Phase: Calling, ID: "c", Peer: "peer1", Caller: true, Online: true},
		Ringback:     {Phase: Ringback, ID: "c", Peer: "peer1", Caller: true, Acked: true, Online: true},
		Ringing:      {Phase: Ringing, ID: "c", Peer: "peer1", Online: true},
		Answering:    {Phase: Answering, ID: "c", Peer: "peer1", Online: true},
		Connecting:   {Phase: Connecting, ID: "c", Peer: "peer1", Online: true},
		Talking:      {Phase: Talking, ID: "c", Peer: "peer1", Media: true, Online: true},
		Reconnecting: {Phase: Reconnecting, ID: "c", Peer: "peer1", Online: true},
		Ending:       {Phase: Ending, ID: "c", Peer: "peer1", Online: true, Result: over},
	}
	var b strings.Builder
	for _, p := range []Phase{Idle, idleDND, Calling, Ringback, Ringing, Answering, Connecting, Talking,
		Reconnecting, Ending} {
		for _, e := range everything() {
			if id := about(e); id == "d" {
				continue
			}
			s, acts := Next(start[p], e)
			if s == start[p] && len(acts) == 0 {
				continue
			}
			fmt.Fprintf(&b, "%-12s %-40s → %-12s", p, show(e), s.Phase)
			for _, a := range acts {
				b.WriteString(" " + show(a))
			}
			b.WriteByte('\n')
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
		t.Error("the rules of a call changed; run 'go test ./call -update' and read the diff")
	}
}

func show(v any) string {
	name := reflect.TypeOf(v).Name()
	return name + strings.ReplaceAll(fmt.Sprintf("%v", v), " ", ",")
}
