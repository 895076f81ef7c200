package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"intercom/hub/access"
	"intercom/hub/presence"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Each rule of an account, and that it refuses; docs/config.md names these tests. With several hubs the two are at
// different ones.

func eachHubs(t *testing.T, name, rules string, f func(w *world)) {
	for _, hubs := range []int{1, 2} {
		testOn(t, fmt.Sprintf("%s, hubs: %d", name, hubs), hubs, rules, f)
	}
}

func TestTheRuleMayCallRefuses(t *testing.T) {
	const rules = "[[may_call]]\nfrom = [\"alpha\"]\nto = [\"bravo\", \"c*\"]\n[[group]]\nid = \"everyone\"\nmembers " +
		"= [\"bravo\", \"delta\"]\n"
	for _, c := range []struct{ from, to string }{{"bravo", "alpha"}, {"alpha", "delta"}, {"charly", "bravo"},
		{"bravo", "charly"}} {
		eachHubs(t, c.from+" calls "+c.to, rules, func(w *world) {
			w.invite(c.from, c.to, idA)
			w.expect(c.from + "<call.ended declined/not_allowed")
		})
	}
	eachHubs(t, "of several, and of a group, who may not be called does not ring", rules, func(w *world) {
		w.invite("alpha", "everyone", idA)
		w.expect("bravo<call.incoming")
		w.say("alpha", wire.Cancel, idA, wire.CancelBody{Reason: outcome.ByCaller})
		w.clear()
		w.invite("alpha", "delta,charly", idB)
		w.expect("charly<call.incoming")
	})
}

func TestTheRuleMaySeeRefuses(t *testing.T) {
	eachHubs(t, "presence", "[[may_see]]\nfrom = [\"alpha\"]\nto = [\"bravo\", \"alpha\"]\n", func(w *world) {
		for _, who := range []string{"alpha", "charly"} {
			w.at[who].hub.router.watch(w.at[who].m)
		}
		time.Sleep(2 * presence.WatchEvery)
		w.lose("delta", true) // and of changes no more than of the list
		time.Sleep(2 * presence.WatchEvery)
		synctest.Wait()
		w.notes.Lock()
		defer w.notes.Unlock()
		if sees := w.at["alpha"].sees; len(sees) != 2 || sees["bravo"] == "" {
			t.Errorf("alpha sees %v", sees)
		}
		if sees := w.at["charly"].sees; len(sees) != 0 {
			t.Errorf("charly sees %v", sees)
		}
	})
}

// A rule that comes while somebody watches counts at once.
func TestANewRuleOfPresenceCountsAtOnce(t *testing.T) {
	eachHubs(t, "", "", func(w *world) {
		s := w.at["charly"]
		s.hub.router.watch(s.m)
		time.Sleep(2 * presence.WatchEvery)
		synctest.Wait()
		if len(s.sees) < 3 {
			t.Errorf("charly sees %v", s.sees)
		}
		w.dir.Account("demo").See = []access.Rule{{From: []string{"alpha"}, To: []string{"*"}}}
		s.hub.Reload()
		synctest.Wait()
		w.notes.Lock()
		defer w.notes.Unlock()
		if len(s.sees) != 0 {
			t.Errorf("charly still sees %v", s.sees)
		}
	})
}

// Only operators may have a station blink and sound, and only one that they may see.
func TestTheRuleMaySeeRefusesToIdentify(t *testing.T) {
	eachHubs(t, "identify", "[[may_see]]\nfrom = [\"alpha\"]\nto = [\"bravo\"]\n", func(w *world) {
		asks := func(who, station string) *fault.Error {
			s := w.at[who]
			return s.hub.router.requests.identify(s.m, wire.New(wire.Identify, "", wire.IdentifyBody{CUID: station}))
		}
		if err := asks("alpha", "bravo"); err == nil || err.Code != fault.NotAllowed {
			t.Errorf("a station, not an operator, identifies another: %v", err)
		}
		for _, who := range []string{"alpha", "charly"} {
			w.at[who].m.grant.User = "anna"
		}
		for _, c := range [][2]string{{"alpha", "charly"}, {"charly", "bravo"}, {"charly", "charly"}} {
			if err := asks(c[0], c[1]); err == nil || err.Code != fault.NotAllowed {
				t.Errorf("%s identifies %s: %v", c[0], c[1], err)
			}
		}
		w.expect()
		if err := asks("alpha", "bravo"); err != nil {
			t.Error(err)
		}
		w.expect("bravo<identify")
	})
}

