package rtp

import (
	"math"
	"testing"
	"time"

	"intercom/audio/codec"
)

func block(i int) []int16 {
	pcm := make([]int16, codec.Block)
	for k := range pcm {
		pcm[k] = int16(8000 * math.Sin(2*math.Pi*300*float64(i*codec.Block+k)/codec.Rate))
	}
	return pcm
}

// run sends half a second, and gives the frames.
func run(t *testing.T, s *Sender) (frames []Frame) {
	t.Helper()
	for i := range 50 {
		f, ok, err := s.Block(block(i))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			f.Payload = append([]byte{}, f.Payload...)
			frames = append(frames, f)
		}
	}
	return frames
}

func name() string {
	if codec.All()[0].Send {
		return "opus"
	}
	return "PCMU"
}

func TestNothingIsSentBeforeItIsAgreed(t *testing.T) {
	if f := run(t, NewSender(SenderSettings{})); len(f) != 0 {
		t.Errorf("%d frames", len(f))
	}
}

func TestItFollowsTheLink(t *testing.T) {
	s := NewSender(SenderSettings{})
	s.Agree(Link{Codec: name(), Type: 111, RED: true})
	if f := run(t, s); len(f) != 25 || f[0].RED || f[0].Ticks != ticks(name(), codec.Frame) {
		t.Fatalf("on a good link: %d frames, %+v", len(f), s.Status())
	}
	s.Report(0.05)
	f := run(t, s)
	if len(f) != 50 || !f[49].RED || s.Status().Copies != 1 {
		t.Fatalf("at 5 %% loss: %d frames, %+v", len(f), s.Status())
	}
	ages := []uint32{}
	if err := unwrap(f[49].Payload, func(kind uint8, age uint32, b []byte) {
		if ages = append(ages, age); kind != 111 || len(b) == 0 {
			t.Errorf("type %d, %d bytes", kind, len(b))
		}
	}); err != nil || len(ages) != 2 || ages[0] != ticks(name(), codec.Block) || ages[1] != 0 {
		t.Errorf("%v %v", ages, err)
	}
	s.Report(0.2)
	if run(t, s); s.Status().Copies != 2 || s.Status().Bitrate >= 32000 {
		t.Errorf("at 20 %% loss: %+v", s.Status())
	}
	n := 0
	for ; s.Status().Copies > 0 && n < 100; n++ { // a report each second
		s.Report(0)
	}
	if n < 5 || n > 40 {
		t.Errorf("it believes in a good link again after %d s", n)
	}
	if f := run(t, s); len(f) != 25 || f[24].RED {
		t.Errorf("again on a good link: %d frames, %+v", len(f), s.Status())
	}
}

func TestWithoutREDOpusHelpsItself(t *testing.T) {
	s := NewSender(SenderSettings{})
	s.Agree(Link{Codec: "opus", Type: 111})
	s.Report(0.1)
	if got := s.Status(); got.FEC != 15 || got.Copies != 0 || got.Frame != 20*time.Millisecond {
		t.Errorf("%+v", got)
	}
}

func TestAFrameThatIsChosenStays(t *testing.T) {
	s := NewSender(SenderSettings{Frame: 10 * time.Millisecond})
	s.Agree(Link{Codec: "PCMU", RED: true})
	if f := run(t, s); len(f) != 50 || len(f[0].Payload) != 80 {
		t.Errorf("%d frames", len(f))
	}
}

// A processor that is too slow makes encoding simpler, and better again when it has time.
func TestItFollowsTheProcessor(t *testing.T) {
	var clock time.Time
	slow := time.Duration(0)
	s := NewSender(SenderSettings{Now: func() time.Time { clock = clock.Add(slow); return clock }})
	s.Agree(Link{Codec: name(), Type: 111})
	slow = 8 * time.Millisecond
	for range 10 {
		run(t, s)
		s.Report(0)
	}
	if got := s.Status(); got.Complexity != 0 || got.Load < 0.3 {
		t.Errorf("%+v", got)
	}
	slow = 0
	for range 10 {
		run(t, s)
		s.Report(0)
	}
	if got := s.Status(); got.Complexity != complexity {
		t.Errorf("%+v", got)
	}
}

func BenchmarkBlock(b *testing.B) {
	for _, c := range []struct {
		name string
		loss float64
	}{{"clean", 0}, {"lossy", 0.1}} {
		b.Run(c.name, func(b *testing.B) {
			s := NewSender(SenderSettings{})
			s.Agree(Link{Codec: name(), Type: 111, RED: true})
			s.Report(c.loss)
			pcm := block(1)
			for range 10 {
				if _, _, err := s.Block(pcm); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = s.Block(pcm)
			}
		})
	}
}
