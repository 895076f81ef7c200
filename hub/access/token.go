package access

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"
)

// Token lets its bearer sign in without the API key that it was made with, for a while: for browsers, which cannot keep
// a secret.
type Token struct {
	Account string `json:"a"`
	CUID    string `json:"c,omitempty"` // the only one that it is good for; any when empty
	Grant
	Expires int64 `json:"e"` // seconds since the epoch
}

// Grant is what somebody came in by: an API key, or an operator's session. It is good as long as the one that it names
// is there and is the same, and, of a session, was not ended ([Ended]).
type Grant struct {
	Key     string `json:"k,omitempty"` // id of the API key
	User    string `json:"u,omitempty"` // or the operator
	Mark    string `json:"m,omitempty"` // changes with the key or the password, whose names may come again
	Session string `json:"s,omitempty"` // of the operator
	Until   int64  `json:"x,omitempty"` // when that session ends, in seconds since the epoch
}

// Grant is what the holder of a key comes in by.
func (k Key) Grant() Grant { return Grant{Key: k.ID, Mark: mark(k.SHA256)} }

// Grant is what an operator comes in by.
func (u User) Grant() Grant { return Grant{User: u.Name, Mark: mark(u.Password)} }

// mark tells one secret from another, and nothing of it.
func mark(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
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

// Token reads a token that is valid at now and whose key or operator is still there.
func (d *Directory) Token(s *Signer, text string, now time.Time) (Token, bool) {
	var t Token
	if len(text) < 3 || text[:3] != "it_" {
		return t, false
	}
	b, ok := s.Open(text[3:])
	if !ok || json.Unmarshal(b, &t) != nil || now.Unix() >= t.Expires || !d.Stands(t.Account, t.Grant) {
		return Token{}, false
	}
	return t, true
}

// Stands reports whether the key, or the operator, by which somebody came in is still there and the same.
func (d *Directory) Stands(account string, g Grant) bool {
	a := d.Account(account)
	switch {
	case a == nil:
		return false
	case g.User != "":
		return slices.ContainsFunc(a.Users, func(u User) bool { return u.Name == g.User && u.Grant().Mark == g.Mark })
	}
	return slices.ContainsFunc(a.Keys, func(k Key) bool { return k.ID == g.Key && k.Grant().Mark == g.Mark })
}
