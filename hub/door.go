package hub

import (
	"time"

	"intercom/internal/fault"
	"intercom/wire"
)

// mostRefusals of one call are on record: whoever asks again and again fills no disk.
const mostRefusals = 10

// mayOpen refuses a party that asks for the other side's door where no rule of the account lets it, and has that written
// down beside what the station notes. The station's own list decides after it.
func (r *router) mayOpen(t *talk, w who) *fault.Error {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &t.lane
	other := l.From
	if w.cuid == other {
		other = l.To
	}
	switch {
	case !l.talks():
		return fault.In(fault.NotAllowed, "", "A door can be opened in an answered call only.")
	case w.cuid != l.From && w.cuid != l.To:
		return fault.New(fault.NotParty)
	}
	if acct := r.access.Account(t.account); acct != nil && acct.MayOpen(w.cuid, other) {
		return nil
	}
	r.log.Info("a door is not opened: no rule may_open_door", "call", l.Call, "cuid", w.cuid, "peer", other)
	if t.refusals++; r.note != nil && t.refusals <= mostRefusals {
		n := wire.NoteBody{ID: random(), Kind: wire.DoorNote, At: time.Now().UTC(), Who: w.cuid, Why: "no rule may_open_door of the account has it", Result: "refused", Call: l.Call}
		account := t.account
		r.background(func() {
			if err := r.note(account, other, n); err != nil {
				r.log.Error("a refusal cannot be written down", "call", n.Call, "cuid", other, "err", err)
			}
		})
	}
	return fault.In(fault.NotAllowed, "", "The account does not let %s open the door of %s: no rule may_open_door has both.", w.cuid, other)
}
