package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/wire"
)

// Attacks on who a device is.
var cuidAttacks = []attack{
	{"cuid/live-owner",
		"takes the cuid of a station that is there, after the hub has been quiet for longer than its write deadlines",
		takeLiveOwner},
	{"cuid/owner-away",
		"takes the cuid of a station whose connection broke a moment ago, or that the hub threw out",
		takeAbsentOwner},
}

// takeLiveOwner signs in under the cuid of an owner to whom the hub has not written for 0, 3 and 12 s.
func takeLiveOwner(t *trial) {
	t.startHub("")
	owner := t.signIn("front_door")
	for _, quiet := range []time.Duration{0, 3 * time.Second, 12 * time.Second} {
		select {
		case <-time.After(quiet):
		case <-t.ctx.Done():
		}
		t.stealFrontDoor(fmt.Sprintf("%v after the hub's last word", quiet))
		if owner.gone() {
			t.through("the owner was thrown out after %v", quiet)
			return
		}
		if _, err := owner.ask(wire.Envelope{T: wire.Ping}); err != nil { // and it is served
			t.through("the owner is not answered any more: %v", err)
		}
	}
}

// takeAbsentOwner signs in under the cuid of an owner while its connection is gone, in different ways. Then the owner
// comes back.
func takeAbsentOwner(t *trial) {
	t.startHub("")
	identity := t.identity("front_door")
	for _, way := range []struct {
		name string
		part func(owner *client)
	}{
		{"after its connection broke", func(owner *client) { _ = owner.CloseNow() }},
		{"after it left in order", func(owner *client) { _ = owner.Close(websocket.StatusGoingAway, "") }},
		{"after the hub threw it out", func(owner *client) {
			for range 200 {
				if owner.say(wire.Envelope{T: wire.Ping, ID: 1}) != nil {
					return
				}
			}
		}},
	} {
		owner, err := t.dial()
		t.must(err)
		_, err = owner.hello(identity)
		t.must(err)
		way.part(owner)
		t.until("the end of the owner's connection", owner.gone)
		for range 5 {
			t.stealFrontDoor(way.name)
		}
	}
	owner, err := t.dial()
	t.must(err)
	if _, err := owner.hello(identity); err != nil {
		t.through("the owner does not get its own cuid back: %v", err)
	}
}

// stealFrontDoor signs in as front_door, as another device than the one that has it.
func (t *trial) stealFrontDoor(when string) {
	thief, err := t.dial()
	t.must(err)
	defer func() { _ = thief.CloseNow() }()
	_, err = thief.hello(t.identity("front_door"))
	var refused *fault.Error
	switch {
	case err == nil:
		t.through("another instance had the cuid %s", when)
	case !errors.As(err, &refused) || refused.Code != fault.AlreadySignedIn:
		t.through("%s the refusal was %v, not %s", when, err, fault.AlreadySignedIn)
	}
}
