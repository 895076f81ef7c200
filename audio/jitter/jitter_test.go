package jitter

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"intercom/audio/codec"
)

// path is a sender, a network and a playback that pulls 5 ms at a time, in simulated time.
type path struct {
	t      *testing.T
	b      *Buffer
	enc    codec.Encoder
	name   string
	frame  int // samples
	copies int // RED
	before []Packet
	due    []arrival
	next   time.Duration
	ppm    float64 // how much faster the sender's clock runs
	wave   func(i int) float64
	clock  time.Duration
	sent   int // samples
	seq    uint16
	stamp  uint32
	out    []int16
}

type arrival struct {
	at  time.Duration
	all []Packet
}

func newPath(t *testing.T) *path {
	// both wrap on the way
	p := &path{t: t, name: "PCMU", frame: codec.Frame, stamp: 1<<32 - 20*codec.Frame, seq: 65530}
	enc, err := codec.NewEncoder(p.name) // every build has it, and it keeps its level from the first frame
	if err != nil {
		t.Fatal(err)
	}
	p.wave = func(i int) float64 { return 8000 * math.Sin(2*math.Pi*500*float64(i)/codec.Rate) }
	p.b, p.enc = New(Settings{Now: func() time.Time { return time.Unix(1000, 0).Add(p.clock) }}), enc
	return p
}

func (p *path) packet() Packet {
	frame, buf := make([]int16, p.frame), make([]byte, codec.MaxSize)
	for i := range frame {
		frame[i] = int16(p.wave(p.sent + i))
	}
	n, err := p.enc.Encode(frame, buf)
	if err != nil {
		p.t.Fatal(err)
	}
	k := Packet{Codec: p.name, Seq: p.seq, Timestamp: p.stamp, Payload: buf[:n]}
	p.sent += p.frame
	p.stamp += uint32(p.frame)
	p.seq++
	return k
}

// run sends for a time, each packet arriving after delay(i); a negative delay loses it.
func (p *path) run(length time.Duration, delay func(i int) time.Duration) {
	const tick = time.Millisecond
	pull := make([]int16, codec.Rate/200)
	for i, end := 0, p.clock+length; p.clock < end; p.clock += tick {
		for p.clock >= p.next {
			k := p.packet()
			all := []Packet{}
			for _, old := range p.before {
				old.Copy = true
				all = append(all, old)
			}
			all = append(all, k)
			if p.before = append(p.before, k); len(p.before) > p.copies {
				p.before = p.before[len(p.before)-p.copies:]
			}
			if d := delay(i); d >= 0 {
				p.due = append(p.due, arrival{p.clock + d, all})
			}
			i++
			p.next += time.Duration(float64(lasting(p.frame)) / (1 + p.ppm/1e6))
		}
		rest := p.due[:0]
		for _, a := range p.due {
			if a.at > p.clock {
				rest = append(rest, a)
				continue
			}
			for _, k := range a.all {
				p.b.Put(k)
			}
		}
		p.due = rest
		if p.clock%(5*time.Millisecond) == 0 {
			p.b.Read(pull)
			p.out = append(p.out, pull...)
		}
	}
}

// quiet is the longest silence after the sound began, in milliseconds.
func (p *path) quiet() (longest int) {
	began, run := false, 0
	for _, s := range p.out {
		if s > 100 || s < -100 {
			began, run = true, 0
		} else if began {
			run++
			longest = max(longest, run*1000/codec.Rate)
		}
	}
	return longest
}

// step is the greatest change from a sample to the next, in the sound since the given sample: a click.
func (p *path) step(since int) (most int) {
	for i := since + 1; i < len(p.out); i++ {
		d := int(p.out[i]) - int(p.out[i-1])
		most = max(most, d, -d)
	}
	return most
}

func steady(int) time.Duration { return 3 * time.Millisecond }

func TestASteadyStreamIsUnbrokenAndCloseBehind(t *testing.T) {
	for _, frame := range []int{codec.Block, codec.Frame} {
		p := newPath(t)
		p.frame = frame
		p.run(10*time.Second, steady)
		s := p.b.Stats()
		if p.quiet() > 2 || s.Concealed > 0 || s.Late > 0 || s.Delay > 10*time.Millisecond ||
			s.Stretched+s.Squeezed > 0 {
			t.Errorf("silence %d ms, %+v", p.quiet(), s)
		}
	}
}

