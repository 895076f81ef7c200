package hub

import (
	"context"
	"testing"
	"time"

	"intercom/internal/outcome"
	"intercom/wire"
)

// withRelay is like testOn, with hubs that have a relay each. It tells a party its hub, cuid and call.
func withRelay(t *testing.T, name string, hubs int, settings string, f func(w *world)) {
	testOn(t, name, hubs, settings, func(w *world) {
		for i := range w.hubs {
			w.relay(i)
		}
		f(w)
	})
}

func (w *world) relay(i int) {
	r := w.hubs[i].router
	r.servers = func(_, cuid, call string) []wire.ICEServer {
		return []wire.ICEServer{{URLs: []string{"turn:" + r.hubs.Self()}, Username: cuid, Credential: call}}
	}
}

// lives checks what hub i says to its relay about the parties of a call.
func (w *world) lives(i int, id string, want map[string]bool) {
	w.t.Helper()
	for cuid, live := range want {
		if got, known := w.hubs[i].Live("demo", cuid, id); got != live || !known {
			w.t.Errorf("hub %d: %s in %s: live %v, known %v; want %v", i, cuid, id[:4], got, known, live)
		}
	}
}

// served checks that a station's latest servers are those of a hub, for it and the call.
func (w *world) served(name string, hub int, id string) {
	w.t.Helper()
	w.notes.Lock()
	defer w.notes.Unlock()
	s := w.at[name].served
	if len(s) != 1 || s[0].URLs[0] != "turn:"+w.hubs[hub].router.hubs.Self() || s[0].Username != name ||
		s[0].Credential != id {
		w.t.Errorf("%s was told %+v, want those of hub %d for itself", name, s, hub)
	}
}

func (w *world) unserved(name string) {
	w.t.Helper()
	w.notes.Lock()
	defer w.notes.Unlock()
	if s := w.at[name].served; s != nil {
		w.t.Errorf("%s was told of %+v", name, s)
	}
}

func TestServersBelongToALiveCall(t *testing.T) {
	sdp := wire.SDPBody{SDP: "v=0"}
	for hubs := 1; hubs <= 2; hubs++ { // bravo is at the other one
		withRelay(t, "they come when somebody rings, and the call is over when it is over", hubs, "", func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.expectSome("bravo<call.incoming")
			w.served("bravo", 0, idA)
			w.unserved("alpha")
			w.lives(0, idA, map[string]bool{"alpha": false, "bravo": true, "charly": false})
			w.say("bravo", wire.Ringing, idA, sdp)
			w.expect("alpha<call.servers", "alpha<call.ringing bravo")
			w.served("alpha", 0, idA)
			w.lives(0, idA, map[string]bool{"alpha": true, "bravo": true, "charly": false})
			w.say("bravo", wire.Answer, idA, nil)
			time.Sleep(25 * time.Hour)
			w.lives(0, idA, map[string]bool{"alpha": true, "bravo": true})
			w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
			w.clear()
			w.lives(0, idA, map[string]bool{"alpha": false, "bravo": false})
			time.Sleep(2 * wire.RememberEnded)
			if live, known := w.hubs[0].Live("demo", "alpha", idA); live || known {
				t.Error("a call that was forgotten is known")
			}
		})
		withRelay(t, "nobody who rings, none for the caller", hubs, "[[may_call]]\nfrom = [\"alpha\"]\nto = [\"*\"]\n",
			func(w *world) {
				w.lose("delta", true)
				w.say("bravo", wire.State, "", wire.StateBody{DND: true})
				for i, to := range []string{"delta", "no_such_station", "nobody", "charly"} {
					id := idA[:31] + string(rune('a'+i))
					from := "alpha"
					if to == "charly" {
						from, to = "charly", "alpha" // not allowed
					}
					w.invite(from, to, id)
					if err := w.say(from, wire.Servers, id, nil); err != nil && i < 3 {
						t.Errorf("%s: %v", to, err)
					}
					time.Sleep(10 * time.Second)
					w.unserved(from)
					w.lives(0, id, map[string]bool{from: false})
				}
				w.clear()
			})
		withRelay(t, "who does not ring any more has none", hubs, "", func(w *world) {
			w.invite("alpha", "bravo,charly,delta", idA)
			for _, c := range []string{"bravo", "charly", "delta"} {
				w.say(c, wire.Ringing, idA, sdp)
			}
			w.say("bravo", wire.Decline, idA, wire.DeclineBody{Reason: outcome.ByHand})
			w.lives(0, idA, map[string]bool{"alpha": true, "bravo": false, "charly": true, "delta": true})
			w.say("delta", wire.Answer, idA, nil)
			w.lives(0, idA, map[string]bool{"alpha": true, "bravo": false, "charly": false, "delta": true})
			w.clear()
		})
		withRelay(t, "a party may ask for them anew, and nobody else", hubs, "", func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.clear()
			w.say("alpha", wire.Servers, idA, nil)
			w.expect() // nobody rings yet
			w.say("bravo", wire.Ringing, idA, sdp)
			w.say("bravo", wire.Answer, idA, nil)
			w.clear()
			for _, name := range []string{"alpha", "bravo"} {
				w.say(name, wire.Servers, idA, nil)
				w.expect(name + "<call.servers")
				w.served(name, 0, idA)
			}
			if err := w.say("charly", wire.Servers, idA, nil); err == nil {
				t.Error("a stranger may ask")
			}
			w.unserved("charly")
			w.say("bravo", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
			w.clear()
			w.say("alpha", wire.Servers, idA, nil)
			w.expect("alpha<call.ended over/hangup")
		})
	}
}

// The parties of a call may use the relay of the hub where it began, though the call has moved to another.
func TestOtherHubsSayWhetherACallLives(t *testing.T) {
	withRelay(t, "a call that moved", 3, "", func(w *world) {
		w.invite("alpha", "bravo", idA)
		w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
		w.say("bravo", wire.Answer, idA, nil)
		w.hubs[0].router.fence() // it lost its lease, and runs on
		time.Sleep(time.Second)
		w.back("alpha", 2)
		w.clear()
		if live, known := w.hubs[0].Live("demo", "alpha", idA); live || known {
			t.Error("the hub that lost the call knows it")
		}
		elsewhere := func(cuid, id string) (bool, bool) {
			live, known, err := w.hubs[0].LiveElsewhere(context.Background(), "demo", cuid, id)
			if err != nil {
				t.Error(err)
			}
			return live, known
		}
		for _, cuid := range []string{"alpha", "bravo"} {
			if live, known := elsewhere(cuid, idA); !live || !known {
				t.Errorf("%s: live %v, known %v", cuid, live, known)
			}
		}
		w.served("alpha", 2, idA) // for a restart of ICE, should the old relay be gone
		if live, known := elsewhere("charly", idA); live || !known {
			t.Errorf("a stranger: live %v, known %v", live, known)
		}
		if live, known := elsewhere("alpha", idB); live || known {
			t.Errorf("no call: live %v, known %v", live, known)
		}
		w.say("alpha", wire.HangUp, idA, wire.HangUpBody{Reason: outcome.HangUp})
		time.Sleep(time.Second)
		if live, known := elsewhere("alpha", idA); live || !known {
			t.Errorf("over: live %v, known %v", live, known)
		}
		w.clear()
	})
}
