package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// StartPipeWire starts PipeWire with its Pulse server, and a null sink (48 kHz, mono) for each name, as [StartSound]
// does PulseAudio. The session manager, which joins streams to devices, needs a message bus of its own. Process is the
// Pulse server.
func StartPipeWire(ctx context.Context, dir string, sinks ...string) (s *Sound, err error) {
	bus := "unix:path=" + filepath.Join(dir, "bus")
	env := []string{"XDG_RUNTIME_DIR=" + dir, "PIPEWIRE_RUNTIME_DIR=" + dir, "XDG_CONFIG_HOME=" + dir,
		"XDG_STATE_HOME=" + dir, "HOME=" + dir,
		"DBUS_SESSION_BUS_ADDRESS=" + bus, "DISPLAY=", "PULSE_SERVER=",
		"PULSE_RUNTIME_PATH=" + filepath.Join(dir, "pulse")}
	s = &Sound{Server: "unix:" + filepath.Join(dir, "pulse/native")}
	defer func() {
		if err != nil {
			_ = s.Stop(time.Second)
		}
	}()
	for _, one := range []struct {
		program string
		args    []string
		socket  string // that tells that it is ready
	}{
		{"dbus-daemon", []string{"--session", "--nofork", "--address=" + bus}, "bus"},
		{"pipewire", nil, "pipewire-0"},
		{"wireplumber", nil, ""},
		{"pipewire-pulse", nil, "pulse/native"},
	} {
		if _, err := exec.LookPath(one.program); err != nil {
			return s, fmt.Errorf("%s is not installed; run 'make deps-test'", one.program)
		}
		socket := filepath.Join(dir, one.socket)
		if one.socket != "" {
			_ = os.Remove(socket) // of one that was killed
		}
		p, err := Start(dir, one.program, env, one.program, one.args...)
		if err != nil {
			return s, err
		}
		if s.Process != nil {
			s.beneath = append(s.beneath, s.Process)
		}
		s.Process = p
		if one.socket == "" {
			continue
		}
		if err := p.Wait(ctx, "its socket was there", func() bool {
			_, err := os.Stat(socket)
			return err == nil
		}); err != nil {
			return s, err
		}
	}
	if err := s.Wait(ctx, "it answered", func() bool { _, err := s.Pactl("info"); return err == nil }); err != nil {
		return s, err
	}
	for _, sink := range sinks {
		if out, err := s.Pactl("load-module", "module-null-sink", "sink_name="+sink, "rate=48000", "channels=1",
			"channel_map=mono"); err != nil {
			return s, fmt.Errorf("the sink %s: %w: %s", sink, err, out)
		}
	}
	return s, nil
}

// All are the server's processes, the one beneath the others first.
func (s *Sound) All() []*Process { return append(s.beneath[:len(s.beneath):len(s.beneath)], s.Process) }

// Kill kills the server, and what is beneath it.
func (s *Sound) Kill() {
	for _, p := range s.All() {
		_ = p.Signal(syscall.SIGKILL)
		<-p.Ended()
	}
}

// Stop stops the server, and what is beneath it.
func (s *Sound) Stop(grace time.Duration) error {
	var errs []error
	all := s.All()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] != nil {
			errs = append(errs, all[i].Stop(grace))
		}
	}
	return errors.Join(errs...)
}
