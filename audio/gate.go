package audio

import "sync/atomic"

// gate is half duplex: while the loudspeaker speaks, the microphone does not. It belongs to the microphone's goroutine, but
// for on.
type gate struct {
	on   atomic.Bool
	shut bool
	gain float64 // now, 0 to 1
	hold int     // blocks until it may open
}

// Levels of the loudspeaker at which the gate shuts and opens, and how long it stays shut after that: a room goes on
// sounding for a while.
const (
	shutAt   = -45.0 // dBFS
	openAt   = -55.0
	holdFor  = 15   // blocks of 10 ms
	gateFade = 0.01 // change of the gain with each sample: 2 ms from shut to open
)

// pass lets a block through, or makes it silent.
func (g *gate) pass(block []int16, speaker float64) {
	switch {
	case !g.on.Load():
		g.shut, g.hold = false, 0
	case speaker > shutAt:
		g.shut, g.hold = true, holdFor
	case g.hold > 0:
		g.hold--
	case speaker < openAt:
		g.shut = false
	}
	to := 1.0
	if g.shut {
		to = 0
	}
	if g.gain == to && to == 1 {
		return
	}
	for i, v := range block {
		g.gain += max(-gateFade, min(gateFade, to-g.gain))
		block[i] = int16(float64(v) * g.gain)
	}
}
