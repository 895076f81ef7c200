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
	one := Note{Account: "demo", Station: "front_door", NoteBody: wire.NoteBody{ID: "a", Kind: wire.Visit, To: "reception"}}
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
	if strings.Count(string(b), "\n") != 2 || !strings.Contains(string(b), `"station":"front_door","id":"a","kind":"visit"`) {
		t.Errorf("%s", b)
	}
	if _, err := OpenNotes("/proc/nowhere").Add(one); err == nil {
		t.Error("a note that cannot be written is acknowledged")
	}
}
