package device_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"intercom/call"
	"intercom/device/setup"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/link"
)

// frames are what a false hub may say, about calls and from cuids that suit it best.
func frames(pick func(n int) int) wire.Envelope {
	one := func(all ...string) string { return all[pick(len(all))] }
	id := one("c", "d", "", "e")
	who := one("reception", "guard_1", "front_door", "stranger", "no cuid", "")
	ms := []int64{0, 1, 1000, 40_000, -1, 1 << 62}[pick(6)]
	result := outcome.Result{Call: one(id, "d"), From: who, To: one("front_door", "reception"),
		Context: one("Hello", "")}
	for _, s := range []outcome.Status{outcome.Missed, outcome.Over, outcome.Failed, outcome.Cancelled, "unheard of"} {
		if pick(3) == 0 {
			result.Outcome = outcome.Of(s, []outcome.Reason{outcome.NoAnswer, outcome.HangUp, outcome.NetworkLost,
				outcome.RingTimeout, "odd"}[pick(5)])
		}
	}
	servers := []wire.ICEServer{{URLs: []string{one("turn:192.0.2.1:3478", "nonsense", strings.Repeat("x", 5000))}}}
	bodies := []wire.Envelope{
		wire.New(wire.Incoming, id, wire.IncomingBody{From: who, Name: one("", "A", "\x1b[2J"), Context: "Hello",
			RingMS: ms, AutoAnswer: pick(2) == 0, ICEServers: servers[:pick(2)]}),
		wire.New(wire.Incoming, id, wire.IncomingBody{From: "reception", Context: "Hello", AutoAnswer: true}),
		wire.New(wire.Answered, id, wire.AnsweredBody{Peer: who, Ticket: "ticket", LimitMS: ms}),
		{T: wire.Answered, Call: id},
		wire.New(wire.Door, id, wire.DoorBody{From: who}),
		wire.New(wire.Door, id, wire.DoorBody{From: "reception"}),
		wire.New(wire.OpenDoor, "", wire.OpenDoorBody{ID: "000102030405060708090a0b0c0d0e0f", From: who, By: "Anna"}),
		wire.New(wire.DoorDone, id, wire.DoorBody{From: who, Result: one("opened", "refused", "held")}),
		wire.New(wire.Ringing, id, wire.SDPBody{SDP: one("", "offer"), From: who}),
		wire.New(wire.SDP, id, wire.SDPBody{SDP: "offer", From: who}),
		wire.New(wire.ICE, id, wire.ICEBody{Candidate: "candidate"}),
		wire.New(wire.Warning, id, wire.WarningBody{LeftMS: ms}),
		wire.New(wire.Identify, "", wire.IdentifyBody{}),
		wire.New(wire.Settings, "", wire.SettingsBody{Version: uint64(pick(5)), Text: "[door]\nallow = [\"*\"]\n"}),
		wire.New(wire.Ended, id, wire.EndedBody{Result: result}),
		wire.New(wire.OK, id, wire.InvitedBody{RingMS: ms, CallerMS: ms}),
		wire.New(wire.Servers, id, wire.ServersBody{ICEServers: servers}),
		wire.New(wire.Fail, id, fault.New([]fault.Code{fault.NotParty, fault.Conflict, fault.NotAllowed,
			"ERR_ODD"}[pick(4)])),
		wire.New(wire.Servers, id, wire.ServersBody{ICEServers: servers}),
		wire.New(wire.OpenDoor, "", wire.OpenDoorBody{ID: "1", CUID: one("", "front_door"), From: who, By: "anna"}),
		wire.New(wire.OpenDone, "", wire.OpenDoorBody{ID: "1", From: who, Result: "opened"}),
		wire.New(wire.GoAway, "", wire.GoAwayBody{SpreadMS: ms}),
		{T: wire.Type(one("call.pick", "welcome", "hello", "call.answer", "call.door")), Call: id,
			B: json.RawMessage(one("{}", "null", "[]", "7"))},
	}
	return bodies[pick(len(bodies))]
}

