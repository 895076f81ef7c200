package access

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"intercom/internal/config"
	"intercom/internal/config/configtest"
	"intercom/internal/fault"
	"intercom/wire"
)

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestTheDocumentsSayWhatTheCodeDoes(t *testing.T) {
	configtest.Section(t, "../../docs/config.md", "account", config.Doc(&Account{}), *update)
	b, err := os.ReadFile("../../docs/account.sample.toml")
	if err != nil {
		t.Fatal(err)
	}
	a := &Account{ID: "house"}
	if err := config.Parse("sample", b, a); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		call     bool
	}{{"front_door", "reception", true}, {"front_door", "front_gate", false}, {"reception", "front_door", true},
		{"office_1", "reception", false}} {
		if a.MayCall(c.from, c.to) != c.call {
			t.Errorf("%s calls %s: %v", c.from, c.to, !c.call)
		}
	}
	if !a.MayBeAnswered("reception", "front_door") || a.MayBeAnswered("front_door", "reception") ||
		!a.MayOpen("reception", "front_door") || a.MayOpen("office_1", "front_door") ||
		a.MayOpen("reception", "office_1") {
		t.Error("who may be answered or open the door is wrong")
	}
	if a.Limit("kiosk_7") != 2*time.Minute || a.Limit("front_door") != 10*time.Minute {
		t.Error("the limits are wrong")
	}
	if g := a.Group("house"); g == nil || g.Mode != "parallel" || a.Group("nobody") != nil {
		t.Errorf("%+v", g)
	}
}

