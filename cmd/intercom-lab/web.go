package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"intercom/internal/ear"
)

// webGoals are what the figures of calls with a browser should reach. Those of the voice are also to be no more than
// between two Chromiums.
var webGoals = map[string]string{"click_to_ring_ms": "<= 100", "answer_to_sound_ms": "<= 200"}

// browser is a Chromium at one end of the cable, driven by web/test/bench/driver.js.
type browser struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// browse starts one at an end of the cable, as a device, with that end's microphone and loudspeaker.
func (l *lab) browse(end int, cuid string) (*browser, error) {
	side := string(rune('A' + end))
	// A browser takes no monitor of a sink for a microphone.
	if _, err := l.sound.Pactl("load-module", "module-remap-source", "master="+side+"_mic.monitor",
		"source_name="+side+"_in"); err != nil {
		return nil, err
	}
	web, err := filepath.Abs("web")
	if err != nil {
		return nil, err
	}
	args := slices.Concat(l.in(end), []string{"chrt", "-r", "1", "node_modules/.bin/node", "test/bench/driver.js"})
	b := &browser{cmd: exec.CommandContext(l.ctx, args[0], args[1:]...)}
	b.cmd.Dir, b.cmd.Stderr = web, os.Stderr
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewScanner(out)
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w; run 'make web'", err)
	}
	_, err = b.do("open", map[string]any{"hub": "http://" + l.hub.Addr, "key": l.hub.Key, "cuid": cuid,
		"server": l.sound.Server, "source": side + "_in", "sink": side + "_spk"})
	return b, err
}

// do has the browser do something, and gives what it replies.
func (b *browser) do(what string, args map[string]any) (reply float64, err error) {
	line := map[string]any{"do": what}
	for k, v := range args {
		line[k] = v
	}
	if err := json.NewEncoder(b.in).Encode(line); err != nil {
		return 0, err
	}
	if !b.out.Scan() {
		return 0, errors.Join(errors.New("the browser's driver has ended"), b.out.Err())
	}
	var r struct {
		OK    float64
		Error string
	}
	if err := json.Unmarshal(b.out.Bytes(), &r); err != nil {
		return 0, err
	}
	if r.Error != "" {
		return 0, fmt.Errorf("%s: %s", what, r.Error)
	}
	return r.OK, nil
}

func (b *browser) close() {
	b.in.Close() // it ends by itself
	_ = b.cmd.Wait()
}

// ways is the delay in each direction: from A's microphone to B's loudspeaker, and back.
func (l *lab) ways(n int, seed uint64) (ab, ba float64, err error) {
	rec, stop, err := l.record()
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	// One direction after the other: a browser's echo canceller takes what both say at once for an echo.
	for i, sink := range []string{"A_mic", "B_mic"} {
		p, err := ear.Play(l.sound.Server, sink, ear.Bursts(n, seed+uint64(i)))
		if err != nil {
			return 0, 0, err
		}
		p.Wait()
		time.Sleep(time.Second)
	}
	stop()
	there, _ := ear.Delays(rec[0], rec[3])
	back, _ := ear.Delays(rec[1], rec[2])
	if len(there) == 0 || len(back) == 0 {
		return 0, 0, errors.New("nothing was heard")
	}
	return median(there), median(back), nil
}

// web measures calls between a station and Chromium, and between two Chromiums.
func web(l *lab) error {
	if err := l.open(setup{}); err != nil {
		return err
	}
	b, err := l.browse(1, "browser_b")
	if err != nil {
		return err
	}
	defer b.close()
	var rings, sounds, toBrowser, toStation []float64
	for i := range l.set.calls {
		ring, sound, err := l.callStation(b)
		if err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
		time.Sleep(3 * time.Second) // until the jitter buffers have settled
		ab, ba, err := l.ways(8, uint64(10*i+1))
		if err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
		if _, err := b.do("hangup", nil); err != nil {
			return err
		}
		if _, err := l.events[0].Ended(l.ctx); err != nil {
			return err
		}
		rings, sounds, toBrowser, toStation = append(rings, ring), append(sounds, sound), append(toBrowser,
			ab), append(toStation, ba)
	}
	l.figures["click_to_ring_ms"], l.figures["answer_to_sound_ms"] = round(median(rings)), round(median(sounds))
	l.figures["mouth_to_ear_station_to_browser_ms"],
		l.figures["mouth_to_ear_browser_to_station_ms"] = round(median(toBrowser)), round(median(toStation))

	a, err := l.browse(0, "browser_a")
	if err != nil {
		return err
	}
	defer a.close()
	var pair []float64
	for i := range l.set.calls {
		if _, err := b.do("call", map[string]any{"to": "browser_a"}); err != nil {
			return err
		}
		for _, step := range []struct {
			who  *browser
			what string
			args map[string]any
		}{{a, "state", map[string]any{"state": "ringing"}}, {b, "state", map[string]any{"state": "ringing"}},
			{a, "answer", nil}, {a, "state", map[string]any{"state": "talking"}},
			{b, "state", map[string]any{"state": "talking"}}} {
			if _, err := step.who.do(step.what, step.args); err != nil {
				return err
			}
		}
		time.Sleep(3 * time.Second)
		ab, ba, err := l.ways(8, uint64(10*i+5))
		if err != nil {
			return fmt.Errorf("two browsers, call %d: %w", i+1, err)
		}
		pair = append(pair, ab, ba)
		for _, one := range []*browser{b, a} {
			if _, err := one.do("hangup", nil); err != nil {
				return err
			}
		}
	}
	l.figures["chromium_pair_ms"] = round(median(pair))
	return nil
}

// callStation places a call from the browser to station A and answers it there. It says how long it took from the click
// until A rang, and from the answer until the browser was heard to play A's microphone.
func (l *lab) callStation(b *browser) (ring, sound float64, err error) {
	heard, err := ear.Record(l.sound.Server, "B_spk.monitor")
	if err != nil {
		return 0, 0, err
	}
	defer heard.Stop()
	steady, err := ear.Play(l.sound.Server, "A_mic", ear.Steady(toneHz, 20*time.Second))
	if err != nil {
		return 0, 0, err
	}
	defer steady.Stop()
	clicked, err := b.do("call", map[string]any{"to": l.at[0].CUID})
	if err != nil {
		return 0, 0, err
	}
	e, err := l.events[0].Phase(l.ctx, "ringing")
	if err != nil {
		return 0, 0, err
	}
	if _, err := b.do("state", map[string]any{"state": "ringing"}); err != nil {
		return 0, 0, err
	}
	time.Sleep(time.Second) // the media path is made ready while it rings
	answered := time.Now()
	if err := l.at[0].Press(l.ctx, "answer"); err != nil {
		return 0, 0, err
	}
	if _, err := b.do("state", map[string]any{"state": "talking"}); err != nil {
		return 0, 0, err
	}
	if _, err := l.events[0].Phase(l.ctx, "talking"); err != nil {
		return 0, 0, err
	}
	for sound = -1; sound < 0; sound = ear.Onset(heard, toneHz, answered) {
		if time.Since(answered) > 10*time.Second {
			return 0, 0, errors.New("no sound came within 10 s of the answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return float64(e.At.UnixMicro())/1000 - clicked, sound, nil
}
