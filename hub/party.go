package hub

import (
	"intercom/hub/call"
	"intercom/wire"
)

// parties are the devices here as parties of calls, which this hub or another one owns. Which call a device is in is
// under the lock of the registrar.
type parties struct {
	*registrar
	owned calls
	rings quota[who] // calls that ring at a device here
}

// rung says whether a device here rings.
type rung int

const (
	rang   rung = iota
	absent      // it is not signed in here
	busy        // it is in another call, or called too often
	yours       // it calls the caller, and its call is the one that counts
)

// ring makes a device here ring, unless it is busy. Busy or not is decided under the registrar's lock: two calls cannot
// both find it free.
func (p *parties) ring(w who, from string, of legRef, e wire.Envelope) rung {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.sessions[w]
	switch {
	case m == nil || !m.online():
		return absent
	case m.call == of: // said twice
		return rang
	case m.call.id == "" && m.state != nil && m.state.DND:
		return busy
	case m.call.id != "":
		// Both call each other, at two hubs at once: the call with the smaller id is the one; both hubs see it so. The
		// device that lost drops its own call when it is told of this one.
		if own := p.owned.find(callKey{w.account, m.call.id}); own == nil || own.caller() != w.cuid ||
			own.target != from {
			return busy
		} else if m.call.id < of.id {
			return yours
		}
	}
	// A device that is called and called again would say more than the hub lets it, and does nothing wrong.
	if _, ok := p.rings.take(w); !ok {
		return busy
	}
	m.call, m.caller, m.ringing = of, from, true
	p.changed(w)
	m.send(e)
	return rang
}

// deliver gives a message to a device here; false says that it is not. The end of its call makes it free.
func (p *parties) deliver(w who, e wire.Envelope) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.sessions[w]
	if m == nil {
		return false
	}
	switch {
	case m.call.id != e.Call:
	case e.T == wire.Ended:
		m.call, m.last, m.answered = legRef{}, m.call, nil
		p.changed(w)
	case e.T == wire.Answered:
		if m.ringing {
			p.rings.giveBack(w)
		}
		m.answered, m.ringing = e.B, false
		p.changed(w)
	}
	m.send(e)
	return true
}

// hold notes that a device is in a call that lives.
func (p *parties) hold(m *session, of legRef, c *ownedCall) {
	c.mu.Lock()
	g := c.state.Leg(m.cuid)
	live := !c.state.Ended() && (g == nil || g.Phase != call.Over)
	c.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if live && m.call.id == "" {
		m.call = of
	}
}

// seated says whether a device is here and in a call.
func (p *parties) seated(w who, call string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := p.sessions[w]; m != nil && m.online() && m.call.id == call {
		return inCall
	}
	return notSo
}
