package gpio

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// press watches a virtual line while finger moves it, and gives what was told, with the time.
func press(t *testing.T, times Times, finger func(p *Panel)) (tape []string, counts Counts) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPanel()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		done := make(chan error, 1)
		b := &Button{Stable: 20 * ms, Times: times}
		go func() {
			done <- b.Watch(ctx, p.Input("call"), func(g Gesture) {
				tape = append(tape, fmt.Sprintf("%v %v %v", time.Since(began).Round(ms), g.Kind, g.Held.Round(ms)))
			})
		}()
		time.Sleep(100 * ms)
		began = time.Now()
		finger(p)
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		counts = b.Counts()
	})
	return tape, counts
}

// hold presses for a time, and lets go for a time.
func hold(p *Panel, down, up time.Duration) {
	p.Set("call", true)
	time.Sleep(down)
	p.Set("call", false)
	time.Sleep(up)
}

func TestAPressIsALevelHeldSteady(t *testing.T) {
	got, counts := press(t, Times{}, func(p *Panel) {
		for range 5 { // bounces
			hold(p, 2*ms, 2*ms)
		}
		hold(p, 300*ms, 0)
	})
	if want := []string{"40ms down 0s", "40ms short 0s", "340ms up 300ms"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if counts != (Counts{1, 5}) {
		t.Errorf("counted %+v", counts)
	}
}

func TestGlitchesAreNoPress(t *testing.T) {
	if got, counts := press(t, Times{}, func(p *Panel) {
		for range 50 {
			hold(p, 19*ms, 30*ms)
		}
	}); len(got) > 0 || counts.Glitches != 50 {
		t.Errorf("told %q, counted %+v", got, counts)
	}
}

func TestGestures(t *testing.T) {
	all := Times{Long: 500 * ms, Double: 300 * ms, Stuck: 10 * time.Second}
	for _, c := range []struct {
		name   string
		times  Times
		finger func(p *Panel)
		want   string
	}{
		{"short, when long is known", Times{Long: 500 * ms}, func(p *Panel) {
			hold(p, 100*ms, 0)
		}, "20ms down 0s, 120ms up 100ms, 120ms short 100ms"},
		{"long fires while it is held", Times{Long: 500 * ms}, func(p *Panel) {
			hold(p, 900*ms, 0)
		}, "20ms down 0s, 500ms long 500ms, 920ms up 900ms"},
		{"double at the second press", all, func(p *Panel) { hold(p, 100*ms, 100*ms); hold(p, 100*ms, 0) },
			"20ms down 0s, 120ms up 100ms, 220ms down 0s, 220ms double 0s, 320ms up 100ms"},
		{"two that are too far apart", all, func(p *Panel) { hold(p, 100*ms, 400*ms); hold(p, 100*ms, 0) },
			"20ms down 0s, 120ms up 100ms, 400ms short 0s, 520ms down 0s, 620ms up 100ms, 900ms short 0s"},
		{"a third press begins anew", all, func(p *Panel) {
			hold(p, 50*ms, 50*ms)
			hold(p, 50*ms, 50*ms)
			hold(p, 50*ms,
				0)
		}, "20ms down 0s, 70ms up 50ms, 120ms down 0s, 120ms double 0s, 170ms up 50ms, 220ms down 0s, 270ms up 50ms, " +
			"550ms short 0s"},
		{"stuck", all, func(p *Panel) { hold(p, 12*time.Second, 0) },
			"20ms down 0s, 500ms long 500ms, 10s stuck 10s, 12.02s up 12s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := press(t, c.times, c.finger); strings.Join(got, ", ") != c.want {
				t.Errorf("told\n%s, want\n%s", strings.Join(got, ", "), c.want)
			}
		})
	}
}

// A button that is down at the start tells nothing until it was up, but that it is stuck.
func TestAButtonDownAtTheStartIsNoPress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPanel()
		p.Set("call", true)
		b := &Button{Stable: 20 * ms, Times: Times{Stuck: 10 * time.Second}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var told []Kind
		go func() { time.Sleep(30 * time.Second); hold(p, 0, time.Second); hold(p, 100*ms, 0) }()
		_ = b.Watch(ctx, p.Input("call"), func(g Gesture) { told = append(told, g.Kind) })
		if want := []Kind{Stuck, Up, Down, Up}; len(told) < 2 || told[0] != want[0] || told[1] != want[1] ||
			slices.Contains(told[:2], Down) {
			t.Errorf("told %v", told)
		}
	})
}

// Whatever the line does, presses go down and up in turn, no level shorter than the stable time counts, and each press
// means one thing at most.
func TestAnyTrainOfEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Filter{Stable: 20 * ms}
		r := Recognizer{Times: Times{Long: 200 * ms, Double: 100 * ms, Stuck: time.Second}}
		now, raw, since := time.Duration(0), false, time.Duration(0)
		f.Start(false)
		r.Start(0, false)
		presses, meant, down := 0, 0, false
		take := func(all []Gesture) {
			for _, g := range all {
				switch g.Kind {
				case Down:
					if presses++; down {
						t.Fatal("down twice")
					}
					down = true
				case Up:
					if !down {
						t.Fatal("up twice")
					}
					down = false
				case Short, Long, Double:
					meant++
				}
			}
		}
		for _, step := range rapid.SliceOf(rapid.IntRange(1, 60)).Draw(t, "steps") {
			now += time.Duration(step) * ms
			if step%3 == 0 {
				raw, since = !raw, now
			}
			take(r.Tick(now))
			if !f.Sample(now, raw) {
				continue
			}
			if now-since < 20*ms {
				t.Fatalf("a level of %v counted", now-since)
			}
			take(r.Level(f.since, f.level))
		}
		if meant > presses {
			t.Fatalf("%d presses meant %d things", presses, meant)
		}
	})
}

