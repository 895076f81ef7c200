// Package stage starts the real things that the demo and the end-to-end tests play on: a private sound server, the hub
// and stations, each a process of its own, in a folder of its own, on loopback.
//
// Everything that was started ends with Stop, and also when the program that started it is killed. The demo (cmd) and
// tests import it.
package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a child that runs.
type Process struct {
	Name  string
	Log   string // file with what it printed
	cmd   *exec.Cmd
	ended chan struct{}
	err   error
}

// Start runs a program with its output in dir/name.log.
func Start(dir, name string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, Log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Of its own group, so that Ctrl-C reaches us alone; killed by the kernel if we die without stopping it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	began := make(chan error, 1)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread() // Pdeathsig is about the thread that started the child
		err := p.cmd.Start()
		began <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-began; err != nil {
		return nil, fmt.Errorf("%s does not start: %w", program, err)
	}
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode is the exit status of a process that has ended.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stop asks the process to end, and kills it after the grace time. It reports a process that had to be killed.
func (p *Process) Stop(grace time.Duration) error {
	_ = p.Signal(syscall.SIGCONT)
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(grace):
	}
	_ = p.Signal(syscall.SIGQUIT) // a Go program writes down what it was doing
	select {
	case <-p.ended:
	case <-time.After(time.Second):
		_ = p.Signal(syscall.SIGKILL)
		<-p.ended
	}
	return fmt.Errorf("%s did not stop within %v; see %s", p.Name, grace, p.Log)
}

// Tail is the end of what the process printed.
func (p *Process) Tail() string {
	b, _ := os.ReadFile(p.Log)
	return string(b[max(0, len(b)-4000):])
}

// Wait polls until ready says true, ctx ends or the process does.
func (p *Process) Wait(ctx context.Context, what string, ready func() bool) error {
	for !ready() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended before %s:\n%s", p.Name, what, p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: %s did not happen in time:\n%s", p.Name, what, p.Tail())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Sound is a private PulseAudio, or PipeWire, with null sinks.
type Sound struct {
	*Process
	Server  string     // its address, for $PULSE_SERVER and audio.server
	beneath []*Process // what it needs
}

// StartsSound is [StartSound] or [StartPipeWire].
type StartsSound func(ctx context.Context, dir string, sinks ...string) (*Sound, error)

// StartSound starts PulseAudio with a null sink (48 kHz, mono) for each name; NAME.monitor is its source. Null sinks
// need norewinds=1: without it they play ahead of time.
func StartSound(ctx context.Context, dir string, sinks ...string) (*Sound, error) {
	bin, err := exec.LookPath("pulseaudio")
	if err != nil {
		return nil, errors.New("pulseaudio is not installed; run 'make deps'")
	}
	socket := filepath.Join(dir, "pulse.sock")
	var script bytes.Buffer
	fmt.Fprintf(&script, "load-module module-native-protocol-unix socket=%s auth-anonymous=1\n", socket)
	for _, s := range sinks {
		fmt.Fprintf(&script, "load-module module-null-sink sink_name=%s rate=48000 channels=1 channel_map=mono "+
			"norewinds=1 sink_properties=device.description=%s\n", s, s)
	}
	conf := "default-sample-rate = 48000\ndefault-sample-channels = 1\ndefault-channel-map = mono\n"
	for name, text := range map[string]string{"pulse.pa": script.String(), "pulse.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	p, err := Start(dir, "pulseaudio", []string{"PULSE_RUNTIME_PATH=" + dir, "PULSE_STATE_PATH=" + dir,
		"PULSE_COOKIE=" + filepath.Join(dir, "pulse.cookie"),
		"XDG_RUNTIME_DIR=" + dir, "PULSE_CONFIG=" + filepath.Join(dir, "pulse.conf"), "HOME=" + dir, "DISPLAY=",
		"DBUS_SESSION_BUS_ADDRESS=", "PULSE_SERVER="},
		bin, "-n", "-F", filepath.Join(dir, "pulse.pa"), "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
		"--disable-shm=yes", "--log-level=notice")
	if err != nil {
		return nil, err
	}
	s := &Sound{Process: p, Server: "unix:" + socket}
	err = p.Wait(ctx, "its socket was there", func() bool {
		return exec.CommandContext(ctx, "pactl", "--server", s.Server, "info").Run() == nil
	})
	if err != nil {
		_ = p.Stop(time.Second)
		return nil, err
	}
	return s, nil
}

// Pactl runs the sound server's own command and gives what it prints.
func (s *Sound) Pactl(args ...string) (string, error) {
	out, err := exec.Command("pactl", append([]string{"--server", s.Server}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// StopAll stops processes, the last first, and gives all that would not stop.
func StopAll(all ...*Process) error {
	var errs []error
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] != nil {
			errs = append(errs, all[i].Stop(5*time.Second))
		}
	}
	return errors.Join(errs...)
}
