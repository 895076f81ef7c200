//go:build cgo

package codec

const canEncodeOpus = true

// standard is what speech on a good link gets.
var standard = Tuning{Bitrate: 48000, Complexity: 5}

type opusEncoder struct {
	*libopusEncoder
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
	if o.libopusEncoder == nil || (t.Loss > 0) != (o.now.Loss > 0) {
		mode := modeLowDelay
		if t.Loss > 0 {
			mode = modeVoIP
		}
		e, err := newLibopusEncoder(mode)
		if err != nil {
			return err
		}
		o.libopusEncoder = e
	}
	o.now = t
	return o.tune(t)
}

func (o *opusEncoder) Encode(frame []int16, out []byte) (int, error) { return o.encode(frame, out) }

type opusDecoder struct{ *libopusDecoder }

func newOpusDecoder() (Decoder, error) {
	d, err := newLibopusDecoder()
	return &opusDecoder{d}, err
}

func (o *opusDecoder) Decode(payload []byte, pcm []int16) error { return o.decode(payload, pcm, false) }

func (o *opusDecoder) Recover(payload []byte, pcm []int16) bool {
	return opusRedundant(payload) && o.decode(payload, pcm, true) == nil
}

func (o *opusDecoder) Conceal(pcm []int16) {
	if o.conceal(pcm) != nil {
		clear(pcm)
	}
}

// opusRedundant reports whether a mono packet of one frame carries the one before it: the flag behind those of voice
// activity (RFC 6716, section 4.2.3).
func opusRedundant(b []byte) bool {
	if len(b) < 2 || b[0]&3 != 0 || b[0]>>3 >= 16 { // several frames, or CELT, which has none
		return false
	}
	frames := 1 // of SILK, 20 ms each
	if config := b[0] >> 3; config < 12 && config%4 > 1 {
		frames = int(config % 4)
	}
	return b[1]>>(7-frames)&1 == 1
}
