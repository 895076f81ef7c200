//go:build cgo

package codec

/*
#cgo pkg-config: opus
#include <opus.h>

// cgo cannot call a function with a variable number of arguments.
static int set_bitrate(OpusEncoder *e, opus_int32 v) { return opus_encoder_ctl(e, OPUS_SET_BITRATE(v)); }
static int set_complexity(OpusEncoder *e, opus_int32 v) { return opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(v)); }
static int set_inband_fec(OpusEncoder *e, opus_int32 v) { return opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(v)); }
static int set_packet_loss(OpusEncoder *e, opus_int32 v) { return opus_encoder_ctl(e, OPUS_SET_PACKET_LOSS_PERC(v)); }
*/
import "C"

import (
	"errors"
	"unsafe"
)

// The functions of libopus that this package calls (docs/decisions/0019-libopus.md). The states of the encoder and the
// decoder lie in Go's memory, so the garbage collector frees them; libopus keeps no pointer into it.

// libopusMode is what the encoder optimizes for.
type libopusMode C.int

const (
	modeVoIP     libopusMode = C.OPUS_APPLICATION_VOIP
	modeLowDelay libopusMode = C.OPUS_APPLICATION_RESTRICTED_LOWDELAY
)

type libopusEncoder struct{ state []byte }

func newLibopusEncoder(mode libopusMode) (*libopusEncoder, error) {
	e := &libopusEncoder{make([]byte, C.opus_encoder_get_size(1))}
	return e, libopusError(C.opus_encoder_init(e.c(), Rate, 1, C.int(mode)))
}

func (e *libopusEncoder) c() *C.OpusEncoder { return (*C.OpusEncoder)(unsafe.Pointer(&e.state[0])) }

func (e *libopusEncoder) tune(t Tuning) error {
	fec := C.opus_int32(0)
	if t.Loss > 0 {
		fec = 1
	}
	return errors.Join(
		libopusError(C.set_bitrate(e.c(), C.opus_int32(t.Bitrate))),
		libopusError(C.set_complexity(e.c(), C.opus_int32(t.Complexity))),
		libopusError(C.set_inband_fec(e.c(), fec)),
		libopusError(C.set_packet_loss(e.c(), C.opus_int32(t.Loss))))
}

func (e *libopusEncoder) encode(frame []int16, out []byte) (int, error) {
	if len(frame) == 0 || len(out) == 0 {
		return 0, errLength
	}
	n := C.opus_encode(e.c(), (*C.opus_int16)(&frame[0]), C.int(len(frame)), (*C.uchar)(&out[0]),
		C.opus_int32(len(out)))
	if n < 0 {
		return 0, libopusError(C.int(n))
	}
	return int(n), nil
}

type libopusDecoder struct{ state []byte }

func newLibopusDecoder() (*libopusDecoder, error) {
	d := &libopusDecoder{make([]byte, C.opus_decoder_get_size(1))}
	return d, libopusError(C.opus_decoder_init(d.c(), Rate, 1))
}

func (d *libopusDecoder) c() *C.OpusDecoder { return (*C.OpusDecoder)(unsafe.Pointer(&d.state[0])) }

// decode fills pcm with the frame of a payload, or, with fec, with the frame before it. It has to fill all of pcm.
func (d *libopusDecoder) decode(payload []byte, pcm []int16, fec bool) error {
	if len(payload) == 0 || len(pcm) == 0 {
		return errLength
	}
	cfec := C.int(0)
	if fec {
		cfec = 1
	}
	return filled(C.opus_decode(d.c(), (*C.uchar)(&payload[0]), C.opus_int32(len(payload)),
		(*C.opus_int16)(&pcm[0]), C.int(len(pcm)), cfec), pcm)
}

// conceal fills pcm with what could follow the last frame.
func (d *libopusDecoder) conceal(pcm []int16) error {
	if len(pcm) == 0 {
		return nil
	}
	return filled(C.opus_decode(d.c(), nil, 0, (*C.opus_int16)(&pcm[0]), C.int(len(pcm)), 0), pcm)
}

func filled(n C.int, pcm []int16) error {
	if n >= 0 && int(n) != len(pcm) {
		return errLength
	}
	return libopusError(n)
}

// libopusError is the error of a result; results that are not negative are none.
func libopusError(n C.int) error {
	if n >= 0 {
		return nil
	}
	return errors.New("libopus: " + C.GoString(C.opus_strerror(n)))
}
