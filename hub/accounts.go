package hub

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"intercom/internal/config"
	"intercom/internal/durable"
)

// Account is a group of devices that can call one another.
type Account struct {
	ID   string   `toml:"id"`
	Keys []APIKey `toml:"key"`
}

// APIKey is a key as it is kept: the hash of 256 random bits, for which a plain SHA-256 is enough.
type APIKey struct {
	ID      string `toml:"id"`
	SHA256  string `toml:"sha256"`
	Created string `toml:"created"`
}

// Accounts is the accounts file, read once.
type Accounts struct {
	Account []Account `toml:"account"`
}

// Check names what is wrong with the file.
func (a *Accounts) Check(r *config.Report) {
	seen := map[string]bool{}
	for i, one := range a.Account {
		at := fmt.Sprintf("account[%d]", i)
		if err := CheckAccount(one.ID); err != nil {
			r.Addf(at+".id", "%v", err)
		} else if seen[one.ID] {
			r.Addf(at+".id", "the account %q is there twice", one.ID)
		}
		seen[one.ID] = true
		for j, k := range one.Keys {
			if b, err := hex.DecodeString(k.SHA256); err != nil || len(b) != sha256.Size {
				r.Addf(at, "key %d has no valid sha256; make a key with 'intercom-hub key new -account %s'", j+1, one.ID)
			}
		}
	}
}

// CheckAccount allows 1 to 50 ASCII letters, digits, - and _.
func CheckAccount(id string) error {
	if id == "" || len(id) > 50 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return errors.New("an account id has 1 to 50 letters, digits, - and _")
	}
	return nil
}

// LoadAccounts reads the accounts file; a file that is not there has no accounts.
func LoadAccounts(path string) (*Accounts, error) {
	a := &Accounts{}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	return a, config.Load(path, a)
}

// Allowed reports whether key is one of the account's, with the same work for an unknown account as for a wrong key.
func (a *Accounts) Allowed(account, key string) bool {
	hash := sha256.Sum256([]byte(key))
	i := slices.IndexFunc(a.Account, func(one Account) bool { return one.ID == account })
	keys := []APIKey{{SHA256: strings.Repeat("0", 2*sha256.Size)}}
	if i >= 0 && len(a.Account[i].Keys) > 0 {
		keys = a.Account[i].Keys
	}
	ok := 0
	for _, k := range keys {
		want, _ := hex.DecodeString(k.SHA256)
		ok |= subtle.ConstantTimeCompare(want, hash[:])
	}
	return ok == 1
}

// NewKey adds a key to an account of the file, which it makes if need be, and returns the key: it is shown this once.
func NewKey(path, account string, now time.Time) (string, error) {
	if err := CheckAccount(account); err != nil {
		return "", err
	}
	a, err := LoadAccounts(path)
	if err != nil {
		return "", err
	}
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	key := "ik_" + base64.RawURLEncoding.EncodeToString(raw[:])
	i := slices.IndexFunc(a.Account, func(one Account) bool { return one.ID == account })
	if i < 0 {
		a.Account = append(a.Account, Account{ID: account})
		i = len(a.Account) - 1
	}
	if len(a.Account[i].Keys) >= 2 {
		return "", fmt.Errorf("account %s has two keys, which is enough to change them; remove one from %s first", account, path)
	}
	hash := sha256.Sum256([]byte(key))
	a.Account[i].Keys = append(a.Account[i].Keys, APIKey{ID: random()[:8], SHA256: hex.EncodeToString(hash[:]), Created: now.UTC().Format(time.RFC3339)})
	var b bytes.Buffer
	b.WriteString("# Accounts of intercom-hub. Keys are kept as hashes; 'intercom-hub key new' adds one.\n")
	if err := toml.NewEncoder(&b).Encode(a); err != nil {
		return "", err
	}
	return key, durable.Write(path, b.Bytes())
}
