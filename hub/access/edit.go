package access

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"intercom/internal/config"
	"intercom/internal/durable"
)

// File is where an account's file is.
func File(folder, account string) string { return filepath.Join(folder, account+".toml") }

// NewAccount makes the file of an account that is not there yet.
func NewAccount(folder, account string) error {
	if err := CheckID(account); err != nil {
		return err
	}
	if _, err := os.Stat(File(folder, account)); err == nil {
		return fmt.Errorf("the account %s is there already", account)
	}
	return edit(folder, account, func(b []byte, _ *Account) ([]byte, error) { return b, nil })
}

// NewKey adds a key to an account, which it makes if need be, and returns the key: it is shown this once.
func NewKey(folder, account string, now time.Time) (key string, err error) {
	key = "ik_" + base64.RawURLEncoding.EncodeToString(random(32))
	hash := sha256.Sum256([]byte(key))
	err = edit(folder, account, func(b []byte, a *Account) ([]byte, error) {
		if len(a.Keys) >= MaxKeys {
			return nil, fmt.Errorf("account %s has %d keys, which is enough to change them; revoke one first: intercom-hub key revoke -account %s -id %s",
				account, MaxKeys, account, a.Keys[0].ID)
		}
		return add(b, "key", Key{ID: hex.EncodeToString(random(4)), SHA256: hex.EncodeToString(hash[:]), Created: now.UTC().Format(time.RFC3339)})
	})
	return key, err
}

// RevokeKey takes a key away.
func RevokeKey(folder, account, id string) error {
	return remove(folder, account, "key", id, func(a *Account) int {
		return slices.IndexFunc(a.Keys, func(k Key) bool { return k.ID == id })
	})
}

// SetGroup adds a group, or puts it in the place of the one of that name.
func SetGroup(folder, account string, g Group) error {
	return edit(folder, account, func(b []byte, a *Account) ([]byte, error) {
		if i := slices.IndexFunc(a.Groups, func(o Group) bool { return o.ID == g.ID }); i >= 0 {
			b = cut(b, "group", i)
		}
		each := g.Each
		if each == 0 {
			each = config.Duration(EachTime)
		}
		return add(b, "group", struct {
			ID      string   `toml:"id"`
			Members []string `toml:"members"`
			Mode    string   `toml:"mode,omitempty"`
			Each    string   `toml:"each"`
		}{g.ID, g.Members, string(g.Mode), each.String()})
	})
}

// RemoveGroup takes a group away.
func RemoveGroup(folder, account, id string) error {
	return remove(folder, account, "group", id, func(a *Account) int {
		return slices.IndexFunc(a.Groups, func(g Group) bool { return g.ID == id })
	})
}

// SetUser adds an operator, or changes the one of that name.
func SetUser(folder, account string, u User) error {
	return edit(folder, account, func(b []byte, a *Account) ([]byte, error) {
		if i := slices.IndexFunc(a.Users, func(o User) bool { return o.Name == u.Name }); i >= 0 {
			b = cut(b, "user", i)
		}
		return add(b, "user", u)
	})
}

// RemoveUser takes an operator away.
func RemoveUser(folder, account, name string) error {
	return remove(folder, account, "user", name, func(a *Account) int {
		return slices.IndexFunc(a.Users, func(u User) bool { return u.Name == name })
	})
}

func remove(folder, account, table, id string, find func(*Account) int) error {
	if _, err := os.Stat(File(folder, account)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no account %s in %s", account, folder)
	}
	return edit(folder, account, func(b []byte, a *Account) ([]byte, error) {
		i := find(a)
		if i < 0 {
			return nil, fmt.Errorf("account %s has no %s %q", account, table, id)
		}
		return cut(b, table, i), nil
	})
}

// edit changes the text of an account's file, and writes it only if it is valid afterwards.
func edit(folder, account string, change func([]byte, *Account) ([]byte, error)) error {
	if err := CheckID(account); err != nil {
		return err
	}
	file := File(folder, account)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = []byte("# Account "+account+" of intercom-hub; docs/config.md has every setting.\n"), os.MkdirAll(folder, 0o750)
	}
	if err != nil {
		return err
	}
	a := &Account{ID: account}
	if err := config.Parse(file, b, a); err != nil {
		return err
	}
	if b, err = change(b, a); err != nil {
		return err
	}
	if err := config.Parse(file, b, &Account{ID: account}); err != nil {
		return err
	}
	return durable.Write(file, b)
}

// add puts an array table at the end.
func add(b []byte, table string, v any) ([]byte, error) {
	body, err := toml.Marshal(v)
	if err != nil {
		return nil, err
	}
	b = append(bytes.TrimRight(b, "\n"), '\n')
	return fmt.Appendf(b, "\n[[%s]]\n%s", table, body), nil
}

// cut takes the array table number i away, with all up to the next table.
func cut(b []byte, table string, i int) []byte {
	var kept []string
	cutting, n := false, -1
	for line := range strings.Lines(string(b)) {
		if header := strings.TrimSpace(line); strings.HasPrefix(header, "[") {
			if strings.HasPrefix(header, "[["+table+"]]") {
				n++
			}
			cutting = n == i && strings.HasPrefix(header, "[["+table+"]]")
		}
		if !cutting {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return b
}
