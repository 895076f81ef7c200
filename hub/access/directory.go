package access

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"intercom/internal/config"
	"intercom/wire"
)

// Directory is the accounts of a folder. Its methods may be called by many at once, also while it is read again.
type Directory struct {
	folder string
	now    atomic.Pointer[state]
	looked atomic.Int64 // when the files were last looked at for a key that is not known

	mu       sync.Mutex // of reading again
	files    map[string]kept
	resting  map[string]resting
	trouble  atomic.Pointer[error]
	watchers map[int]func()
	watched  int
}

type state struct {
	accounts map[string]*Account
	settings map[station]wire.SettingsBody
}

// kept is what a file held when it was last read without a problem.
type kept struct {
	look     look
	account  *Account // or
	settings *wire.SettingsBody
}

// look is what a file looks like from outside: another one is read again.
type look struct {
	size uint64
	at   unix.StatxTimestamp // of the last change, of its name too (ctime)
	file identity
}

// identity tells a file from the one that had its name before, and, where the kernel knows when it was made, from the
// one whose inode it got.
type identity struct {
	inode uint64
	made  unix.StatxTimestamp
}

// resting is a file that was written over in place, and since when it looks as it does.
type resting struct {
	look  look
	since time.Time
}

// RestTime is how long a file that was written over in place has to rest before what it takes away is believed: whoever
// copies into a file empties it first. What is renamed into its place, as the commands and most tools do, is whole.
const RestTime = 3500 * time.Millisecond

// LookTime is how often files are to be looked at, so that all is known within 5 s.
const LookTime = 500 * time.Millisecond

// Open reads a folder of accounts; one that is not there has none. The error names every problem of every file.
func Open(folder string) (*Directory, error) {
	d := &Directory{folder: folder, files: map[string]kept{}, resting: map[string]resting{}, watchers: map[int]func(){}}
	d.now.Store(&state{accounts: map[string]*Account{}})
	_, err := d.Reload()
	return d, err
}

// Watch has f called after each change, until stop.
func (d *Directory) Watch(f func()) (stop func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watched++
	id := d.watched
	d.watchers[id] = f
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watchers, id)
	}
}

// Trouble is what was wrong with the files when they were last read; nil for nothing.
func (d *Directory) Trouble() error {
	if err := d.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// Reload reads the files that changed, and reports whether there are any. A file with a problem, also one that is empty
// or still being written, stays as it was, and the others are taken.
func (d *Directory) Reload() (changed bool, err error) {
	d.mu.Lock()
	changed, err = d.read()
	trouble := err
	d.trouble.Store(&trouble)
	var tell []func()
	if changed {
		tell = slices.Collect(maps.Values(d.watchers))
	}
	d.mu.Unlock()
	for _, f := range tell {
		f()
	}
	return changed, err
}

// read is Reload while no other one is under way.
func (d *Directory) read() (changed bool, err error) {
	found, err := d.look()
	if err != nil {
		return false, err
	}
	var problems config.Problems
	for file, l := range found {
		was, known := d.files[file]
		if known && was.look == l {
			delete(d.resting, file)
			continue
		}
		next, err := d.load(file, l, was)
		if err == nil {
			d.files[file] = next
			delete(d.resting, file)
			changed = true
			continue
		}
		var p config.Problems
		if !errors.As(err, &p) {
			p = config.Problems{{File: file, Text: err.Error()}}
		}
		problems = append(problems, p...)
	}
	for file := range d.files {
		if _, there := found[file]; !there {
			delete(d.files, file)
			delete(d.resting, file)
			changed = true
		}
	}
	if changed {
		d.publish()
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b config.Problem) int { return cmp.Compare(a.File, b.File) })
		return changed, problems
	}
	return changed, nil
}

// publish makes what the files hold that by which everybody goes.
func (d *Directory) publish() {
	next := &state{accounts: map[string]*Account{}, settings: map[station]wire.SettingsBody{}}
	for file, k := range d.files {
		if k.account != nil {
			next.accounts[k.account.ID] = k.account
		} else {
			next.settings[stationOf(file)] = *k.settings
		}
	}
	d.now.Store(next)
}

