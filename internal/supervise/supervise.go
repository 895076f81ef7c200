// Package supervise runs the parts of a daemon: started in order, stopped last-first, each restarted alone when it ends.
//
// A part runs in the goroutine it is given, returns only when all of its own goroutines are gone, and ends when its
// context does. A panic counts as an error. A part that is not vital is started again with backoff; the end of a vital
// one is the end of [Run]. Whoever wires a daemon (cmd) imports this; it imports the standard library and backoff.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"intercom/internal/backoff"
)

// Part is one thing that runs.
type Part struct {
	Name  string
	Run   func(ctx context.Context) error
	Vital bool          // its end ends everything
	Grace time.Duration // how long it may take to stop; 0 means 3 s
}

// ErrDone, returned by a part, says that it is finished and must not be started again.
var ErrDone = errors.New("done")

type running struct {
	Part
	stop  context.CancelFunc
	ended chan struct{}
}

// Run starts the parts in order, and blocks until ctx ends or a vital part does. It returns the vital part's error, or
// the names of the parts that would not stop, or nil.
func Run(ctx context.Context, log *slog.Logger, parts ...Part) error {
	vital := make(chan error, len(parts))
	var all []*running
	for _, p := range parts {
		// Not a child of ctx: parts are stopped one by one, last-first, not all at once.
		pctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{Part: p, stop: stop, ended: make(chan struct{})}
		all = append(all, r)
		go r.keep(pctx, log, vital)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-vital:
	}
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		grace := r.Grace
		if grace == 0 {
			grace = 3 * time.Second
		}
		r.stop()
		t := time.NewTimer(grace)
		select {
		case <-r.ended:
		case <-t.C:
			log.Error("a part would not stop", "part", r.Name, "wait", grace)
			err = errors.Join(err, fmt.Errorf("%s did not stop within %v", r.Name, grace))
		}
		t.Stop()
	}
	return err
}

// keep runs one part again and again until it is stopped or says that it is done.
func (r *running) keep(ctx context.Context, log *slog.Logger, vital chan<- error) {
	defer close(r.ended)
	b := backoff.Backoff{Base: time.Second, Cap: 30 * time.Second, Health: time.Minute}
	told := ""
	for ctx.Err() == nil {
		began := time.Now()
		err := once(ctx, r.Run)
		if ctx.Err() != nil {
			return
		}
		if r.Vital {
			vital <- fmt.Errorf("%s: %w", r.Name, err)
			return
		}
		if errors.Is(err, ErrDone) {
			return
		}
		wait := b.Next(time.Since(began))
		// One line a change, not a line a try.
		if b.Tries() == 1 || err.Error() != told {
			told = err.Error()
			log.Warn("a part ended and is started again, for ever", "part", r.Name, "err", err, "wait", wait.Round(time.Millisecond), "try", b.Tries())
		}
		backoff.Sleep(ctx, wait)
	}
}

// once runs the part and turns a panic, or a return without reason, into an error.
func once(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err = run(ctx); err == nil && ctx.Err() == nil {
		err = errors.New("ended without a reason")
	}
	return err
}
