package gpio

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Panel is a virtual board: lines by name, pressed and read by program. The demo and the tests use it, and so can a
// kiosk without buttons. All methods may be called from any goroutine.
type Panel struct {
	mu    sync.Mutex
	lines map[string]*line
}

// NewPanel makes a panel without lines; they appear when they are opened.
func NewPanel() *Panel { return &Panel{lines: map[string]*line{}} }

type line struct {
	mu     sync.Mutex
	level  bool
	change chan struct{}
}

func (p *Panel) line(name string) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.lines[name]
	if l == nil {
		l = &line{change: make(chan struct{}, 1)}
		p.lines[name] = l
	}
	return l
}

// Input opens a line as a button.
func (p *Panel) Input(name string) Input { return p.line(name) }

// Output opens a line as a lamp.
func (p *Panel) Output(name string) Output { return p.line(name) }

// Set puts a level on a line, as a finger does.
func (p *Panel) Set(name string, on bool) { _ = p.line(name).Set(on) }

// Lit reports a line's level.
func (p *Panel) Lit(name string) bool { on, _ := p.line(name).Read(); return on }

// Names lists the lines in order.
func (p *Panel) Names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for n := range p.lines {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func (l *line) Read() (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level, nil
}

func (l *line) Set(on bool) error {
	l.mu.Lock()
	l.level = on
	l.mu.Unlock()
	select {
	case l.change <- struct{}{}:
	default:
	}
	return nil
}

func (l *line) Wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-l.change:
	case <-ctx.Done():
	case <-t.C:
	}
}
