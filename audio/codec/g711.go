package codec

import (
	"errors"
	"math"

	"github.com/zaf/g711"
)

// law is one of the two companding laws of G.711.
type law struct {
	encode func(int16) byte
	decode func(byte) int16
}

var (
	mulaw = law{g711.EncodeUlawFrame, g711.DecodeUlawFrame}
	alaw  = law{g711.EncodeAlawFrame, g711.DecodeAlawFrame}
)

// narrow is encoder or decoder. It works at 8 kHz: the low-pass filter keeps speech below 3.6 kHz.
type narrow struct {
	fade
	law  law
	wide [2*taps + MaxFrame]float32 // what the filter still needs of the last frame, and this one
}

func (g *narrow) Tune(Tuning) error { return nil }

func (g *narrow) Encode(frame []int16, out []byte) (int, error) {
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

func (g *narrow) Decode(payload []byte, pcm []int16) error {
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

func (g *narrow) Recover([]byte, []int16) bool { return false }

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
