//go:build !cgo

package codec

import (
	"errors"

	"github.com/pion/opus"
)

const canEncodeOpus = false

func newOpusEncoder() (Encoder, error) {
	return nil, errors.New("this build has no Opus encoder: it was made without cgo")
}

type opusDecoder struct {
	fade
	d opus.Decoder
}

func newOpusDecoder() (Decoder, error) {
	d, err := opus.NewDecoderWithOutput(Rate, 1)
	return &opusDecoder{d: d}, err
}

func (o *opusDecoder) Decode(payload []byte, pcm []int16) error {
	n, err := o.d.DecodeToInt16(payload, pcm)
	if err == nil && n != len(pcm) {
		err = errLength
	}
	if err == nil {
		o.keep(pcm)
	}
	return err
}

func (o *opusDecoder) Recover([]byte, []int16) bool { return false }