// falseHub plays frames to a station with a door, whose press is long ago and where nobody presses now. Neither
// microphone nor door opens.
func falseHub(t *testing.T, privacy bool, steps int, pick func(n int) int) {
	tryWith(t, func(c *setup.Config) {
		withDoor(c)
		c.Door.Allow = []string{"reception", "guard_*"}
		c.Call.Then = "guard_1"
	}, func(b *bench) {
		b.online()
		if privacy {
			b.press(setup.ActPrivacy)
		}
		b.press(setup.ActCall) // somebody called, has given up, and is gone
		b.press(setup.ActHangUp)
		b.ended(outcome.Cancelled, outcome.ByCaller)
		b.tape.Take()
		for range steps {
			switch pick(9) {
			case 0:
				b.Down(fault.New(fault.InternetLost))
			case 1:
				b.Up(wire.WelcomeBody{Resumed: pick(2) == 0, AckMS: []int64{0, 1, -1, 1 << 62}[pick(4)]})
			case 2: // what the other side of a media path can do
				if n := b.media.News; n.Event != nil {
					n.Event(func(id string) call.Event {
						return []call.Event{call.MediaUp{ID: id}, call.MediaBroke{ID: id}, call.MediaClosed{ID: id},
							call.MediaFailed{ID: id}}[pick(4)]
					})
				}
			case 3:
				b.NetworkChanged()
			case 4:
				time.Sleep([]time.Duration{time.Millisecond, 3 * time.Second, 11 * time.Second,
					50 * time.Second}[pick(4)])
			default:
				b.Receive(link.Message{Envelope: frames(pick),
					To: []wire.Type{"", wire.Invite, wire.Note, wire.Door, wire.Answer}[pick(5)]})
			}
			synctest.Wait()
			s, _ := b.Status(b.Context())
			if s.Phase == call.Calling || s.Phase == call.Answering || s.Phase == call.Talking ||
				s.Phase == call.Connecting || s.Phase == call.Reconnecting {
				b.Fatalf("nobody has pressed, and the station is %s", s.Phase)
			}
			for _, line := range b.tape.Take() {
				if strings.HasSuffix(line, "voice opens") || strings.HasSuffix(line, "call.invite") ||
					strings.HasSuffix(line, "call.answer") {
					b.Fatalf("nobody has pressed: %s", line)
				}
			}
			if b.energised() {
				b.Fatal("the door is open")
			}
		}
	})
}

// Whoever speaks as a hub opens neither microphone nor door where nobody presses, whatever it says and in whatever
// order.
func TestAFalseHub(t *testing.T) {
	seed := rand.Uint64()
	for i := range uint64(60) {
		pick := rand.New(rand.NewPCG(seed, i)).IntN
		t.Run(fmt.Sprintf("seed %d round %d", seed, i), func(t *testing.T) { falseHub(t, i%2 == 0, 300, pick) })
	}
}

// The same for a fuzzer, which finds the orders that it likes.
func FuzzAFalseHub(f *testing.F) {
	f.Add([]byte{1, 4, 0, 4, 2, 4, 4}, true)
	f.Fuzz(func(t *testing.T, tape []byte, privacy bool) {
		falseHub(t, privacy, len(tape)/3, func(n int) int {
			if len(tape) == 0 {
				return 0
			}
			b := tape[0]
			tape = tape[1:]
			return int(b) % n
		})
	})
}

// The three frames of the issue, one by one, and with everything that could lend them weight.
func TestThreeFramesOpenNothing(t *testing.T) {
	for _, privacy := range []bool{false, true} {
		tryWith(t, withDoor, func(b *bench) {
			b.online()
			if privacy {
				b.press(setup.ActPrivacy)
			}
			b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello", AutoAnswer: true})
			b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
			synctest.Wait()
			b.hub(wire.Answered, wire.AnsweredBody{Peer: "reception", Ticket: "of the hub's own"})
			b.hub(wire.Door, wire.DoorBody{From: "reception"})
			if s, _ := b.Status(b.Context()); s.Phase != call.Ringing || b.energised() {
				t.Errorf("%s, door %v", s.Phase, b.energised())
			}
			if calls := b.Calls(); len(calls) != 1 || calls[0].Ticket != "" {
				t.Errorf("it keeps a ticket of a call that nobody here answered: %+v", calls)
			}
			b.press(setup.ActAnswer) // and whoever is there can still answer
			b.hub(wire.Answered, wire.AnsweredBody{Peer: "reception", Ticket: "ticket"})
			if s, _ := b.Status(b.Context()); s.Phase != call.Talking {
				t.Errorf("after the answer it is %s", s.Phase)
			}
			if calls := b.Calls(); len(calls) != 1 || calls[0].Ticket != "ticket" {
				t.Errorf("%+v", calls)
			}
		})
	}
}

// A hub cannot lend the name of somebody on the list to a call that this station placed or answered.
func TestANameLentByTheHubOpensNoDoor(t *testing.T) {
	placed := func(to string, allow ...string) func(c *setup.Config) {
		return func(c *setup.Config) { withDoor(c); c.Call.To, c.Door.Allow = to, allow }
	}
	for name, c := range map[string]struct {
		set   func(*setup.Config)
		opens bool
	}{
		"who was called":                               {placed("reception", "reception"), true},
		"one of several who were called":               {placed("office_1, reception", "reception"), true},
		"another than who was called":                  {placed("office_1", "reception"), false},
		"a member of a group that is on the list too":  {placed("house_team", "reception", "house_team"), true},
		"the group is on the list, and the one is not": {placed("house_team", "house_team"), false},
		"the one is on the list, and the group is not": {placed("house_team", "reception"), false},
		"a pattern has both":                           {placed("house_team", "*"), true},
	} {
		tryWith(t, c.set, func(b *bench) {
			b.online()
			b.press(setup.ActCall)
			b.hub(wire.Ringing, wire.SDPBody{SDP: "offer", From: "reception"})
			b.hub(wire.Answered, wire.AnsweredBody{Peer: "reception", Ticket: "ticket"})
			b.hub(wire.Door, wire.DoorBody{From: "reception"})
			if b.energised() {
				t.Errorf("%s: it opens before the voices are connected", name)
			}
			b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
			synctest.Wait()
			id := b.wire.Last.Call
			b.Receive(link.Message{Envelope: wire.New(wire.Door, id, wire.DoorBody{From: "reception"})})
			if got := b.energised(); got != c.opens {
				t.Errorf("%s: it opens: %v", name, got)
			}
		})
	}
	tryWith(t, func(c *setup.Config) { withDoor(c); c.Door.Allow = []string{"guard_1"} }, func(b *bench) {
		b.online()
		b.calledBy("reception")
		b.press(setup.ActAnswer)
		b.hub(wire.Answered, wire.AnsweredBody{Peer: "guard_1", Ticket: "ticket"})
		b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
		synctest.Wait()
		b.hub(wire.Incoming, wire.IncomingBody{From: "guard_1", Context: "Hello"}) // the same call, by another
		b.hub(wire.Door, wire.DoorBody{From: "guard_1"})
		if s, _ := b.Status(b.Context()); b.energised() || s.Peer != "reception" {
			t.Errorf("the door opens for a name that came after the answer; the peer is %s", s.Peer)
		}
	})
}

