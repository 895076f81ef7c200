package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"intercom/wire"
)

// A device that is there keeps its cuid, however long the hub has said nothing to it; another gets it when it is not.
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
		time.Sleep(believedFor)
		ws.CloseNow()
		synctest.Wait()
		if _, code := s.signFrom(p, "192.0.2.11", "front_door", "two"); code != 0 {
			t.Errorf("the place of a device that has gone is not given: %d", code)
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
