//go:build cgo

package codec

import (
	"errors"

	"github.com/hraban/opus"
)

const canEncodeOpus = true

// standard is what speech on a good link gets.
var standard = Tuning{Bitrate: 48000, Complexity: 5}

type opusEncoder struct {
	e   *opus.Encoder
	now Tuning
}

func newOpusEncoder() (Encoder, error) {
	o := &opusEncoder{}
	return o, o.Tune(standard)
}

// Tune makes the encoder anew when the mode changes, which libopus cannot do in place.
func (o *opusEncoder) Tune(t Tuning) error {
	if t == o.now {
		return nil
	}
	if o.e == nil || (t.Loss > 0) != (o.now.Loss > 0) {
		mode := opus.AppRestrictedLowdelay
		if t.Loss > 0 {
			mode = opus.AppVoIP
		}
		e, err := opus.NewEncoder(Rate, 1, mode)
		if err != nil {
			return err
		}
		o.e = e
	}
	o.now = t
	return errors.Join(o.e.SetBitrate(t.Bitrate), o.e.SetComplexity(t.Complexity), o.e.SetInBandFEC(t.Loss > 0), o.e.SetPacketLossPerc(t.Loss))
}

func (o *opusEncoder) Encode(frame []int16, out []byte) (int, error) { return o.e.Encode(frame, out) }

type opusDecoder struct{ d *opus.Decoder }

func newOpusDecoder() (Decoder, error) {
	d, err := opus.NewDecoder(Rate, 1)
	return &opusDecoder{d}, err
}

func (o *opusDecoder) Decode(payload []byte, pcm []int16) error {
	n, err := o.d.Decode(payload, pcm)
	if err == nil && n != len(pcm) {
		err = errLength
	}
	return err
}

func (o *opusDecoder) Recover(payload []byte, pcm []int16) bool {
	return opusRedundant(payload) && o.d.DecodeFEC(payload, pcm) == nil
}

func (o *opusDecoder) Conceal(pcm []int16) {
	if o.d.DecodePLC(pcm) != nil {
		clear(pcm)
	}
}
