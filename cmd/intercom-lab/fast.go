package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// fastSource is a sound server with one more microphone, A_fast, whose samples come from a pipe, by the clock of
// whoever writes them.
func fastSource(ctx context.Context, dir string, sinks ...string) (*stage.Sound, error) {
	s, err := stage.StartSound(ctx, dir, sinks...)
	if err != nil {
		return nil, err
	}
	if out, err := s.Pactl("load-module", "module-pipe-source", "source_name=A_fast", "file="+pipe(dir), "rate=48000",
		"channels=1", "format=s16le"); err != nil {
		return s, fmt.Errorf("module-pipe-source: %w: %s", err, out)
	}
	return s, nil
}

func pipe(dir string) string { return filepath.Join(dir, "fast.pipe") }

// feeder writes a burst a second into the pipe.
type feeder struct {
	quit, done chan struct{}
	mu         sync.Mutex
	said       []time.Time
}

// feed begins to write, on a clock that is so many parts in a million fast.
func feed(dir string, ppm float64) (*feeder, error) {
	w, err := os.OpenFile(pipe(dir), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := &feeder{quit: make(chan struct{}), done: make(chan struct{})}
	go f.run(w, ear.Rate*(1+ppm/1e6))
	return f, nil
}

func (f *feeder) run(w *os.File, rate float64) {
	defer close(f.done)
	defer w.Close()
	const every = ear.Rate // samples from burst to burst, but for a few, so that they fall anywhere in a frame
	chirp, began := ear.Chirp(), time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 0, 4096)
	for n, at := 0, 0; ; {
		select {
		case <-f.quit:
			return
		case <-tick.C:
		}
		buf = buf[:0]
		for due := int(time.Since(began).Seconds() * rate); n < due; n++ {
			if at == 0 {
				f.mu.Lock()
				f.said = append(f.said, began.Add(time.Duration(float64(n)/rate*float64(time.Second))))
				f.mu.Unlock()
			}
			v := float32(0)
			if at < len(chirp) {
				v = chirp[at]
			}
			buf = binary.LittleEndian.AppendUint16(buf, uint16(int16(v*32767)))
			if at++; at == every+len(f.said)%7*131 {
				at = 0
			}
		}
		if _, err := w.Write(buf); err != nil {
			return // the server is gone
		}
	}
}

// spoken are the times at which bursts began.
func (f *feeder) spoken() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said[:len(f.said):len(f.said)]
}

func (f *feeder) stop() {
	close(f.quit)
	<-f.done
}
