package hub

import (
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/wire"
)

// checkToken reads a token that lets this device in at now.
func (h *Hub) checkToken(text, account, cuid string) (access.Token, *fault.Error) {
	t, ok := h.set.Access.Token(h.tokens, text, time.Now())
	if !ok || h.set.Ended.Has(t.Account, t.Grant) || account != "" && t.Account != account || t.CUID != "" && t.CUID != cuid {
		return t, fault.New(fault.Credentials)
	}
	return t, nil
}

// renew gives a session that came in by a token more time.
func (h *Hub) renewToken(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.RenewBody](e)
	if err != nil {
		return err
	}
	t, err := h.checkToken(b.Token, m.account, m.cuid)
	if err != nil {
		return err
	}
	h.router.mu.Lock()
	defer h.router.mu.Unlock()
	if !h.router.stands(m.account, t.Grant) { // it was taken away this moment
		return fault.New(fault.Credentials)
	}
	m.grant = t.Grant
	h.router.expire(m, time.Unix(t.Expires, 0))
	return nil
}

// ExpiryNotice is how long before its end a token's session is told.
const ExpiryNotice = time.Minute
