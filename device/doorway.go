package device

import (
	"slices"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/door"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/wire"
)

// This file stands between the rules of the door and its lines, the people who may open it, and the record.

// What became of a wish to open the door.
const (
	opened   = "opened"
	asked    = "asked" // the other side of the call; it answers
	refused  = "refused"
	held     = "held"
	released = "released"
	locked   = "locked"
	unlocked = "unlocked"
	forced   = "forced"
	tooLong  = "open_too_long"
)

// now is the time of the door's rules, which no clock that is set can move.
func (d *Device) now() time.Duration { return time.Since(d.began) }

// hasDoor reports whether there is a relay.
func (d *Device) hasDoor() bool { return d.cfg.Door.Line != "" }

// openDoor lets somebody in, and gives what became of it.
func (d *Device) openDoor(who, why string) string {
	done := refused
	if d.hasDoor() && d.door.Pulse(d.now()) {
		if done = opened; d.state.Phase != call.Ringing {
			d.sound.Play(call.DoorTone)
		}
	}
	d.doorDone(who, why, done)
	return done
}

// openFor opens our own door, or, where there is none, asks the other side of the call to open its.
func (d *Device) openFor(who, why string) string {
	if d.hasDoor() || !d.state.Live() {
		return d.openDoor(who, why)
	}
	if !d.wire.Send(wire.New(wire.Door, d.state.ID, wire.DoorBody{})) {
		return refused
	}
	return asked
}

// doorAnswered is what the other side says of its door.
func (d *Device) doorAnswered(id string, b wire.DoorBody) {
	if id != d.state.ID || !d.state.Live() || b.From != d.state.Peer || b.Result != opened && b.Result != refused {
		return
	}
	d.log.Info("door", "who", b.From, "why", "asked in a call", "done", b.Result, "call", id)
	d.emit(control.Event{Event: "door", Who: b.From, Why: "asked in a call", Done: b.Result, Call: id, Peer: b.From})
	if b.Result == opened {
		d.sound.Play(call.DoorTone)
	}
}

// holdDoor keeps it open, or no longer.
func (d *Device) holdDoor(on bool, who, why string) string {
	done := map[bool]string{true: held, false: released}[on]
	if !d.hasDoor() || !d.door.Hold(d.now(), on) {
		done = refused
	}
	d.doorDone(who, why, done)
	return done
}

// unlockDoor takes back what tampering did. It is refused while the case is open.
func (d *Device) unlockDoor(who, why string) string {
	done := unlocked
	if d.tampered {
		done = refused
	} else {
		d.door.Lock(d.now(), false)
		d.memory.Tampered = false
		d.keep()
	}
	d.doorDone(who, why, done)
	return done
}

// DoorInput is told by the lines at the door: contact, exit or tamper is active, or no longer.
func (d *Device) DoorInput(name string, active bool) {
	d.tell(func() {
		switch {
		case name == "contact" && d.door.Contact(d.now(), active):
			d.doorDone("somebody", "nothing let the door be opened", forced)
		case name == "exit" && active:
			d.openDoor("exit button", "pressed inside")
		case name == "tamper":
			if d.tampered = active; active {
				d.door.Lock(d.now(), true)
				if !d.memory.Tampered {
					d.memory.Tampered = true
					d.keep()
				}
				d.doorDone("somebody", "the case was opened", locked)
			}
		}
		d.doorChanged()
	})
}

// doorAsked takes the wish of the other side of a call, and answers it.
func (d *Device) doorAsked(id, from string) {
	reason, why := d.mayNotOpen(id, from)
	b := d.opens(reason, why, from, "in a call")
	d.wire.Send(wire.New(wire.DoorDone, id, b))
}

// doorWanted takes the wish of an operator outside a call, and answers it. Who asks says the hub, and this station believes
// it because its own list door.remote says so.
func (d *Device) doorWanted(b wire.OpenDoorBody) {
	reason, why := wire.DoorReason(""), ""
	switch {
	case !setup.Listed(d.cfg.Door.Remote, b.From):
		reason, why = wire.DoorNotAllowed, "not on the list door.remote"
	case !d.remotely.Allow():
		reason, why = wire.DoorTooOften, "asked again and again"
	}
	who := b.From
	if b.By != "" {
		who += " (" + wire.Printable(b.By, 50) + ")"
	}
	done := d.opens(reason, why, who, "asked by an operator, outside a call")
	d.wire.Send(wire.New(wire.OpenDone, "", wire.OpenDoorBody{ID: b.ID, CUID: b.From, Result: done.Result, Reason: done.Reason}))
}

