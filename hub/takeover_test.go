package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"intercom/wire"
)

// A device that is there keeps its cuid, however long the hub has said nothing to it.
func TestALiveDeviceKeepsItsCUID(t *testing.T) {
	for _, quietFor := range []time.Duration{0, 2 * time.Second, 9 * time.Second, 11 * time.Second, 14 * time.Second,
		19 * time.Second} {
		t.Run(quietFor.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := serveInBubble(t, func(*Settings) {})
				owner, _ := s.signFrom(p, "192.0.2.10", "front_door", "one")
				owner.listen()
				time.Sleep(quietFor)
				if _, code := s.signFrom(p, "192.0.2.11", "front_door", "two"); code != wire.CloseTaken {
					t.Errorf("after %v of silence another device is closed with %d", quietFor, code)
				}
				owner.say(wire.Envelope{T: wire.Ping, ID: 1})
				synctest.Wait()
				if (local{s.hub.router.registrar}).Device("demo", "front_door").State != wire.Idle {
					t.Error("the owner was closed")
				}
			})
		})
	}
}

// A client's own pings, and a TLS key update, are answered by whoever reads, long after the last message was written.
func TestTheHubAnswersPingsAfterALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		c, _ := s.signFrom(p, "192.0.2.10", "front_door", "one")
		c.listen()
		time.Sleep(writeTime + time.Second)
		if err := c.ws.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A device whose own hub is busy with what it said is not taken for dead, nor is one that answered a moment ago asked
// again for each who wants its place.
func TestManyWantAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		pings := 0
		ws, _, err := websocket.Dial(t.Context(), "ws://hub"+wire.Path,
			&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}, HTTPClient: p.client("192.0.2.10"),
				OnPingReceived: func(context.Context, []byte) bool { pings++; return true }})
		if err != nil {
			t.Fatal(err)
		}
		defer ws.CloseNow()
		owner := &client{t, ws}
		owner.hello(wire.HelloBody{Account: "demo", APIKey: s.key, CUID: "front_door", Instance: "one"})
		owner.until(wire.Welcome)
		owner.listen()
		for range 50 {
			if _, code := s.signFrom(p, "192.0.2.11", "front_door", "two"); code != wire.CloseTaken {
				t.Fatalf("closed with %d", code)
			}
		}
		if pings != 1 {
			t.Errorf("the owner was asked %d times within a moment", pings)
		}
	})
}

// A slow disk at the hub is not a dead device.
func TestADeviceIsAliveWhileTheHubIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(set *Settings) {
			set.Note = func(string, string, wire.NoteBody) error { time.Sleep(30 * time.Second); return nil }
		})
		owner, _ := s.signFrom(p, "192.0.2.10", "front_door", "one")
		owner.listen()
		note := wire.New(wire.Note, "", wire.NoteBody{ID: idA, Kind: wire.Visit, At: time.Now()})
		note.ID = 1
		owner.say(note)
		synctest.Wait()
		if _, code := s.signFrom(p, "192.0.2.11", "front_door", "two"); code != wire.CloseTaken {
			t.Errorf("closed with %d", code)
		}
		time.Sleep(30 * time.Second)
	})
}

// However its connection ends, but by its own word, a device keeps its cuid from others as long as it can resume its
// session. After that, another one may have it.
func TestADeviceKeepsItsCUIDWhileItIsAway(t *testing.T) {
	breaks := func(_ *testing.T, owner *client) { owner.ws.CloseNow() }
	closes := func(_ *testing.T, owner *client) { owner.ws.Close(websocket.StatusGoingAway, "") }
	floods := func(t *testing.T, owner *client) {
		owner.listen()
		ping := wire.Encode(wire.Envelope{T: wire.Ping, ID: 1})
		for range 2 * int(messageRate.burst) {
			if owner.ws.Write(t.Context(), websocket.MessageText, ping) != nil {
				return
			}
		}
	}
	saysNothing := func(*testing.T, *client) {}
	saysBye := func(_ *testing.T, owner *client) { owner.say(wire.Envelope{T: wire.Bye}) }
	for name, c := range map[string]struct {
		part func(*testing.T, *client)
		free time.Duration // from when on another may have it
	}{
		"the connection breaks":   {breaks, wire.SessionGrace},
		"it is closed in order":   {closes, wire.SessionGrace},
		"the hub closes it":       {floods, wire.SessionGrace},
		"it is there, and silent": {saysNothing, askOwner + wire.SessionGrace},
		"it says bye":             {saysBye, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := serveInBubble(t, func(*Settings) {})
				owner, _ := s.signFrom(p, "192.0.2.10", "front_door", "one")
				c.part(t, owner)
				synctest.Wait()
				began := time.Now()
				for {
					_, code := s.signFrom(p, "192.0.2.11", "front_door", "two")
					free := time.Since(began) >= c.free
					if (code == 0) != free {
						t.Fatalf("%v later another device is closed with %d", time.Since(began), code)
					}
					if free {
						return
					}
					time.Sleep(min(3*time.Second, c.free-time.Since(began)))
					synctest.Wait()
				}
			})
		})
	}
}

// A device that was disconnected while another wanted its cuid comes back to its session.
func TestADeviceComesBackBeforeAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := serveInBubble(t, func(*Settings) {})
		s.signFrom(p, "192.0.2.10", "front_door", "one") // and reads nothing
		if _, code := s.signFrom(p, "192.0.2.11", "front_door", "two"); code != wire.CloseTaken {
			t.Errorf("another device is closed with %d", code)
		}
		if n := s.hub.router.count(); n != 0 {
			t.Errorf("%d devices are online, though none gives a sign of life", n)
		}
		if _, code := s.signFrom(p, "192.0.2.10", "front_door", "one"); code != 0 {
			t.Errorf("the owner is closed with %d", code)
		}
	})
}
