package device

import (
	"slices"
	"time"

	"intercom/internal/fault"
	"intercom/wire"
)

// mostNotes is how many are kept; then the oldest is given up.
const mostNotes = 200

// notes are what the hub must hear of, also when it is away: visits, openings of the door, and how calls were heard.
// They lie in the memory until the hub has acknowledged them, one after the other.
type notes struct {
	o        *owner
	inFlight string // id of the note that was sent and not acknowledged; empty for none
}

// add remembers something that the hub must hear of, and tells it.
func (n *notes) add(b wire.NoteBody) {
	m := &n.o.memory
	b.ID, b.At = newID(), n.o.Clock().UTC()
	m.Notes = append(m.Notes, b)
	if over := len(m.Notes) - mostNotes; over > 0 {
		m.Notes = slices.Delete(m.Notes, 0, over)
		m.Lost += over
	}
	m.keep()
	n.send()
}

// send tells the hub the oldest note. The next one follows when it is acknowledged.
func (n *notes) send() {
	all := n.o.memory.Notes
	if n.inFlight == "" && len(all) > 0 && n.o.state.Online && n.o.wire.Send(wire.New(wire.Note, "", all[0])) {
		n.inFlight = all[0].ID
	}
}

// acked takes the acknowledged note out.
func (n *notes) acked() {
	if m := &n.o.memory; len(m.Notes) > 0 && m.Notes[0].ID == n.inFlight {
		m.Notes = slices.Delete(m.Notes, 0, 1)
		m.keep()
	}
	n.inFlight = ""
	n.send()
}

// refused keeps a note that the hub cannot take now, and gives up one that it never will.
func (n *notes) refused(e *fault.Error) {
	if e.Retryable {
		n.inFlight = ""
		if wait := e.RetryAfter(); wait > 0 {
			time.AfterFunc(wait, func() { n.o.tell(n.send) })
		}
		return
	}
	n.o.log.Warn("the hub does not take a note", "code", string(e.Code), "err", e.Message)
	n.acked()
}

// quality tells how well an answered call was heard.
func (n *notes) quality(l *leg) {
	if l.result.AnsweredAt == nil {
		return
	}
	q := l.quality
	n.add(wire.NoteBody{Kind: wire.CallNote, Call: l.id, Quality: &wire.Quality{
		Codec: q.Codec, Route: q.Route, DelayMS: q.DelayMS, RoundTripMS: q.RoundTripMS,
		JitterMS: q.JitterMS, Loss: q.Loss, ConcealedMS: q.Receiving.ConcealedMS,
	}})
}