// opens opens the door for somebody, unless there is a reason not to, and has it on record.
func (d *Device) opens(reason wire.DoorReason, why, who, asked string) wire.DoorBody {
	switch {
	case reason != "":
		if d.refusals.Allow() { // each is on record, but for a flood of them
			d.doorDone(who, why, refused)
		}
	case !d.hasDoor():
		reason = wire.DoorNone
		if d.refusals.Allow() {
			d.doorDone(who, asked, refused)
		}
	case d.openDoor(who, asked) != opened:
		reason = wire.DoorLocked
	default:
		return wire.DoorBody{Result: opened}
	}
	return wire.DoorBody{Result: refused, Reason: reason}
}

// mayNotOpen is why somebody may not open the door here; empty when it may. Who the other side is says the hub, so that it
// counts only as far as this station knows it: the cuid that it called, or for a group the name of the group.
func (d *Device) mayNotOpen(id, from string) (wire.DoorReason, string) {
	s := d.state
	switch {
	case id != s.ID || !s.Live() || from != s.Peer:
		return wire.DoorNotInCall, "not in a call with this station"
	case s.Phase == call.Connecting:
		return wire.DoorNotConnected, "the voices are not connected yet"
	case !setup.Listed(d.cfg.Door.Allow, from):
		return wire.DoorNotAllowed, "not on the list door.allow"
	case s.Caller && !slices.Contains(d.leg.wants.to, from) && !slices.ContainsFunc(d.leg.wants.to, func(to string) bool { return setup.Listed(d.cfg.Door.Allow, to) }):
		return wire.DoorNotAllowed, "called under another name (" + d.leg.wants.to.String() + "), which is not on the list door.allow"
	}
	return "", ""
}

// tellCapabilities tells the other side of a call whether it may open the door, when that changed. That it may not is what
// it expects.
func (d *Device) tellCapabilities() {
	if !d.state.Live() {
		return
	}
	reason, _ := d.mayNotOpen(d.state.ID, d.state.Peer)
	may := d.hasDoor() && reason == ""
	if may != d.leg.mayOpen && d.wire.Send(wire.New(wire.Capabilities, d.leg.id, wire.CapabilitiesBody{Door: may})) {
		d.leg.mayOpen = may
	}
}

// doorDone writes down who did what, has it told, and sets the relay.
func (d *Device) doorDone(who, why, done string) {
	d.doorNoted(who, why, done)
	d.doorChanged()
}

func (d *Device) doorNoted(who, why, done string) {
	id := ""
	if d.state.Live() {
		id = d.state.ID
	}
	d.log.Info("door", "who", who, "why", why, "done", done, "call", id)
	d.emit(control.Event{Event: "door", Who: who, Why: why, Done: done, Call: id, Door: d.doorStatus()})
	d.note(wire.NoteBody{Kind: wire.DoorNote, Who: who, Why: why, Result: done, Call: id})
}

// doorChanged sets the relay to what the rules say, and looks again when time may change that.
func (d *Device) doorChanged() {
	if !d.hasDoor() {
		return
	}
	now := d.now()
	if open := d.door.Open(now); open != d.relayOn {
		d.relayOn = open
		p := gpio.Pattern{}
		if open {
			p = gpio.Pattern{{On: true}}
		}
		d.relay.Show(p)
		d.emit(control.Event{Event: "door", Door: d.doorStatus()})
	}
	if trouble := d.door.Trouble(now); trouble != d.faults[control.PartDoor].Text {
		d.fault(control.Fault{Code: control.DoorTrouble, Part: control.PartDoor, Text: trouble})
		if trouble == door.StandsOpen {
			d.doorNoted("somebody", trouble, tooLong)
		}
	}
	if d.doorTimer != nil {
		d.doorTimer.Stop()
	}
	if at, ok := d.door.Next(now); ok {
		d.doorTimer = time.AfterFunc(at-now+time.Millisecond, func() { d.tell(d.doorChanged) })
	}
	d.shine()
	d.restartWhenIdle()
}

func (d *Device) doorStatus() *control.Door {
	if !d.hasDoor() {
		return nil
	}
	now := d.now()
	return &control.Door{Open: d.door.Open(now), Held: d.door.Held(), Locked: d.door.Locked(), Ajar: d.door.Ajar(), Trouble: d.door.Trouble(now)}
}
