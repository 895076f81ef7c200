// Package durable replaces files so that a power cut leaves the old one or the new one, never half.
//
// Whoever keeps state or settings on disk imports it.
package durable

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Write replaces the file at path. The new file is readable by its owner alone, whatever the old one was. What root writes
// belongs to whoever has the folder, so that a daemon can read what an administrator's command wrote for it.
func Write(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(b)
	if st, serr := os.Stat(filepath.Dir(path)); serr == nil && os.Geteuid() == 0 {
		if owner, ok := st.Sys().(*syscall.Stat_t); ok {
			err = errors.Join(err, f.Chown(int(owner.Uid), int(owner.Gid)))
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // the name is on the disk too
}
