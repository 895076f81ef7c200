package ear

import (
	"math/rand/v2"
	"testing"
	"time"
)

// recording is one that began with the process.
func recording(x []float32) *Recorder {
	r := &Recorder{x: x}
	for n := Rate / 100; n <= len(x); n += Rate / 100 {
		r.stamps = append(r.stamps, stamp{Began.Add(time.Duration(n) * time.Second / Rate), n})
	}
	return r
}

func TestADelayThatJumpsCostsAMomentOnly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	said := make([]float32, 4*Rate)
	for i := range said {
		said[i] = float32(r.NormFloat64()) / 8
	}
	late := func(by, until time.Duration) []float32 { // from silence, or from what was before, until the end
		n := int(by.Seconds() * Rate)
		heard := make([]float32, len(said))
		copy(heard[n:], said)
		copy(heard[int(until.Seconds()*Rate):], make([]float32, len(said)))
		return heard
	}
	heard := late(50*time.Millisecond, 2*time.Second)
	copy(heard[2*Rate:], late(150*time.Millisecond, 4*time.Second)[2*Rate:])
	if f := Compare(recording(said), recording(heard)); f.Good < 0.8 || f.Good > 0.9 || f.Gaps > 0 {
		t.Errorf("a jump of 100 ms in the middle: %+v", f)
	}
	if f := Compare(recording(said), recording(late(50*time.Millisecond, 2*time.Second))); f.Good < 0.48 ||
		f.Good > 0.52 || f.Gaps < 18 {
		t.Errorf("silence from the middle on: %+v", f)
	}
}