func TestTheRuleForAutomaticAnswersRefuses(t *testing.T) {
	for rules, want := range map[string]bool{
		"": false, // without a rule, nobody
		"[[may_be_answered_automatically]]\nfrom = [\"alpha\"]\nto = [\"charly\"]\n": false,
		"[[may_be_answered_automatically]]\nfrom = [\"bravo\"]\nto = [\"alpha\"]\n":  false, // not the other way
		"[[may_be_answered_automatically]]\nfrom = [\"al*\"]\nto = [\"bravo\"]\n":    true,
	} {
		eachHubs(t, fmt.Sprint(want), rules, func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.expect("bravo<call.incoming")
			if got := w.at["bravo"].auto; got != want {
				t.Errorf("with %q a call of alpha may be answered by bravo itself: %v", rules, got)
			}
		})
	}
}

func TestTheRuleMayOpenDoorRefuses(t *testing.T) {
	for rules, opens := range map[string]bool{
		"": false, // without a rule, nobody
		"[[may_open_door]]\nfrom = [\"alpha\"]\nto = [\"charly\"]\n": false,
		"[[may_open_door]]\nfrom = [\"bravo\"]\nto = [\"alpha\"]\n":  false, // not the other way
		"[[may_open_door]]\nfrom = [\"alph\"]\nto = [\"*\"]\n":       false,
		"[[may_open_door]]\nfrom = [\"alpha\"]\nto = [\"br?vo\"]\n":  true,
		"[[may_call]]\nfrom = [\"*\"]\nto = [\"*\"]\n":               false, // another rule
	} {
		eachHubs(t, fmt.Sprint(opens), rules, func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
			w.say("bravo", wire.Answer, idA, nil)
			w.clear()
			err := w.say("alpha", wire.Door, idA, wire.DoorBody{From: "bravo"})
			if opens {
				w.expect("bravo<call.door")
				return
			}
			w.expect() // the station does not hear of it
			if err == nil || err.Code != fault.NotAllowed || !strings.Contains(err.Message, "may_open_door") {
				t.Errorf("with %q the door of bravo is refused by %v", rules, err)
			}
			for range 30 {
				w.say("alpha", wire.Door, idA, nil)
			}
			w.notes.Lock()
			defer w.notes.Unlock()
			if want := "bravo: alpha refused, no rule may_open_door of the account has it"; len(w.noted) == 0 ||
				len(w.noted) > mostRefusals || slices.ContainsFunc(w.noted, func(n string) bool { return n != want }) {
				t.Errorf("on record: %q", w.noted)
			}
		})
	}
}

// A limit of the account, of a caller, and of the invite.
func TestALimitOfACallerEndsItsCalls(t *testing.T) {
	eachHubs(t, "the caller's own comes first",
		"max_duration = \"1h\"\n[[caller]]\ncuid = \"al*\"\nmax_duration = \"1m\"\n", func(w *world) {
			w.invite("alpha", "bravo", idA)
			w.say("bravo", wire.Ringing, idA, wire.SDPBody{SDP: "v=0"})
			w.say("bravo", wire.Answer, idA, nil)
			time.Sleep(time.Minute + time.Second)
			w.expectSome("alpha<call.ended over/max_duration", "bravo<call.ended over/max_duration")
		})
}

// Who is not in a group is not called by its name, and the one who calls it is not called itself.
func TestAGroupHasItsMembersOnly(t *testing.T) {
	eachHubs(t, "", "[[group]]\nid = \"everyone\"\nmembers = [\"alpha\", \"bravo\"]\n", func(w *world) {
		w.invite("alpha", "everyone", idA)
		w.expect("bravo<call.incoming")
		if err := w.say("charly", wire.Answer, idA, nil); err == nil || err.Code != fault.NotParty {
			t.Errorf("charly, who is not in it, answers: %v", err)
		}
	})
}
