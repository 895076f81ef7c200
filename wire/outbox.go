package wire

// Outbox numbers what one side of a session says, and keeps it until the other side has it, so that a connection that
// breaks loses nothing. At most [KeptMessages] are kept; a session that missed more cannot be resumed, and its calls
// are told as they stand instead. The zero value is ready.
type Outbox struct {
	last uint64 // number of the newest
	kept []Envelope
}

// Numbered reports whether a message has a number: those about a call do.
func Numbered(e Envelope) bool { return e.Call != "" }

// Push gives a message its number and keeps it.
func (o *Outbox) Push(e Envelope) Envelope {
	o.last++
	e.Seq = o.last
	if len(o.kept) == KeptMessages {
		o.kept = append(o.kept[:0:0], o.kept[1:]...)
	}
	o.kept = append(o.kept, e)
	return e
}

// Acked forgets what the other side has: all up to n.
func (o *Outbox) Acked(n uint64) {
	for len(o.kept) > 0 && o.kept[0].Seq <= n {
		o.kept = o.kept[1:]
	}
	if len(o.kept) == 0 {
		o.kept = nil // an idle session keeps nothing
	}
}

// After gives what came after n. It fails when that is not kept any more, or was never said.
func (o *Outbox) After(n uint64) ([]Envelope, bool) {
	if n > o.last {
		return nil, false
	}
	missed := int(o.last - n)
	if missed > len(o.kept) {
		return nil, false
	}
	return o.kept[len(o.kept)-missed:], true
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
