package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// settings of a run.
type settings struct {
	calls int
	long  bool
}

// lab is two stations, A and B, at the ends of a cable, with a hub at A's end; or in machines that can move, with the
// hub at the router. Each has a microphone X_mic and a
// loudspeaker X_spk, null sinks of a sound server of its own. Real-time priorities are those that a station's unit
// gives.
type lab struct {
	ctx     context.Context
	set     settings
	dir     string
	bin     string
	sound   *stage.Sound
	cable   *stage.Cable
	router  *stage.Router // instead of the cable
	hub     *stage.Hub
	at      [2]*stage.Station
	events  [2]*stage.Events
	figures map[string]float64
}

// setup is what a part wants to be otherwise.
type setup struct {
	audio  string // more lines of [audio]
	echo   string // A's audio.echo
	source string // A's microphone instead of A_mic.monitor
	sound  stage.StartsSound
	moves  bool // the stations are in machines that can move
}

// part measures something and notes figures.
type part func(l *lab) error

// measure gives a part a folder, and ends all that it started.
func measure(ctx context.Context, bin string, p part, set settings, figures map[string]float64) (err error) {
	dir, err := os.MkdirTemp("", "intercom-lab-")
	if err != nil {
		return err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	l := &lab{ctx: ctx, set: set, dir: dir, bin: bin, figures: figures}
	defer func() {
		err = errors.Join(err, l.close())
		if err == nil {
			_ = os.RemoveAll(dir)
		} else {
			err = fmt.Errorf("%w (its files are in %s)", err, dir)
		}
	}()
	return p(l)
}

func (l *lab) close() error {
	var all []*stage.Process
	if l.sound != nil {
		all = append(all, l.sound.All()...)
	}
	if l.hub != nil {
		all = append(all, l.hub.Process)
	}
	for i, s := range l.at {
		if l.events[i] != nil {
			l.events[i].Close()
		}
		if s != nil {
			all = append(all, s.Process)
		}
	}
	err := stage.StopAll(all...)
	if l.cable != nil {
		l.cable.Cut()
	}
	if l.router != nil {
		l.router.Remove()
	}
	return err
}

// rig starts the sound server and lays the cable.
func (l *lab) rig(s setup) (err error) {
	start := s.sound
	if start == nil {
		start = stage.StartSound
	}
	if l.sound, err = start(l.ctx, l.dir, "A_mic", "A_spk", "B_mic", "B_spk"); err != nil {
		return err
	}
	for _, p := range l.sound.All() {
		// where it is not permitted, it is not so
		_ = exec.Command("chrt", "-a", "-r", "-p", "5", fmt.Sprint(p.PID())).Run()
	}
	if s.moves {
		l.router, err = stage.NewRouter("icl")
		err = errors.Join(err, l.router.Machine(machineA), l.router.Machine(machineB))
	} else {
		l.cable, err = stage.NewCable("icl")
	}
	return errors.Join(err, stage.Settled(l.in(0)...), stage.Settled(l.in(1)...))
}

// Numbers of the machines that can move.
const (
	machineA = 2
	machineB = 3
)

// in gives the command that runs another where A (0) or B (1) is.
func (l *lab) in(end int) []string {
	if l.router != nil {
		return l.router.In(machineA + end)
	}
	return l.cable.At(end)
}

// open starts everything.
func (l *lab) open(s setup) (err error) {
	if err := l.rig(s); err != nil {
		return err
	}
	hub := stage.HubSettings{Ring: 30 * time.Second, Extra: "allow_plain = true"}
	interfaces := []string{stage.CableInterface}
	if s.moves {
		hub.Listen, hub.Within = stage.RouterIP+":8080", l.router.At()
		interfaces = []string{"eth0", "eth1"}
	} else {
		hub.Listen, hub.Within = stage.CableA+":8080", l.cable.At(0)
	}
	if l.hub, err = stage.StartHub(l.ctx, l.dir, l.bin, hub); err != nil {
		return err
	}
	for i, cuid := range []string{"station_a", "station_b"} {
		name := string(rune('A' + i))
		source := name + "_mic.monitor"
		if i == 0 && s.source != "" {
			source = s.source
		}
		audio := s.audio
		if i == 0 && s.echo != "" {
			audio += fmt.Sprintf("\necho = %q", s.echo)
		}
		l.at[i], err = stage.NewStation(l.dir, l.bin, l.hub,
			stage.Settings{CUID: cuid, Name: cuid, Context: "Measuring", To: []string{"station_b", "station_a"}[i],
				Server: l.sound.Server, Sink: name + "_spk", Source: source, Audio: audio, Interfaces: interfaces,
				Within: slices.Concat(l.in(i), []string{"chrt", "-r", "1"})})
		if err != nil {
			return err
		}
		if err = l.at[i].Up(l.ctx); err != nil {
			return err
		}
		if l.events[i], err = l.at[i].Follow(l.ctx); err != nil {
			return err
		}
	}
	for _, t := range l.at {
		if err := t.Wait(l.ctx, "it was registered, with sound", func() bool {
			s, err := t.Status(l.ctx)
			return err == nil && s.Hub.Online && s.Sound.Sink != ""
		}); err != nil {
			return err
		}
	}
	return nil
}

// toneHz is unlike any tone that a station makes.
const toneHz = 1700

// call places a call from A to B and answers it. It says how long it took until B rang, and from the answer until A
// heard B's microphone.
func (l *lab) call() (ringing, sound float64, err error) {
	heard, err := ear.Record(l.sound.Server, "A_spk.monitor")
	if err != nil {
		return 0, 0, err
	}
	defer heard.Stop()
	steady, err := ear.Play(l.sound.Server, "B_mic", ear.Steady(toneHz, 20*time.Second))
	if err != nil {
		return 0, 0, err
	}
	defer steady.Stop()
	pressed := time.Now()
	if err := l.at[0].Press(l.ctx, "call"); err != nil {
		return 0, 0, err
	}
	e, err := l.events[1].Phase(l.ctx, "ringing")
	if err != nil {
		return 0, 0, err
	}
	if _, err := l.events[0].Phase(l.ctx, "ringback"); err != nil {
		return 0, 0, err
	}
	time.Sleep(time.Second) // the media path is made ready while it rings
	answered := time.Now()
	if err := l.at[1].Press(l.ctx, "answer"); err != nil {
		return 0, 0, err
	}
	for _, e := range l.events {
		if _, err := e.Phase(l.ctx, "talking"); err != nil {
			return 0, 0, err
		}
	}
	for sound = -1; sound < 0; sound = ear.Onset(heard, toneHz, answered) {
		if time.Since(answered) > 15*time.Second {
			return 0, 0, errors.New("no sound came within 15 s of the answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return float64(e.At.Sub(pressed).Microseconds()) / 1000, sound, nil
}

func (l *lab) hangUp() error {
	if err := l.at[0].Press(l.ctx, "hangup"); err != nil {
		return err
	}
	for _, e := range l.events {
		if _, err := e.Ended(l.ctx); err != nil {
			return err
		}
	}
	return nil
}

// record records all microphones and loudspeakers: A's and B's microphones, A's and B's loudspeakers.
func (l *lab) record() (all [4]*ear.Recorder, stop func(), err error) {
	stop = func() {
		for _, r := range all {
			if r != nil {
				r.Stop()
			}
		}
	}
	for i, source := range []string{"A_mic", "B_mic", "A_spk", "B_spk"} {
		if all[i], err = ear.Record(l.sound.Server, source+".monitor"); err != nil {
			stop()
			return all, stop, err
		}
	}
	return all, stop, nil
}

// both is what was heard in both directions.
type both struct {
	median, p95 float64 // of the worse direction, ms
	lost        int
	found       int
}

// bursts plays into both microphones at once, and finds them at the other ends.
func (l *lab) bursts(n int, seed uint64) (b both, err error) {
	rec, stop, err := l.record()
	if err != nil {
		return b, err
	}
	defer stop()
	for i, sink := range []string{"A_mic", "B_mic"} {
		p, err := ear.Play(l.sound.Server, sink, ear.Bursts(n, seed+uint64(i)))
		if err != nil {
			return b, err
		}
		defer p.Wait()
	}
	time.Sleep(time.Duration(n)*620*time.Millisecond + 2*time.Second)
	stop()
	for _, way := range [][2]*ear.Recorder{{rec[0], rec[3]}, {rec[1], rec[2]}} {
		found, missing := ear.Delays(way[0], way[1])
		b.median, b.p95 = max(b.median, ear.Quantile(found, 0.5)), max(b.p95, ear.Quantile(found, 0.95))
		b.lost += missing
		b.found += len(found)
	}
	if b.found == 0 {
		return b, errors.New("nothing was heard")
	}
	return b, nil
}

// speak says something at A for a time, and compares it with what is heard at B.
func (l *lab) speak(length time.Duration) (f ear.Fidelity, err error) {
	x, err := ear.Speech("en-gb", length)
	if err != nil {
		return f, err
	}
	rec, stop, err := l.record()
	if err != nil {
		return f, err
	}
	defer stop()
	p, err := ear.Play(l.sound.Server, "A_mic", x)
	if err != nil {
		return f, err
	}
	p.Wait()
	time.Sleep(500 * time.Millisecond)
	stop()
	return ear.Compare(rec[0], rec[3]), nil
}