func TestDelayFollowsJitterUpAndDown(t *testing.T) {
	p := newPath(t)
	p.run(time.Second, steady)
	r := rand.New(rand.NewPCG(1, 2))
	p.run(10*time.Second, func(int) time.Duration { return time.Duration(r.IntN(40)) * time.Millisecond })
	s := p.b.Stats()
	if s.Concealed > 100*time.Millisecond || p.quiet() > 5 || s.Delay > 40*time.Millisecond {
		t.Errorf("jitter of 40 ms: %+v, silence %d ms", s, p.quiet())
	}
	p.run(6*time.Second, steady)
	if s := p.b.Stats(); s.Delay > 15*time.Millisecond || s.Squeezed == 0 {
		t.Errorf("six seconds of calm later it still waits %v: %+v", s.Delay, s)
	}
	// A tone of 500 Hz at 8000 changes by 524 at most; a seam that is not seen in the tone is not heard.
	if p.step(0) > 800 {
		t.Errorf("there is a click: a step of %d", p.step(0))
	}
}

func TestAStallIsForgottenSoon(t *testing.T) {
	p := newPath(t)
	p.run(4*time.Second, func(i int) time.Duration { // the network holds everything back for 100 ms, once
		if i >= 50 && i < 55 {
			return time.Duration(55-i) * 20 * time.Millisecond
		}
		return 3 * time.Millisecond
	})
	p.run(4*time.Second, steady)
	if s := p.b.Stats(); s.Delay > 15*time.Millisecond || s.Late > 0 {
		t.Errorf("seconds later it still waits %v: %+v", s.Delay, s)
	}
}

func TestTheDelayHasALimit(t *testing.T) {
	p := newPath(t)
	p.b.most = int(60 * codec.Rate / 1000)
	r := rand.New(rand.NewPCG(1, 2))
	p.run(20*time.Second, func(int) time.Duration { return time.Duration(r.IntN(300)) * time.Millisecond })
	if s := p.b.Stats(); s.Delay > 80*time.Millisecond || s.Late == 0 {
		t.Errorf("%+v", s)
	}
}

func loss(percent int, seed uint64) func(int) time.Duration {
	r := rand.New(rand.NewPCG(seed, 4))
	return func(int) time.Duration {
		if r.IntN(100) < percent {
			return -1
		}
		return 3 * time.Millisecond
	}
}

func TestLossIsConcealed(t *testing.T) {
	p := newPath(t)
	p.run(20*time.Second, loss(10, 3))
	if s := p.b.Stats(); p.quiet() > 5 || s.Concealed < time.Second || s.Delay > 40*time.Millisecond {
		t.Errorf("10 %% loss: silence %d ms, %+v", p.quiet(), s)
	}
}

func TestCopiesMakeLossGood(t *testing.T) {
	p := newPath(t)
	p.copies = 2
	p.run(time.Minute, loss(10, 3))
	s := p.b.Stats()
	if s.Redundant < 200 || p.quiet() > 5 || s.Concealed > 2*time.Second {
		t.Errorf("10 %% loss with two copies: silence %d ms, %+v", p.quiet(), s)
	}
	t.Logf("%+v", s)
}

func TestReorderedAndDoubledPacketsPlayOnce(t *testing.T) {
	p := newPath(t)
	p.run(10*time.Second, func(i int) time.Duration {
		if i%5 == 0 {
			return 25 * time.Millisecond // after its successor
		}
		return 3 * time.Millisecond
	})
	if s := p.b.Stats(); s.Concealed > 60*time.Millisecond || p.quiet() > 5 || s.Reordered < 90 {
		t.Errorf("%+v, silence %d ms", s, p.quiet())
	}
	before := p.b.Stats()
	k := p.packet()
	p.b.Put(k)
	p.b.Put(k)
	k.Timestamp -= 100 * codec.Frame
	p.b.Put(k)
	if s := p.b.Stats(); s.Duplicate != before.Duplicate+1 || s.Late != before.Late+1 {
		t.Errorf("%+v", s)
	}
}

