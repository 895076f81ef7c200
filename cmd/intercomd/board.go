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
	leds    []*gpio.Lamp
	relay   *gpio.Lamp // nil where there is no door
	buttons map[string]*gpio.Button
}

// newBoard makes the LEDs, the door's relay where there is one, and the buttons. No line is opened yet.
func newBoard(cfg *setup.Config) *board {
	b := &board{cfg: cfg, buttons: map[string]*gpio.Button{}}
	if cfg.GPIO.Driver == "virtual" {
		b.panel = gpio.NewPanel()
	}
	for range cfg.LED {
		b.leds = append(b.leds, gpio.NewLamp())
	}
	if cfg.Door.Line != "" {
		b.relay = gpio.NewLamp()
	}
	for _, c := range cfg.Button {
		button := &gpio.Button{Stable: cfg.GPIO.Debounce.Std(), Times: gpio.Times{Stuck: cfg.GPIO.Stuck.Std()}}
		if c.Long != "" {
			button.Long = cfg.GPIO.Long.Std()
		}
		if c.Double != "" {
			button.Double = cfg.GPIO.Double.Std()
		}
		b.buttons[c.Name] = button
	}
	return b
}

// lamps are what the station shows something on.
func (b *board) lamps() (leds []device.Lamp, relay device.Lamp) {
	for _, l := range b.leds {
		leds = append(leds, l)
	}
	if b.relay != nil {
		relay = b.relay
	}
	return leds, relay
}

// outputs are the parts that show on the lines what the LEDs and the relay are told. The station hears of lines that
// cannot be had.
func (b *board) outputs(d *device.Device) (parts []supervise.Part) {
	for i, l := range b.cfg.LED {
		parts = append(parts, b.drive(d, control.PartLED(l.Name), l.Name,
			gpio.Wiring{Line: l.Line, ActiveLow: l.ActiveLow}, b.leds[i]))
	}
	if c := b.cfg.Door; b.relay != nil {
		parts = append(parts, b.drive(d, control.PartRelay, "door",
			gpio.Wiring{Line: c.Line, ActiveLow: c.ActiveLow}, b.relay))
	}
	return parts
}

func (b *board) drive(d *device.Device, part, name string, w gpio.Wiring, lamp *gpio.Lamp) supervise.Part {
	return supervise.Part{Name: part, Run: func(ctx context.Context) error {
		out, err := b.output(name, w)
		if err != nil {
			d.Fault(control.Fault{Code: control.LineMissing, Part: part, Text: err.Error()})
			return err
		}
		defer closeLine(out)
		d.Fault(control.Well(part))
		return lamp.Run(ctx, out)
	}}
}

func (b *board) output(name string, w gpio.Wiring) (gpio.Output, error) {
	if b.panel != nil {
		return b.panel.Output(name), nil
	}
	return gpio.OpenOutput(w)
}

// inputs are the parts that tell the station of the buttons, and of the lines at the door.
func (b *board) inputs(d *device.Device) (parts []supervise.Part) {
	for _, c := range b.cfg.Button {
		button := b.buttons[c.Name]
		parts = append(parts, b.watch(d, control.PartButton(c.Name), c.Name,
			gpio.Wiring{Line: c.Line, Pull: c.Pull, ActiveLow: c.ActiveLow}, button.Alive,
			func(ctx context.Context, in gpio.Input) error {
				return button.Watch(ctx, in, func(g gpio.Gesture) { d.Gesture(c, g) })
			}))
	}
	for name, c := range b.cfg.Door.Inputs() {
		if c.Line == "" {
			continue
		}
		parts = append(parts, b.watch(d, control.PartDoorInput(name), "door "+name,
			gpio.Wiring{Line: c.Line, Pull: c.Pull, ActiveLow: c.ActiveLow}, nil,
			func(ctx context.Context, in gpio.Input) error {
				first := name == "exit" // one that is pressed at the start opens nothing
				return gpio.Follow(ctx, in, b.cfg.GPIO.Debounce.Std(), func(on bool) {
					if !first {
						d.DoorInput(name, on)
					}
					first = false
				})
			}))
	}
	return parts
}

func (b *board) watch(d *device.Device, part, name string, w gpio.Wiring, alive func() error,
	run func(context.Context, gpio.Input) error) supervise.Part {
	return supervise.Part{Name: part, Alive: alive, Run: func(ctx context.Context) error {
		in, err := b.input(name, w)
		if err != nil {
			d.Fault(control.Fault{Code: control.LineMissing, Part: part, Text: err.Error()})
			return err
		}
		defer closeLine(in)
		d.Fault(control.Well(part))
		return run(ctx, in)
	}}
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
