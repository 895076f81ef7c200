package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intercom/wire"
)

func TestNotesAreWrittenOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "calls")
	n := OpenNotes(dir)
	one := Note{Account: "demo", Station: "front_door",
		NoteBody: wire.NoteBody{ID: "a", Kind: wire.Visit, To: "reception"}}
	for i, want := range []bool{true, false} {
		if fresh, err := n.Add(one); err != nil || fresh != want {
			t.Errorf("try %d: %v %v", i, fresh, err)
		}
	}
	one.ID = "b"
	if fresh, err := n.Add(one); err != nil || !fresh {
		t.Error(fresh, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "notes-*.jsonl"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	b, _ := os.ReadFile(files[0])
	if strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b),
		`"station":"front_door","id":"a","kind":"visit"`) {
		t.Errorf("%s", b)
	}
	if _, err := OpenNotes("/proc/nowhere").Add(one); err == nil {
		t.Error("a note that cannot be written is acknowledged")
	}
}

func TestLatestNotes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"notes-2026-01-01.jsonl": `{"account":"a","station":"s1","id":"1"}` + "\n" +
			`{"account":"b","station":"s1","id":"2"}` + "\n",
		"notes-2026-01-02.jsonl": `{"account":"a","station":"s2","id":"3"}` + "\n" +
			`{"account":"a","station":"s1","id":"4"}` + "\n" + `{"account":"a","sta`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ids := func(account, station string, limit int) (all string) {
		notes, err := Latest(dir, account, station, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notes {
			all += n.ID
		}
		return all
	}
	for got, want := range map[string]string{ids("a", "", 9): "431", ids("a", "s1", 9): "41", ids("a", "", 2): "43",
		ids("c", "", 9): ""} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
