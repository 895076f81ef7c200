// Package ear measures sound as people hear it: it plays into the sinks of a sound server and records its sources with
// the server's own tools, and says what was heard when. The demo, the benchmarks and end-to-end tests import it.
package ear

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// Rate is that of all sound here, mono, in Hz.
const Rate = 48000

// Recorder records a source through the sound server's own tools, and knows when each of its samples left the server:
// a fragment is stamped when it arrives, and the smallest (arrival - index/Rate) is the start of the recording.
type Recorder struct {
	cmd    *exec.Cmd
	mu     sync.Mutex
	x      []float32
	stamps []stamp
	done   chan struct{}
}

type stamp struct {
	at time.Time
	n  int // samples so far
}

// Began is what all recordings of this process are measured against.
var Began = time.Now()

// Record begins to record a source of a server, and returns when there are samples.
func Record(server, source string) (*Recorder, error) {
	r := &Recorder{done: make(chan struct{})}
	r.cmd = exec.Command("parec", "--server", server, "-d", source, "--rate=48000", "--channels=1", "--format=s16le",
		"--raw", "--latency-msec=5")
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go r.read(out)
	for end := time.Now().Add(5 * time.Second); len(r.Samples()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.Stop()
			return nil, errors.New("parec records nothing from " + source)
		}
	}
	return r, nil
}

func (r *Recorder) read(out io.Reader) {
	defer close(r.done)
	buf, have := make([]byte, 65536), 0
	for {
		n, err := out.Read(buf[have:])
		at := time.Now()
		have += n
		r.mu.Lock()
		for i := 0; i+1 < have; i += 2 {
			r.x = append(r.x, float32(int16(binary.LittleEndian.Uint16(buf[i:])))/32768)
		}
		r.stamps = append(r.stamps, stamp{at, len(r.x)})
		r.mu.Unlock()
		have = copy(buf, buf[have/2*2:have])
		if err != nil {
			return
		}
	}
}

// Samples are those so far.
func (r *Recorder) Samples() []float32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.x[:len(r.x):len(r.x)]
}

func (r *Recorder) Stop() {
	_ = r.cmd.Process.Signal(os.Interrupt)
	<-r.done
	_ = r.cmd.Wait()
}

// Clock is the recording's start in seconds since Began, at each two seconds: a null sink's clock is not exactly the
// system's.
func (r *Recorder) Clock() func(sample int) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	const window = 2 * Rate
	var edges []float64
	for _, s := range r.stamps[min(40, len(r.stamps)/4):] {
		start := s.at.Sub(Began).Seconds() - float64(s.n)/Rate
		for len(edges) <= s.n/window {
			edges = append(edges, math.Inf(1))
		}
		edges[s.n/window] = min(edges[s.n/window], start)
	}
	for i := range edges {
		if math.IsInf(edges[i], 1) && i > 0 {
			edges[i] = edges[i-1]
		}
	}
	for i := len(edges) - 2; i >= 0; i-- {
		if math.IsInf(edges[i], 1) {
			edges[i] = edges[i+1]
		}
	}
	return func(sample int) float64 {
		at := float64(sample)/window - 0.5
		k := max(0, min(len(edges)-1, int(math.Floor(at))))
		next := min(k+1, len(edges)-1)
		f := max(0, min(1, at-float64(k)))
		return float64(sample)/Rate + edges[k]*(1-f) + edges[next]*f
	}
}

// Player plays samples into a sink.
type Player struct{ cmd *exec.Cmd }

// Play begins to play into a sink of a server.
func Play(server, sink string, x []float32) (*Player, error) {
	p := &Player{exec.Command("pacat", "--playback", "--server", server, "-d", sink, "--rate=48000", "--channels=1",
		"--format=s16le", "--raw", "--latency-msec=60")}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		b := make([]byte, 2*len(x))
		for i, v := range x {
			binary.LittleEndian.PutUint16(b[2*i:], uint16(int16(v*32767)))
		}
		_, _ = in.Write(b) // ends early when the player is stopped
		in.Close()
	}()
	return p, nil
}

func (p *Player) Wait() { _ = p.cmd.Wait() }

func (p *Player) Stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Chirp is a burst of 80 ms that sweeps from 300 to 3400 Hz: it is found again exactly, also after a speech codec.
func Chirp() []float32 {
	const n, f0, f1, length = Rate * 80 / 1000, 300.0, 3400.0, 0.08
	x := make([]float32, n)
	for i := range x {
		t := float64(i) / Rate
		edge := min(1, float64(i)/(n/8), float64(n-i)/(n/8))
		x[i] = float32(0.5 * edge * math.Sin(2*math.Pi*(f0*t+(f1-f0)*t*t/(2*length))))
	}
	return x
}

// Bursts is a train of chirps at irregular distances, so that they fall anywhere in a frame.
func Bursts(count int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, seed))
	x := make([]float32, Rate/2)
	for range count {
		x = append(x, Chirp()...)
		x = append(x, make([]float32, int((0.35+0.25*r.Float64())*Rate))...)
	}
	return append(x, make([]float32, Rate/2)...)
}

