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
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/unicode/norm"

	"intercom/internal/config"
	"intercom/internal/durable"
	"intercom/internal/fault"
	"intercom/wire"
)

// File is where an account's file is.
func File(folder, account string) string { return filepath.Join(folder, account+".toml") }

// Editor changes the file of one account; [Edit] gives one. Each method does its change or has an error and does
// nothing. The Account is what the file holds.
type Editor struct {
	*Account
	folder string
	text   []byte
	made   bool // there was no file
}

// Edit has the file of an account changed, made first if there is none. All who edit, in this hub and on the command
// line, do it one after the other, so that no change is lost. What is changed is written, whole and valid, when change
// has no error; otherwise the file stays as it is.
func Edit(folder, account string, change func(*Editor) error) error {
	if err := CheckID(account); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	unlock, err := durable.Lock(folder)
	if err != nil {
		return err
	}
	defer unlock()
	return edit(folder, account, change)
}

// edit is Edit while the folder is locked.
func edit(folder, account string, change func(*Editor) error) error {
	file := File(folder, account)
	old, err := os.ReadFile(file)
	e := &Editor{Account: &Account{ID: account}, folder: folder, text: old}
	if e.made = errors.Is(err, fs.ErrNotExist); e.made {
		old, e.text, err = nil, heading(account), nil
	}
	if err == nil {
		err = config.Parse(file, e.text, e.Account)
	}
	if err == nil {
		e.text, _ = config.Text(e.text) // Parse took it
		err = change(e)
	}
	if err != nil {
		return err
	}
	return durable.Replace(file, old, e.text)
}

// Edit is [Edit] in the folder of the accounts, after which everybody goes by it at once.
func (d *Directory) Edit(account string, change func(*Editor) error) error {
	err := Edit(d.folder, account, change)
	_, _ = d.Reload() // what is wrong with other files is told by whoever reads them now and then
	return err
}

