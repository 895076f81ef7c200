package voice_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"intercom/audio"
	"intercom/device"
	"intercom/device/devicetest"
	"intercom/device/setup"
	"intercom/device/voice"
)

// Each mute changes the sound's status, and that is told to the owner, which mutes: wired as the daemon does.
func TestMutingNeverLocksUpTheOwner(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	cfg := setup.Defaults()
	cfg.CUID, cfg.LED = "front_door", []setup.LED{{Name: "status"}}
	sound := audio.New(audio.Settings{}, log)
	media, err := voice.New(cfg, sound, log)
	if err != nil {
		t.Fatal(err)
	}
	d := device.New(cfg, device.Parts{Media: media, Sound: media, Lamps: []device.Lamp{&devicetest.Lamp{}}}, log)
	d.Connect(&devicetest.Wire{Tape: devicetest.NewTape()})
	sound.OnChange(func() {
		d.Fault(media.Status().Fault())
		d.SoundChanged()
		media.Changed()
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	soon, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = d.Ask(soon, func() {
		for i := range 1000 {
			media.Mute(i%2 == 0)
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