// load reads a file that does not look as it did.
func (d *Directory) load(file string, l look, was kept) (kept, error) {
	if strings.HasSuffix(file, settingsSuffix) {
		b, err := loadSettings(file)
		return kept{look: l, settings: &b}, err
	}
	a, err := Load(file)
	if err != nil {
		return kept{}, err
	}
	if was.account == nil || covers(a, was.account) {
		return kept{look: l, account: a}, nil
	}
	if blank(file) {
		return kept{}, errors.New("is empty, and the account stays as it was; remove the file to remove the account")
	}
	if l.file != was.look.file {
		return kept{look: l, account: a}, nil
	}
	r := d.resting[file]
	if r.look != l {
		r = resting{look: l, since: time.Now()}
		d.resting[file] = r
	}
	if time.Since(r.since) < RestTime && time.Since(time.Unix(l.at.Sec, int64(l.at.Nsec))) < RestTime {
		return kept{},
			fmt.Errorf("holds less than it did, and may still be written; it is taken when it has rested for %v",
				RestTime)
	}
	return kept{look: l, account: a}, nil
}

// covers reports whether an account has all that another had: keys, operators, groups, rules and the rest.
func covers(a, was *Account) bool {
	now, old := reflect.ValueOf(a).Elem(), reflect.ValueOf(was).Elem()
	for i := range old.NumField() {
		if old.Field(i).Kind() != reflect.Slice {
			continue
		}
		for _, one := range old.Field(i).Seq2() {
			if !has(now.Field(i), one.Interface()) {
				return false
			}
		}
	}
	return true
}

func has(all reflect.Value, one any) bool {
	for _, v := range all.Seq2() {
		if reflect.DeepEqual(v.Interface(), one) {
			return true
		}
	}
	return false
}

func blank(file string) bool {
	b, err := os.ReadFile(file)
	return err == nil && len(bytes.TrimSpace(b)) == 0
}

// look lists the files of accounts and settings, and says what they look like.
func (d *Directory) look() (map[string]look, error) {
	entries, err := os.ReadDir(d.folder)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(d.files) == 0:
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the folder %s is gone; the accounts stay as they were", d.folder)
	case err != nil:
		return nil, fmt.Errorf("the accounts cannot be read: %w", err)
	}
	found := map[string]look{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".toml") && !strings.HasSuffix(e.Name(), settingsSuffix) ||
			strings.HasPrefix(e.Name(), ".") {
			continue
		}
		file := filepath.Join(d.folder, e.Name())
		var st unix.Statx_t // of what a link leads to
		if unix.Statx(unix.AT_FDCWD, file, 0, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st) != nil ||
			st.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue
		}
		found[file] = look{st.Size, st.Ctime, identity{st.Ino, st.Btime}}
	}
	return found, nil
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

// Operators reports whether there are any, in whatever account.
func (d *Directory) Operators() bool {
	for _, a := range d.now.Load().accounts {
		if len(a.Users) > 0 {
			return true
		}
	}
	return false
}

// Allowed gives what somebody with an account's API key comes in by, with the same work for an unknown account as for a
// wrong key. A key that was made a moment ago is known: before one is refused, the files are looked at again, ten times
// a second at most.
func (d *Directory) Allowed(account, key string) (g Grant, ok bool) {
	if g, ok = d.allowed(account, key); ok {
		return g, ok
	}
	now := time.Now().UnixNano()
	if last := d.looked.Load(); now-last < int64(100*time.Millisecond) || !d.looked.CompareAndSwap(last, now) {
		return Grant{}, false
	}
	if changed, _ := d.Reload(); !changed { // a problem is told by whoever reads them now and then
		return Grant{}, false
	}
	return d.allowed(account, key)
}

func (d *Directory) allowed(account, key string) (g Grant, ok bool) {
	hash := sha256.Sum256([]byte(key))
	keys := []Key{{SHA256: strings.Repeat("0", 2*sha256.Size)}}
	if a := d.Account(account); a != nil && len(a.Keys) > 0 {
		keys = a.Keys
	}
	for _, k := range keys {
		want, _ := hex.DecodeString(k.SHA256)
		if subtle.ConstantTimeCompare(want, hash[:]) == 1 {
			g, ok = k.Grant(), true
		}
	}
	return g, ok
}
