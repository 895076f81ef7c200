package audio_test

import (
	"context"
	"log/slog"
	"time"

	"intercom/audio"
	"intercom/audio/tone"
)

// Rings for five seconds, and counts the blocks of the microphone meanwhile.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	sound := audio.New(audio.Settings{App: "example", Echo: audio.EchoAuto, Buffer: 20 * time.Millisecond,
		Block: 10 * time.Millisecond}, slog.Default())
	blocks := 0
	sound.Mic(audio.Open, func([]int16) { blocks++ }) // 10 ms each, valid during the call only
	sound.Ring(tone.NewPlayer(tone.Ring()))
	_ = sound.Run(ctx) // finds the sound server, and goes on without it
	slog.Info("recorded", "ms", 10*blocks, "server", sound.Status().Server)
}
