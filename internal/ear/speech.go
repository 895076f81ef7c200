package ear

import (
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"time"
)

const sentences = "Good morning, I have a delivery for the third floor. Could you open the side door please? " +
	"The blue van stands beside the gate, and somebody has to sign for two large boxes. " +
	"Thank you, I will wait here until your colleague comes down. The lamp above the entrance flickers, by the way."

// Speech is somebody who talks for that long, by espeak-ng: voice is one of its names, like en-gb.
func Speech(voice string, length time.Duration) ([]float32, error) {
	wav, err := exec.Command("espeak-ng", "-v", voice, "-s", "155", "--stdout", sentences).Output()
	if err != nil || len(wav) < 44 {
		return nil, fmt.Errorf("espeak-ng: %v; 'make bench-audio' installs it", err)
	}
	hz, body := float64(binary.LittleEndian.Uint32(wav[24:])), wav[44:]
	at := func(i int) float64 {
		if 2*i+2 > len(body) {
			return 0
		}
		return float64(int16(binary.LittleEndian.Uint16(body[2*i:]))) / 32768
	}
	once := make([]float32, int(float64(len(body)/2)*Rate/hz)+Rate/2) // half a second of silence at the end
	peak := 0.0
	for i := range once {
		x := float64(i) * hz / Rate
		k := int(x)
		v := at(k)*(1-(x-float64(k))) + at(k+1)*(x-float64(k))
		once[i], peak = float32(v), max(peak, math.Abs(v))
	}
	out := make([]float32, int(length.Seconds()*Rate))
	for i := range out {
		out[i] = once[i%len(once)] * float32(0.5/max(peak, 1e-6))
	}
	return out, nil
}

// Fidelity is how much of speech came through.
type Fidelity struct {
	Voiced int     // segments of 100 ms in which somebody spoke
	Corr   float64 // correlation of such a segment with what was heard, the median
	Good   float64 // share of them with more than 0.8
	Gaps   int     // of which nothing was heard
}

// Compare looks for each voiced segment of what was said in what was heard, up to 40 ms from where the whole is. A
// delay that jumps further costs the segments until the whole is found again.
func Compare(said, heard *Recorder) (f Fidelity) {
	const segment, around = Rate / 10, Rate / 25
	x, y := said.Samples(), heard.Samples()
	sx, sy := said.Clock(), heard.Clock()
	shift := int((sx(0) - sy(0)) * Rate) // of the same moment
	whole, lost := -1, 0
	var fits []float64
	for at := 0; at+segment <= len(x); at += segment {
		ref := x[at : at+segment]
		if Loud(ref) < 0.01 {
			continue
		}
		if whole < 0 || lost >= 5 { // the first, and where five in a row were not found: anywhere in half a second
			lo := max(0, at+shift)
			hi := min(len(y), lo+Rate/2+segment)
			if hi-lo >= segment {
				if k, fit := Correlate(ref, y[lo:hi]); fit >= 0.7 {
					whole = lo + k - at
				}
			}
			if whole < 0 {
				continue
			}
		}
		lo, hi := at+whole-around, at+whole+segment+around
		if lo < 0 || hi > len(y) {
			continue
		}
		f.Voiced++
		lost++
		k, fit := Correlate(ref, y[lo:hi])
		if Loud(y[lo+k:lo+k+segment]) < 0.02*Loud(ref) {
			f.Gaps++
			fit = 0
		}
		if fits = append(fits, fit); fit > 0.8 {
			f.Good++
			lost = 0
			whole += (k - around) / 8 // follows a delay that changes
		}
	}
	if f.Voiced > 0 {
		f.Good /= float64(f.Voiced)
	}
	f.Corr = median(fits)
	return f
}