// A press is for one call. A hub cannot make another of it later.
func TestAPressIsNotKeptForLater(t *testing.T) {
	tryWith(t, func(c *setup.Config) { c.Call.Then = "guard_1" }, func(b *bench) {
		b.online()
		b.press(setup.ActCall)
		first := b.wire.Last.Call
		b.hub(wire.OK, nil)
		b.Receive(link.Message{Envelope: wire.New(wire.OK, first, wire.InvitedBody{CallerMS: 1 << 50}),
			To: wire.Invite})
		time.Sleep(call.MostCallerLimit + call.EndLimit + time.Second)
		synctest.Wait()
		if s, _ := b.Status(b.Context()); s.Call == first {
			t.Errorf("it is still %s", s.Phase)
		}
		b.press(setup.ActHangUp) // the one that followed
		b.ended(outcome.Cancelled, outcome.ByCaller)
		b.tape.Take()
		b.hub(wire.Incoming, wire.IncomingBody{From: "stranger", Context: "Hello"})
		lie := outcome.Result{Call: b.wire.Last.Call, From: "front_door", To: "stranger", Context: "Hello"}
		lie.Finish(outcome.Of(outcome.Missed, outcome.NoAnswer), "hub", time.Now())
		b.hub(wire.Ended, wire.EndedBody{Result: lie})
		for _, line := range b.tape.Take() {
			if strings.HasSuffix(line, "call.invite") {
				t.Error("it calls again though nobody pressed: " + line)
			}
		}
	})
}

// A flood of wishes for the door is answered, and costs the card no more than a few notes.
func TestAFloodOfWishesForTheDoor(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		b.online()
		for range 1000 {
			b.hub(wire.Door, wire.DoorBody{From: "reception"})
		}
		if s, _ := b.Status(b.Context()); s.Untold > 10 {
			t.Errorf("%d notes", s.Untold)
		}
	})
}

// What a hub says is neither kept in masses nor printed as it is.
func TestWordsOfTheHubAreShortAndPlain(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		b.online()
		evil := strings.Repeat("\x1b[2J\n", 4000)
		say := func(typ wire.Type, body any, to wire.Type) {
			b.Receive(link.Message{Envelope: wire.New(typ, "c", body), To: to})
		}
		for range 12 {
			say(wire.Incoming, wire.IncomingBody{From: evil, Context: "Hello"}, "")
			say(wire.Incoming, wire.IncomingBody{From: "reception", Name: evil, Context: "Hello"}, "")
			say(wire.Incoming, wire.IncomingBody{From: "reception", Context: evil}, "")
			say(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello",
				InitiatorImage: "https://a.example/" + evil}, "")
			say(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello"}, "")
			say(wire.Ringing, wire.SDPBody{From: evil, SDP: "v=0"}, "")
			say(wire.Door, wire.DoorBody{From: evil}, "")
			say(wire.DoorDone, wire.DoorBody{From: evil, Result: evil}, "")
			say(wire.Fail, fault.Error{Code: fault.Code(evil), Message: evil}, wire.Answer)
			r := outcome.Result{Call: "c", From: "reception", To: evil, By: evil, Context: "Hello"}
			r.Outcome = outcome.Of(outcome.Missed, outcome.NoAnswer)
			say(wire.Ended, wire.EndedBody{Result: r, Error: &fault.Error{Code: fault.Code(evil), Message: evil}}, "")
		}
		b.Down(&fault.Error{Code: fault.HubDegraded, Message: evil})
		synctest.Wait()
		s, err := b.Status(b.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(s)
		recent := httptest.NewRecorder()
		b.Handler(nil).ServeHTTP(recent, httptest.NewRequest("GET", "/v1/recent", nil))
		for name, all := range map[string]string{"status": string(text), "recent": recent.Body.String()} {
			if len(all) > 200<<10 || strings.Contains(all, `\u001b`) || strings.Contains(all, "\x1b") {
				t.Errorf("%s has %d bytes: %.300s", name, len(all), all)
			}
		}
	})
}
