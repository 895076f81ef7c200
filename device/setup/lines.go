package setup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"intercom/device/control"
	"intercom/gpio"
	"intercom/internal/config"
	"intercom/wire"
)

// This file checks the lines of buttons, LEDs and the door.

func (c *Config) checkLines(r *config.Report) {
	oneOf(r, "gpio.driver", c.GPIO.Driver, "chip", "virtual")
	inRange(r, "gpio.debounce", c.GPIO.Debounce, time.Millisecond, 500*time.Millisecond)
	inRange(r, "gpio.long", c.GPIO.Long, 200*time.Millisecond, 10*time.Second)
	inRange(r, "gpio.double", c.GPIO.Double, 100*time.Millisecond, 2*time.Second)
	inRange(r, "gpio.stuck", c.GPIO.Stuck, 10*time.Second, time.Hour)
	l := lines{r: r, virtual: c.GPIO.Driver == "virtual", lines: map[string]string{}, names: map[string]bool{}}
	for i, b := range c.Button {
		at := fmt.Sprintf("button[%d]", i)
		l.named(at, b.Name, b.Line)
		c.checkButton(r, at, b)
	}
	for i, led := range c.LED {
		at := fmt.Sprintf("led[%d]", i)
		l.named(at, led.Name, led.Line)
		if led.Shows != "" {
			oneOf(r, at+".shows", led.Shows, slices.Concat([]string{ShowsState, ShowsMic, ShowsDoor, ShowsHub},
				lightNames())...)
		}
		for state, p := range led.Patterns {
			if _, ok := Lights(c.Profile)[control.Light(state)]; !ok {
				r.Addf(at+".patterns."+state, "is not a state; there are %s", strings.Join(lightNames(), ", "))
			} else if _, err := gpio.ParsePattern(p); err != nil {
				r.Addf(at+".patterns."+state, "%v", err)
			}
		}
	}
	c.checkDoor(r, &l)
}

func (c *Config) checkButton(r *config.Report, at string, b Button) {
	if b.Action == "" && b.Long == "" && b.Double == "" {
		r.Addf(at+".action", "is missing; there are %s", strings.Join(actions, ", "))
	}
	for key, act := range b.Actions() {
		switch {
		case act == "":
			continue
		case act == ActTalk && (key != "action" || b.Long != "" || b.Double != ""):
			r.Addf(at+"."+key, "talk is for as long as the button is held; it can be the only action of a button")
		case Calls(act) && b.To == "" && c.Call.To == "":
			r.Addf(at+".to", "is missing, and so is call.to; name the cuid that the button %s calls", b.Name)
		}
		oneOf(r, at+"."+key, act, actions...)
	}
	checkPull(r, at, b.Pull)
	c.receivers(r, at+".to", b.To)
	c.receivers(r, at+".then", b.Then)
	if b.Context != "" {
		if err := wire.CheckContext(b.Context); err != nil {
			r.Addf(at+".context", "%s: %s", err.Code, err.Message)
		}
	}
	if b.Voice != "" {
		checkMode(r, at+".voice", b.Voice)
	}
}

func (c *Config) checkDoor(r *config.Report, l *lines) {
	d := &c.Door
	inRange(r, "door.pulse", d.Pulse, 100*time.Millisecond, time.Minute)
	if d.TooLong != 0 {
		inRange(r, "door.too_long", d.TooLong, 5*time.Second, time.Hour)
	}
	patternsOf(r, "door.allow", d.Allow)
	patternsOf(r, "door.remote", d.Remote)
	for i, p := range d.Remote {
		if len(p) > 50 {
			r.Addf(fmt.Sprintf("door.remote[%d]", i), "has %d characters; a cuid has 50 at most", len(p))
		}
	}
	if len(d.Remote) > wire.MaxOpeners {
		r.Addf("door.remote", "has %d entries; %d are enough, with patterns like \"console_*\"",
			len(d.Remote), wire.MaxOpeners)
	}
	l.named("door", "door", d.Line)
	for name, in := range d.Inputs() {
		if in.Line == "" {
			continue
		}
		if d.Line == "" {
			r.Addf("door."+name, "there is no door; name the line of its relay, door.line")
		}
		checkPull(r, "door."+name, in.Pull)
		l.named("door."+name, "door "+name, in.Line)
	}
}

// Inputs of the door, by name.
func (d *Door) Inputs() map[string]Input {
	return map[string]Input{"contact": d.Contact, "exit": d.Exit, "tamper": d.Tamper}
}

func checkPull(r *config.Report, at, pull string) {
	if pull != "" {
		oneOf(r, at+".pull", pull, "up", "down", "none")
	}
}

func checkMode(r *config.Report, key string, m Mode) {
	oneOf(r, key, string(m), string(Duplex), string(PushToTalk), string(Listen), string(Announce))
}

// lines sees that each line and each name is there once.
type lines struct {
	r       *config.Report
	virtual bool
	lines   map[string]string
	names   map[string]bool
}

func (l *lines) named(at, name, line string) {
	isDoor := strings.HasPrefix(at, "door")
	switch {
	case isDoor && line == "":
		return
	case name == "":
		l.r.Addf(at+".name", "is missing; name it, for example call or status")
	case l.names[name]:
		l.r.Addf(at+".name", "%q is there twice", name)
	}
	l.names[name] = true
	if l.virtual {
		return
	}
	if err := gpio.CheckLine(line); err != nil {
		l.r.Addf(at+".line", "%q %v", line, err)
	} else if l.lines[line] != "" {
		l.r.Addf(at+".line", "%s is used by %s already", line, l.lines[line])
	}
	l.lines[line] = name
}