// storm is a line that says "edge" without end, as a failed one does.
type storm struct{ reads int }

func (s *storm) Read() (bool, error)                 { s.reads++; return false, nil }
func (s *storm) Wait(context.Context, time.Duration) {}

func TestALineThatReportsEdgesWithoutEndIsNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var s storm
		_ = (&Button{Stable: 20 * ms}).Watch(ctx, &s, func(Gesture) {})
		if s.reads > 1002 {
			t.Errorf("%d reads in a second", s.reads)
		}
	})
}

func TestPatterns(t *testing.T) {
	for s, want := range map[string]Pattern{
		"off": {}, "on": {{On: true}}, "blink 500ms": {{true, 500 * ms}, {false, 500 * ms}},
		"on 100ms off 1s": {{true, 100 * ms}, {false, time.Second}}, "pulse 200ms": {{true, 200 * ms}, {}},
	} {
		if got, err := ParsePattern(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "blink", "blink 5", "on off", "on 1ms", "up 100ms", "on 100ms off", "on 2h off 1s",
		"pulse", "pulse 1h", "pulse on"} {
		if p, err := ParsePattern(s); err == nil {
			t.Errorf("%q was taken as %v", s, p)
		}
	}
}

// tape is an output that writes down what it is set to.
type tape struct {
	began time.Time
	lines []string
}

func (t *tape) Set(on bool) error {
	t.lines = append(t.lines, fmt.Sprintf("%v %v", time.Since(t.began), on))
	return nil
}

func TestALampPlaysAndEndsDark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &tape{began: time.Now()}
		l := NewLamp()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx, out) }()
		synctest.Wait()
		l.Show(Pattern{{true, 100 * ms}, {false, 200 * ms}})
		time.Sleep(350 * ms)
		l.Show(Pattern{{true, 50 * ms}, {}})
		time.Sleep(100 * ms)
		l.Show(Pattern{{On: true}})
		time.Sleep(time.Hour)
		cancel()
		<-done
		want := []string{"0s false", "0s true", "100ms false", "300ms true", "350ms true", "400ms false", "450ms true",
			"1h0m0.45s false"}
		if !slices.Equal(out.lines, want) {
			t.Errorf("tape %q", out.lines)
		}
	})
}

// broken is an output whose line is gone.
type broken struct{}

func (broken) Set(bool) error { return ErrLineInUse }

func TestALampThatGetsItsLineBackShowsWhatItShowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLamp()
		ctx, cancel := context.WithCancel(t.Context())
		first := &tape{began: time.Now()}
		done := make(chan error)
		go func() { done <- l.Run(ctx, first) }()
		l.Show(Pattern{{On: true}})
		synctest.Wait()
		cancel()
		<-done
		if err := l.Run(t.Context(), broken{}); err == nil {
			t.Error("a line that is gone is no error")
		}
		ctx, cancel = context.WithCancel(t.Context())
		again := &tape{began: time.Now()}
		go func() { done <- l.Run(ctx, again) }()
		synctest.Wait()
		cancel()
		<-done
		if want := []string{"0s true", "0s false"}; !slices.Equal(again.lines, want) {
			t.Errorf("tape %q", again.lines)
		}
	})
}

func TestLinesAsWritten(t *testing.T) {
	for s, ok := range map[string]bool{"GPIO17": true, "pinctrl-bcm2835:17": true, "": false, ":3": false,
		"chip:x": false} {
		if err := CheckLine(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestWithoutAChipTheErrorSaysWhatToDo(t *testing.T) {
	if _, err := OpenInput(Wiring{Line: "no-such-line"}); err == nil {
		t.Fatal("a line that is not there was opened")
	}
}

// Each train of a switch's edges, closing and opening, is one press.
func TestBounces(t *testing.T) {
	b, err := os.ReadFile("testdata/bounces.txt")
	if err != nil {
		t.Fatal(err)
	}
	trains := 0
	for line := range strings.Lines(string(b)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		trains++
		t.Run(words[0], func(t *testing.T) {
			told, counts := press(t, Times{}, func(p *Panel) {
				for _, closing := range []bool{true, false} {
					level := closing
					for _, us := range words[1:] {
						n, err := strconv.Atoi(us)
						if err != nil {
							t.Error(err)
						}
						p.Set("call", level)
						time.Sleep(time.Duration(n) * time.Microsecond)
						level = !level
					}
					p.Set("call", closing)
					time.Sleep(150 * ms)
				}
			})
			var kinds []string
			for _, one := range told {
				kinds = append(kinds, strings.Fields(one)[1])
			}
			if strings.Join(kinds, " ") != "down short up" || counts.Presses != 1 {
				t.Errorf("told %q, counted %+v", told, counts)
			}
		})
	}
	if trains < 10 {
		t.Errorf("only %d trains", trains)
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, s := range []string{"on", "off", "blink 500ms", "on 100ms off 900ms", "on 1h", "blink",
		"on 10ms off 1m on"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePattern(s)
		if err != nil {
			return
		}
		for i, step := range p {
			if len(p) > 1 && (step.For != 0 || i < len(p)-1) && (step.For < 10*ms || step.For > time.Minute) {
				t.Errorf("%q has a step of %v", s, step.For)
			}
		}
	})
}
