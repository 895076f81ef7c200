package durable

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
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

// What is read and written under the lock is never lost, and a file that somebody changed without it is not
// overwritten.
func TestEditsComeOneAfterTheOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "count")
	const many = 32
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			unlock, err := Lock(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer unlock()
			old, _ := os.ReadFile(path)
			if err := Replace(path, old, append(bytes.Clone(old), 'x')); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if b, _ := os.ReadFile(path); len(b) != many {
		t.Errorf("of %d edits %d are left", many, len(b))
	}
	for name, old := range map[string][]byte{"another text": []byte("y"), "no file": nil} {
		if err := Replace(path, old, []byte("z")); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Replace(filepath.Join(dir, "none"), []byte{}, []byte("z")); !errors.Is(err, ErrChanged) {
		t.Errorf("a file that is gone: %v", err)
	}
	if _, err := Lock(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there was locked")
	}
}
