// Package voice is the sound of a station and the voice path of its calls: it joins the microphone, the sending half of
// the RTP stream and the path of call/rtc, and that path, the receiving half and the loudspeaker.
//
// A [Voice] is what a device needs for [device.Media] and [device.Sound], on real devices; cmd/intercomd makes it. Only
// here audio and call/rtc meet, which do not know each other. Its methods return at once, but for the self-test.
// voice.go has the sound devices, path.go the voice path of a call, tones.go what is heard beside voices, selftest.go
// the test of the sound.
package voice

import (
	"log/slog"
	"sync"

	"intercom/audio"
	"intercom/audio/rtp"
	"intercom/audio/tone"
	"intercom/call"
	"intercom/call/rtc"
	"intercom/device/control"
	"intercom/device/network"
	"intercom/device/setup"
)

// Voice is the sound of a station.
type Voice struct {
	audio  *audio.Audio
	engine *rtc.Engine
	log    *slog.Logger
	cfg    *setup.Config

	mu    sync.Mutex
	tones map[call.Tone]tone.Sound
	on    [2]string     // the devices, when they were last looked at
	moved chan struct{} // they are others
}

// New joins the sound devices to an engine for paths. The configuration was checked.
func New(cfg *setup.Config, a *audio.Audio, log *slog.Logger) (*Voice, error) {
	var codecs []rtc.Codec
	for _, f := range rtp.Formats() {
		codecs = append(codecs, rtc.Codec(f))
	}
	engine, err := rtc.New(rtc.Settings{Codecs: codecs, Interfaces: cfg.Media.Interfaces, Way: network.Way})
	if err != nil {
		return nil, err
	}
	return &Voice{audio: a, engine: engine, log: log, cfg: cfg, tones: standardTones(),
		moved: make(chan struct{}, 1)}, nil
}

// Changed looks whether the devices are others than before. It is called when the sound's status is another.
func (v *Voice) Changed() {
	s := v.audio.Status()
	now := [2]string{s.Sink, s.Source}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now[1] == "" { // there is no stream while there is no call
		now[1] = v.on[1]
	}
	if now == v.on || now[0] == "" {
		return
	}
	if v.on[0] != "" {
		select {
		case v.moved <- struct{}{}:
		default:
		}
	}
	v.on = now
}

// Mute closes the microphone, or takes that back.
func (v *Voice) Mute(on bool) { v.audio.Mute(on) }

// Volume sets how loud voices and ringing are, in percent.
func (v *Voice) Volume(talk, ring int) { v.audio.Volume(talk, ring) }

// soundCodes are the codes for what is broken of the sound.
var soundCodes = map[audio.Part]control.Code{
	audio.Server: control.SoundServer, audio.Capture: control.SoundCapture, audio.EchoCanceller: control.SoundEcho,
	audio.Playback: control.SoundPlayback, audio.Ringing: control.SoundPlayback,
	audio.Loudspeaker: control.SoundDevice, audio.RingLoudspeaker: control.SoundDevice,
	audio.Microphone: control.SoundDevice,
}

// Status is how the sound devices are.
func (v *Voice) Status() control.SoundStatus {
	ms := control.Millis
	s := v.audio.Status()
	c := control.SoundStatus{Sink: s.Sink, Source: s.Source, PlaybackMS: ms(s.Playback), CaptureMS: ms(s.Capture),
		MicOpen: s.MicOpen, MicDBFS: s.MicDBFS, SpkDBFS: s.SpkDBFS, Rebuilt: s.Rebuilt, Muted: s.Muted,
		TalkVolume: s.Talk, RingVolume: s.Ring, Echo: s.Echo, Realtime: s.Realtime, Underflows: s.Starved,
		Overflows: s.Spilled, Trouble: s.Trouble, Code: soundCodes[s.Broken], MicTrouble: s.Deaf}
	c.AskedMS.Playback, c.AskedMS.Capture = ms(v.cfg.Audio.Buffer.Std()), ms(v.cfg.Audio.Block.Std())
	return c
}
