package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheOldFileStaysWhenTheNewOneCannotBe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, text := range []string{"old", "new"} {
		if err := Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(filepath.Join(dir, "nowhere", "state"), nil); err == nil {
		t.Error("a file was written where no folder is")
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "taken"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	b, _ := os.ReadFile(path)
	st, _ := os.Stat(path)
	all, _ := os.ReadDir(dir)
	if string(b) != "new" || st.Mode().Perm() != 0o600 || len(all) != 2 {
		t.Errorf("%q, mode %v, %d files", b, st.Mode(), len(all))
	}
}
