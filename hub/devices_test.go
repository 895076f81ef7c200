package hub

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"intercom/hub/access"
	"intercom/hub/bus"
	"intercom/hub/cluster"
	"intercom/hub/hubtest"
	"intercom/internal/fault"
	"intercom/wire"
)

// come signs a device in that need not be let in.
func (w *world) come(name, instance string, i int, grant access.Grant) *fault.Error {
	s := &station{latest: map[wire.Type]wire.Envelope{}, name: name, world: w, hub: w.hubs[i], ended: nil, tickets: nil}
	h := hello{grant: grant, HelloBody: wire.HelloBody{Account: "demo", CUID: name, Instance: instance}}
	m, err := s.hub.router.enter(context.Background(), dev(name), h, s, wire.WelcomeBody{})
	if err != nil {
		return err
	}
	s.m = m
	w.at[name] = s
	return nil
}

// refuses checks that an account is full for a device, and says what to do.
func (w *world) refuses(name string, i int) {
	w.t.Helper()
	err := w.come(name, "one", i, demoKey.Grant())
	if err == nil {
		w.t.Errorf("%s is let in", name)
	} else if err.Code != fault.NotAllowed || err.RetryAfter() == 0 || !strings.Contains(err.Message, "max_devices") {
		w.t.Errorf("%s is refused with %v", name, err)
	}
}

func (w *world) lets(name string, i int) {
	w.t.Helper()
	if err := w.come(name, "one", i, demoKey.Grant()); err != nil {
		w.t.Errorf("%s is refused: %v", name, err)
	}
}

// An account has so many devices at once and no more. Who is there can always come back; so can whom the account's
// files name, and operators, who have to put it in order; and each that leaves makes room.
func TestAnAccountIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := accounts(t, `
			max_devices = 6
			[[station]]
			cuid = "gate_1"
			[[group]]
			id = "everybody"
			members = ["gate_2"]
		`)
		w := newWorld(t, d, 1) // with four
		defer w.end()
		w.lets("fifth", 0)
		w.lets("sixth", 0)
		w.refuses("seventh", 0)
		w.lose("alpha", false)
		w.refuses("seventh", 0) // its session goes on
		w.lets("alpha", 0)
		w.lets("bravo", 0)
		if err := w.come("sixth", "another", 0, demoKey.Grant()); err == nil || err.Code != fault.AlreadySignedIn {
			t.Errorf("another device under a cuid that is there: %v", err)
		}
		w.refuses("seventh", 0)
		w.lets("gate_1", 0)
		w.lets("gate_2", 0)
		w.refuses("seventh", 0)
		for _, name := range []string{"charly", "delta"} { // two beyond the limit
			w.lose(name, true)
		}
		w.refuses("seventh", 0)
		w.lose("fifth", false)
		time.Sleep(wire.SessionGrace + time.Second)
		w.lets("seventh", 0)
		w.refuses("eighth", 0)
		if n := len(w.hubs[0].router.devices.coming); n > 0 {
			t.Errorf("%d places are kept for nobody", n)
		}
	})
}

// However many come at the same moment, as many get in as may.
func TestManyWantTheLastPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, accounts(t, "max_devices = 10\n"), 1)
		defer w.end()
		var in, out int
		var mu sync.Mutex
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				s := &station{latest: map[wire.Type]wire.Envelope{}, name: fmt.Sprint("many_", i), world: w}
				h := hello{grant: demoKey.Grant(),
					HelloBody: wire.HelloBody{Account: "demo", CUID: s.name, Instance: "one"}}
				_, err := w.hubs[0].router.enter(context.Background(), dev(s.name), h, s, wire.WelcomeBody{})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					in++
				} else {
					out++
				}
			})
		}
		all.Wait()
		if in != 6 || out != 94 {
			t.Errorf("%d are let in, %d refused", in, out)
		}
	})
}