// Steady is a tone: a steady one.
func Steady(hz float64, length time.Duration) []float32 {
	x := make([]float32, int(length.Seconds()*Rate))
	for i := range x {
		x[i] = float32(0.4 * math.Sin(2*math.Pi*hz*float64(i)/Rate))
	}
	return x
}

// Correlate gives the best place of ref in x and how well it fits there, 0 to 1. It looks coarsely at a quarter of the
// Rate, and then closely.
func Correlate(ref, x []float32) (at int, fit float64) {
	const coarse = 4
	at, _ = best(thin(ref, coarse), thin(x, coarse), 0, math.MaxInt)
	return best(ref, x, at*coarse-2*coarse, at*coarse+2*coarse)
}

func best(ref, x []float32, from, to int) (at int, fit float64) {
	from, to = max(from, 0), min(to, len(x)-len(ref))
	var er float64
	for _, v := range ref {
		er += float64(v) * float64(v)
	}
	for i := from; i <= to; i++ {
		var dot, ex float32
		for k, v := range ref {
			dot += v * x[i+k]
			ex += x[i+k] * x[i+k]
		}
		if c := math.Abs(float64(dot)) / math.Sqrt(max(float64(ex)*er, 1e-12)); float64(ex) > 1e-4*er && c > fit {
			at, fit = i, c
		}
	}
	return at, fit
}

func thin(x []float32, by int) []float32 {
	out := make([]float32, len(x)/by)
	for i := range out {
		for k := range by {
			out[i] += x[i*by+k] / float32(by)
		}
	}
	return out
}

// Delay is how long a burst took.
type Delay struct {
	At time.Time // when it was said
	MS float64   // until it was heard; negative if it never was
}

// Timed finds every burst of the recording from in the recording to.
func Timed(from, to *Recorder) (all []Delay) {
	ref, mouth := Chirp(), from.Samples()
	sent := from.Clock()
	for i := 0; i+2*len(ref) < len(mouth); {
		if Loud(mouth[i:i+Rate/200]) < 0.01 {
			i += Rate / 200
			continue
		}
		start := max(0, i-Rate/100)
		k, fit := Correlate(ref, mouth[start:min(len(mouth), start+2*len(ref)+Rate/50)])
		if fit < 0.8 {
			i += Rate / 200
			continue
		}
		at := start + k
		i = at + len(ref) + Rate/10
		if d, ok := to.find(sent(at)); ok {
			all = append(all, d)
		}
	}
	return all
}

// find looks for a burst that was said at that time, in seconds since Began. It reports false when that is not in the
// recording.
func (r *Recorder) find(t float64) (d Delay, ok bool) {
	const longest = Rate * 400 / 1000
	ref, x, heard := Chirp(), r.Samples(), r.Clock()
	guess := int((t - heard(0)) * Rate)
	lo, hi := max(0, guess-Rate/50), min(len(x), guess+longest+len(ref))
	if hi-lo < len(ref)+Rate/20 {
		return d, false
	}
	d = Delay{Began.Add(time.Duration(t * float64(time.Second))), -1}
	if k, fit := Correlate(ref, x[lo:hi]); fit >= 0.5 {
		d.MS = (heard(lo+k) - t) * 1000
	}
	return d, true
}

// Heard finds bursts that were said at these times.
func (r *Recorder) Heard(said []time.Time) (all []Delay) {
	for _, t := range said {
		if d, ok := r.find(t.Sub(Began).Seconds()); ok {
			all = append(all, d)
		}
	}
	return all
}

// Delays finds every burst of the recording from in the recording to, and gives the delays in milliseconds, and how
// many of the bursts were not found.
func Delays(from, to *Recorder) (found []float64, missing int) {
	for _, d := range Timed(from, to) {
		if d.MS < 0 {
			missing++
		} else {
			found = append(found, d.MS)
		}
	}
	return found, missing
}

func Loud(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(x)))
}

// Onset is when a tone first comes in a recording after a moment, in milliseconds after it; negative if never.
func Onset(r *Recorder, hz float64, after time.Time) float64 {
	const window = Rate / 200 // 5 ms
	clock, x, t0 := r.Clock(), r.Samples(), after.Sub(Began).Seconds()
	for i := 0; i+window < len(x); i += Rate / 1000 {
		if clock(i) < t0 {
			continue
		}
		var re, im, all float64
		for k, v := range x[i : i+window] {
			a := 2 * math.Pi * hz * float64(k) / Rate
			re += float64(v) * math.Cos(a)
			im += float64(v) * math.Sin(a)
			all += float64(v) * float64(v)
		}
		if all/window > 1e-4 && 2*(re*re+im*im)/window/all > 0.5 {
			return (clock(i) - t0) * 1000
		}
	}
	return -1
}

// Quantile of unsorted values; NaN is no JSON, so 0 for none.
func Quantile(x []float64, q float64) float64 {
	if len(x) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(x))
	at := q * float64(len(s)-1)
	k := int(at)
	v := s[k]
	if k+1 < len(s) {
		v += (s[k+1] - s[k]) * (at - float64(k))
	}
	return math.Round(v*10) / 10
}

// median of unsorted values; 0 for none.
func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(x))[len(x)/2]
}
