package supervise

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestPartsStopLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stopped []string
		part := func(name string) Part {
			return Part{Name: name, Run: func(ctx context.Context) error {
				<-ctx.Done()
				stopped = append(stopped, name)
				return nil
			}}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Run(ctx, quiet, part("hub"), part("audio"), part("buttons")); err != nil {
			t.Fatal(err)
		}
		if want := []string{"buttons", "audio", "hub"}; !slices.Equal(stopped, want) {
			t.Fatalf("stopped %v", stopped)
		}
	})
}

func TestAPanicRestartsOnePartAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := Run(ctx, quiet, Part{Name: "shaky", Run: func(ctx context.Context) error {
			if tries++; tries < 4 {
				panic("boom")
			}
			<-ctx.Done()
			return nil
		}})
		if err != nil || tries != 4 {
			t.Fatalf("err %v after %d tries", err, tries)
		}
	})
}

func TestTheEndOfAVitalPartIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("owner gone")
		err := Run(t.Context(), quiet,
			Part{Name: "owner", Vital: true, Run: func(context.Context) error { return bad }},
			Part{Name: "once", Run: func(context.Context) error { return ErrDone }})
		if !errors.Is(err, bad) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestAPartThatWouldNotStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := Run(ctx, quiet, Part{Name: "stone", Grace: time.Second, Run: func(context.Context) error {
			<-free
			return nil
		}})
		if err == nil || !strings.Contains(err.Error(), "stone did not stop") {
			t.Fatalf("got %v", err)
		}
		close(free)
	})
}

// A part that makes no progress is started again alone; one that does not even end is stuck, and said to be.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lives, other atomic.Int32
		var hang atomic.Bool
		free := make(chan struct{})
		g := New(quiet,
			Part{Name: "shaky", Alive: func() error {
				if lives.Load() == 1 || hang.Load() {
					return errors.New("nothing moves")
				}
				return nil
			}, Run: func(ctx context.Context) error {
				lives.Add(1)
				<-ctx.Done()
				if hang.Load() {
					<-free
				}
				return nil
			}},
			Part{Name: "other", Run: func(ctx context.Context) error { other.Add(1); <-ctx.Done(); return nil }},
		)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		time.Sleep(time.Minute)
		if lives.Load() != 2 || other.Load() != 1 || g.Stuck() != nil {
			t.Errorf("%d lives, the other %d, stuck: %v", lives.Load(), other.Load(), g.Stuck())
		}
		hang.Store(true)
		time.Sleep(time.Minute)
		if err := g.Stuck(); err == nil || !strings.Contains(err.Error(), "shaky is stuck") {
			t.Errorf("a part that does not end: %v", err)
		}
		hang.Store(false)
		close(free)
		time.Sleep(time.Minute)
		if g.Stuck() != nil || lives.Load() != 3 {
			t.Errorf("after it ended: %v, %d lives", g.Stuck(), lives.Load())
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
