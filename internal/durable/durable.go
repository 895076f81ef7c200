// Package durable replaces files so that a power cut leaves the old one or the new one, never half, and lets several
// processes change the files of a folder one after the other.
//
// Whoever keeps state or settings on disk imports it.
package durable

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Errors of an edit.
var (
	ErrBusy    = errors.New("somebody else is changing the files")
	ErrChanged = errors.New("somebody else changed the file meanwhile")
)

// LockTime is how long [Lock] waits for the others.
const LockTime = 5 * time.Second

// Lock keeps out everybody else who locks the folder, in this process and in others, until unlock. Whoever reads a file
// to write it again holds it from before the reading. A process that dies lets go of it.
func Lock(folder string) (unlock func(), err error) {
	path := filepath.Join(folder, ".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := give(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for until := time.Now().Add(LockTime); ; time.Sleep(5 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("%s cannot be locked: %w", path, err), f.Close())
		case time.Now().After(until):
			return nil, errors.Join(fmt.Errorf("%w of %s for longer than %v; try again", ErrBusy, folder, LockTime),
				f.Close())
		}
	}
}

// Write replaces the file at path. The new file is readable by its owner alone, whatever the old one was. What root
// writes belongs to whoever has the folder, so that a daemon can read what an administrator's command wrote for it.
func Write(path string, b []byte) error {
	return write(path, b, func() error { return nil })
}

// Replace is Write, but [ErrChanged] when the file is no longer what it was: an editor does not lock. A nil old says
// that there was none.
func Replace(path string, old, b []byte) error {
	return write(path, b, func() error {
		now, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			now, err = nil, nil
		}
		if err == nil && ((now == nil) != (old == nil) || !bytes.Equal(now, old)) {
			err = fmt.Errorf("%s: %w; look at it, and try again", path, ErrChanged)
		}
		return err
	})
}

func write(path string, b []byte, still func() error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(b)
	if err = errors.Join(err, give(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = still(); err != nil {
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

// give makes root's file that of whoever has the folder.
func give(f *os.File) error {
	st, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if owner, ok := st.Sys().(*syscall.Stat_t); ok {
		return f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}
