package access

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id (RFC 9106, section 4, the second recommended option, with a quarter of the memory: a hub may
// run on a small board).
const (
	argonTime    = 3
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
)

// MinPassword is the least length of a password, in bytes.
const MinPassword = 10

type hash struct{ salt, sum []byte }

// HashPassword makes the text that is kept of a password.
func HashPassword(password string) (string, error) {
	if len(password) < MinPassword {
		return "", fmt.Errorf("the password is too short; use at least %d characters", MinPassword)
	}
	salt := random(16)
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, 32)
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		enc(salt), enc(sum)), nil
}

func parseHash(text string) (hash, error) {
	want := fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)
	rest, ok := strings.CutPrefix(text, want)
	salt, sum, ok2 := strings.Cut(rest, "$")
	if !ok || !ok2 {
		return hash{}, errors.New("is not a hash of ours")
	}
	s, err1 := base64.RawStdEncoding.DecodeString(salt)
	h, err2 := base64.RawStdEncoding.DecodeString(sum)
	return hash{s, h}, errors.Join(err1, err2)
}

// CheckPassword finds the operator of an account whose password this is; the same work is done for a name that is not
// there.
func (d *Directory) CheckPassword(account, name, password string) (User, bool) {
	kept := hash{make([]byte, 16), make([]byte, 32)}
	var found User
	if a := d.Account(account); a != nil {
		for _, u := range a.Users {
			if u.Name == name {
				found = u
				if h, err := parseHash(u.Password); err == nil {
					kept = h
				}
			}
		}
	}
	sum := argon2.IDKey([]byte(password), kept.salt, argonTime, argonMemory, argonThreads, 32)
	return found, subtle.ConstantTimeCompare(sum, kept.sum) == 1 && found.Name != ""
}

// User finds an operator.
func (d *Directory) User(account, name string) (User, bool) {
	if a := d.Account(account); a != nil {
		for _, u := range a.Users {
			if u.Name == name {
				return u, true
			}
		}
	}
	return User{}, false
}

// Equal compares secrets in constant time.
func Equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
