package main

import (
	"cmp"
	"context"
	"io"

	"intercom/device"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/supervise"
)

// board is the station's lines, each a part that opens its line anew when it fails: one that is missing, or in use, or
// broken silences no other.
type board struct {
	cfg     *setup.Config
	panel   *gpio.Panel // nil where the lines are a chip's
	fault   func(control.Fault)
	buttons map[string]*gpio.Button
	out, in []supervise.Part
}

// outputs makes the LEDs, and the door's relay where there is one.
func (b *board) outputs() (lamps []device.Lamp, relay device.Lamp) {
	for _, l := range b.cfg.LED {
		lamps = append(lamps, b.lamp(control.PartLED(l.Name), l.Name, gpio.Wiring{Line: l.Line, ActiveLow: l.ActiveLow}))
	}
	if d := b.cfg.Door; d.Line != "" {
		relay = b.lamp(control.PartRelay, "door", gpio.Wiring{Line: d.Line, ActiveLow: d.ActiveLow})
	}
	return lamps, relay
}

func (b *board) lamp(part, name string, w gpio.Wiring) *gpio.Lamp {
	lamp := gpio.NewLamp()
	b.out = append(b.out, supervise.Part{Name: part, Run: func(ctx context.Context) error {
		out, err := b.output(name, w)
		if err != nil {
			b.fault(control.Fault{Code: control.LineMissing, Part: part, Text: err.Error()})
			return err
		}
		defer closeLine(out)
		b.fault(control.Well(part))
		return lamp.Run(ctx, out)
	}})
	return lamp
}

func (b *board) output(name string, w gpio.Wiring) (gpio.Output, error) {
	if b.panel != nil {
		return b.panel.Output(name), nil
	}
	return gpio.OpenOutput(w)
}

// inputs watches the buttons, and the lines at the door.
func (b *board) inputs(d *device.Device) {
	for _, c := range b.cfg.Button {
		button := &gpio.Button{Stable: b.cfg.GPIO.Debounce.Std(), Times: gpio.Times{Stuck: b.cfg.GPIO.Stuck.Std()}}
		if c.Long != "" {
			button.Long = b.cfg.GPIO.Long.Std()
		}
		if c.Double != "" {
			button.Double = b.cfg.GPIO.Double.Std()
		}
		b.buttons[c.Name] = button
		b.watch(control.PartButton(c.Name), c.Name, gpio.Wiring{Line: c.Line, Pull: c.Pull, ActiveLow: c.ActiveLow}, button.Alive, func(ctx context.Context, in gpio.Input) error {
			return button.Watch(ctx, in, func(g gpio.Gesture) { d.Gesture(c, g) })
		})
	}
	for name, c := range b.cfg.Door.Inputs() {
		if c.Line == "" {
			continue
		}
		b.watch(control.PartDoorInput(name), "door "+name, gpio.Wiring{Line: c.Line, Pull: c.Pull, ActiveLow: c.ActiveLow}, nil, func(ctx context.Context, in gpio.Input) error {
			first := name == "exit" // one that is pressed at the start opens nothing
			return gpio.Follow(ctx, in, b.cfg.GPIO.Debounce.Std(), func(on bool) {
				if !first {
					d.DoorInput(name, on)
				}
				first = false
			})
		})
	}
}

func (b *board) watch(part, name string, w gpio.Wiring, alive func() error, run func(context.Context, gpio.Input) error) {
	b.in = append(b.in, supervise.Part{Name: part, Alive: alive, Run: func(ctx context.Context) error {
		in, err := b.input(name, w)
		if err != nil {
			b.fault(control.Fault{Code: control.LineMissing, Part: part, Text: err.Error()})
			return err
		}
		defer closeLine(in)
		b.fault(control.Well(part))
		return run(ctx, in)
	}})
}

func (b *board) input(name string, w gpio.Wiring) (gpio.Input, error) {
	if b.panel != nil {
		return b.panel.Input(name), nil
	}
	w.Pull = cmp.Or(w.Pull, "up")
	return gpio.OpenInput(w)
}

// counts are what was seen on a button's line.
func (b *board) counts(button string) gpio.Counts { return b.buttons[button].Counts() }

func closeLine(line any) {
	if c, ok := line.(io.Closer); ok {
		_ = c.Close()
	}
}
