package codec

import (
	"errors"
	"math"
	"math/bits"
)

// law is one of the two companding laws of G.711.
type law struct {
	encode func(int16) byte
	decode func(byte) int16
}

var (
	mulaw = law{encodeMu, decodeMu}
	alaw  = law{encodeA, decodeA}
)

// g711 is encoder or decoder. It works at 8 kHz: the low-pass filter keeps speech below 3.6 kHz.
type g711 struct {
	fade
	law  law
	wide [2*taps + MaxFrame]float32 // what the filter still needs of the last frame, and this one
}

func (g *g711) Tune(Tuning) error { return nil }

func (g *g711) Encode(frame []int16, out []byte) (int, error) {
	if len(frame) != Block && len(frame) != Frame {
		return 0, errors.New("not a frame of 10 or 20 ms")
	}
	for i, s := range frame {
		g.wide[2*taps+i] = float32(s)
	}
	n := len(frame) / 6
	for i := range n {
		var sum float32
		for k, w := range lowpass {
			sum += w * g.wide[6*i+k]
		}
		out[i] = g.law.encode(clip(sum))
	}
	copy(g.wide[:2*taps], g.wide[len(frame):])
	return n, nil
}

func (g *g711) Decode(payload []byte, pcm []int16) error {
	if len(payload)*6 != len(pcm) || len(pcm) > MaxFrame {
		return errLength
	}
	clear(g.wide[2*taps : 2*taps+len(pcm)])
	for i, b := range payload {
		g.wide[2*taps+6*i] = 6 * float32(g.law.decode(b))
	}
	for i := range pcm {
		var sum float32
		for k := (6 - (i % 6)) % 6; k < len(lowpass); k += 6 { // the others are zero
			sum += lowpass[k] * g.wide[i+k]
		}
		pcm[i] = clip(sum)
	}
	copy(g.wide[:2*taps], g.wide[len(pcm):len(pcm)+2*taps])
	g.keep(pcm)
	return nil
}

// errLength says that a payload is of another length than was expected of it.
var errLength = errors.New("a frame of another length")

func (g *g711) Recover([]byte, []int16) bool { return false }

const taps = 48 // on each side

// lowpass is a windowed sinc, cut at 3.6 kHz, with a gain of one.
var lowpass = func() (h [2*taps + 1]float32) {
	var sum float64
	var w [2*taps + 1]float64
	for i := range w {
		x := float64(i-taps) * 2 * 3600 / Rate
		w[i] = 0.5 + 0.5*math.Cos(math.Pi*float64(i-taps)/(taps+1)) // Hann
		if x != 0 {
			w[i] *= math.Sin(math.Pi*x) / (math.Pi * x)
		}
		sum += w[i]
	}
	for i := range w {
		h[i] = float32(w[i] / sum)
	}
	return h
}()

func clip(v float32) int16 { return int16(max(-32768, min(32767, v))) }

// encodeMu is μ-law: a sign, the segment by the position of the leading bit, four bits of it.
func encodeMu(s int16) byte {
	const bias, most = 0x84, 32635
	v, sign := int(s), 0
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, most) + bias
	seg := bits.Len(uint(v)) - 8
	return ^byte(sign | seg<<4 | v>>(seg+3)&0xf)
}

func decodeMu(b byte) int16 {
	b = ^b
	seg := b >> 4 & 7
	v := (int(b&0xf)<<3+0x84)<<seg - 0x84
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// encodeA is A-law: as μ-law, but linear in the first segment, and every other bit turned.
func encodeA(s int16) byte {
	v, sign := int(s)>>4, 0x80
	if v < 0 {
		v, sign = ^v, 0
	}
	out := v
	if seg := bits.Len(uint(v)) - 4; seg > 0 {
		out = seg<<4 | v>>(seg-1)&0xf
	}
	return byte(sign|out) ^ 0x55
}

func decodeA(b byte) int16 {
	b ^= 0x55
	v := int(b&0xf)<<4 + 8
	if seg := b >> 4 & 7; seg > 0 {
		v = (v + 0x100) << (seg - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return int16(v)
}
