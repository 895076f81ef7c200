package hub

import (
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/wire"
)

// checkToken reads a token that lets this device in at now.
func (h *sockets) checkToken(text, account, cuid string) (access.Token, *fault.Error) {
	t, ok := h.set.Access.Token(h.tokens, text, time.Now())
	if !ok || h.set.Ended.Has(t.Account, t.Grant) || account != "" && t.Account != account ||
		t.CUID != "" && t.CUID != cuid {
		return t, fault.New(fault.Credentials)
	}
	return t, nil
}

// renewToken gives a session that came in by a token more time.
func (h *sockets) renewToken(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.RenewBody](e)
	if err != nil {
		return err
	}
	t, err := h.checkToken(b.Token, m.account, m.cuid)
	if err != nil {
		return err
	}
	return h.router.renew(m, t.Grant, time.Unix(t.Expires, 0))
}

// ExpiryNotice is how long before its end a token's session is told.
const ExpiryNotice = time.Minute
