// Package needs lets a test say what it needs beyond Go: programs, root, time. What is missing fails the test, with
// what to do about it; a quick run (go test -short) skips the test, whether it is there or not. Only tests import it.
package needs

import (
	"os"
	"os/exec"
	"testing"
)

// Programs of Debian packages, which 'make deps deps-test' installs.
func Programs(t testing.TB, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in a quick run: it needs ", names)
	}
	for _, name := range names {
		if _, err := Find(name); err != nil {
			t.Fatalf("%s is not installed; run 'make deps deps-test'", name)
		}
	}
}

// Find is the path of a program, which may also be one that only root has in its PATH.
func Find(name string) (string, error) {
	for _, folder := range []string{"/usr/sbin/", "/sbin/"} {
		if st, err := os.Stat(folder + name); err == nil && st.Mode()&0o111 != 0 {
			return folder + name, nil
		}
	}
	return exec.LookPath(name)
}

// Root to mount, or to make network namespaces.
func Root(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in a quick run: it needs root")
	}
	if os.Geteuid() != 0 {
		t.Fatal("it needs root; run the tests with sudo, or 'make quick' for those that need nothing")
	}
}

// Time is for a test that takes more than a few seconds.
func Time(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in a quick run: it takes its time")
	}
}
