package jitter

import "math"

// Sound is made shorter or longer by whole periods of its own, where they fit best (as in WSOLA, Verhelst and Roelands,
// ICASSP 1993): speech keeps its pitch, and what is taken out or put in is not heard as a step.

const (
	shortest = 120 // samples of a period, 2.5 ms
	longest  = 480 // 10 ms
	thinner  = 4   // the search looks at every fourth sample
	alike    = 0.6 // correlation of two periods that may become one
)

// period finds the lag at which x is most like itself, up to most samples, and how much: 1 is the same.
func period(x []int16, most int) (lag int, fit float64) {
	most = min(most, longest, len(x)/2)
	for l := shortest; l <= most; l += thinner {
		var dot, a, b float64
		for i := 0; i < l; i += thinner {
			u, v := float64(x[i]), float64(x[i+l])
			dot += u * v
			a += u * u
			b += v * v
		}
		const quiet = 30 * 30 // a level at which nobody hears a seam
		c := 1.0
		if n := float64(l) / thinner; a > quiet*n || b > quiet*n {
			c = dot / math.Sqrt((a+1)*(b+1))
		}
		if c >= fit { // of equals the longer, so that fewer seams are needed
			lag, fit = l, c
		}
	}
	return lag, fit
}

// squeeze takes a period of at most most samples out of x, if one fits, and gives what is left; removed says how much.
func squeeze(x []int16, most int, must bool) (left []int16, removed int) {
	l, fit := period(x, most)
	if l == 0 || fit < alike && !must {
		return x, 0
	}
	fade(x[:l], x[:l], x[l:2*l])
	return append(x[:l], x[2*l:]...), l
}

// stretch puts a period of at most most samples into x, which has room for it, if one fits; added says how much.
func stretch(x []int16, most int, must bool) (longer []int16, added int) {
	l, fit := period(x, min(most, cap(x)-len(x)))
	if l == 0 || fit < alike && !must {
		return x, 0
	}
	n := len(x)
	x = x[:n+l]
	copy(x[2*l:], x[l:n])
	// x[l:2*l] still has what followed the first period: it goes over into the first period again.
	fade(x[l:2*l], x[l:2*l], x[:l])
	return x, l
}

// fade goes over from a to b, of the same length, into out, which may be either.
func fade(out, a, b []int16) {
	n := len(out)
	for i := range out {
		out[i] = int16((int(a[i])*(n-i) + int(b[i])*i) / n)
	}
}
