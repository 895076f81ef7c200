package audio

import "sync/atomic"

// gate stands behind the microphone. It belongs to the microphone's goroutine, but for mode.
//
// Without a canceller it is half duplex: while the loudspeaker speaks, the microphone does not. Behind one it makes
// what is left of the echo quieter: while the loudspeaker speaks and nobody speaks here.
type gate struct {
	mode  atomic.Int32 // a gateMode
	speak int          // blocks for which the loudspeaker still counts as speaking
	loud  bool         // the loudspeaker is
	near  int          // blocks for which somebody here still counts as speaking
	gain  float64      // now, 0 to 1
}

type gateMode = int32

const (
	gateOpen gateMode = iota
	gateHalf
	gateRest
)

// Levels of the loudspeaker at which the gate shuts and opens, and for how long it stays so: a room goes on sounding
// for a while, and a speaker pauses between words.
const (
	shutAt    = -45.0 // dBFS
	openAt    = -55.0
	echoBelow = 24.0 // dB below the loudspeaker: so quiet is what a canceller leaves, and nobody who speaks here
	restGain  = 0.2  // -14 dB
	holdFor   = 15   // blocks of 10 ms
	nearFor   = 20
	gateFade  = 0.01 // change of the gain with each sample: 2 ms from shut to open
)

// pass lets a block through, or makes it quieter.
func (g *gate) pass(block []int16, speaker float64) {
	switch {
	case speaker > shutAt:
		g.loud, g.speak = true, holdFor
	case g.speak > 0:
		g.speak--
	case speaker < openAt:
		g.loud = false
	}
	g.near = max(0, g.near-1)
	to := 1.0
	switch g.mode.Load() {
	case gateHalf:
		if g.loud {
			to = 0
		}
	case gateRest:
		if g.loud && loudness(block) > speaker-echoBelow {
			g.near = nearFor
		}
		if g.loud && g.near == 0 {
			to = restGain
		}
	}
	if g.gain == to && to == 1 {
		return
	}
	for i, v := range block {
		g.gain += max(-gateFade, min(gateFade, to-g.gain))
		block[i] = int16(float64(v) * g.gain)
	}
}