// AddFirst adds the first operator of all accounts; [ErrNotFirst] when there is one, whoever made it and however
// lately.
func (d *Directory) AddFirst(account string, u User) error {
	if err := CheckID(account); err != nil {
		return err
	}
	if err := os.MkdirAll(d.folder, 0o750); err != nil {
		return err
	}
	unlock, err := durable.Lock(d.folder)
	if err != nil {
		return err
	}
	defer unlock()
	files, err := filepath.Glob(filepath.Join(d.folder, "*.toml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		a, err := Load(file)
		if err != nil {
			return err
		}
		if len(a.Users) > 0 {
			return ErrNotFirst
		}
	}
	if err := edit(d.folder, account, func(e *Editor) error { return e.AddUser(u) }); err != nil {
		return err
	}
	_, _ = d.Reload()
	return nil
}

// ErrNotFirst says that there is an operator already.
var ErrNotFirst = errors.New("there is an operator already")

func heading(account string) []byte {
	return []byte("# Account " + account + " of intercom-hub; docs/config.md has every setting.\n")
}

// NewAccount makes the file of an account that is not there yet.
func NewAccount(folder, account string) error {
	return Edit(folder, account, func(e *Editor) error {
		if !e.made {
			return fmt.Errorf("the account %s is there already", account)
		}
		return nil
	})
}

// NewKey adds a key to an account, which it makes if need be, and returns the key: it is shown this once.
func NewKey(folder, account string, now time.Time) (key string, err error) {
	err = Edit(folder, account, func(e *Editor) error { key, err = e.NewKey(now); return err })
	return key, err
}

// NewKey adds a key, and returns it.
func (e *Editor) NewKey(now time.Time) (string, error) {
	if len(e.Keys) >= MaxKeys {
		return "", fmt.Errorf("account %s has %d keys, which is enough to change them; revoke one first: "+
			"intercom-hub key revoke -account %s -id %s",
			e.ID, MaxKeys, e.ID, e.Keys[0].ID)
	}
	key := "ik_" + base64.RawURLEncoding.EncodeToString(random(32))
	hash := sha256.Sum256([]byte(key))
	k := Key{ID: hex.EncodeToString(random(4)), SHA256: hex.EncodeToString(hash[:]),
		Created: now.UTC().Format(time.RFC3339)}
	return key, e.put("key", k, func(a *Account) { a.Keys = append(a.Keys, k) })
}

// RevokeKey takes a key away.
func (e *Editor) RevokeKey(id string) error {
	i := slices.IndexFunc(e.Keys, func(k Key) bool { return k.ID == id })
	return e.remove("key", id, i, func(a *Account) { a.Keys = without(a.Keys, i) })
}

// SetGroup adds a group, or puts it in the place of the one of that name. A name that the account's files know as that
// of a station is refused: who signs in by it could not be called any more, and not sign in again.
func (e *Editor) SetGroup(g Group) error {
	if err := e.taken(g.ID); err != nil {
		return err
	}
	if i := slices.IndexFunc(e.Groups, func(o Group) bool { return o.ID == g.ID }); i >= 0 {
		if err := e.remove("group", g.ID, i, func(a *Account) { a.Groups = without(a.Groups, i) }); err != nil {
			return err
		}
	}
	if len(e.Groups) >= MaxGroups {
		return conflict("id", "%s has %d groups, which are all that it may have; remove one first.", e.ID, MaxGroups)
	}
	if g.Each == 0 {
		g.Each = config.Duration(EachTime)
	}
	return e.put("group", struct {
		ID      string   `toml:"id"`
		Members []string `toml:"members"`
		Mode    string   `toml:"mode,omitempty"`
		Each    string   `toml:"each"`
	}{g.ID, g.Members, string(g.Mode), g.Each.String()}, func(a *Account) {
		g.Mode = orParallel(g.Mode)
		a.Groups = append(a.Groups, g)
	})
}

// taken has an error for the name of a group that a station has.
func (e *Editor) taken(id string) error {
	switch with := e.groupWith(id); {
	case e.station(id):
		return conflict("id", "%s is a station of the account's file; give the group another name.", id)
	case with != nil && with.ID != id: // one that has itself as a member is told of that
		return conflict("id", "%s is a member of the group %s; give the group another name.", id, with.ID)
	}
	if _, err := os.Stat(settingsFile(e.folder, e.ID, id)); err == nil && wire.CheckCUID(id) == nil {
		return conflict("id", "%s is a station, which has settings from the hub; give the group another name.", id)
	}
	return nil
}

// RemoveGroup takes a group away.
func (e *Editor) RemoveGroup(id string) error {
	i := slices.IndexFunc(e.Groups, func(g Group) bool { return g.ID == id })
	return e.remove("group", id, i, func(a *Account) { a.Groups = without(a.Groups, i) })
}

// AddUser adds an operator, by the name without spaces around it. One of that name is not touched, nor is there one whose
// name looks the same: the records of a door say who opened it.
func (e *Editor) AddUser(u User) error {
	u.Name = strings.TrimSpace(u.Name)
	if strings.ContainsFunc(u.Name, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) {
		return fault.In(fault.InvalidInit, "name",
			"The name has characters that cannot be seen; write it with letters, for example Anna Berg.")
	}
	for _, other := range e.Users {
		if plainName(other.Name) == plainName(u.Name) {
			return conflict("name",
				"%s is an operator of %s already; choose another name, or change the password or the role of that one.",
				other.Name, e.ID)
		}
	}
	if len(e.Users) >= MaxUsers {
		return conflict("name", "%s has %d operators, which are all that it may have; remove one first.", e.ID, MaxUsers)
	}
	return e.put("user", u, func(a *Account) { a.Users = append(a.Users, u) })
}

// plainName is what names that look the same have in common.
func plainName(name string) string { return strings.ToLower(strings.TrimSpace(norm.NFKC.String(name))) }

// ChangeUser gives an operator another password, another role, or both; what is empty stays. The last administrator
// stays one.
func (e *Editor) ChangeUser(name, password string, role Role) error {
	i := e.user(name)
	if i < 0 {
		return e.none("user", name)
	}
	u := e.Users[i]
	if password != "" {
		u.Password = password
	}
	if role != "" {
		if role != Administrator && e.lastAdministrator(i) {
			return fault.In(fault.NotAllowed, "role", "%s is the last administrator of %s; make another one first.",
				name, e.ID)
		}
		u.Role = role
	}
	if err := e.remove("user", name, i, func(a *Account) { a.Users = without(a.Users, i) }); err != nil {
		return err
	}
	return e.put("user", u, func(a *Account) { a.Users = append(a.Users, u) })
}

// RemoveUser takes an operator away, but not the last administrator.
func (e *Editor) RemoveUser(name string) error {
	i := e.user(name)
	if i >= 0 && e.lastAdministrator(i) {
		return fault.In(fault.NotAllowed, "name", "%s is the last administrator of %s; make another one first.",
			name, e.ID)
	}
	return e.remove("user", name, i, func(a *Account) { a.Users = without(a.Users, i) })
}

func (e *Editor) user(name string) int {
	return slices.IndexFunc(e.Users, func(u User) bool { return u.Name == name })
}

func (e *Editor) lastAdministrator(i int) bool {
	return e.Users[i].Role == Administrator && !slices.ContainsFunc(without(e.Users, i), func(u User) bool {
		return u.Role == Administrator
	})
}

// conflict says that what is asked for is so that it can never be had, unlike a race.
func conflict(field, format string, args ...any) error {
	f := fault.In(fault.Conflict, field, format, args...)
	f.Retryable = false
	return f
}

func (e *Editor) none(table, id string) error {
	if e.made {
		return fmt.Errorf("there is no account %s in %s", e.ID, e.folder)
	}
	return fmt.Errorf("account %s has no %s %q", e.ID, table, id)
}

// put adds an array table at the end.
func (e *Editor) put(table string, v any, want func(*Account)) error {
	body, err := toml.Marshal(v)
	if err != nil {
		return err
	}
	text := fmt.Appendf(nil, "%s\n\n[[%s]]\n%s", bytes.TrimRight(e.text, "\n"), table, body)
	return e.take(text, want)
}

func (e *Editor) remove(table, id string, i int, want func(*Account)) error {
	if i < 0 {
		return e.none(table, id)
	}
	return e.take(cut(e.text, table, i), want)
}

// take makes a text that of the file, if it is valid and says what is wanted and nothing else: a file can be written in
// ways that cut does not understand, and what was taken away must be gone.
func (e *Editor) take(text []byte, change func(*Account)) error {
	file := File(e.folder, e.ID)
	if len(bytes.TrimSpace(text)) == 0 { // which would be taken for half a file
		text = heading(e.ID)
	}
	got := &Account{ID: e.ID}
	if err := config.Parse(file, text, got); err != nil {
		return err
	}
	want := &Account{ID: e.ID}
	if err := config.Parse(file, e.text, want); err != nil {
		return err
	}
	change(want)
	if !reflect.DeepEqual(normal(got), normal(want)) {
		return fmt.Errorf("%s is written in a way that cannot be changed by a command; change it by hand",
			filepath.Base(file))
	}
	e.text, e.Account = text, got
	return nil
}

// normal makes no difference between none of something and nothing.
func normal(a *Account) Account {
	n := *a
	for v, i := reflect.ValueOf(&n).Elem(), 0; i < v.NumField(); i++ {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.SetZero()
		}
	}
	return n
}

func without[T any](all []T, i int) []T { return slices.Delete(slices.Clone(all), i, i+1) }

// cut takes the array table number i away, with all up to the next table.
func cut(b []byte, table string, i int) []byte {
	var kept []string
	cutting, n := false, -1
	for line := range strings.Lines(string(b)) {
		if header := strings.TrimSpace(line); strings.HasPrefix(header, "[") {
			own := isTable(header, table)
			if own {
				n++
			}
			cutting = own && n == i
		}
		if !cutting {
			kept = append(kept, line)
		}
	}
	return []byte(strings.Join(kept, ""))
}

// isTable knows [[table]] also with spaces and quotes (TOML 1.0, keys).
func isTable(header, table string) bool {
	name, ok := strings.CutPrefix(header, "[[")
	name, _, closed := strings.Cut(name, "]]")
	return ok && closed && strings.Trim(name, " \t\"'") == table
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return b
}
