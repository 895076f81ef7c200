package access

import (
	"encoding/json"
	"time"
)

// Token lets its bearer sign in without the API key that it was made with, for a while: for browsers, which cannot keep
// a secret.
type Token struct {
	Account string `json:"a"`
	CUID    string `json:"c,omitempty"` // the only one that it is good for; any when empty
	Key     string `json:"k,omitempty"` // id of the API key that it stands on
	User    string `json:"u,omitempty"` // or the operator
	Expires int64  `json:"e"`           // seconds since the epoch
}

// ForTokens is the purpose of the signer of tokens.
const ForTokens = "token"

// Limits of a token's life.
const (
	TokenTime    = time.Hour // unless asked otherwise
	MaxTokenTime = 24 * time.Hour
)

// Mint makes a token.
func (s *Signer) Mint(t Token) (string, error) {
	b, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	return "it_" + s.Sign(b), nil
}

// Token reads a token that is valid at now and whose key is still there.
func (d *Directory) Token(s *Signer, text string, now time.Time) (Token, bool) {
	var t Token
	if len(text) < 3 || text[:3] != "it_" {
		return t, false
	}
	b, ok := s.Open(text[3:])
	if !ok || json.Unmarshal(b, &t) != nil || now.Unix() >= t.Expires || !d.Stands(t.Account, t.Key, t.User) {
		return Token{}, false
	}
	return t, true
}

// Stands reports whether the key, or the operator, by which somebody came in is still there.
func (d *Directory) Stands(account, key, user string) bool {
	if user != "" {
		_, ok := d.User(account, user)
		return ok
	}
	return d.HasKey(account, key)
}
