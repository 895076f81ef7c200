package gpio

import (
	"context"
	"errors"
	"fmt"
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
	ErrNoChip = errors.New("there is no GPIO chip that this user may open; see 'ls -l /dev/gpiochip*', and add " +
		"the user to the group gpio")
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
		return errors.New(
			`is not a line; write its name like "GPIO17", or chip label and offset like "pinctrl-bcm2835:17"`)
	}
	return nil
}

// OpenInput takes a line of a chip as a button.
func OpenInput(w Wiring) (Input, error) {
	l, _, err := find(w.Line)
	if err != nil {
		return nil, err
	}
	pull := map[string]gpio.Pull{"up": gpio.PullUp, "down": gpio.PullDown, "none": gpio.Float}[w.Pull]
	if err := l.In(pull, gpio.BothEdges); err != nil {
		return nil, explain(w.Line, err)
	}
	return &chipInput{l, w.ActiveLow}, nil
}

// OpenOutput takes a line of a chip as an output that is not lit from its first moment on, whatever its wiring.
func OpenOutput(w Wiring) (Output, error) {
	l, chip, err := find(w.Line)
	if err != nil {
		return nil, err
	}
	o, err := requestOutput(chip.Path(), l.Number(), w.ActiveLow)
	if err != nil {
		return nil, explain(w.Line, err)
	}
	return o, nil
}

// find looks a line up by name on all chips, or by the chip's label and offset: numbers of chips move between kernels.
func find(spec string) (*gpioioctl.GPIOLine, *gpioioctl.GPIOChip, error) {
	if _, err := driverreg.Init(); err != nil || len(gpioioctl.Chips) == 0 {
		return nil, nil, ErrNoChip
	}
	label, offset, pair := strings.Cut(spec, ":")
	n, err := strconv.Atoi(offset)
	pair = pair && err == nil
	for _, c := range gpioioctl.Chips {
		switch {
		case pair && c.Label() == label && n >= 0 && n < c.LineCount():
			return c.ByNumber(n), c, nil
		case !pair:
			if l := c.ByName(spec); l != nil {
				return l, c, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("%s: %w; %s", spec, ErrNoLine, there(gpioioctl.Chips))
}

// there says which lines there are, for who wrote another.
func there(chips []*gpioioctl.GPIOChip) string {
	var all []string
	for _, c := range chips {
		text := fmt.Sprintf("%s has %s:0 to %s:%d", c.Path(), c.Label(), c.Label(), c.LineCount()-1)
		var names []string
		for _, l := range c.Lines() {
			if n := l.Name(); n != "" {
				names = append(names, n)
			}
		}
		if len(names) > 0 {
			text += ", named " + strings.Join(names, " ")
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// explain says what to do about an error of a line. periph keeps only the text of the kernel's.
func explain(line string, err error) error {
	is := func(no syscall.Errno) bool { return errors.Is(err, no) || strings.Contains(err.Error(), no.Error()) }
	switch {
	case is(syscall.EBUSY):
		return fmt.Errorf("%s: %w", line, ErrLineInUse)
	case is(syscall.EACCES) || is(syscall.EPERM):
		return fmt.Errorf("%s: %w", line, ErrPermission)
	}
	return fmt.Errorf("%s: %w", line, err)
}

type chipInput struct {
	l   *gpioioctl.GPIOLine
	low bool
}

func (c *chipInput) Read() (bool, error) { return bool(c.l.Read()) != c.low, nil }

// Wait only ever waits a positive time: for -1 the library returns at once. A Halt that comes just before the wait is
// lost, so it is said until the wait is over.
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
