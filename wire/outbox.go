package wire

import "slices"

// Outbox numbers what one side of a session says, and keeps it until the other side has it, so that a connection that
// breaks loses nothing. At most [KeptMessages] are kept, and [KeptBytes] of them; a session that missed more cannot be
// resumed, and its calls are told as they stand instead. The zero value is ready.
type Outbox struct {
	last uint64 // number of the newest
	kept Backlog
}

// Backlog is messages that wait, the oldest first, within [KeptMessages] and [KeptBytes]. The zero value is empty.
type Backlog struct {
	all  []Envelope
	size int
}

// Room reports whether one more can wait.
func (b *Backlog) Room(e Envelope) bool {
	return len(b.all) < KeptMessages && b.size+len(e.B) <= KeptBytes
}

// Add has a message wait.
func (b *Backlog) Add(e Envelope) {
	b.all = append(b.all, e)
	b.size += len(e.B)
}

// drop takes the oldest n out.
func (b *Backlog) drop(n int) {
	for _, e := range b.all[:n] {
		b.size -= len(e.B)
	}
	b.all = append([]Envelope(nil), b.all[n:]...) // nil where nothing is left: an idle session keeps nothing
}

// Take takes those of a call out.
func (b *Backlog) Take(call string) (taken []Envelope) {
	b.all = slices.DeleteFunc(b.all, func(e Envelope) bool {
		if e.Call == call {
			taken = append(taken, e)
			b.size -= len(e.B)
		}
		return e.Call == call
	})
	return taken
}

// Numbered reports whether a message has a number: those about a call do.
func Numbered(e Envelope) bool { return e.Call != "" }

// Push gives a message its number and keeps it.
func (o *Outbox) Push(e Envelope) Envelope {
	o.last++
	e.Seq = o.last
	for len(o.kept.all) > 0 && !o.kept.Room(e) {
		o.kept.drop(1)
	}
	o.kept.Add(e)
	return e
}

// Acked forgets what the other side has: all up to n.
func (o *Outbox) Acked(n uint64) {
	had := 0
	for had < len(o.kept.all) && o.kept.all[had].Seq <= n {
		had++
	}
	if had > 0 {
		o.kept.drop(had)
	}
}

// After gives what came after n. It fails when that is not kept any more, or was never said.
func (o *Outbox) After(n uint64) ([]Envelope, bool) {
	if n > o.last {
		return nil, false
	}
	missed := int(o.last - n)
	if missed > len(o.kept.all) {
		return nil, false
	}
	return o.kept.all[len(o.kept.all)-missed:], true
}

// Inbox is the other end: it knows what was heard. The zero value is ready.
type Inbox struct{ last uint64 }

// Fresh notes a message and reports whether it is new; what has no number always is.
func (i *Inbox) Fresh(e Envelope) bool {
	if e.Seq == 0 {
		return true
	}
	if e.Seq <= i.last {
		return false
	}
	i.last = e.Seq
	return true
}

// Last is the number to acknowledge.
func (i *Inbox) Last() uint64 { return i.last }
