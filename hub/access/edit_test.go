package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"intercom/internal/durable"
	"intercom/internal/fault"
	"intercom/wire"
)

// hashOf is the hash of a password, made once: it takes its time.
var hashOf = sync.OnceValue(func() string {
	h, err := HashPassword("correct horse")
	if err != nil {
		panic(err)
	}
	return h
})

func folderWith(t *testing.T, text string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(File(folder, "demo"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func key(id string) string {
	return fmt.Sprintf("[[key]]\nid = %q\nsha256 = %q\n", id, strings.Repeat("0", 63)+id[:1])
}

// All edits take effect, whoever makes them at the same time: what two processes do to each other, two locks here do.
func TestEditsAtTheSameTime(t *testing.T) {
	// which the next table follows, whatever the reading left room for
	folder := folderWith(t, key("a")+key("b")+"\n\n\n\n")
	const many = 24
	var all sync.WaitGroup
	edit := func(change func(*Editor) error) {
		all.Go(func() {
			if err := Edit(folder, "demo", change); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range many {
		edit(func(e *Editor) error {
			return e.SetGroup(Group{ID: fmt.Sprint("group_", i), Members: []string{"front_door"}})
		})
	}
	edit(func(e *Editor) error { return e.RevokeKey("a") })
	edit(func(e *Editor) error { return e.AddUser(User{"anna", hashOf(), Operator}) })
	all.Wait()
	a, err := Load(File(folder, "demo"))
	if err != nil || len(a.Groups) != many || len(a.Keys) != 1 || a.Keys[0].ID != "b" || len(a.Users) != 1 {
		t.Errorf("%v: %d groups, %v, %v", err, len(a.Groups), a.Keys, a.Users)
	}
}

// An editor does not lock: what is saved between the reading and the writing of a command is not overwritten.
func TestAFileThatIsChangedByHandMeanwhile(t *testing.T) {
	folder := folderWith(t, key("a"))
	err := Edit(folder, "demo", func(e *Editor) error {
		if err := os.WriteFile(File(folder, "demo"), []byte("# by hand\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return e.RevokeKey("a")
	})
	if b, _ := os.ReadFile(File(folder, "demo")); !errors.Is(err, durable.ErrChanged) || string(b) != "# by hand\n" {
		t.Errorf("%v\n%s", err, b)
	}
}

// What was taken away is gone, and nothing else, however the file is written; or it is said that it cannot be done.
func TestWhatIsTakenAwayIsGone(t *testing.T) {
	a := `id = "a"` + "\nsha256 = '" + strings.Repeat("0", 64) + "'\n"
	b := strings.ReplaceAll(a, `"a"`, `"b"`)
	for name, text := range map[string]string{
		"spaces":        "[[ key ]]\n" + a + "[[key]]\n" + b,
		"quotes":        "[[\"key\"]]\n" + a + "['key'] # not a table\n",
		"another order": "[[key]]\n" + b + "[[ key ]]\n" + a,
		"a list":        "key = [{id = 'a', sha256 = '" + strings.Repeat("0", 64) + "'}]\n",
		"an odd text": "[[group]]\nid = 'house_1'\nmembers = ['front_door']\n[[key]]\n" + a +
			"created = '''\n[[key]]\n'''\n[[key]]\n" + b,
	} {
		folder := folderWith(t, text)
		before, valid := Load(File(folder, "demo"))
		err := Edit(folder, "demo", func(e *Editor) error { return e.RevokeKey("a") })
		after, lerr := Load(File(folder, "demo"))
		if valid != nil {
			if err == nil {
				t.Errorf("%s: a file that is not valid was changed", name)
			}
			continue
		}
		kept, _ := os.ReadFile(File(folder, "demo"))
		switch {
		case lerr != nil:
			t.Errorf("%s: %v", name, lerr)
		case err != nil && string(kept) != text:
			t.Errorf("%s: refused, and changed", name)
		case err == nil && (len(after.Keys) != len(before.Keys)-1 || len(after.Keys) == 1 && after.Keys[0].ID != "b" ||
			len(after.Groups) != len(before.Groups)):
			t.Errorf("%s: left %v", name, after.Keys)
		}
	}
}

func TestOperatorsAreMadeAndChangedAndOneAdministratorStays(t *testing.T) {
	folder := t.TempDir()
	other := strings.Replace(hashOf(), "$", "$", 1)
	do := func(change func(*Editor) error) error { return Edit(folder, "demo", change) }
	if err := do(func(e *Editor) error { return e.AddUser(User{"anna", hashOf(), Administrator}) }); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Editor) error
		code   fault.Code
	}{
		"one of the name is there": {func(e *Editor) error {
			return e.AddUser(User{"anna", other, Operator})
		}, fault.Conflict},
		"the last administrator becomes less": {func(e *Editor) error {
			return e.ChangeUser("anna", "", Operator)
		}, fault.NotAllowed},
		"the last administrator goes": {func(e *Editor) error { return e.RemoveUser("anna") }, fault.NotAllowed},
	} {
		if err := do(c.change); !fault.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := do(func(e *Editor) error { return e.ChangeUser("nobody", other, "") }); err == nil {
		t.Error("nobody was changed")
	}
	if err := do(func(e *Editor) error { return e.ChangeUser("anna", other, "") }); err != nil {
		t.Error(err)
	}
	a, err := Load(File(folder, "demo"))
	if err != nil || len(a.Users) != 1 || a.Users[0] != (User{"anna", other, Administrator}) {
		t.Errorf("%v %v", a.Users, err)
	}
	// Of two administrators who take the right from each other at once, one keeps it.
	if err := do(func(e *Editor) error { return e.AddUser(User{"berta", hashOf(), Administrator}) }); err != nil {
		t.Fatal(err)
	}
	refused := 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, name := range []string{"anna", "berta"} {
		all.Go(func() {
			if err := do(func(e *Editor) error { return e.ChangeUser(name, "", Operator) }); err != nil {
				mu.Lock()
				defer mu.Unlock()
				refused++
			}
		})
	}
	all.Wait()
	if refused != 1 {
		t.Errorf("%d of 2 were refused", refused)
	}
}

func TestTheFirstOperatorIsTheFirst(t *testing.T) {
	folder := t.TempDir()
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			err := d.AddFirst(fmt.Sprint("account", i), User{"anna", hashOf(), Administrator})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !errors.Is(err, ErrNotFirst) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made != 1 || !d.Operators() {
		t.Errorf("%d first ones", made)
	}
	// One whom a command made a moment ago is seen, and a file that cannot be read may have one.
	for name, text := range map[string]string{"an operator": fmt.Sprintf(
		"[[user]]\nname = 'anna'\nrole = 'operator'\npassword = %q\n", hashOf()), "half a file": "[[user"} {
		folder := t.TempDir()
		d, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(File(folder, "demo"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.AddFirst("other", User{"eve", hashOf(), Administrator}); err == nil {
			t.Errorf("%s: another first one", name)
		}
		if b, _ := os.ReadFile(File(folder, "demo")); string(b) != text {
			t.Errorf("%s: changed", name)
		}
	}
}

// A file that is empty or half changes nothing, and is said; what is really taken away is gone in less than 5 s.
func TestAFileThatIsBeingWritten(t *testing.T) {
	whole := key("a") + "\n" + key("b") + "\n[[group]]\nid = 'house_1'\nmembers = ['front_door']\n"
	for name, text := range map[string]string{"empty": "", "blank": "\n \n", "half a line": whole[:len(whole)/3],
		"half a table": key("a") + "[[key]]\nid = 'b'\n", "the first table": key("a"),
		"a comment": "# Account demo\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				folder := folderWith(t, whole)
				d, err := Open(folder)
				if err != nil {
					t.Fatal(err)
				}
				told := 0
				defer d.Watch(func() { told++ })()
				if err := os.WriteFile(File(folder, "demo"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				for range 6 {
					if changed, err := d.Reload(); changed || err == nil || !strings.Contains(err.Error(),
						"demo.toml") || d.Trouble() == nil || len(d.Account("demo").Keys) != 2 {
						t.Fatal(changed, err, d.Account("demo"))
					}
					time.Sleep(LookTime)
				}
				if strings.TrimSpace(text) == "" { // never, and however it came there
					time.Sleep(time.Hour)
					_, _ = d.Reload()
					if err := durable.Write(File(folder, "demo"), []byte(text)); err != nil {
						t.Fatal(err)
					}
					if changed, err := d.Reload(); changed || err == nil || len(d.Account("demo").Keys) != 2 {
						t.Error(changed, err)
					}
				}
				if err := os.WriteFile(File(folder, "demo"), []byte(whole), 0o600); err != nil {
					t.Fatal(err)
				}
				if _, err := d.Reload(); err != nil || d.Trouble() != nil || len(d.Account("demo").Keys) != 2 {
					t.Error(err)
				}
				// With an editor that writes in place, what is less is taken when it rests.
				if err := os.WriteFile(File(folder, "demo"), []byte(key("a")), 0o600); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for len(d.Account("demo").Keys) == 2 && time.Since(began) < 5*time.Second {
					_, _ = d.Reload()
					time.Sleep(LookTime)
				}
				if took := time.Since(began); took > 5*time.Second || d.Trouble() != nil {
					t.Errorf("after %v: %v", took, d.Trouble())
				}
				if told == 0 {
					t.Error("nobody was told")
				}
			})
		})
	}
}

// What is renamed into place is whole; a folder that is gone is not one without accounts; and a problem in one file
// keeps nobody in another.
func TestOneFileDoesNotHoldUpAnother(t *testing.T) {
	folder := folderWith(t, key("a")+key("b"))
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(folder, "other.toml")
	if err := os.WriteFile(broken, []byte("[[key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Edit("demo", func(e *Editor) error { return e.RevokeKey("a") }); err != nil {
		t.Error(err)
	}
	if d.Stands("demo", Grant{Key: "a", Mark: Key{SHA256: strings.Repeat("0", 63) + "a"}.Grant().Mark}) ||
		len(d.Account("demo").Keys) != 1 {
		t.Error("the key is still good")
	}
	if d.Trouble() == nil {
		t.Error("the broken file is not said")
	}
	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(); changed || err == nil || d.Account("demo") == nil {
		t.Error("the folder was moved, and the accounts are gone", changed, err)
	}
	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(broken), os.Remove(File(folder, "demo"))); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(); !changed || err != nil || d.Account("demo") != nil {
		t.Error("an account that was removed is there", changed, err)
	}
}

// Commands that follow one another before anybody looks are whole files all the same, also when one gets the inode of
// the one before.
func TestTwoCommandsBetweenTwoLooks(t *testing.T) {
	folder := folderWith(t, key("a")+key("b"))
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := Edit(folder, "demo", func(e *Editor) error {
			return e.SetGroup(Group{ID: fmt.Sprint("group_", i), Members: []string{"front_door"}})
		}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			continue
		}
		if err := Edit(folder, "demo", func(e *Editor) error { return e.RevokeKey(e.Keys[0].ID) }); err != nil {
			t.Fatal(err)
		}
		if changed, err := d.Reload(); !changed || err != nil || len(d.Account("demo").Keys) != 1-i/2 {
			t.Fatal(changed, err, d.Account("demo").Keys)
		}
	}
}

// Whoever asks for a key that is not known has the files read; those who follow the changes hear of it all the same.
func TestAChangeIsToldWhoeverSawIt(t *testing.T) {
	folder := folderWith(t, key("a"))
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	stop := d.Watch(func() { told++ })
	if err := Edit(folder, "demo", func(e *Editor) error { return e.RevokeKey("a") }); err != nil {
		t.Fatal(err)
	}
	d.Allowed("demo", "ik_wrong")
	if changed, _ := d.Reload(); changed || told != 1 {
		t.Errorf("changed %v, told %d times", changed, told)
	}
	stop()
	if _, err := NewKey(folder, "demo", time.Now()); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(); !changed || err != nil || told != 1 {
		t.Error("one who stopped was told", changed, err)
	}
}

func TestTwoWhoMakeTheSecretHaveTheSame(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	signed := make([]string, 8)
	var all sync.WaitGroup
	for i := range signed {
		all.Go(func() {
			s, err := OpenSecret(file)
			if err != nil {
				t.Error(err)
				return
			}
			signed[i] = s.For("x").Sign(nil)
		})
	}
	all.Wait()
	for _, s := range signed {
		if s != signed[0] {
			t.Fatal("two secrets were made")
		}
	}
}

// Of two who push settings at the same time, both are there one after the other, or one is told.
func TestSettingsAreNotLost(t *testing.T) {
	folder := folderWith(t, key("a"))
	var mu sync.Mutex
	var all sync.WaitGroup
	kept := 0
	for range 8 {
		all.Go(func() {
			err := SetSettings(folder, "demo", "front_door", wire.SettingsBody{Version: 7})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				kept++
			} else if !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if kept != 1 {
		t.Errorf("%d were kept as the same version", kept)
	}
}

// An account has so many groups and operators and no more; those that exist can be changed and removed.
func TestGroupsAndOperatorsHaveANumber(t *testing.T) {
	folder := t.TempDir()
	var text strings.Builder
	for i := range MaxGroups {
		fmt.Fprintf(&text, "[[group]]\nid = \"group_%d\"\nmembers = [\"front_door\"]\n", i)
	}
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	for i := range MaxUsers {
		fmt.Fprintf(&text, "[[user]]\nname = \"user_%d\"\npassword = %q\nrole = \"administrator\"\n", i, hash)
	}
	if err := os.WriteFile(File(folder, "demo"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	group := func(id string) func(*Editor) error {
		return func(e *Editor) error { return e.SetGroup(Group{ID: id, Members: []string{"reception"}}) }
	}
	user := User{Name: "one_more", Password: hash, Role: Operator}
	for _, c := range []struct {
		what   string
		change func(*Editor) error
		good   bool
	}{
		{"a group more", group("one_more"), false},
		{"another in its place", group("group_7"), true},
		{"one less", func(e *Editor) error { return e.RemoveGroup("group_8") }, true},
		{"a group more then", group("one_more"), true},
		{"an operator more", func(e *Editor) error { return e.AddUser(user) }, false},
		{"another role", func(e *Editor) error { return e.ChangeUser("user_3", "", Operator) }, true},
		{"an operator less", func(e *Editor) error { return e.RemoveUser("user_4") }, true},
		{"an operator more then", func(e *Editor) error { return e.AddUser(user) }, true},
	} {
		if err := Edit(folder, "demo", c.change); (err == nil) != c.good ||
			err != nil && !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// A name is that of a group or of a station, as far as the files say.
func TestNamesOfGroups(t *testing.T) {
	const text = "[[station]]\ncuid = 'gate_1'\n\n[[group]]\nid = 'house_1'\nmembers = ['reception']\n"
	folder := folderWith(t, text)
	if err := SetSettings(folder, "demo", "gate_2", wire.SettingsBody{Version: 1}); err != nil {
		t.Fatal(err)
	}
	set := func(id string, members ...string) error {
		return Edit(folder, "demo", func(e *Editor) error { return e.SetGroup(Group{ID: id, Members: members}) })
	}
	for _, id := range []string{"gate_1", "gate_2", "reception"} {
		err := set(id, "office_1")
		if f := fault.Of(err); !fault.Is(err, fault.Conflict) || f.Field != "id" || f.Retryable {
			t.Errorf("%s: %v", id, err)
		}
	}
	for id, member := range map[string]string{"all_1": "house_1", "all_2": "all_2", "house_1": "house_1"} {
		want := fmt.Sprintf("members[1]: %q is a group", member)
		if err := set(id, "office_1", member); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s with the group %s as a member: %v", id, member, err)
		}
	}
	if b, _ := os.ReadFile(File(folder, "demo")); string(b) != text {
		t.Errorf("a refused change was made:\n%s", b)
	}
	if err := set("house_1", "reception", "office_1", "gate_1"); err != nil {
		t.Error(err)
	}
	if err := SetSettings(folder, "demo", "house_1", wire.SettingsBody{Version: 1}); !fault.Is(err, fault.Conflict) {
		t.Errorf("settings for a group: %v", err)
	}
	// The same in a file that was written by hand.
	for name, text := range map[string]string{
		"group[0].id: \"gate_1\" is a [[station]]": "[[group]]\nid = 'gate_1'\nmembers = ['a_1']\n" +
			"[[station]]\ncuid = 'gate_1'\n",
		"group[0].members[0]: \"b_1\" is a group": "[[group]]\nid = 'a_1'\nmembers = ['b_1']\n" +
			"[[group]]\nid = 'b_1'\nmembers = ['c_1']\n",
		"group[0].members[1]: \"a_1\" is a group": "[[group]]\nid = 'a_1'\nmembers = ['c_1', 'a_1']\n",
	} {
		if _, err := Load(File(folderWith(t, text), "demo")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No two operators are made whose names look the same; those that a file has already stay.
func TestOperatorsThatLookAlike(t *testing.T) {
	folder := t.TempDir()
	add := func(name string) error {
		return Edit(folder, "demo", func(e *Editor) error { return e.AddUser(User{name, hashOf(), Operator}) })
	}
	if err := add(" Anna "); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Anna", "anna", "ANNA\t", "\uff21nna"} {
		if err := add(name); !fault.Is(err, fault.Conflict) || fault.Of(err).Field != "name" {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"An\u200bna", "An\u202ena", "An\x00na", "An\nna"} {
		if err := add(name); !fault.Is(err, fault.InvalidInit) || fault.Of(err).Field != "name" {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := add("Anna Berg"); err != nil {
		t.Error(err)
	}
	a, err := Load(File(folder, "demo"))
	if err != nil || len(a.Users) != 2 || a.Users[0].Name != "Anna" {
		t.Errorf("%v %v", a.Users, err)
	}
	old := fmt.Sprintf("[[user]]\nname = 'bert'\nrole = 'operator'\npassword = %q\n", hashOf())
	if _, err := Load(File(folderWith(t, old+strings.Replace(old, "bert", "Bert", 1)), "demo")); err != nil {
		t.Error(err)
	}
}

// Settings that fit no message to a station are refused where they are given, with what to do, and not kept.
func TestSettingsThatFitNoMessageAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(File(dir, "demo"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, fits := range map[string]bool{
		strings.Repeat("<>&", 10_000): true, strings.Repeat("# a line\n", 3500): true,
		strings.Repeat(`"`, 32_600): false, strings.Repeat(`\`, 32_600): false, strings.Repeat("x", 33_000): false,
	} {
		b := wire.SettingsBody{Version: uint64(len(text)), Text: text, Signature: strings.Repeat("s", 88)}
		err := SetSettings(dir, "demo", "front_door", b)
		if known := (*fault.Error)(nil); fits != (err == nil) || !fits && (!errors.As(err, &known) ||
			known.Code != fault.TooLarge) {
			t.Errorf("%d bytes like %.10q: %v", len(text), text, err)
		}
		if e := wire.New(wire.Settings, "", b); fits && !e.Fits() {
			t.Errorf("%.10q fits no message", text)
		}
		os.Remove(settingsFile(dir, "demo", "front_door"))
		file, _ := json.Marshal(b) // who writes the file by hand is told, too
		if err := os.WriteFile(settingsFile(dir, "demo", "front_door"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadSettings(settingsFile(dir, "demo", "front_door")); fits != (err == nil) {
			t.Errorf("a file of %d bytes like %.10q: %v", len(text), text, err)
		}
		os.Remove(settingsFile(dir, "demo", "front_door"))
	}
}
