//go:build cgo

package codec

import (
	"errors"

	"github.com/hraban/opus"
)

const canEncodeOpus = true

// What speech at a door needs: 24 kbit/s, the processor of a small board spared, and redundancy for one lost packet in
// ten (the redundancy of a frame travels in the next one).
const (
	bitrate    = 24000 // bit/s
	complexity = 5     // of 10
	lossShare  = 10    // percent
)

type opusEncoder struct{ e *opus.Encoder }

func newOpusEncoder() (Encoder, error) {
	e, err := opus.NewEncoder(Rate, 1, opus.AppVoIP)
	if err != nil {
		return nil, err
	}
	err = errors.Join(e.SetBitrate(bitrate), e.SetComplexity(complexity), e.SetInBandFEC(true), e.SetPacketLossPerc(lossShare))
	return &opusEncoder{e}, err
}

func (o *opusEncoder) Encode(frame []int16, out []byte) (int, error) { return o.e.Encode(frame, out) }

type opusDecoder struct{ d *opus.Decoder }

func newOpusDecoder() (Decoder, error) {
	d, err := opus.NewDecoder(Rate, 1)
	return &opusDecoder{d}, err
}

func (o *opusDecoder) Decode(payload []byte, frame []int16) error {
	n, err := o.d.Decode(payload, frame)
	if err == nil && n != Frame {
		err = errors.New("not a frame of 20 ms")
	}
	return err
}

// Recover decodes the redundancy (RFC 6716, section 2.1.7); libopus conceals where there is none.
func (o *opusDecoder) Recover(payload []byte, frame []int16) bool {
	return o.d.DecodeFEC(payload, frame) == nil
}

func (o *opusDecoder) Conceal(pcm []int16) {
	if o.d.DecodePLC(pcm) != nil {
		clear(pcm)
	}
}
