package voice

import (
	"log/slog"
	"testing"

	"intercom/audio"
	"intercom/audio/codec"
	"intercom/device"
	"intercom/device/setup"
)

// The answer can overtake the descriptions: the microphone is then open before it is known what to encode.
func TestSoundBeforeTheCodecIsAgreedIsDropped(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	v, err := New(setup.Defaults(), audio.New(audio.Settings{}, log), log)
	if err != nil {
		t.Fatal(err)
	}
	p := v.Path(nil, false, setup.Duplex, device.News{}).(*path)
	p.OpenVoice()
	p.block(make([]int16, codec.Block))
	p.Close()
	p.block(make([]int16, codec.Block))
	<-p.peer.Closed()
}

// Whatever is broken of the sound has a code.
func TestEveryPartOfTheSoundHasACode(t *testing.T) {
	for _, p := range audio.Parts() {
		if soundCodes[p] == "" {
			t.Errorf("%s has none", p)
		}
	}
}
