package hub

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/wire"
)

// TokenPath is where tokens are made.
const TokenPath = "/v1/token"

// tokenRequest asks for a token; the API key is in the header Authorization, as Bearer.
type tokenRequest struct {
	Account string `json:"account"`
	CUID    string `json:"cuid,omitempty"`  // the only one that it is good for
	TTL     int64  `json:"ttl_s,omitempty"` // an hour unless set, a day at most
}

type tokenReply struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires_at"`
}

// mintToken makes a token for a browser. It is called by the application's server: the key stays there.
func (h *Hub) mintToken(w http.ResponseWriter, r *http.Request) {
	var q tokenRequest
	if err := body(w, r, &q, "The body must be JSON with account, and cuid and ttl_s if wanted."); err != nil {
		refuse(w, err)
		return
	}
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	grant, ok := h.set.Access.Allowed(q.Account, key)
	if !ok {
		h.wrong(r)
		refuse(w, fault.New(fault.Credentials))
		return
	}
	if err := h.minted.may(q.Account); err != nil {
		refuse(w, err)
		return
	}
	ttl := time.Duration(q.TTL) * time.Second
	if q.TTL == 0 {
		ttl = access.TokenTime
	}
	if q.TTL < 0 || ttl > access.MaxTokenTime {
		refuse(w, fault.In(fault.InvalidInit, "ttl_s", "A token lives 1 to %d seconds.", int(access.MaxTokenTime.Seconds())))
		return
	}
	if q.CUID != "" {
		if err := wire.CheckCUID(q.CUID); err != nil {
			refuse(w, err)
			return
		}
	}
	t := access.Token{Account: q.Account, CUID: q.CUID, Grant: grant, Expires: time.Now().Add(ttl).Unix()}
	text, err := h.tokens.Mint(t)
	if err != nil {
		refuse(w, fault.New(fault.Internal))
		return
	}
	answer(w, tokenReply{text, time.Unix(t.Expires, 0).UTC()})
}

// refuse answers a request over HTTP with an error.
func refuse(w http.ResponseWriter, err *fault.Error) {
	if err.Code == fault.RateLimited {
		w.Header().Set("Retry-After", strconv.FormatInt(max(1, (err.RetryAfterMS+999)/1000), 10))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(err.Status())
	_ = json.NewEncoder(w).Encode(err)
}

// checkToken reads a token that lets this device in at now.
func (h *Hub) checkToken(text, account, cuid string) (access.Token, *fault.Error) {
	t, ok := h.set.Access.Token(h.tokens, text, time.Now())
	if !ok || h.set.Ended.Has(t.Account, t.Grant) || account != "" && t.Account != account || t.CUID != "" && t.CUID != cuid {
		return t, fault.New(fault.Credentials)
	}
	return t, nil
}

// renew gives a session that came in by a token more time.
func (h *Hub) renewToken(m *member, e wire.Envelope) *fault.Error {
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

// expire sets when the session of a device that came in by a token ends; the zero time is never. The router's lock is
// held.
func (r *router) expire(m *member, at time.Time) {
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
		if m.expiry != timer || r.members[m.who] != m {
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
		r.away(m.who, call, true)
	})
	m.expiry = timer
}
