package main

import (
	"errors"
	"time"

	"intercom/internal/fault"
	"intercom/wire"
)

// Attacks on who a device is.
var cuidAttacks = []attack{
	{"cuid/live-owner",
		"takes the cuid of a station that is there, after the hub has been quiet for longer than its write deadlines",
		takeLiveOwner},
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
		thief, err := t.dial()
		t.must(err)
		_, err = thief.hello(t.identity("front_door"))
		var refused *fault.Error
		switch {
		case err == nil:
			t.through("another instance had the cuid %v after the hub's last word", quiet)
		case !errors.As(err, &refused) || refused.Code != fault.AlreadySignedIn:
			t.through("after %v the refusal was %v, not %s", quiet, err, fault.AlreadySignedIn)
		}
		if owner.gone() {
			t.through("the owner was thrown out after %v", quiet)
			return
		}
		if _, err := owner.ask(wire.Envelope{T: wire.Ping}); err != nil { // and it is served
			t.through("the owner is not answered any more: %v", err)
		}
	}
}
