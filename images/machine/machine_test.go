//go:build machine

// Package machine_test proves the packages on a Debian machine with its own systemd, journal and users, in a container
// (systemd-nspawn) whose network is its own loopback. 'make test-packages' runs it.
package machine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine is a Debian that has booted.
type machine struct {
	*testing.T
	root   string
	leader string // pid of its systemd
}

// folder has the root of a Debian machine below it.
var folder = sync.OnceValues(func() (string, error) {
	c := exec.Command("bash", "build")
	c.Stderr = os.Stderr
	out, err := c.Output()
	return strings.TrimSpace(string(out)), err
})

// boot starts a machine that forgets everything at its end.
func boot(t *testing.T) *machine {
	t.Helper()
	base, err := folder()
	if err != nil {
		t.Fatalf("a Debian machine cannot be made: %v", err)
	}
	scratch := t.TempDir()
	dir := filepath.Join(scratch, "disk")
	m := &machine{T: t, root: filepath.Join(dir, "root")}
	// The temporary folder may be an overlay itself, which cannot be the top of another.
	sh(t, "mkdir "+dir+" && mount -t tmpfs none "+dir+" && mkdir "+dir+"/top "+dir+"/work "+dir+
		"/root && mount -t overlay overlay -o lowerdir="+base+"/root,upperdir="+dir+"/top,workdir="+dir+"/work "+m.root)
	t.Cleanup(func() { sh(t, "umount "+m.root+" && umount "+dir) })
	log, err := os.Create(filepath.Join(scratch, "console"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--console=pipe",
		"--private-network", "--machine=station", "--directory="+m.root, "--boot", "systemd.show_status=0")
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		t.Fatalf("%v; run 'make deps-packages'", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		_ = exec.Command("kill", "-TERM", strconv.Itoa(c.Process.Pid)).Run() // nspawn has it powered off
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = c.Process.Kill()
			<-ended
		}
	})
	m.until("the machine boots", func() bool {
		select {
		case err := <-ended:
			said, _ := os.ReadFile(log.Name())
			ended <- err
			t.Fatalf("systemd-nspawn: %v\n%s", err, said)
		default:
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.Process.Pid))
		for _, pid := range strings.Fields(string(children)) {
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			if strings.TrimSpace(string(name)) == "systemd" {
				m.leader = pid
			}
		}
		if m.leader == "" {
			return false
		}
		_, out := m.try("systemctl is-system-running")
		return strings.Contains(out, "running") || strings.Contains(out, "degraded")
	})
	return m
}

// in is the machine for a part of a test.
func (m machine) in(t *testing.T) *machine {
	m.T = t
	return &m
}

// sh runs a script on this machine.
func sh(t testing.TB, script string) string {
	t.Helper()
	out, err := exec.Command("bash", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// try runs a script in the machine as root, and gives its exit status and what it printed.
func (m *machine) try(script string) (int, string) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "nsenter", "--target", m.leader, "--all", "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "bash",
		"-euc", "cd; "+script)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), out.String()
	case err != nil:
		m.Fatal(err)
	}
	return 0, out.String()
}

// run is try for what must work.
func (m *machine) run(script string) string {
	m.Helper()
	code, out := m.try(script)
	if code != 0 {
		m.Fatalf("%s: exit status %d: %s", script, code, out)
	}
	return strings.TrimSpace(out)
}

// put lays a file into the machine.
func (m *machine) put(path, text string) {
	m.Helper()
	if err := os.WriteFile(filepath.Join(m.root, path), []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
}

// until waits for something to be so.
func (m *machine) until(what string, so func() bool) {
	m.Helper()
	for end := time.Now().Add(60 * time.Second); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			_, log := m.try("intercomctl status; systemctl --failed --no-legend; journalctl --no-pager -o " +
				"short-monotonic | tail -50")
			m.Fatalf("not within 60 s: %s\n%s", what, log)
		}
	}
}
