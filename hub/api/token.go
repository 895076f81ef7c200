package api

import (
	"net/http"
	"strings"
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/wire"
)

// tokens are minted for browsers.
type tokens struct {
	Settings
	signer *access.Signer
}

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

// mint makes a token for a browser. It is called by the application's server: the key stays there.
func (s *tokens) mint(w http.ResponseWriter, r *http.Request) {
	var q tokenRequest
	if err := body(w, r, &q, "The body must be JSON with account, and cuid and ttl_s if wanted."); err != nil {
		Refuse(w, err)
		return
	}
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	grant, ok := s.Access.Allowed(q.Account, key)
	if !ok {
		s.Guard.Wrong(r)
		Refuse(w, fault.New(fault.Credentials))
		return
	}
	if err := s.Guard.MayMint(q.Account); err != nil {
		Refuse(w, err)
		return
	}
	ttl := wire.Seconds(q.TTL)
	if q.TTL == 0 {
		ttl = access.TokenTime
	}
	if q.TTL < 0 || ttl > access.MaxTokenTime {
		Refuse(w, fault.In(fault.InvalidInit, "ttl_s",
			"A token lives 1 to %d seconds.", int(access.MaxTokenTime.Seconds())))
		return
	}
	if q.CUID != "" {
		if err := wire.CheckCUID(q.CUID); err != nil {
			Refuse(w, err)
			return
		}
	}
	t := access.Token{Account: q.Account, CUID: q.CUID, Grant: grant, Expires: time.Now().Add(ttl).Unix()}
	text, err := s.signer.Mint(t)
	if err != nil {
		Refuse(w, fault.New(fault.Internal))
		return
	}
	answer(w, tokenReply{text, time.Unix(t.Expires, 0).UTC()})
}
