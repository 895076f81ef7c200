package hub

import (
	"time"

	"intercom/hub/access"
	"intercom/hub/cluster"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// requests are what devices ask of one another, and the account's rules have to allow: doors, and to blink.
type requests struct {
	*registrar
	note func(account, cuid string, n wire.NoteBody) error // nil for nothing
}

// mostRefusals of one call are on record: whoever asks again and again fills no disk.
const mostRefusals = 10

// mayOpen refuses a party that asks for the other side's door where no rule of the account lets it, and has that
// written down beside what the station notes. The station's own list decides after it.
func (r requests) mayOpen(c *ownedCall, w who) *fault.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	other := c.peer(w.cuid)
	switch {
	case !c.state.Live():
		return fault.In(fault.NotAllowed, "", "A door can be opened in an answered call only.")
	case w.cuid != c.state.From && w.cuid != c.state.To:
		return fault.New(fault.NotParty)
	}
	if acct := r.access.Account(w.account); acct != nil && acct.MayOpen(w.cuid, other) {
		return nil
	}
	r.log.Info("a door is not opened: no rule may_open_door", event.Call(c.key.id), event.Account(w.account),
		event.CUID(w.cuid), event.Peer(other))
	if c.refusals++; c.refusals <= mostRefusals {
		r.noteRefusal(who{w.account, other}, w.cuid, c.key.id)
	}
	return noRule(w.cuid, other)
}

// peer is the other party of an answered call. The lock is held.
func (c *ownedCall) peer(cuid string) string {
	if cuid == c.state.From {
		return c.state.To
	}
	return c.state.From
}

func noRule(from, to string) *fault.Error {
	return fault.In(fault.NotAllowed, "",
		"The account does not let %s open the door of %s: no rule may_open_door has both.", from, to)
}

// noteRefusal has a refusal of the account's rules written down, beside what the station notes.
func (r requests) noteRefusal(door who, by, call string) {
	if r.note == nil {
		return
	}
	n := wire.NoteBody{
		ID: access.Random(), Kind: wire.DoorNote, At: time.Now().UTC(), Who: by,
		Why: "no rule may_open_door of the account has it", Result: wire.DoorRefused, Call: call,
	}
	r.background(func() {
		if err := r.note(door.account, door.cuid, n); err != nil {
			r.log.Error("a refusal cannot be written down", event.Call(call), event.Account(door.account),
				event.CUID(door.cuid),
				"err", err)
		}
	})
}

// mayBeOpened reports whether the account's rules let the other side of a call open the door of this party.
func (r requests) mayBeOpened(c *ownedCall, w who) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	acct := r.access.Account(w.account)
	return acct != nil && acct.MayOpen(c.peer(w.cuid), w.cuid)
}

// openDoor passes on an operator's wish that a station opens its door outside a call. The account's rules are asked
// here, and the station's own list there.
func (r requests) openDoor(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.OpenDoorBody](e)
	if err == nil {
		err = b.Check()
	}
	if err != nil {
		return err
	}
	if b.CUID == "" {
		return fault.In(fault.BadMessage, "cuid", "Name the station whose door is to be opened.")
	}
	operator := r.operator(m)
	if operator == "" {
		return fault.In(fault.NotAllowed, "", "Only a signed-in operator may open a door outside a call.")
	}
	door := who{m.account, b.CUID}
	if acct := r.access.Account(m.account); acct == nil || !acct.MayOpen(m.cuid, b.CUID) {
		r.log.Info("a door is not opened: no rule may_open_door", event.Account(m.account), event.CUID(m.cuid),
			event.Peer(b.CUID), "name", operator)
		r.mu.Lock()
		m.refusals++
		few := m.refusals <= mostRefusals
		r.mu.Unlock()
		if few {
			r.noteRefusal(door, m.cuid+" ("+wire.Printable(operator, 50)+")", "")
		}
		return noRule(m.cuid, b.CUID)
	}
	return r.pass(door, wire.New(wire.OpenDoor, "",
		wire.OpenDoorBody{ID: b.ID, From: m.cuid, By: wire.Printable(operator, 50)}))
}

// doorDone passes on what became of such a wish. The client knows its own wishes by their ids.
func (r requests) doorDone(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.OpenDoorBody](e)
	if err == nil {
		err = b.Check()
	}
	if err != nil {
		return err
	}
	return r.pass(who{m.account, b.CUID}, wire.New(wire.OpenDone, "",
		wire.OpenDoorBody{ID: b.ID, From: m.cuid, Result: b.Result, Reason: b.Reason}))
}

// identify has a station blink and sound, wherever it is signed in. Operators may ask for that.
func (r requests) identify(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.IdentifyBody](e)
	if err != nil {
		return err
	}
	if acct := r.access.Account(m.account); r.operator(m) == "" || acct == nil || !acct.MaySee(m.cuid, b.CUID) {
		return fault.New(fault.NotAllowed)
	}
	return r.pass(who{m.account, b.CUID}, wire.New(wire.Identify, "", wire.IdentifyBody{}))
}

// pass gives a message to a device that is signed in now, wherever that is.
func (r requests) pass(w who, e wire.Envelope) *fault.Error {
	r.mu.Lock()
	m := r.sessions[w]
	r.mu.Unlock()
	if m != nil && m.online() {
		m.send(e)
		return nil
	}
	hub, err := r.hubs.Locate(r.ctx, w.account, w.cuid, false)
	if err != nil || hub == "" {
		return fault.New(fault.ReceiverOffline)
	}
	r.hubs.Send(hub, cluster.Message{Kind: cluster.Deliver, Account: w.account, CUID: w.cuid, Env: &e})
	return nil
}