func TestKeysAreHashedAndTwoAtMost(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "accounts")
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for range 2 {
		k, err := NewKey(folder, "demo", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if _, err := NewKey(folder, "demo", time.Now()); err == nil {
		t.Error("a third key was made")
	}
	if changed, err := d.Reload(); !changed || err != nil {
		t.Fatal(changed, err)
	}
	b, _ := os.ReadFile(File(folder, "demo"))
	for _, k := range keys {
		if _, ok := d.Allowed("demo", k); strings.Contains(string(b), k) || !ok {
			t.Error("a key is kept as it is, or not known again")
		}
	}
	for account, key := range map[string]string{"demo": keys[0] + "x", "other": keys[0], "": ""} {
		if _, ok := d.Allowed(account, key); ok {
			t.Errorf("%s is let in with %s", account, key)
		}
	}
	if st, _ := os.Stat(File(folder, "demo")); st.Mode().Perm() != 0o600 {
		t.Errorf("the accounts file has mode %v", st.Mode())
	}
}

// A file that is broken while the hub runs changes nothing.
func TestAKeyThatWasJustMadeIsKnown(t *testing.T) {
	folder := t.TempDir()
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey(folder, "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Allowed("demo", key); !ok {
		t.Error("a new key is refused until the files are read again")
	}
}

func TestABrokenFileChangesNothing(t *testing.T) {
	folder := t.TempDir()
	key, err := NewKey(folder, "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(File(folder, "other"), []byte("colour = 'red'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(); changed || err == nil || !strings.Contains(err.Error(), "other.toml:1:1: colour") {
		t.Errorf("%v %v", changed, err)
	}
	if _, ok := d.Allowed("demo", key); !ok {
		t.Error("the account that is right was lost")
	}
	if err := os.Remove(File(folder, "other")); err != nil {
		t.Fatal(err)
	}
	if changed, err := d.Reload(); changed || err != nil { // as before
		t.Errorf("%v %v", changed, err)
	}
}

func TestSecretsAreKeptAndSignEachPurposeApart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "secret")
	s, err := OpenSecret(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenSecret(file)
	if err != nil {
		t.Fatal(err)
	}
	signed := s.For("a").Sign([]byte("x"))
	if b, ok := again.For("a").Open(signed); !ok || string(b) != "x" {
		t.Error("the secret is another")
	}
	for _, bad := range []string{"", ".", signed[1:], signed + "A", strings.Replace(signed, ".", "", 1),
		strings.ToUpper(signed)} {
		if _, ok := s.For("a").Open(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, ok := s.For("b").Open(signed); ok {
		t.Error("one purpose takes what another signed")
	}
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSecret(file); err == nil {
		t.Error("a broken secret is taken")
	}
}

func TestPasswords(t *testing.T) {
	folder := t.TempDir()
	hash, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if err := Edit(folder, "demo", func(e *Editor) error {
		return e.AddUser(User{Name: "anna", Password: hash, Role: Administrator})
	}); err != nil {
		t.Fatal(err)
	}
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := d.CheckPassword("demo", "anna", "correct horse battery"); !ok || u.Role != Administrator {
		t.Error("the right password is refused")
	}
	for _, c := range [][3]string{{"demo", "anna", "wrong"}, {"demo", "bert", "correct horse battery"},
		{"other", "anna", "correct horse battery"}, {"", "", ""}} {
		if _, ok := d.CheckPassword(c[0], c[1], c[2]); ok {
			t.Errorf("%v is let in", c)
		}
	}
}

// Whatever is in a file, an edit either leaves a valid file that differs in the edited table only, or changes nothing.
func FuzzEdit(f *testing.F) {
	f.Add("# x\n[[key]] # y\nid='a'\nsha256='" + strings.Repeat("0", 64) +
		"'\n\n[[group]]\nid='house_1'\nmembers=['front_door']\n")
	f.Add("max_duration = '1m'")
	f.Add("[[key]]\nid = \"\"\"\n[[key]]\n\"\"\"")
	f.Fuzz(func(t *testing.T, text string) {
		folder := t.TempDir()
		file := File(folder, "demo")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := &Account{}
		valid := config.Parse(file, []byte(text), before) == nil
		err := Edit(folder, "demo", func(e *Editor) error {
			return e.SetGroup(Group{ID: "new_one", Members: []string{"front_door"}})
		})
		b, _ := os.ReadFile(file)
		after := &Account{}
		if perr := config.Parse(file, b, after); (perr == nil) != valid {
			t.Fatalf("valid before %v, after: %v", valid, perr)
		}
		if err != nil {
			if string(b) != text {
				t.Fatal("a failed edit changed the file")
			}
			return
		}
		if after.Group("new_one") == nil || len(after.Keys) != len(before.Keys) ||
			len(after.Users) != len(before.Users) {
			t.Fatalf("the edit made\n%s", b)
		}
		for len(after.Keys) > 0 {
			gone := after.Keys[0]
			if err := Edit(folder, "demo", func(e *Editor) error { return e.RevokeKey(gone.ID) }); err != nil {
				return // said, not done by halves
			}
			left, err := Load(file)
			if err != nil || len(left.Keys) != len(after.Keys)-1 || !slices.Equal(left.Keys, after.Keys[1:]) ||
				len(left.Groups) != len(after.Groups) {
				t.Fatalf("%v: revoking %q left %v of %v", err, gone.ID, left.Keys, after.Keys)
			}
			after = left
		}
	})
}

// Settings are found again under every cuid that there can be.
func TestSettingsOfStationsByCUID(t *testing.T) {
	folder := t.TempDir()
	if _, err := NewKey(folder, "a_b-c", time.Now()); err != nil {
		t.Fatal(err)
	}
	all := []string{"8899555123", "__proto__", "_abcd", "a__bc", "abcd_", "front_door"} // sorted
	for i, cuid := range all {
		if err := SetSettings(folder, "a_b-c", cuid, wire.SettingsBody{Version: uint64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.WithSettings("a_b-c"); !slices.Equal(got, all) {
		t.Errorf("got %q", got)
	}
	for i, cuid := range all {
		if b, ok := d.Settings("a_b-c", cuid); !ok || b.Version != uint64(i+1) {
			t.Errorf("%s: got %v, %v", cuid, b.Version, ok)
		}
	}
}

// An account has settings for no more stations than may be signed in; those that have some can always have later ones.
func TestSettingsForTooManyStations(t *testing.T) {
	folder := t.TempDir()
	if _, err := NewKey(folder, "demo", time.Now()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(File(folder, "demo"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(File(folder, "demo"), append([]byte("max_devices = 2\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		cuid string
		good bool
	}{{"front_door", true}, {"reception", true}, {"office_1", false}, {"front_door", true}} {
		err := SetSettings(folder, "demo", c.cuid, wire.SettingsBody{Version: uint64(i + 1)})
		if (err == nil) != c.good || err != nil && (!fault.Is(err, fault.Conflict) ||
			!strings.Contains(err.Error(), "max_devices")) {
			t.Errorf("%s: %v", c.cuid, err)
		}
	}
}

func TestHowManyDevicesAnAccountMayHave(t *testing.T) {
	for text, want := range map[string]int{"": MaxDevices, "max_devices = 0": MaxDevices, "max_devices = 1": 1,
		"max_devices = 1000000": 1_000_000,
		"max_devices = -1":      0, "max_devices = 1000001": 0} {
		file := filepath.Join(t.TempDir(), "demo.toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := Load(file)
		if want == 0 && err == nil || want != 0 && (err != nil || a.MaxDevices != want) {
			t.Errorf("%q: %v %v", text, a, err)
		}
	}
}
