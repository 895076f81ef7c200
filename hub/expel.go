package hub

import (
	"time"

	"intercom/hub/access"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// This file ends sessions whose devices may not stay.

// stands reports whether what somebody came in by is still good.
func (r *registrar) stands(account string, g access.Grant) bool {
	return r.access.Stands(account, g) && !r.ended.Has(account, g)
}

// expel closes the connections that came in by something that is not good any more.
func (r *registrar) expel() {
	r.mu.Lock()
	out := map[*session]legRef{} // with the calls that they are in
	for _, m := range r.sessions {
		if !r.stands(m.account, m.grant) {
			out[m] = m.call
			r.drop(m)
		}
	}
	r.mu.Unlock()
	for m, call := range out {
		r.log.Info("a device has to leave: what it signed in with was taken away", event.Account(m.account),
			event.CUID(m.cuid))
		m.send(wire.Reply(wire.Envelope{}, fault.New(fault.Credentials)))
		m.close(wire.CloseCredentials, "what it signed in with was taken away")
		r.calls.departed(m.who, call, true)
	}
}

// renew has a session stay by another grant, until then.
func (r *registrar) renew(m *session, g access.Grant, until time.Time) *fault.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stands(m.account, g) { // it was taken away this moment
		return fault.New(fault.Credentials)
	}
	m.grant = g
	r.expire(m, until)
	return nil
}

// expire sets when the session of a device that came in by a token ends; the zero time is never. The lock is held.
func (r *registrar) expire(m *session, at time.Time) {
	if m.expiry != nil {
		m.expiry.Stop()
		m.expiry = nil
	}
	if at.IsZero() {
		return
	}
	var timer *time.Timer
	told := false
	left := time.Until(at)
	timer = time.AfterFunc(max(0, left-ExpiryNotice), func() {
		r.mu.Lock()
		if m.expiry != timer || r.sessions[m.who] != m {
			r.mu.Unlock()
			return
		}
		if left := time.Until(at); !told && left > 0 {
			told = true
			m.send(wire.New(wire.Expiring, "", wire.ExpiringBody{LeftMS: left.Milliseconds()}))
			timer.Reset(left)
			r.mu.Unlock()
			return
		}
		call := m.call
		r.drop(m)
		r.mu.Unlock()
		m.send(wire.Reply(wire.Envelope{}, fault.New(fault.Credentials)))
		m.close(wire.CloseCredentials, "the token has expired")
		r.calls.departed(m.who, call, true)
	})
	m.expiry = timer
}
