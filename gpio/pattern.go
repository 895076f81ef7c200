package gpio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Step is a lamp's level for a time.
type Step struct {
	On  bool
	For time.Duration
}

// Pattern is what a lamp shows: its steps again and again. A step without a time holds for ever; no step is off.
type Pattern []Step

// ParsePattern reads "on", "off", "blink 500ms" (on and off for so long each), "pulse 200ms" (on once, then off), or
// steps: "on 100ms off 900ms".
func ParsePattern(s string) (Pattern, error) {
	words := strings.Fields(s)
	how := errors.New(`write "on", "off", "blink 500ms", "pulse 200ms" or steps like "on 100ms off 900ms"`)
	once := len(words) == 2 && words[0] == "pulse"
	switch {
	case once:
		words[0] = "on"
	case len(words) == 1 && words[0] == "off":
		return Pattern{}, nil
	case len(words) == 1 && words[0] == "on":
		return Pattern{{On: true}}, nil
	case len(words) == 2 && words[0] == "blink":
		words = []string{"on", words[1], "off", words[1]}
	case len(words) == 0 || len(words)%2 == 1:
		return nil, fmt.Errorf("%q is not a pattern; %w", s, how)
	}
	var p Pattern
	for pair := range slices.Chunk(words, 2) {
		d, err := time.ParseDuration(pair[1])
		if err != nil || d < 10*time.Millisecond || d > time.Minute || pair[0] != "on" && pair[0] != "off" {
			return nil, fmt.Errorf("%q is not a pattern; each step is on or off with 10ms to 1m; %w", s, how)
		}
		p = append(p, Step{pair[0] == "on", d})
	}
	if once {
		p = append(p, Step{})
	}
	return p, nil
}

// Lamp plays patterns on an output. The last pattern shown wins; showing never blocks.
type Lamp struct {
	next chan Pattern
	now  Pattern // of Run alone; kept from one Run to the next
}

// NewLamp makes a lamp, dark until Run.
func NewLamp() *Lamp { return &Lamp{next: make(chan Pattern, 1)} }

// Show starts a pattern. Only one goroutine may call it.
func (l *Lamp) Show(p Pattern) {
	select {
	case <-l.next: // the one not begun yet
	default:
	}
	l.next <- p
}

// Run plays on an output until ctx ends, and leaves it dark, or until it fails. Run again on another output, the lamp
// shows what it showed.
func (l *Lamp) Run(ctx context.Context, out Output) error {
	defer out.Set(false)
	for {
		var timer <-chan time.Time
		on := false
		if len(l.now) > 0 {
			on = l.now[0].On
			if l.now[0].For > 0 {
				timer = time.After(l.now[0].For)
			}
		}
		if err := out.Set(on); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case l.now = <-l.next:
		case <-timer:
			l.now = append(l.now[1:len(l.now):len(l.now)], l.now[0])
		}
	}
}
