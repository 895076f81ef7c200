package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"intercom/internal/config"
	"intercom/wire"
)

// Directory is the accounts of a folder. Its methods may be called by many at once, also while it is read again.
type Directory struct {
	folder string
	now    atomic.Pointer[state]
	looked atomic.Int64 // when the files were last looked at for a key that is not known
}

type state struct {
	accounts map[string]*Account
	settings map[station]wire.SettingsBody
	seen     string // what the files looked like
}

// Open reads a folder of accounts; one that is not there has none. The error names every problem of every file.
func Open(folder string) (*Directory, error) {
	d := &Directory{folder: folder}
	d.now.Store(&state{accounts: map[string]*Account{}})
	_, err := d.Reload()
	return d, err
}

// Reload reads the files again if they changed, and reports whether they did. When one has a problem, all stay as they
// were.
func (d *Directory) Reload() (changed bool, err error) {
	files, seen, err := d.look()
	if err != nil || seen == d.now.Load().seen {
		return false, err
	}
	next := &state{accounts: map[string]*Account{}, settings: map[station]wire.SettingsBody{}, seen: seen}
	var problems config.Problems
	for _, file := range files {
		if strings.HasSuffix(file, settingsSuffix) {
			s, b, err := loadSettings(file)
			if err != nil {
				problems = append(problems, config.Problem{File: file, Text: err.Error()})
			}
			next.settings[s] = b
			continue
		}
		a, err := Load(file)
		var p config.Problems
		switch {
		case err == nil:
			next.accounts[a.ID] = a
		case errors.As(err, &p):
			problems = append(problems, p...)
		default:
			problems = append(problems, config.Problem{File: file, Text: err.Error()})
		}
	}
	if len(problems) > 0 {
		return false, problems
	}
	d.now.Store(next)
	return true, nil
}

// look lists the files of accounts and settings, and says what they look like.
func (d *Directory) look() (files []string, seen string, err error) {
	entries, err := os.ReadDir(d.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	} else if err != nil {
		return nil, "", fmt.Errorf("the accounts cannot be read: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.IsDir() || !strings.HasSuffix(e.Name(), ".toml") && !strings.HasSuffix(e.Name(), settingsSuffix) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		files = append(files, filepath.Join(d.folder, e.Name()))
		seen += fmt.Sprintf("%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return files, seen, nil
}

// Load reads the file of one account.
func Load(file string) (*Account, error) {
	a := &Account{ID: strings.TrimSuffix(filepath.Base(file), ".toml")}
	if err := CheckID(a.ID); err != nil {
		return nil, config.Problems{{File: file, Text: "the file's name must be that of the account: " + err.Error()}}
	}
	return a, config.Load(file, a)
}

// Account finds an account; nil if there is none.
func (d *Directory) Account(id string) *Account { return d.now.Load().accounts[id] }

// Accounts are the ids of all, sorted.
func (d *Directory) Accounts() []string {
	var ids []string
	for id := range d.now.Load().accounts {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Allowed gives the id of an account's API key, with the same work for an unknown account as for a wrong key. A key that was
// made a moment ago is known: before one is refused, the files are looked at again, ten times a second at most.
func (d *Directory) Allowed(account, key string) (keyID string, ok bool) {
	if keyID, ok = d.allowed(account, key); ok {
		return keyID, ok
	}
	now := time.Now().UnixNano()
	if last := d.looked.Load(); now-last < int64(100*time.Millisecond) || !d.looked.CompareAndSwap(last, now) {
		return "", false
	}
	if changed, err := d.Reload(); err != nil || !changed {
		return "", false // a problem is told by whoever reads them now and then
	}
	return d.allowed(account, key)
}

func (d *Directory) allowed(account, key string) (keyID string, ok bool) {
	hash := sha256.Sum256([]byte(key))
	keys := []Key{{SHA256: strings.Repeat("0", 2*sha256.Size)}}
	if a := d.Account(account); a != nil && len(a.Keys) > 0 {
		keys = a.Keys
	}
	for _, k := range keys {
		want, _ := hex.DecodeString(k.SHA256)
		if subtle.ConstantTimeCompare(want, hash[:]) == 1 {
			keyID, ok = k.ID, true
		}
	}
	return keyID, ok
}

// HasKey reports whether a key is still there: whoever came in by it must leave when it is not.
func (d *Directory) HasKey(account, keyID string) bool {
	a := d.Account(account)
	return a != nil && slices.ContainsFunc(a.Keys, func(k Key) bool { return k.ID == keyID })
}
