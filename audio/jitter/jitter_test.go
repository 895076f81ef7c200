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
	t    *testing.T
	b    *Buffer
	enc  codec.Encoder
	sent int
	out  []int16
}

func newPath(t *testing.T) *path {
	enc, err := codec.NewEncoder("PCMU") // every build has it, and it keeps its level from the first frame
	if err != nil {
		t.Fatal(err)
	}
	return &path{t: t, b: New(), enc: enc}
}

func (p *path) packet() []byte {
	frame, buf := make([]int16, codec.Frame), make([]byte, codec.MaxSize)
	for i := range frame {
		frame[i] = int16(8000 * math.Sin(2*math.Pi*500*float64(p.sent*codec.Frame+i)/codec.Rate))
	}
	n, err := p.enc.Encode(frame, buf)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sent++
	return buf[:n]
}

// run sends packets 20 ms apart, each arriving after delay(i); a negative delay loses it.
func (p *path) run(seq uint16, packets int, delay func(i int) time.Duration) {
	const tick = time.Millisecond
	type arrival struct {
		at  time.Duration
		seq uint16
		b   []byte
	}
	var due []arrival
	pull := make([]int16, codec.Rate/200)
	for now := time.Duration(0); now < time.Duration(packets)*20*time.Millisecond; now += tick {
		if now%(20*time.Millisecond) == 0 {
			i := int(now / (20 * time.Millisecond))
			b := p.packet()
			if d := delay(i); d >= 0 {
				due = append(due, arrival{now + d, seq + uint16(i), b})
			}
		}
		rest := due[:0]
		for _, a := range due {
			if a.at <= now {
				p.b.Put("PCMU", a.seq, a.b)
			} else {
				rest = append(rest, a)
			}
		}
		due = rest
		if now%(5*time.Millisecond) == 0 {
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

func steady(int) time.Duration { return 3 * time.Millisecond }

func TestASteadyStreamIsUnbrokenAndCloseBehind(t *testing.T) {
	p := newPath(t)
	p.run(65500, 500, steady) // the sequence number wraps on the way
	s := p.b.Stats()
	if p.quiet() > 2 || s.Concealed > 0 || s.Late > 0 {
		t.Errorf("silence %d ms, %+v", p.quiet(), s)
	}
	if s.Delay > 20*time.Millisecond {
		t.Errorf("waits %v without need", s.Delay)
	}
}

func TestDelayFollowsJitterUpAndDown(t *testing.T) {
	p := newPath(t)
	r := rand.New(rand.NewPCG(1, 2))
	p.run(0, 500, func(i int) time.Duration { return time.Duration(min(i, 1)*r.IntN(40)) * time.Millisecond })
	s := p.b.Stats()
	if s.Concealed == 0 || s.Concealed > 12 || p.quiet() > 20 {
		t.Errorf("jitter of 40 ms: %+v, silence %d ms", s, p.quiet())
	}
	p.run(500, 1500, steady)
	if s := p.b.Stats(); s.Delay > 35*time.Millisecond || s.Dropped == 0 {
		t.Errorf("half a minute of calm later it still waits %v: %+v", s.Delay, s)
	}
}

func TestAStallIsForgottenSoon(t *testing.T) {
	p := newPath(t)
	p.run(0, 200, func(i int) time.Duration { // the network holds everything back for 100 ms, once
		if i >= 50 && i < 55 {
			return time.Duration(55-i) * 20 * time.Millisecond
		}
		return 3 * time.Millisecond
	})
	p.run(200, 250, steady)
	if s := p.b.Stats(); s.Delay > 45*time.Millisecond || s.Late > 0 {
		t.Errorf("five seconds later it still waits %v: %+v", s.Delay, s)
	}
}

func TestLossIsConcealed(t *testing.T) {
	p := newPath(t)
	r := rand.New(rand.NewPCG(3, 4))
	p.run(0, 1000, func(int) time.Duration {
		if r.IntN(10) == 0 {
			return -1
		}
		return 3 * time.Millisecond
	})
	if s := p.b.Stats(); p.quiet() > 5 || s.Concealed < 100 || s.Delay > 60*time.Millisecond {
		t.Errorf("10 %% loss: silence %d ms, %+v", p.quiet(), s)
	}
}

func TestReorderedAndDoubledPacketsPlayOnce(t *testing.T) {
	p := newPath(t)
	p.run(0, 500, func(i int) time.Duration {
		if i%5 == 0 {
			return 25 * time.Millisecond // after its successor
		}
		return 3 * time.Millisecond
	})
	concealed := p.b.Stats().Concealed
	if concealed > 6 || p.quiet() > 5 {
		t.Errorf("%+v, silence %d ms", p.b.Stats(), p.quiet())
	}
	p.b.Put("PCMU", 500, p.packet())
	p.b.Put("PCMU", 500, p.packet())
	p.b.Put("PCMU", 10, p.packet())
	if s := p.b.Stats(); s.Late < 1 {
		t.Errorf("%+v", s)
	}
}

func TestAPauseAndANewStream(t *testing.T) {
	p := newPath(t)
	p.run(0, 50, steady)
	p.run(50, 100, func(int) time.Duration { return -1 }) // two seconds without a packet
	tail := p.out[len(p.out)-codec.Rate/2:]
	for _, s := range tail {
		if s != 0 {
			t.Fatal("a pause is not silent")
		}
	}
	p.out = nil
	p.run(30000, 50, steady)
	if p.quiet() > 2 || p.b.Stats().Delay > 20*time.Millisecond {
		t.Errorf("after a pause: silence %d ms, %+v", p.quiet(), p.b.Stats())
	}
}

func FuzzAnyPackets(f *testing.F) {
	f.Add([]byte{0, 1, 2, 200, 3, 255, 4})
	f.Fuzz(func(t *testing.T, tape []byte) {
		b, out := New(), make([]int16, 240)
		names := []string{"opus", "PCMU", "PCMA", "nonsense"}
		for i, x := range tape {
			b.Put(names[int(x)%4], uint16(x)*257*uint16(i%3), tape[i:])
			b.Read(out[:1+int(x)%len(out)])
			if len(b.pcm) > 2*codec.Frame || b.held < 0 || b.held > slots {
				t.Fatalf("holds %d packets, %d samples", b.held, len(b.pcm))
			}
		}
	})
}
