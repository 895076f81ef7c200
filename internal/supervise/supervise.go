// Package supervise runs the parts of a daemon: started in order, stopped last-first, each restarted alone when it
// ends.
//
// A part runs in the goroutine it is given, returns only when all of its own goroutines are gone, and ends when its
// context does. A panic counts as an error. A part that is not vital is started again with backoff; the end of a vital
// one is the end of [Run]. A part that proves its progress (Alive) and stops doing so is ended and started again alone;
// one that does not even end is [Group.Stuck], and only starting the whole daemon again helps. Whoever wires a daemon
// (cmd) imports this; it imports backoff and event.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"intercom/internal/backoff"
	"intercom/internal/event"
)

// Part is one thing that runs.
type Part struct {
	Name  string
	Run   func(ctx context.Context) error
	Vital bool          // its end ends everything
	Grace time.Duration // how long it may take to stop; 0 means 3 s
	Alive func() error  // nil while it makes progress; it must return at once. nil for parts that prove nothing
}

// lookEvery is how often a part that proves its progress is looked at. It is started again when it was found without
// twice in a row.
const lookEvery = 5 * time.Second

// ErrDone, returned by a part, says that it is finished and must not be started again.
var ErrDone = errors.New("done")

type running struct {
	Part
	stop  context.CancelFunc
	ended chan struct{}
	again chan struct{} // it is to be ended, and started again
	stuck atomic.Bool   // it was to end, and did not
}

// Group is the parts of a daemon.
type Group struct {
	log *slog.Logger
	all []*running
}

// New makes a group of parts, which Run starts.
func New(log *slog.Logger, parts ...Part) *Group {
	g := &Group{log: log}
	for _, p := range parts {
		g.Add(p)
	}
	return g
}

// Add adds a last part, as one that looks at the group itself. It must be called before Run.
func (g *Group) Add(p Part) {
	if p.Grace == 0 {
		p.Grace = 3 * time.Second
	}
	g.all = append(g.all, &running{Part: p, ended: make(chan struct{}), again: make(chan struct{}, 1)})
}

// Run runs parts: it is New and [Group.Run].
func Run(ctx context.Context, log *slog.Logger, parts ...Part) error {
	return New(log, parts...).Run(ctx)
}

// Stuck names the parts that were to end and did not; nil for none.
func (g *Group) Stuck() error {
	var errs []error
	for _, r := range g.all {
		if r.stuck.Load() {
			errs = append(errs, fmt.Errorf("%s is stuck", r.Name))
		}
	}
	return errors.Join(errs...)
}

// Run starts the parts in order, and blocks until ctx ends or a vital part does. It returns the vital part's error, or
// the names of the parts that would not stop, or nil.
func (g *Group) Run(ctx context.Context) error {
	vital := make(chan error, len(g.all))
	for _, r := range g.all {
		// Not a child of ctx: parts are stopped one by one, last-first, not all at once.
		pctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		r.stop = stop
		go r.keep(pctx, g.log, vital)
	}
	tending := make(chan struct{})
	tctx, stopTending := context.WithCancel(ctx)
	go func() { defer close(tending); g.tend(tctx) }()
	var err error
	select {
	case <-ctx.Done():
	case err = <-vital:
	}
	stopTending()
	<-tending
	for i := len(g.all) - 1; i >= 0; i-- {
		r := g.all[i]
		r.stop()
		t := time.NewTimer(r.Grace)
		select {
		case <-r.ended:
		case <-t.C:
			g.log.Error(event.PartStuck, event.Part(r.Name), "wait", r.Grace)
			err = errors.Join(err, fmt.Errorf("%s did not stop within %v", r.Name, r.Grace))
		}
		t.Stop()
	}
	return err
}

// tend looks after the parts that prove their progress, until ctx ends.
func (g *Group) tend(ctx context.Context) {
	var prove []*running
	for _, r := range g.all {
		if r.Alive != nil {
			prove = append(prove, r)
		}
	}
	without := map[*running]int{}
	for len(prove) > 0 && ctx.Err() == nil {
		backoff.Sleep(ctx, backoff.Round(lookEvery))
		for _, r := range prove {
			err := r.Alive()
			if err == nil {
				without[r] = 0
				continue
			}
			if without[r]++; without[r] == 2 {
				g.log.Error(event.PartStalled, event.Part(r.Name), "err", err)
				select {
				case r.again <- struct{}{}:
				default:
				}
			}
		}
	}
}

// keep runs one part again and again until it is stopped or says that it is done.
func (r *running) keep(ctx context.Context, log *slog.Logger, vital chan<- error) {
	defer close(r.ended)
	b := backoff.Backoff{Base: time.Second, Cap: 30 * time.Second, Health: time.Minute}
	told := ""
	for ctx.Err() == nil {
		began := time.Now()
		err := r.life(ctx)
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
			log.Warn(event.PartRestarted, event.Part(r.Name), "err", err, "wait",
				wait.Round(time.Millisecond), "try", b.Tries())
		}
		backoff.Sleep(ctx, wait)
	}
}

// errAgain ends a life of a part that made no progress.
var errAgain = errors.New("it made no progress")

// life runs the part until it ends, also because it is to be started again.
func (r *running) life(ctx context.Context) error {
	lctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if r.Alive == nil {
		return once(lctx, r.Run)
	}
	ended := make(chan error, 1)
	go func() { ended <- once(lctx, r.Run) }()
	for {
		select {
		case err := <-ended:
			r.stuck.Store(false)
			if context.Cause(lctx) == errAgain {
				return errAgain
			}
			return err
		case <-r.again:
			end(errAgain)
			late := time.AfterFunc(r.Grace, func() { r.stuck.Store(true) })
			defer late.Stop()
		}
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
