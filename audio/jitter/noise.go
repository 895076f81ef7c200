package jitter

import "math"

// noise is comfort noise: what a silent room sounded like, while nothing comes from it. A line that falls quite silent
// sounds dead.
type noise struct {
	floor float64 // RMS of the room
	seed  uint32
	last  float64
}

const loudest = 100.0 // RMS, about -50 dBFS: what is louder was not silence

// hear follows the level of a decoded frame: down at once, up slowly.
func (n *noise) hear(frame []int16) {
	var sum float64
	for _, v := range frame {
		sum += float64(v) * float64(v)
	}
	level := math.Sqrt(sum / float64(max(1, len(frame))))
	if level < n.floor || n.floor == 0 {
		n.floor = level
	} else {
		n.floor = min(loudest, n.floor*1.01+0.01)
	}
}

// fill writes noise of that level, softer in the treble.
func (n *noise) fill(out []int16) {
	for i := range out {
		n.seed = n.seed*1664525 + 1013904223 // Numerical Recipes, 2nd edition, section 7.1
		white := float64(int32(n.seed)) / (1 << 31)
		n.last += 0.25 * (white - n.last)
		out[i] = int16(n.last * n.floor * 4.6) // the filter's loss, and a uniform value's
	}
}
