package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// What can be wrong with a line; each error says what to do.
var (
	ErrNoChip     = errors.New("there is no GPIO chip that this user may open; see 'ls -l /dev/gpiochip*', and add the user to the group gpio")
	ErrNoLine     = errors.New("there is no such GPIO line; list them with 'gpioinfo'")
	ErrLineInUse  = errors.New("the GPIO line is in use by another program; see who with 'gpioinfo'")
	ErrPermission = errors.New("the GPIO line may not be opened by this user; add the user to the group gpio")
)

// Wiring says how a line of a chip is connected.
type Wiring struct {
	Line      string // name ("GPIO17") or chip label and offset ("pinctrl-bcm2835:17")
	Pull      string // "up", "down", "none"; inputs only
	ActiveLow bool   // pressed, or lit, is the low level
}

// CheckLine reports what is wrong with the way a line is written.
func CheckLine(s string) error {
	label, offset, pair := strings.Cut(s, ":")
	if _, err := strconv.Atoi(offset); s == "" || pair && (label == "" || err != nil) {
		return errors.New(`is not a line; write its name like "GPIO17", or chip label and offset like "pinctrl-bcm2835:17"`)
	}
	return nil
}

// OpenInput takes a line of a chip as a button.
func OpenInput(w Wiring) (Input, error) {
	l, err := find(w.Line)
	if err != nil {
		return nil, err
	}
	pull := map[string]gpio.Pull{"up": gpio.PullUp, "down": gpio.PullDown, "none": gpio.Float}[w.Pull]
	if err := l.In(pull, gpio.BothEdges); err != nil {
		return nil, explain(w.Line, err)
	}
	return &chipInput{l, w.ActiveLow}, nil
}

// OpenOutput takes a line of a chip as a lamp. The kernel's first request drives it low for a moment, whatever is asked
// for: fit for lamps, not for a relay that is active low.
func OpenOutput(w Wiring) (Output, error) {
	l, err := find(w.Line)
	if err != nil {
		return nil, err
	}
	o := &chipOutput{l, w.ActiveLow}
	if err := o.Set(false); err != nil {
		return nil, explain(w.Line, err)
	}
	return o, nil
}

// find looks a line up by name on all chips, or by the chip's label and offset: numbers of chips move between kernels.
func find(spec string) (*gpioioctl.GPIOLine, error) {
	if _, err := driverreg.Init(); err != nil || len(gpioioctl.Chips) == 0 {
		return nil, ErrNoChip
	}
	label, offset, pair := strings.Cut(spec, ":")
	for _, c := range gpioioctl.Chips {
		if pair {
			if n, err := strconv.Atoi(offset); err == nil && c.Label() == label {
				if l := c.ByNumber(n); l != nil {
					return l, nil
				}
			}
		} else if l := c.ByName(spec); l != nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", spec, ErrNoLine)
}

func explain(line string, err error) error {
	switch {
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%s: %w", line, ErrLineInUse)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: %w", line, ErrPermission)
	}
	return fmt.Errorf("%s: %w", line, err)
}

type chipInput struct {
	l   *gpioioctl.GPIOLine
	low bool
}

func (c *chipInput) Read() (bool, error) { return bool(c.l.Read()) != c.low, nil }

// Wait only ever waits a positive time: for -1 the library returns at once. A Halt that comes just before the wait is lost,
// so it is said until the wait is over.
func (c *chipInput) Wait(ctx context.Context, d time.Duration) {
	over := make(chan struct{})
	defer close(over)
	defer context.AfterFunc(ctx, func() {
		for again := time.NewTicker(10 * time.Millisecond); ; <-again.C {
			_ = c.l.Halt()
			select {
			case <-over:
				again.Stop()
				return
			default:
			}
		}
	})()
	c.l.WaitForEdge(max(d, time.Millisecond))
}

// Close gives the line back to the kernel.
func (c *chipInput) Close() error { c.l.Close(); return nil }

type chipOutput struct {
	l   *gpioioctl.GPIOLine
	low bool
}

// Set never reads the line back: reading an output would turn it into an input.
func (c *chipOutput) Set(on bool) error { return c.l.Out(gpio.Level(on != c.low)) }

// Close gives the line back to the kernel.
func (c *chipOutput) Close() error { c.l.Close(); return nil }
