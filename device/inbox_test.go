package device_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"intercom/audio"
	"intercom/call"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/devicetest"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Sound, media path, wire and LEDs tell the owner a great deal while it calls them, as a sound does whose status changes.
// In a bubble of synctest an owner that waits for itself fails the test at once.
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
		for _, act := range []string{setup.ActMute, setup.ActUp, setup.ActDoor, setup.ActDND, setup.ActPrivacy, setup.ActHangUp} {
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

// The same with the real sound, wired as the daemon does: each mute changes its status, and that is told to the owner,
// which mutes.
func TestMutingNeverLocksUpTheOwner(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	sound := audio.New(audio.Settings{}, log)
	voice, err := device.NewVoice(settings(), sound, log)
	if err != nil {
		t.Fatal(err)
	}
	d := device.New(settings(), device.Parts{Media: voice, Sound: voice, Lamps: []device.Lamp{&devicetest.Lamp{}}}, log)
	d.Connect(&devicetest.Wire{Tape: devicetest.NewTape()})
	sound.OnChange(func() {
		d.Fault(voice.Status().Fault())
		d.SoundChanged()
		voice.Changed()
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = d.Ask(soon, func() {
		for i := range 1000 {
			voice.Mute(i%2 == 0)
		}
	})
	if errors.Is(err, context.DeadlineExceeded) {
		t.Fatal("the owner waits for itself")
	}
	if s, serr := d.Status(soon); err != nil || serr != nil || s.Sound.Muted {
		t.Errorf("%+v %v %v", s.Sound, err, serr)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
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
