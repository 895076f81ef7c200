package main

import (
	"errors"
	"fmt"
	"math"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// A move is something that happens to the network of a machine, and what takes it back; N is the machine's number. Each
// breaks the path that there was.
var moves = []struct {
	name     string
	do, undo []string
}{
	{"address", []string{"addr del 10.N.0.2/24 dev eth0", "addr add 10.N.0.7/24 dev eth0",
		"route replace default via 10.N.0.1 metric 600"},
		[]string{"addr del 10.N.0.7/24 dev eth0", "addr add 10.N.0.2/24 dev eth0",
			"route replace default via 10.N.0.1 metric 600"}},
	{"ethernet", []string{"addr add 10.N.1.2/24 dev eth1", "route add default via 10.N.1.1 metric 100",
		"link set eth0 down"},
		[]string{"link set eth0 up", "route replace default via 10.N.0.1 metric 600", "addr del 10.N.1.2/24 dev eth1"}},
	{"route", []string{"addr add 10.N.1.2/24 dev eth1", "route add default via 10.N.1.1 metric 100"},
		[]string{"route del default metric 100", "addr del 10.N.1.2/24 dev eth1"}},
}

// Tones that are unlike any that a station makes, and unlike each other.
const (
	hzA = 1700
	hzB = 2300
)

// move is how long it takes until each side hears the other again when a station's address changes, when it goes from
// one interface to another, and when the default route does, with both addresses kept. A median of moves, there and
// back, in one call for each.
func move(l *lab) error {
	if err := l.open(setup{moves: true}); err != nil {
		return err
	}
	if _, _, err := l.call(); err != nil {
		return err
	}
	for i, sink := range []string{"A_mic", "B_mic"} {
		p, err := ear.Play(l.sound.Server, sink, ear.Steady([]float64{hzA, hzB}[i], 15*time.Minute))
		if err != nil {
			return err
		}
		defer p.Stop()
	}
	return l.moveEach("move", machineA, "mover", "peer", l.moveOnce)
}

// webMove is the same with a browser at B, where the station moves, and where the browser does. It counts the packets
// that come at both ends: a browser takes a steady tone for noise, and both at once for an echo.
func webMove(l *lab) error {
	if err := l.open(setup{moves: true}); err != nil {
		return err
	}
	b, err := l.browse(1, "browser_b")
	if err != nil {
		return err
	}
	defer b.close()
	if _, _, err := l.callStation(b); err != nil {
		return err
	}
	once := func(machine int, commands []string) (atA, atB float64, err error) {
		return l.countOnce(b, machine, commands)
	}
	if err := l.moveEach("station_moves", machineA, "station", "browser", once); err != nil {
		return err
	}
	return l.moveEach("browser_moves", machineB, "station", "browser", once)
}

// countOnce makes one move, and says for how long after it nothing came at A and at B.
func (l *lab) countOnce(b *browser, machine int, commands []string) (atA, atB float64, err error) {
	const (
		poll  = 20 * time.Millisecond
		stall = 200 * time.Millisecond // longer than the network of the lab, or a busy machine, holds packets up
		begin = 6 * time.Second        // that silence may take to begin
		most  = 40 * time.Second
	)
	time.Sleep(3 * time.Second)
	moved := time.Now()
	done := make(chan error, 1)
	go func() { done <- l.router.IP(machine, stage.Numbered(machine, commands)...) }()
	var count [2]float64
	var last, back [2]time.Time
	for time.Since(moved) < most {
		s, err := l.at[0].Status(l.ctx)
		if err != nil {
			return 0, 0, err
		}
		if s.Quality == nil {
			return 0, 0, errors.New("the call is over")
		}
		got, err := b.do("received", nil)
		if err != nil {
			return 0, 0, err
		}
		now, whole := time.Now(), true
		for i, n := range []float64{float64(s.Quality.Receiving.Received), got} {
			if n > count[i] {
				if !last[i].IsZero() && back[i].IsZero() && now.Sub(last[i]) > stall {
					back[i] = now
				}
				count[i], last[i] = n, now
			}
			whole = whole && (!back[i].IsZero() || now.Sub(moved) > begin && now.Sub(last[i]) < stall)
		}
		if whole {
			for i, at := range []*float64{&atA, &atB} {
				if !back[i].IsZero() {
					*at = float64(back[i].Sub(moved).Microseconds()) / 1000
				}
			}
			return atA, atB, <-done
		}
		time.Sleep(poll)
	}
	return 0, 0, errors.New("nothing came any more")
}

// moveEach makes all moves at a machine, and notes what A and B hear of them.
func (l *lab) moveEach(name string, machine int, a, b string,
	once func(machine int, commands []string) (atA, atB float64, err error)) error {
	for _, m := range moves {
		var atA, atB []float64
		for run := range l.set.calls {
			commands := m.do
			if run%2 == 1 {
				commands = m.undo
			}
			backA, backB, err := once(machine, commands)
			if err != nil {
				return fmt.Errorf("%s %s, move %d: %w", name, m.name, run+1, err)
			}
			atA, atB = append(atA, backA), append(atB, backB)
		}
		if l.set.calls%2 == 1 {
			if _, _, err := once(machine, m.undo); err != nil {
				return err
			}
		}
		for who, all := range map[string][]float64{a: atA, b: atB} {
			l.figures[fmt.Sprintf("%s_%s_%s_ms", name, m.name, who)] = round(median(all))
			l.figures[fmt.Sprintf("%s_%s_%s_longest_ms", name, m.name, who)] = round(ear.Quantile(all, 1))
		}
	}
	return nil
}

// moveOnce makes one move, and says how long after it A and B heard the other again.
func (l *lab) moveOnce(machine int, commands []string) (atA, atB float64, err error) {
	const before, steady, most = time.Second, 2 * time.Second, 40 * time.Second
	var rec [2]*ear.Recorder
	for i, source := range []string{"A_spk", "B_spk"} {
		if rec[i], err = ear.Record(l.sound.Server, source+".monitor"); err != nil {
			return 0, 0, err
		}
		defer rec[i].Stop()
	}
	time.Sleep(before)
	moved := time.Now()
	if err := l.router.IP(machine, stage.Numbered(machine, commands)...); err != nil {
		return 0, 0, err
	}
	for {
		var whole [2]bool
		atA, whole[0] = back(rec[0], hzB, moved)
		atB, whole[1] = back(rec[1], hzA, moved)
		if whole[0] && whole[1] {
			time.Sleep(steady)
			return atA, atB, nil
		}
		if time.Since(moved) > most {
			return 0, 0, errors.New("the sound did not come back")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// back says how long after a moment a tone was there again, in milliseconds; 0 if it was not away for longer than a
// click in the time that silence may take to begin. whole is false while it is not known. What is away later, on a
// machine that others use, is not of the move.
func back(r *ear.Recorder, hz float64, since time.Time) (ms float64, whole bool) {
	const (
		window = ear.Rate / 50 // 20 ms
		click  = 3             // windows
		again  = 15            // that the tone is there for good
		begins = 4.0           // seconds
	)
	clock, x, t0 := r.Clock(), r.Samples(), since.Sub(ear.Began).Seconds()
	away, there, gone, end := 0, 0, false, 0.0
	for i := 0; i+window < len(x); i += window {
		at := clock(i)
		if at < t0 {
			continue
		}
		if !tone(x[i:i+window], hz) {
			away, there = away+1, 0
			gone = gone || away > click
			continue
		}
		if there == 0 {
			end = at
		}
		away, there = 0, there+1
		if gone && there > again {
			return (end - t0) * 1000, true
		}
		if !gone && at > t0+begins {
			return 0, true
		}
	}
	return 0, false
}

// tone reports whether a block is mostly this tone.
func tone(x []float32, hz float64) bool {
	var re, im, all float64
	for k, v := range x {
		a := 2 * math.Pi * hz * float64(k) / ear.Rate
		re += float64(v) * math.Cos(a)
		im += float64(v) * math.Sin(a)
		all += float64(v) * float64(v)
	}
	n := float64(len(x))
	return all/n > 1e-5 && 2*(re*re+im*im)/n/all > 0.5
}
