// Package door is the rules of a door's relay: whether it may be energised, for how long, and what is wrong with the
// door itself.
//
// Pure: no lines, no clock; time comes from outside, as time since some start. The device owns a [Door] and sets the
// relay to what [Door.Open] says. Nothing but a call of Pulse or Hold ever makes it true.
package door

import "time"

// Settings of a door.
type Settings struct {
	Pulse   time.Duration // how long the relay is energised to let somebody in
	TooLong time.Duration // how long the door may stand open; 0 for ever
}

// Door is a relay and, where there is one, a contact that tells whether the door stands open.
type Door struct {
	Settings

	locked bool
	held   bool
	until  time.Duration // the end of a pulse
	ajar   bool          // the contact says that it stands open
	since  time.Duration // from when
	forced bool
}

// afterwards is how long after the relay let go a door may still be opened: a hand is on it already.
const afterwards = 5 * time.Second

// Pulse opens for a while. It reports false for a door that is locked.
func (d *Door) Pulse(now time.Duration) bool {
	if d.locked {
		return false
	}
	d.until = max(d.until, now+d.Settings.Pulse)
	return true
}

// Hold keeps it open until that is taken back. It reports false for a door that is locked; taking back always works.
func (d *Door) Hold(now time.Duration, on bool) bool {
	if on && d.locked {
		return false
	}
	if d.held && !on {
		d.until = now
	}
	d.held = on
	return true
}

// Lock keeps it shut, whatever else is so, until that is taken back; what was held or pulsed is over.
func (d *Door) Lock(now time.Duration, on bool) {
	if d.locked = on; on {
		d.held, d.until = false, min(d.until, now)
	}
}

// Locked reports whether it is.
func (d *Door) Locked() bool { return d.locked }

// Held reports whether it is held open.
func (d *Door) Held() bool { return d.held }

// Open reports whether the relay is to be energised.
func (d *Door) Open(now time.Duration) bool { return !d.locked && (d.held || now < d.until) }

// Contact is told that the door stands open, or is shut. It reports whether the door was forced: opened though nothing
// let it.
func (d *Door) Contact(now time.Duration, ajar bool) (forced bool) {
	if ajar == d.ajar {
		return false
	}
	d.ajar, d.since, d.forced = ajar, now, false
	if ajar && !d.Open(now) && (d.until == 0 || now > d.until+afterwards) {
		d.forced = true
	}
	return d.forced
}

// Ajar reports whether the door stands open.
func (d *Door) Ajar() bool { return d.ajar }

// What can be wrong with a door.
const (
	Forced     = "it was forced open"
	StandsOpen = "it stands open too long"
	Tampered   = "its relay is locked, since the case was opened; see to it, and then say 'intercomctl door unlock'"
)

// Trouble is what is wrong with the door; "" for nothing.
func (d *Door) Trouble(now time.Duration) string {
	switch {
	case d.forced:
		return Forced
	case d.ajar && !d.held && d.TooLong > 0 && now >= max(d.since, d.until)+d.TooLong:
		return StandsOpen
	case d.locked:
		return Tampered
	}
	return ""
}

// Next is when Open or Trouble may be another by the time alone; false for never.
func (d *Door) Next(now time.Duration) (at time.Duration, ok bool) {
	if d.Open(now) && !d.held {
		return d.until, true
	}
	if late := max(d.since, d.until) + d.TooLong; d.ajar && !d.held && d.TooLong > 0 && now < late {
		return late, true
	}
	return 0, false
}
