package device_test

import (
	"testing"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Sound, media path, wire and LEDs tell the owner a great deal while it calls them, as a sound does whose status
// changes. In a bubble of synctest an owner that waits for itself fails the test at once.
func TestNothingThatTheOwnerCallsWaitsForIt(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		chatter := func() {
			for range 1000 {
				b.SoundChanged()
			}
			b.Fault(control.Fault{Code: control.SoundServer, Part: control.PartAudio, Text: "away"})
			b.Fault(control.Well(control.PartAudio))
			b.Gesture(setup.Button{Name: "volume"}, gpio.Gesture{Kind: gpio.Up})
			b.DoorInput("exit", false)
		}
		b.online()
		_ = b.Ask(b.Context(), func() { b.tape.Heard, b.lamp.Shown, b.relay.Shown = chatter, b.SoundChanged, chatter })
		b.press(setup.ActCall)
		b.hub(wire.Ringing, wire.SDPBody{SDP: "offer"})
		b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
		b.hub(wire.Answered, nil)
		b.shows(control.LightTalking)
		for _, act := range []string{setup.ActMute, setup.ActUp, setup.ActDoor, setup.ActDND, setup.ActPrivacy,
			setup.ActHangUp} {
			b.press(act)
		}
		_ = b.Ask(b.Context(), func() { b.tape.Heard, b.lamp.Shown, b.relay.Shown = nil, nil, nil })
		b.ended(outcome.Over, outcome.HangUp)
		time.Sleep(time.Minute)
		if s, err := b.Status(b.Context()); err != nil || s.Phase != call.Idle || s.LastCall == nil {
			t.Errorf("%+v %v", s, err)
		}
	})
}

// What is told while the station stops, and after, keeps nobody.
func TestTellingAStationThatHasStopped(t *testing.T) {
	try(t, func(b *bench) {
		b.stop()
		for range 1000 {
			b.SoundChanged()
			b.Fault(control.Fault{Code: control.SoundServer, Part: control.PartAudio, Text: "away"})
		}
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		b.done <- nil
		for range 1000 {
			b.SoundChanged()
		}
		b.hub(wire.Identify, nil)
		if calls := b.Calls(); calls != nil {
			t.Errorf("%v", calls)
		}
	})
}