// Hubs count together: what one has is missing at the other, at once where the limit is small. A device can change its
// hub also when the account is full, and a hub that is gone holds no places.
func TestAFullAccountOfSeveralHubs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, accounts(t, "max_devices = 6\n"), 3)
		defer w.end()
		w.lets("fifth", 0)
		synctest.Wait()
		w.lets("sixth", 1)
		synctest.Wait()
		for i := range w.hubs {
			w.refuses("seventh", i)
		}
		w.lets("fifth", 2) // moves
		synctest.Wait()
		w.refuses("seventh", 0)
		w.lose("sixth", true)
		time.Sleep(2 * RenewEvery)
		w.lets("seventh", 0)
		synctest.Wait()
		w.refuses("eighth", 1)
		w.kill(0) // alpha, delta and seventh
		w.lets("alpha", 1)
		w.lets("delta", 1)
		synctest.Wait()
		w.refuses("eighth", 1)
		time.Sleep(countEnds + RenewEvery)
		w.lets("eighth", 1)
		synctest.Wait()
		w.refuses("ninth", 2)
	})
}

// A hub tells the others of every hundredth of the limit, and in between every few seconds.
func TestHubsTellHowManyTheyHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := accounts(t, "max_devices = 1000\n")
		w := newWorld(t, d, 2)
		defer w.end()
		time.Sleep(2 * RenewEvery)
		other := w.hubs[1].router.devices
		knows := func() int {
			synctest.Wait()
			other.mu.Lock()
			defer other.mu.Unlock()
			return other.there["hub0"].count["demo"]
		}
		before := knows()
		for i := range 10 {
			w.lets(fmt.Sprint("more_", i), 0)
		}
		if got := knows(); got != before {
			t.Errorf("after 10 more the other knows of %d", got)
		}
		w.lets("one_more", 0)
		if got := knows(); got != before+11 {
			t.Errorf("after 11 more the other knows of %d", got)
		}
		w.lets("last_one", 0)
		time.Sleep(RenewEvery)
		if got := knows(); got != before+12 {
			t.Errorf("in the end the other knows of %d", got)
		}
	})
}

// While the other hubs cannot be asked, nobody is refused who may be with one of them.
func TestAFullAccountWithoutTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, accounts(t, "max_devices = 4\n"), 2)
		defer w.end()
		w.refuses("fifth", 0)
		w.hubs[0].set.Bus.(*hubtest.Bus).Down(true)
		w.lets("bravo", 0)
		time.Sleep(bus.LeaseTime / 2)
		w.hubs[0].set.Bus.(*hubtest.Bus).Down(false)
	})
}

// Operators have places of their own, a limited number.
func TestOperatorsComeIntoAFullAccount(t *testing.T) {
	d := newDevices(cluster.New((&hubtest.Net{}).Join("hub"), quiet), accounts(t, "max_devices = 2\n"))
	ask := func(i int, g access.Grant) *fault.Error {
		w := dev(fmt.Sprint("device_", i))
		p, err := d.reserve(t.Context(), w, hello{grant: g})
		if err == nil {
			d.seated(w, p)
		}
		return err
	}
	for i := range 2 {
		if err := ask(i, demoKey.Grant()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range operatorPlaces {
		if err := ask(10+i, access.Grant{User: "anna"}); err != nil {
			t.Fatalf("operator %d: %v", i, err)
		}
	}
	if ask(1000, access.Grant{User: "anna"}) == nil || ask(1001, demoKey.Grant()) == nil {
		t.Error("one more is let in")
	}
}

// A device that finds no place is told why and when to try again, and the connection is closed as one that the hub
// cannot take now.
func TestTheFullAccountIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		text, err := os.ReadFile(access.File(s.folder, "demo"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(access.File(s.folder, "demo"), append([]byte("max_devices = 1\n"), text...),
			0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.dir.Reload(); err != nil {
			t.Fatal(err)
		}
		s.signFrom(p, "192.0.2.10", "front_door", "1")
		c := s.dialFrom(p, "192.0.2.10")
		c.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "reception", Instance: "1"})
		e, _ := c.until(wire.Fail)
		f, ferr := wire.Body[fault.Error](e)
		if ferr != nil || f.Code != fault.NotAllowed || f.Field != "account" || f.RetryAfter() != fullAgain {
			t.Errorf("%+v", e)
		}
		if _, code := c.until("nothing"); code != wire.CloseOverload {
			t.Errorf("closed with %d", code)
		}
	})
}
