// Command demo shows the main job on one machine: a hub and two stations, front_door and reception, each a process of
// its own, with generated configuration and keys in a temporary folder that is gone afterwards.
//
// On a terminal it shows both stations live and takes keys to press their buttons. With -once it needs no terminal: it
// makes four calls on a private sound server, measures them, and prints one JSON object as its last line. Run it with
// "make demo" and "make demo ONCE=1".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"intercom/internal/stage"
)

func main() { os.Exit(run()) }

func run() int {
	once := flag.Bool("once", false, "make four calls, measure, print JSON, and end")
	bin := flag.String("bin", "bin", "`folder` with the programs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "intercom-demo-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if *once {
		return runOnce(ctx, dir, *bin, os.Stdout, os.Stderr)
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		fmt.Fprintln(os.Stderr, "demo: this needs a terminal; without one, run 'make demo ONCE=1'")
		return 64
	}
	if err := live(ctx, dir, *bin); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// runOnce makes the four calls and prints what came of them.
func runOnce(ctx context.Context, dir, bin string, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	r, err := fourCalls(ctx, dir, bin, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		r.OK, r.Problem = false, err.Error()
	}
	b, err := json.Marshal(r)
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	fmt.Fprintf(stdout, "%s\n", b)
	if !r.OK {
		return 1
	}
	return 0
}

// scene is a hub and two stations.
type scene struct {
	sound           *stage.Sound // nil when the user's own is used
	hub             *stage.Hub
	door, reception *stage.Station
	registered      time.Duration // from the start of the door's process until it was registered
}

// open starts everything; what was started is in the scene also after an error. Without start, the user's own sound
// server is used.
func open(ctx context.Context, dir, bin string, start stage.StartsSound, ring time.Duration) (s *scene, err error) {
	s = &scene{}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return s, err
	}
	if start != nil {
		if s.sound, err = start(ctx, dir, "door_mic", "door_spk", "reception_mic", "reception_spk"); err != nil {
			return s, err
		}
	}
	if s.hub, err = stage.StartHub(ctx, dir, bin, stage.HubSettings{Ring: ring}); err != nil {
		return s, err
	}
	station := func(set stage.Settings, prefix string) (*stage.Station, error) {
		if start != nil {
			set.Server, set.Sink, set.Source = s.sound.Server, prefix+"_spk", prefix+"_mic.monitor"
		}
		t, err := stage.NewStation(dir, bin, s.hub, set)
		if err != nil {
			return nil, err
		}
		if err := t.Up(ctx); err != nil {
			return t, err
		}
		return t, t.Wait(ctx, "it was registered", func() bool {
			st, err := t.Status(ctx)
			return err == nil && st.Hub.Online
		})
	}
	began := time.Now()
	if s.door, err = station(stage.Settings{CUID: "front_door", Name: "Front door",
		Context: "Someone is at the front door", To: "reception"}, "door"); err != nil {
		return s, err
	}
	s.registered = time.Since(began)
	s.reception, err = station(stage.Settings{CUID: "reception", Name: "Reception", Context: "A call from reception",
		To: "front_door"}, "reception")
	return s, err
}

// close ends everything, the last first.
func (s *scene) close() error {
	var all []*stage.Process
	if s.sound != nil {
		all = append(all, s.sound.All()...)
	}
	if s.hub != nil {
		all = append(all, s.hub.Process)
	}
	for _, t := range []*stage.Station{s.door, s.reception} {
		if t != nil {
			all = append(all, t.Process)
		}
	}
	return stage.StopAll(all...)
}

// haveSound reports whether the user has a sound server.
func haveSound(ctx context.Context, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// Asked alone, pactl would start a server where none is.
	conf := filepath.Join(dir, "client.conf")
	if os.WriteFile(conf, []byte("autospawn = no\n"), 0o600) != nil {
		return false
	}
	cmd := exec.CommandContext(ctx, "pactl", "info")
	cmd.Env = append(os.Environ(), "PULSE_CLIENTCONFIG="+conf)
	return cmd.Run() == nil
}
