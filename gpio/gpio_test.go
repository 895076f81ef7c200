package gpio

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// press runs Watch on a virtual line while finger moves it, and gives what was told, with the time.
func press(t *testing.T, finger func(p *Panel)) (tape []string) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPanel()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		done := make(chan error, 1)
		go func() {
			done <- Watch(ctx, p.Input("call"), 20*ms, func(e Press) {
				tape = append(tape, fmt.Sprintf("%v %v %v", time.Since(began).Round(ms), e.Down, e.Held.Round(ms)))
			})
		}()
		synctest.Wait()
		finger(p)
		time.Sleep(time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return tape
}

func TestAPressIsALevelHeldSteady(t *testing.T) {
	got := press(t, func(p *Panel) {
		time.Sleep(100 * ms)
		for range 5 { // bounces
			p.Set("call", true)
			time.Sleep(2 * ms)
			p.Set("call", false)
			time.Sleep(2 * ms)
		}
		p.Set("call", true)
		time.Sleep(300 * ms)
		p.Set("call", false)
	})
	if want := []string{"140ms true 0s", "440ms false 300ms"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestGlitchesAreNoPress(t *testing.T) {
	if got := press(t, func(p *Panel) {
		for range 50 {
			p.Set("call", true)
			time.Sleep(19 * ms)
			p.Set("call", false)
			time.Sleep(30 * ms)
		}
	}); len(got) > 0 {
		t.Errorf("told %q", got)
	}
}

func TestAButtonDownAtTheStartIsNoPress(t *testing.T) {
	var f Filter
	f.Stable = 20 * ms
	for now := time.Duration(0); now < time.Second; now += 5 * ms {
		if p, ok := f.Sample(now, true); ok {
			t.Fatalf("told %+v at %v", p, now)
		}
	}
}

// Whatever the line does, presses go down and up in turn, and no level shorter than the stable time counts.
func TestFilterAlternates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := Filter{Stable: 20 * ms}
		now, raw, since, down := time.Duration(0), false, time.Duration(0), false
		f.Sample(0, false)
		for _, step := range rapid.SliceOf(rapid.IntRange(1, 60)).Draw(t, "steps") {
			now += time.Duration(step) * ms
			if step%3 == 0 {
				raw, since = !raw, now
			}
			p, ok := f.Sample(now, raw)
			if !ok {
				continue
			}
			if p.Down == down {
				t.Fatal("the same twice")
			}
			if now-since < 20*ms {
				t.Fatalf("a level of %v counted", now-since)
			}
			down = p.Down
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
		_ = Watch(ctx, &s, 20*ms, func(Press) {})
		if s.reads > 1001 {
			t.Errorf("%d reads in a second", s.reads)
		}
	})
}

func TestPatterns(t *testing.T) {
	for s, want := range map[string]Pattern{
		"off": {}, "on": {{On: true}}, "blink 500ms": {{true, 500 * ms}, {false, 500 * ms}},
		"on 100ms off 1s": {{true, 100 * ms}, {false, time.Second}},
	} {
		if got, err := ParsePattern(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", s, got, err)
		}
	}
	for _, s := range []string{"", "blink", "blink 5", "on off", "on 1ms", "up 100ms", "on 100ms off", "on 2h off 1s"} {
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
		l.Show(Pattern{{On: true}})
		time.Sleep(time.Hour)
		cancel()
		<-done
		want := []string{"0s false", "0s true", "100ms false", "300ms true", "350ms true", "1h0m0.35s false"}
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
	for s, ok := range map[string]bool{"GPIO17": true, "pinctrl-bcm2835:17": true, "": false, ":3": false, "chip:x": false} {
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
