package voice

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"intercom/audio/tone"
	"intercom/call"
	"intercom/device/control"
	"intercom/internal/durable"
	"intercom/internal/fetch"
)

// standardTones are those made by code.
func standardTones() map[call.Tone]tone.Sound {
	return map[call.Tone]tone.Sound{
		call.PressTone: tone.Press(), call.SpeakTone: tone.Speak(), call.RingTone: tone.Ring(),
		call.RingbackTone: tone.Ringback(), call.DeclinedTone: tone.Declined(), call.BusyTone: tone.Busy(),
		call.MissedTone: tone.Missed(), call.OfflineTone: tone.Offline(), call.LimitTone: tone.Limit(),
		call.DoorTone: tone.Door(), call.AutoTone: tone.Auto(),
	}
}

// Play starts a tone, and stops the one before.
func (v *Voice) Play(t call.Tone) {
	v.mu.Lock()
	p := tone.NewPlayer(v.tones[t])
	v.mu.Unlock()
	if t == call.RingTone {
		v.audio.Ring(p)
	} else {
		v.audio.Tone(p)
	}
}

// Silence stops the tone.
func (v *Voice) Silence() {
	v.audio.Ring(nil)
	v.audio.Tone(nil)
}

// LoadTones puts files, and what is fetched, in the place of the tones made by code. What cannot be had is a fault, and
// the tone made by code stays. A tone that was fetched once is kept for when it cannot be fetched.
func (v *Voice) LoadTones(ctx context.Context, fault func(control.Fault)) {
	for name, from := range v.cfg.Tones.Files() {
		if from == "" {
			continue
		}
		s, err := v.load(ctx, name, from)
		if err != nil {
			fault(control.Fault{Code: control.ToneMissing, Part: control.PartTone(name),
				Text: fmt.Sprintf("%s: %v; the standard one is used", from, err)})
			continue
		}
		v.mu.Lock()
		s.Loop = v.tones[call.Tone(name)].Loop
		v.tones[call.Tone(name)] = s
		v.mu.Unlock()
	}
}

func (v *Voice) load(ctx context.Context, name, from string) (tone.Sound, error) {
	if !strings.Contains(from, "://") {
		return tone.Load(from, false)
	}
	kept := filepath.Join(v.cfg.StateDir, "tones", name)
	b, err := fetch.Fetcher{Hosts: v.cfg.Tones.Hosts, Types: []string{"audio/", "application/ogg"}}.Get(ctx, from)
	if err != nil {
		if s, kerr := tone.Load(kept, false); kerr == nil {
			v.log.Warn("a tone cannot be fetched; the one that was kept is used", "err", err)
			return s, nil
		}
		return tone.Sound{}, err
	}
	s, err := tone.Parse(b, false)
	if err == nil {
		if kerr := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o700), durable.Write(kept, b)); kerr != nil {
			v.log.Warn("a tone cannot be kept for the next start", "err", kerr)
		}
	}
	return s, err
}
