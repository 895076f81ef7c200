package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"intercom/internal/stage"
)

// trial is what an attack has to work with: its hub, its stations, its clients. Its methods end the attack where
// something fails that must work first; they are for the attack's own goroutine.
type trial struct {
	ctx context.Context // ends when the attack takes too long
	bin string
	dir string

	hub *stage.Hub // of the first call of startHub

	processes []*stage.Process
	cleanups  []func()
	clients   int // so far

	mu     sync.Mutex
	result *result
}

// run tries an attack to its end, and stops what it started.
func (t *trial) run(try func(*trial)) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer t.stop()
		try(t)
	}()
	<-ended
}

func (t *trial) stop() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
	if err := stage.StopAll(t.processes...); err != nil {
		t.failed(err)
	}
}

// cleanup has something done when the attack is over, the last first.
func (t *trial) cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

// through notes something that got through. Any goroutine may call it.
func (t *trial) through(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Through = append(t.result.Through, fmt.Sprintf(format, args...))
}

// figure notes something measured. Any goroutine may call it.
func (t *trial) figure(name string, value float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Figures[name] = value
}

func (t *trial) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.result.Failed == "" {
		t.result.Failed = err.Error()
	}
}

// must ends the attack where something fails without which it cannot be tried.
func (t *trial) must(err error) {
	if err != nil {
		t.failed(err)
		runtime.Goexit()
	}
}

// until waits for something that has to come about before the attack goes on.
func (t *trial) until(what string, so func() bool) {
	for !so() {
		select {
		case <-t.ctx.Done():
			t.must(fmt.Errorf("%s did not happen in time", what))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// startHub starts the hub, with more lines of configuration.
func (t *trial) startHub(extra string) *stage.Hub {
	h, err := stage.StartHub(t.ctx, t.dir, t.bin, stage.HubSettings{Ring: 30 * time.Second, Extra: extra})
	if h != nil && h.Process != nil {
		t.processes = append(t.processes, h.Process)
	}
	t.must(err)
	t.hub = h
	return h
}

// hubCommand runs intercom-hub with the hub's configuration, like hubCommand("key", "list", "-account", "demo"), and
// gives what it prints.
func (t *trial) hubCommand(input string, args ...string) (string, error) {
	return t.hub.Command(t.ctx, input, args...)
}

// startSound starts a sound server with a microphone and a loudspeaker for each cuid: CUID_mic and CUID_spk.
func (t *trial) startSound(cuids ...string) *stage.Sound {
	var sinks []string
	for _, c := range cuids {
		sinks = append(sinks, c+"_mic", c+"_spk")
	}
	s, err := stage.StartSound(t.ctx, t.dir, sinks...)
	t.must(err)
	t.processes = append(t.processes, s.All()...)
	return s
}

// startStation starts a station and waits until it is registered at the hub.
func (t *trial) startStation(sound *stage.Sound, set stage.Settings) *stage.Station {
	s := t.newStation(t.hub, sound, set)
	t.must(s.Wait(t.ctx, "it was registered", func() bool {
		st, err := s.Status(t.ctx)
		return err == nil && st.Hub.Online
	}))
	return s
}

// newStation starts a station that calls a hub its own, and waits until it answers on its control socket.
func (t *trial) newStation(hub *stage.Hub, sound *stage.Sound, set stage.Settings) *stage.Station {
	set.Server, set.Sink, set.Source = sound.Server, set.CUID+"_spk", set.CUID+"_mic.monitor"
	if set.Name == "" {
		set.Name = set.CUID
	}
	if set.Context == "" {
		set.Context = "A call from " + set.CUID
	}
	s, err := stage.NewStation(t.dir, t.bin, hub, set)
	t.must(err)
	err = s.Up(t.ctx)
	if s.Process != nil {
		t.processes = append(t.processes, s.Process)
	}
	t.must(err)
	return s
}

// talk starts two stations, front_door and reception, that are in a call, and a hub where there is none yet.
func (t *trial) talk() (door, desk *stage.Station) {
	if t.hub == nil {
		t.startHub("")
	}
	sound := t.startSound("front_door", "reception")
	desk = t.startStation(sound, stage.Settings{CUID: "reception", To: "front_door"})
	door = t.startStation(sound, stage.Settings{CUID: "front_door", To: "reception"})
	t.must(door.Press(t.ctx, "call"))
	t.until("reception rang", func() bool { return t.phase(desk) == "ringing" })
	t.must(desk.Press(t.ctx, "answer"))
	t.until("both talked", func() bool { return t.phase(door) == "talking" && t.phase(desk) == "talking" })
	return door, desk
}

func (t *trial) phase(s *stage.Station) string {
	st, err := s.Status(t.ctx)
	t.must(err)
	return st.Phase
}

// url is an address of the hub, for HTTP.
func (t *trial) url(path string) string { return "http://" + t.hub.Addr + path }

// request does an HTTP request to the hub and gives the status; 0 where there was no answer.
func (t *trial) request(method, path, body string, header ...string) int {
	r, err := http.NewRequestWithContext(t.ctx, method, t.url(path), strings.NewReader(body))
	t.must(err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// path is a file of the attack's own folder.
func (t *trial) path(name string) string { return filepath.Join(t.dir, name) }

func join(all []string) string {
	if len(all) > 3 {
		return strings.Join(all[:3], "; ") + fmt.Sprintf("; and %d more", len(all)-3)
	}
	return strings.Join(all, "; ")
}

func figures(all map[string]float64) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "  %s %.4g", name, all[name])
	}
	return b.String()
}

var errGone = errors.New("the connection is gone")