// Two sound cards 300 ppm apart, as bad as they come: after minutes the delay is what it was, nothing was invented,
// no seam was needed, and the tone has no step.
func TestDriftIsMendedWithoutAStep(t *testing.T) {
	for _, ppm := range []float64{300, -300} {
		p := newPath(t)
		p.ppm = ppm
		p.run(time.Minute, steady)
		before, at := p.b.Stats(), len(p.out)
		p.run(2*time.Minute, steady)
		s := p.b.Stats()
		if d := s.Delay - before.Delay; d > 5*time.Millisecond || d < -5*time.Millisecond ||
			s.Concealed+s.Squeezed+s.Stretched > before.Concealed+before.Squeezed+before.Stretched {
			t.Errorf("%g ppm: delay %v and then %v: %+v", ppm, before.Delay, s.Delay, s)
		}
		if math.Abs(s.DriftPPM-ppm) > 100 || p.step(at) > 700 {
			t.Errorf("%g ppm: played at %g, a step of %d", ppm, s.DriftPPM, p.step(at))
		}
	}
}

func TestAPauseAndANewStream(t *testing.T) {
	p := newPath(t)
	p.run(time.Second, steady)
	p.run(4*time.Second, func(int) time.Duration { return -1 })
	tail := p.out[len(p.out)-codec.Rate/2:]
	for _, s := range tail {
		if s != 0 {
			t.Fatal("a pause is not silent")
		}
	}
	p.out, p.stamp, p.seq = nil, 12345, 30000
	p.run(time.Second, steady)
	if s := p.b.Stats(); p.quiet() > 2 || s.Delay > 20*time.Millisecond || s.Restarts == 0 {
		t.Errorf("after a pause: silence %d ms, %+v", p.quiet(), s)
	}
}

// A room is not heard to switch off while its stream is away for a moment.
func TestComfortNoise(t *testing.T) {
	p := newPath(t)
	r := rand.New(rand.NewPCG(5, 6))
	p.wave = func(int) float64 { return 60 * r.NormFloat64() }
	p.run(5*time.Second, steady)
	room := rms(p.out[len(p.out)-codec.Rate:])
	p.run(time.Second, func(int) time.Duration { return -1 })
	after := rms(p.out[len(p.out)-codec.Rate/2:])
	if p.b.Stats().Comfort == 0 || after < room/4 || after > 2*room {
		t.Errorf("the room was %.0f, the noise is %.0f: %+v", room, after, p.b.Stats())
	}
	p.run(3*time.Second, steady)
	if s := p.b.Stats(); s.Delay > 40*time.Millisecond {
		t.Errorf("after the pause: %+v", s)
	}
}

func rms(x []int16) float64 {
	var n noise
	n.hear(x)
	return n.floor
}

func FuzzAnyPackets(f *testing.F) {
	f.Add([]byte{0, 1, 2, 200, 3, 255, 4})
	f.Add([]byte{4, 0, 4, 1, 4, 2, 4, 130, 4, 131, 9, 9, 9, 9, 9, 250, 1})
	f.Fuzz(func(t *testing.T, tape []byte) {
		b, out := New(Settings{}), make([]int16, 240)
		names := []string{"opus", "PCMU", "PCMA", "nonsense"}
		for i, x := range tape {
			b.Put(Packet{Codec: names[int(x)%4], Seq: uint16(x) * 257 * uint16(i%3),
				Timestamp: uint32(x) * 240 * uint32(i%5), Payload: tape[i:], Copy: x%7 == 0})
			b.Read(out[:1+int(x)%len(out)])
			if len(b.pcm) > 2*codec.MaxFrame {
				t.Fatalf("%d samples wait", len(b.pcm))
			}
		}
	})
}

func BenchmarkPutAndRead(b *testing.B) {
	for _, name := range []string{"PCMU", "opus"} {
		enc, err := codec.NewEncoder(name)
		if err != nil {
			b.Logf("%s: %v", name, err)
			continue
		}
		pcm, buf, out := make([]int16, codec.Frame), make([]byte, codec.MaxSize), make([]int16, codec.Block)
		for i := range pcm {
			pcm[i] = int16(8000 * math.Sin(2*math.Pi*500*float64(i)/codec.Rate))
		}
		n, err := enc.Encode(pcm, buf)
		if err != nil {
			b.Fatal(err)
		}
		now := time.Unix(1000, 0)
		j := New(Settings{Now: func() time.Time { return now }})
		k := Packet{Codec: name, Payload: buf[:n]}
		frame := func() {
			k.Seq++
			k.Timestamp += codec.Frame
			j.Put(k)
			now = now.Add(10 * time.Millisecond)
			j.Read(out)
			now = now.Add(10 * time.Millisecond)
			j.Read(out)
		}
		for range 100 {
			frame()
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				frame()
			}
		})
	}
}
