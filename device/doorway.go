package device

import (
	"slices"
	"time"

	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/door"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// doorway stands between the rules of the door and its lines, the people who may open it, and the record.
type doorway struct {
	o         *owner
	rules     door.Door
	timer     *time.Timer   // until the rules may say something else
	energised bool          // the relay
	tampered  bool          // the case is open
	refusals  *rate.Limiter // that are on record
	remotely  *rate.Limiter // openings outside a call
}

func newDoorway(o *owner) doorway {
	d := doorway{o: o, refusals: rate.NewLimiter(rate.Every(time.Minute), 10), remotely: rate.NewLimiter(1, 3)}
	d.rules.Settings = door.Settings{Pulse: o.cfg.Door.Pulse.Std(), TooLong: o.cfg.Door.TooLong.Std()}
	d.rules.Lock(0, o.memory.Tampered)
	return d
}

// What became of a wish to open the door.
const (
	opened   = "opened"
	asked    = "asked" // the peer; it answers
	refused  = "refused"
	held     = "held"
	released = "released"
	locked   = "locked"
	unlocked = "unlocked"
	forced   = "forced"
	tooLong  = "open_too_long"
)

// now is the time of the door's rules, which no clock that is set can move.
func (d *doorway) now() time.Duration { return time.Since(d.o.began) }

// has reports whether there is a door: a relay.
func (d *doorway) has() bool { return d.o.cfg.Door.Line != "" }

// open reports whether somebody may come in.
func (d *doorway) open() bool { return d.rules.Open(d.now()) }

// openHere lets somebody in, and gives what became of it.
func (d *doorway) openHere(who, why string) string {
	done := refused
	if d.has() && d.rules.Pulse(d.now()) {
		if done = opened; d.o.state.Phase != call.Ringing {
			d.o.Sound.Play(call.DoorTone)
		}
	}
	d.done(who, why, done)
	return done
}

// openHereOrThere opens our own door, or, where there is none, asks the peer to open its.
func (d *doorway) openHereOrThere(who, why string) string {
	if d.has() || !d.o.state.Live() {
		return d.openHere(who, why)
	}
	if !d.o.wire.Send(wire.New(wire.Door, d.o.state.ID, wire.DoorBody{})) {
		return refused
	}
	return asked
}

// answered is what the peer says of its door.
func (d *doorway) answered(id string, b wire.DoorBody) {
	s := d.o.state
	if id != s.ID || !s.Live() || b.From != s.Peer || b.Result != opened && b.Result != refused {
		return
	}
	const why = "asked in a call"
	d.o.log.Info(event.Door, "who", b.From, "why", why, "done", b.Result, event.Call(id))
	d.o.events.emit(control.Event{Event: "door", Who: b.From, Why: why, Done: b.Result, Call: id, Peer: b.From})
	if b.Result == opened {
		d.o.Sound.Play(call.DoorTone)
	}
}

// hold keeps it open, or no longer.
func (d *doorway) hold(on bool, who, why string) string {
	done := map[bool]string{true: held, false: released}[on]
	if !d.has() || !d.rules.Hold(d.now(), on) {
		done = refused
	}
	d.done(who, why, done)
	return done
}

// unlock takes back what tampering did. It is refused while the case is open.
func (d *doorway) unlock(who, why string) string {
	done := unlocked
	if d.tampered {
		done = refused
	} else {
		d.rules.Lock(d.now(), false)
		d.o.memory.Tampered = false
		d.o.memory.keep()
	}
	d.done(who, why, done)
	return done
}

// command has the door open, hold, release or unlock, and says what became of it.
func (d *doorway) command(what, who string) (done string, err error) {
	const why = "said here"
	do := map[string]func() string{
		"open":    func() string { return d.openHereOrThere(who, why) },
		"hold":    func() string { return d.hold(true, who, why) },
		"release": func() string { return d.hold(false, who, why) },
		"unlock":  func() string { return d.unlock(who, why) },
	}[what]
	switch {
	case do == nil:
		return "", fault.In(fault.BadMessage, "do", "A door can be told to open, hold, release and unlock.")
	case !d.has() && (what != "open" || !d.o.state.Live()):
		return "", fault.In(fault.InvalidInit, "door", "This station has no door, and is in no call "+
			"with one that may; name the line of its relay in [door].")
	}
	if done = do(); done == refused {
		err = fault.In(fault.NotAllowed, "door", "The door's relay is locked, since the case was opened; "+
			"close it, and say 'intercomctl door unlock'.")
	}
	return done, err
}

// input is told by the lines at the door: contact, exit or tamper is active, or no longer.
func (d *doorway) input(name string, active bool) {
	switch {
	case name == "contact" && d.rules.Contact(d.now(), active):
		d.done("somebody", "nothing let the door be opened", forced)
	case name == "exit" && active:
		d.openHere("exit button", "pressed inside")
	case name == "tamper":
		if d.tampered = active; active {
			d.rules.Lock(d.now(), true)
			if !d.o.memory.Tampered {
				d.o.memory.Tampered = true
				d.o.memory.keep()
			}
			d.done("somebody", "the case was opened", locked)
		}
	}
	d.update()
}

// asked takes the wish of a call's peer, and answers it.
func (d *doorway) asked(id, from string) {
	reason, why := d.refusal(id, from)
	b := d.opens(reason, why, from, "in a call")
	d.o.wire.Send(wire.New(wire.DoorDone, id, b))
}

// wanted takes the wish of an operator outside a call, and answers it. Who asks says the hub, and this station believes
// it because its own list door.remote says so.
func (d *doorway) wanted(b wire.OpenDoorBody) {
	reason, why := wire.DoorReason(""), ""
	switch {
	case !setup.Listed(d.o.cfg.Door.Remote, b.From):
		reason, why = wire.DoorNotAllowed, "not on the list door.remote"
	case !d.remotely.Allow():
		reason, why = wire.DoorTooOften, "asked again and again"
	}
	who := b.From
	if b.By != "" {
		who += " (" + wire.Printable(b.By, 50) + ")"
	}
	done := d.opens(reason, why, who, "asked by an operator, outside a call")
	answer := wire.OpenDoorBody{ID: b.ID, CUID: b.From, Result: done.Result, Reason: done.Reason}
	d.o.wire.Send(wire.New(wire.OpenDone, "", answer))
}

// opens opens the door for somebody, unless there is a reason not to, and has it on record.
func (d *doorway) opens(reason wire.DoorReason, why, who, asked string) wire.DoorBody {
	switch {
	case reason != "":
		if d.refusals.Allow() { // each is on record, but for a flood of them
			d.done(who, why, refused)
		}
	case !d.has():
		reason = wire.DoorNone
		if d.refusals.Allow() {
			d.done(who, asked, refused)
		}
	case d.openHere(who, asked) != opened:
		reason = wire.DoorLocked
	default:
		return wire.DoorBody{Result: opened}
	}
	return wire.DoorBody{Result: refused, Reason: reason}
}

// refusal is why somebody may not open the door here; empty when it may. Who the peer is says the hub, so that it
// counts only as far as this station knows it: the cuid that it called, or for a group the name of the group.
func (d *doorway) refusal(id, from string) (wire.DoorReason, string) {
	s, called, allow := d.o.state, d.o.leg.wants.to, d.o.cfg.Door.Allow
	listed := func(cuid string) bool { return setup.Listed(allow, cuid) }
	switch {
	case id != s.ID || !s.Live() || from != s.Peer:
		return wire.DoorNotInCall, "not in a call with this station"
	case s.Phase == call.Connecting:
		return wire.DoorNotConnected, "the voices are not connected yet"
	case !listed(from):
		return wire.DoorNotAllowed, "not on the list door.allow"
	case s.Caller && !slices.Contains(called, from) && !slices.ContainsFunc(called, listed):
		return wire.DoorNotAllowed,
			"called under another name (" + called.String() + "), which is not on the list door.allow"
	}
	return "", ""
}

// tellCapabilities tells the peer whether it may open the door, when that changed. That it may not is what it expects.
func (d *doorway) tellCapabilities() {
	l := d.o.leg
	if !d.o.state.Live() {
		return
	}
	reason, _ := d.refusal(l.id, d.o.state.Peer)
	may := d.has() && reason == ""
	if may != l.mayOpen && d.o.wire.Send(wire.New(wire.Capabilities, l.id, wire.CapabilitiesBody{Door: may})) {
		l.mayOpen = may
	}
}

// done puts on record who did what, and sets the relay.
func (d *doorway) done(who, why, done string) {
	d.record(who, why, done)
	d.update()
}

func (d *doorway) record(who, why, done string) {
	id := ""
	if d.o.state.Live() {
		id = d.o.state.ID
	}
	d.o.log.Info(event.Door, "who", who, "why", why, "done", done, event.Call(id))
	d.o.events.emit(control.Event{Event: "door", Who: who, Why: why, Done: done, Call: id, Door: d.status()})
	d.o.notes.add(wire.NoteBody{Kind: wire.DoorNote, Who: who, Why: why, Result: done, Call: id})
}

// update sets the relay to what the rules say, and looks again when time may change that.
func (d *doorway) update() {
	if !d.has() {
		return
	}
	now := d.now()
	if open := d.rules.Open(now); open != d.energised {
		d.energised = open
		p := gpio.Pattern{}
		if open {
			p = gpio.Pattern{{On: true}}
		}
		d.o.Relay.Show(p)
		d.o.events.emit(control.Event{Event: "door", Door: d.status()})
	}
	if trouble := d.rules.Trouble(now); trouble != d.o.faults[control.PartDoor].Text {
		d.o.fault(control.Fault{Code: control.DoorTrouble, Part: control.PartDoor, Text: trouble})
		if trouble == door.StandsOpen {
			d.record("somebody", trouble, tooLong)
		}
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	if at, ok := d.rules.Next(now); ok {
		d.timer = time.AfterFunc(at-now+time.Millisecond, func() { d.o.tell(d.update) })
	}
	d.o.lights.update()
	d.o.restartWhenIdle()
}

func (d *doorway) status() *control.Door {
	if !d.has() {
		return nil
	}
	now := d.now()
	return &control.Door{Open: d.rules.Open(now), Held: d.rules.Held(), Locked: d.rules.Locked(), Ajar: d.rules.Ajar(),
		Trouble: d.rules.Trouble(now)}
}
