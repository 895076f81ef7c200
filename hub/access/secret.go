package access

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"intercom/internal/durable"
)

// Secret is the hub's own, from which the keys for each purpose are derived. All hubs of a cluster have the same.
type Secret struct{ key []byte }

// OpenSecret reads a secret from a file, 64 hexadecimal digits, and makes it if the file is not there.
func OpenSecret(file string) (*Secret, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecret(file)
	} else if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s must hold 64 hexadecimal digits; remove it, and the hub makes a new one", file)
	}
	return &Secret{key}, nil
}

// makeSecret keeps a new secret, unless another process, the hub or a command, is faster.
func makeSecret(file string) (*Secret, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, err
	}
	s := NewSecret()
	unlock, err := durable.Lock(filepath.Dir(file))
	if err != nil {
		return s, err
	}
	defer unlock()
	if _, err := os.Stat(file); err == nil {
		return OpenSecret(file)
	}
	return s, durable.Write(file, []byte(hex.EncodeToString(s.key)+"\n"))
}

// NewSecret makes one that lives as long as the process.
func NewSecret() *Secret { return &Secret{random(32)} }

// For derives the signer of a purpose (RFC 5869).
func (s *Secret) For(purpose string) *Signer {
	key, err := hkdf.Key(sha256.New, s.key, nil, "intercom "+purpose, 32)
	if err != nil { // only for lengths that SHA-256 cannot give
		key = nil
	}
	return &Signer{key}
}

// Signer signs what the hub gives away and wants to know again.
type Signer struct{ key []byte }

// Sign gives the payload with its HMAC-SHA-256 (RFC 2104), as text for headers, URLs and JSON.
func (s *Signer) Sign(payload []byte) string {
	return base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(s.mac(payload))
}

// Open gives the payload back, if it is this signer's.
func (s *Signer) Open(signed string) ([]byte, bool) {
	text, mac, ok := strings.Cut(signed, ".")
	if !ok || s.key == nil {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	got, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(got, s.mac(payload)) {
		return nil, false
	}
	return payload, true
}

func (s *Signer) mac(payload []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(payload)
	return h.Sum(nil)
}

// Random is 128 random bits in hexadecimal.
func Random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
