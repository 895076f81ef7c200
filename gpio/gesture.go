package gpio

import "time"

// Kind is what a finger did with a button.
type Kind string

// The kinds. Down and Up come with each press, besides what it means.
const (
	Down   Kind = "down"
	Up     Kind = "up"
	Short  Kind = "short"
	Long   Kind = "long"   // while it is still held
	Double Kind = "double" // at the second press
	Stuck  Kind = "stuck"  // held for longer than anybody does; Up tells its end
)

// Gesture is something that a button tells.
type Gesture struct {
	Kind Kind
	Held time.Duration // for how long it was down so far
}

// Times of gestures. Zero switches one off: nothing is waited for that is not asked for, so a button that knows only
// short presses tells them when it goes down.
type Times struct {
	Long   time.Duration // held for so long, it is a long press
	Double time.Duration // a second press within so long after the first one makes both a double press
	Stuck  time.Duration // held for so long, the button is stuck, or somebody leans on it
}

// Recognizer makes gestures of steady levels. It is pure; time comes from outside, as time since some start.
type Recognizer struct {
	Times

	down   bool
	at     time.Duration // when it went down, or came up
	done   bool          // what this press means was told
	once   bool          // one press was told by nothing yet, a second may come
	stuck  bool
	before bool // it was down when it was first looked at: that is no press
}

// Start says how the button was when it was first looked at.
func (r *Recognizer) Start(now time.Duration, down bool) {
	*r = Recognizer{Times: r.Times, down: down, before: down, done: true, at: now}
}

// Level takes a level that holds since at, and gives what it means.
func (r *Recognizer) Level(at time.Duration, down bool) (all []Gesture) {
	if down == r.down {
		return nil
	}
	all = r.Tick(at) // what the time before it meant
	held := at - r.at
	r.down, r.at = down, at
	if !down {
		return append(all, r.up(held)...)
	}
	r.done, r.stuck = false, false
	all = append(all, Gesture{Kind: Down})
	switch {
	case r.once:
		r.once, r.done = false, true
		all = append(all, Gesture{Kind: Double})
	case r.Long == 0 && r.Double == 0:
		r.done = true
		all = append(all, Gesture{Kind: Short})
	}
	return all
}

func (r *Recognizer) up(held time.Duration) (all []Gesture) {
	if r.before && !r.stuck {
		r.before = false
		return nil
	}
	r.before = false
	all = []Gesture{{Up, held}}
	switch {
	case r.done:
	case r.Double > 0:
		r.once = true
	default:
		all = append(all, Gesture{Short, held})
	}
	r.done = true
	return all
}

// Tick tells what the time alone makes of it.
func (r *Recognizer) Tick(now time.Duration) (all []Gesture) {
	since := now - r.at
	switch {
	case r.down && r.Long > 0 && !r.done && since >= r.Long:
		r.done = true
		all = append(all, Gesture{Long, since})
	case !r.down && r.once && since >= r.Double:
		r.once = false
		all = append(all, Gesture{Kind: Short})
	}
	if r.down && r.Stuck > 0 && !r.stuck && since >= r.Stuck {
		r.stuck, r.done = true, true
		all = append(all, Gesture{Stuck, since})
	}
	return all
}

// Next is how long it takes until a tick can tell something; never, when it is negative.
func (r *Recognizer) Next(now time.Duration) time.Duration {
	next := time.Duration(-1)
	soonest := func(on bool, after time.Duration) {
		if d := max(0, r.at+after-now); on && (next < 0 || d < next) {
			next = d
		}
	}
	soonest(r.down && r.Long > 0 && !r.done, r.Long)
	soonest(!r.down && r.once, r.Double)
	soonest(r.down && r.Stuck > 0 && !r.stuck, r.Stuck)
	return next
}
