package hub

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"intercom/hub/presence"
	"intercom/internal/fault"
	"intercom/wire"
)

const wish = "000102030405060708090a0b0c0d0e0f"

// asks has a client ask for a door outside a call, and gives what the hub says.
func (w *world) asks(client string, b wire.OpenDoorBody) *fault.Error {
	w.t.Helper()
	s := w.at[client]
	return s.hub.router.requests.openDoor(s.m, wire.New(wire.OpenDoor, "", b))
}

// told is the latest message of a kind that somebody got.
func told[T any](w *world, name string, t wire.Type) (b T) {
	w.t.Helper()
	synctest.Wait()
	w.notes.Lock()
	defer w.notes.Unlock()
	b, _ = wire.Body[T](w.at[name].latest[t])
	return b
}

func TestADoorOutsideACall(t *testing.T) {
	const rules = "[[may_open_door]]\nfrom = [\"alpha\"]\nto = [\"bravo\"]\n"
	eachHubs(t, "an operator whom a rule lets, and nobody else", rules, func(w *world) {
		ask := wire.OpenDoorBody{ID: wish, CUID: "bravo", From: "charly", By: "nobody"}
		if err := w.asks("alpha", ask); err == nil || err.Code != fault.NotAllowed ||
			!strings.Contains(err.Message, "operator") {
			t.Errorf("who is no operator: %v", err)
		}
		for _, name := range []string{"alpha", "charly"} {
			w.at[name].m.grant.User = "Anna"
		}
		for range 30 {
			if err := w.asks("charly", ask); err == nil || err.Code != fault.NotAllowed ||
				!strings.Contains(err.Message, "may_open_door") {
				t.Errorf("without a rule: %v", err)
			}
		}
		w.expect() // the station does not hear of it
		if len(w.noted) != mostRefusals ||
			w.noted[0] != "bravo: charly (Anna) refused, no rule may_open_door of the account has it" {
			t.Errorf("on record: %q", w.noted)
		}
		for _, bad := range []wire.OpenDoorBody{{}, {ID: wish}, {ID: "x", CUID: "bravo"}, {ID: wish, CUID: "no cuid"},
			{ID: wish, From: "bravo"}} {
			if err := w.asks("alpha", bad); err == nil || err.Code != fault.BadMessage {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if err := w.asks("alpha", ask); err != nil {
			t.Fatal(err)
		}
		w.expect("bravo<door.open")
		if b := told[wire.OpenDoorBody](w, "bravo", wire.OpenDoor); b.From != "alpha" || b.By != "Anna" ||
			b.ID != wish || b.CUID != "" {
			t.Errorf("the station is told %+v", b)
		}
		s := w.at["bravo"]
		if err := s.hub.router.requests.doorDone(s.m,
			wire.New(wire.OpenDone, "", wire.OpenDoorBody{ID: wish, CUID: "alpha", From: "charly",
				Result: wire.DoorRefused, Reason: wire.DoorLocked})); err != nil {
			t.Fatal(err)
		}
		w.expect("alpha<door.done")
		if b := told[wire.OpenDoorBody](w, "alpha", wire.OpenDone); b.From != "bravo" || b.Reason != wire.DoorLocked ||
			b.Result != wire.DoorRefused {
			t.Errorf("the operator is told %+v", b)
		}
		w.lose("bravo", true)
		w.clear()
		if err := w.asks("alpha", ask); err == nil || err.Code != fault.ReceiverOffline {
			t.Errorf("a station that is away: %v", err)
		}
	})
}

// Who watches sees which doors it may open outside a call: the account's rules, the station's list, and an operator.
func TestWhichDoorsAreShown(t *testing.T) {
	const rules = "[[may_open_door]]\nfrom = [\"alph?\", \"delta\"]\nto = [\"bravo\"]\n"
	eachHubs(t, "", rules, func(w *world) {
		w.at["alpha"].m.grant.User, w.at["charly"].m.grant.User = "Anna", "Berta" // delta is no operator
		for _, name := range []string{"bravo", "charly"} {
			s := w.at[name]
			if err := s.hub.router.declare(s.m, wire.New(wire.State, "",
				wire.StateBody{Health: "healthy", Door: []string{"alpha", "ch*", "delta"}})); err != nil {
				t.Fatal(err)
			}
		}
		seen := func(name string) (doors []string) {
			w.at[name].hub.router.watch(w.at[name].m)
			time.Sleep(2 * presence.WatchEvery)
			synctest.Wait()
			w.at[name].hub.router.watch(w.at[name].m) // whole
			for _, d := range told[wire.PresenceBody](w, name, wire.Presence).Devices {
				if d.Door {
					doors = append(doors, d.CUID)
				}
				if d.Openers != nil {
					t.Errorf("%s learns the list of %s: %v", name, d.CUID, d.Openers)
				}
			}
			return doors
		}
		for name, want := range map[string][]string{"alpha": {"bravo"}, "charly": nil, "delta": nil} {
			if got := seen(name); !slices.Equal(got, want) {
				t.Errorf("%s sees the doors %v, not %v", name, got, want)
			}
		}
	})
	eachHubs(t, "a rule that is taken away", rules, func(w *world) {
		w.at["alpha"].m.grant.User = "Anna"
		s, bravo := w.at["alpha"], w.at["bravo"]
		if err := bravo.hub.router.declare(bravo.m,
			wire.New(wire.State, "", wire.StateBody{Health: "healthy", Door: []string{"alpha"}})); err != nil {
			t.Fatal(err)
		}
		s.hub.router.watch(s.m)
		time.Sleep(2 * presence.WatchEvery)
		door := func() bool {
			for _, d := range told[wire.PresenceBody](w, "alpha", wire.Presence).Devices {
				if d.CUID == "bravo" {
					return d.Door
				}
			}
			return false
		}
		s.hub.router.presence.Again()
		if !door() {
			t.Error("the door is not shown")
		}
		w.dir.Account("demo").OpenDoor = nil
		s.hub.router.presence.Again() // as Reload does, below
		if door() {
			t.Error("the door is shown after its rule is gone")
		}
	})
	if err := (wire.StateBody{Door: make([]string, wire.MaxOpeners+1)}).Check(); err == nil ||
		err.Code != fault.TooLarge {
		t.Errorf("a long list: %v", err)
	}
	if err := (wire.StateBody{Door: []string{"a\nb"}}).Check(); err == nil {
		t.Error("a list that rewrites the screen")
	}
}

// The other side of a call is told of a door only where a rule lets it be opened.
func TestTheHubTellsOfDoorsThatARuleLets(t *testing.T) {
	for rules, want := range map[string][]string{"": nil,
		"[[may_open_door]]\nfrom = [\"alpha\"]\nto = [\"bravo\"]\n": {"alpha<call.capabilities"}} {
		eachHubs(t, rules, rules, func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
			w.clear()
			w.say("bravo", wire.Capabilities, idA, wire.CapabilitiesBody{Door: true})
			w.expect() // not while it rings
			w.say("bravo", wire.Answer, idA, nil)
			w.clear()
			w.say("bravo", wire.Capabilities, idA, wire.CapabilitiesBody{Door: true})
			w.say("alpha", wire.Capabilities, idA, wire.CapabilitiesBody{Door: true})
			if err := w.say("charly", wire.Capabilities, idA, wire.CapabilitiesBody{Door: true}); err == nil ||
				err.Code != fault.NotParty {
				t.Errorf("of a stranger: %v", err)
			}
			w.expect(want...)
		})
	}
}
