package jitter

import "math"

// resampler plays samples a little faster or slower, so that two sound cards whose clocks differ stay together without
// a step that could be heard: a windowed sinc of taps samples, tabulated for phases between two samples.
type resampler struct {
	past  [taps]int16 // the latest samples
	phase float64     // of the next output between past[taps/2-1] and past[taps/2], 0 to 1
}

const (
	taps   = 16
	phases = 256
	cutoff = 0.94 // of half the sample rate
)

var table = sincs()

// sincs is the filter for each phase, normalised to a gain of one.
func sincs() *[phases + 1][taps]float32 {
	var t [phases + 1][taps]float32
	for p := range t {
		var sum float64
		var row [taps]float64
		for k := range row {
			x := float64(k-taps/2+1) - float64(p)/phases
			v := cutoff
			if x != 0 {
				v = math.Sin(math.Pi*cutoff*x) / (math.Pi * x)
			}
			w := 0.5 + 0.5*math.Cos(math.Pi*x/(taps/2)) // Hann
			if math.Abs(x) >= taps/2 {
				w = 0
			}
			row[k] = v * w
			sum += row[k]
		}
		for k := range row {
			t[p][k] = float32(row[k] / sum)
		}
	}
	return &t
}

func (r *resampler) push(v int16) {
	copy(r.past[:], r.past[1:])
	r.past[taps-1] = v
}

// run fills out from in, of which it takes so many more or fewer as ratio says (1.001: a sample more in a thousand). It
// gives how much it filled and took; it stops when in is used up.
func (r *resampler) run(out, in []int16, ratio float64) (filled, took int) {
	for filled < len(out) {
		for r.phase >= 1 {
			if took == len(in) {
				return filled, took
			}
			r.push(in[took])
			took++
			r.phase--
		}
		f := &table[int(r.phase*phases+0.5)]
		var sum float32
		for k, v := range r.past {
			sum += f[k] * float32(v)
		}
		out[filled] = int16(max(-32768, min(32767, math.RoundToEven(float64(sum)))))
		filled++
		r.phase += ratio
	}
	return filled, took
}
