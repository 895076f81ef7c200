package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"intercom/wire"
	"intercom/wire/link"
)

// sizes of a bench.
type sizes struct {
	stations int           // on one hub
	settle   time.Duration // before memory and processor are looked at
	watch    time.Duration // how long the processor is looked at
	calling  time.Duration
	rounds   int // of the race for a cuid
	fresh    int // calls to stations that have just signed in
	moving   int // stations that lose their hub of three
}

// goals are what the figures should reach; a name that ends in _per_s should be above, the others below.
var goals = map[string]float64{
	"idle_kib_per_device": 12, "idle_tls_kib_per_device": 22, "registrations_per_s": 2500, "call_setups_per_s": 1200,
	"invite_answered_p50_ms": 1.5,
	"invite_answered_p99_ms": 15, "cross_hub_p50_ms": 4, "storm_back_s": 6, "storm_back_tls_s": 25,
	"node_kill_known_p99_s": 5, "race_not_one_owner": 0,
	"false_offline_of_200": 0, "idle_cpu_percent": 1,
}

// bench measures hubs of its own and prints a table.
func bench(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("intercom-load bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	program := flags.String("hub-program", "bin/intercom-hub", "the hub's `program`")
	out := flags.String("json", "", "`file` for the figures")
	runs := flags.Int("runs", 3, "how often; the medians count")
	only := flags.String("only", "", "one of alone, tls, cluster; all when empty")
	stations := flags.Int("stations", 9900, "how `many` on one hub")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil || flags.NArg() > 0 {
		return exUsage
	}
	size := sizes{stations: *stations, settle: 25 * time.Second, watch: 20 * time.Second, calling: 10 * time.Second,
		rounds: 300, fresh: 200, moving: 300}
	all := map[string][]float64{}
	for i := range *runs {
		for _, part := range []struct {
			name string
			run  func(context.Context, string, string, sizes, map[string]float64) error
		}{{"alone", benchAlone}, {"tls", benchTLS}, {"cluster", benchCluster}} {
			if *only != "" && *only != part.name {
				continue
			}
			fmt.Fprintf(stderr, "bench: run %d of %d: %s\n", i+1, *runs, part.name)
			dir, err := os.MkdirTemp("", "intercom-bench-")
			if err != nil {
				fmt.Fprintln(stderr, "intercom-load:", err)
				return 1
			}
			got := map[string]float64{}
			err = part.run(ctx, dir, *program, size, got)
			if err != nil {
				fmt.Fprintf(stderr, "intercom-load: %s: %v (its files are in %s)\n", part.name, err, dir)
				return 1
			}
			os.RemoveAll(dir)
			for k, v := range got {
				all[k] = append(all[k], v)
			}
		}
	}
	medians := map[string]float64{}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tmedian\truns\tasked")
	for _, k := range slices.Sorted(maps.Keys(all)) {
		runs := fmt.Sprintf("%.4g", all[k])
		slices.Sort(all[k])
		medians[k] = all[k][len(all[k])/2]
		asked := ""
		if g, ok := goals[k]; ok {
			asked = fmt.Sprint(g)
		}
		fmt.Fprintf(w, "%s\t%.4g\t%s\t%s\n", k, medians[k], runs, asked)
	}
	w.Flush()
	if *out != "" {
		b, err := json.MarshalIndent(medians, "", "  ")
		if err = errors.Join(err, os.MkdirAll(filepath.Dir(*out), 0o755),
			os.WriteFile(*out, append(b, '\n'), 0o644)); err != nil {
			fmt.Fprintln(stderr, "intercom-load:", err)
			return 1
		}
	}
	return 0
}

// idle registers stations at a hub alone and sees what they cost; they stay.
func idle(ctx context.Context, c *cluster, s sizes, memory string, got map[string]float64) (*fleet, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	h := c.hubs[0]
	sleep(ctx, 2*time.Second)
	before := h.rss()
	began := time.Now()
	f := muster(ctx, t, "load", s.stations, t.spread)
	if err := f.await(ctx, s.stations); err != nil {
		f.dismiss()
		return nil, err
	}
	if !c.tls {
		got["registrations_per_s"] = float64(s.stations) / time.Since(began).Seconds()
	}
	sleep(ctx, s.settle)
	got[memory] = (h.rss() - before) / float64(s.stations)
	return f, nil
}

// back kills the hub and starts it again, and gives the time from its death until all stations are back.
func back(ctx context.Context, c *cluster, f *fleet) (float64, error) {
	h := c.hubs[0]
	began := time.Now()
	_ = h.Signal(syscall.SIGKILL)
	<-h.Ended()
	if err := c.up(ctx, h); err != nil {
		return 0, err
	}
	for f.up.Load() == int64(len(f.stations)) && ctx.Err() == nil { // none has noticed yet
		sleep(ctx, time.Millisecond)
	}
	err := f.await(ctx, len(f.stations))
	return time.Since(began).Seconds(), err
}

func benchAlone(ctx context.Context, dir, program string, s sizes, got map[string]float64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	c, err := newCluster(ctx, dir, program, 1, false, "")
	if err != nil {
		return err
	}
	defer c.stop()
	f, err := idle(ctx, c, s, "idle_kib_per_device", got)
	if err != nil {
		return err
	}
	defer f.dismiss()
	used := c.hubs[0].cpu()
	sleep(ctx, s.watch)
	got["idle_cpu_percent"] = 100 * (c.hubs[0].cpu() - used).Seconds() / s.watch.Seconds()
	if got["storm_back_s"], err = back(ctx, c, f); err != nil {
		return err
	}
	f.dismiss()

	t, err := c.target()
	if err != nil {
		return err
	}
	f = muster(ctx, t, "caller", 1200, t.spread)
	defer f.dismiss()
	if err := f.await(ctx, 1200); err != nil {
		return err
	}
	paced := place(ctx, f.stations[:600], f.stations[600:], 200, s.calling)
	full := place(ctx, f.stations[:600], f.stations[600:], 0, s.calling)
	got["invite_answered_p50_ms"], got["invite_answered_p99_ms"], got["call_setups_per_s"] = paced.P50,
		paced.P99, full.Rate
	for _, one := range []calls{paced, full} {
		if one.Ended["over/hangup"] != one.Count {
			return fmt.Errorf("calls ended otherwise: %v", one.Ended)
		}
	}
	return nil
}

func benchTLS(ctx context.Context, dir, program string, s sizes, got map[string]float64) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	c, err := newCluster(ctx, dir, program, 1, true, "")
	if err != nil {
		return err
	}
	defer c.stop()
	f, err := idle(ctx, c, s, "idle_tls_kib_per_device", got)
	if err != nil {
		return err
	}
	defer f.dismiss()
	got["storm_back_tls_s"], err = back(ctx, c, f)
	return err
}

func benchCluster(ctx context.Context, dir, program string, s sizes, got map[string]float64) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	c, err := newCluster(ctx, dir, program, 3, false, "")
	if err != nil {
		return err
	}
	defer c.stop()
	if got["cross_hub_p50_ms"], err = c.cross(ctx, s.calling); err != nil {
		return err
	}
	if got["false_offline_of_200"], err = c.freshCalls(ctx, s.fresh); err != nil {
		return err
	}
	if got["race_not_one_owner"], err = c.race(ctx, s.rounds); err != nil {
		return err
	}
	got["node_kill_known_p99_s"], err = c.killOne(ctx, s.moving)
	return err
}

// at signs stations in at one hub, and at no other.
func (t target) at(hub int) func(int) []string {
	return func(int) []string { return t.URLs[hub : hub+1] }
}

// cross places calls between stations of different hubs, and gives the median from invite to answered in milliseconds.
func (c *cluster) cross(ctx context.Context, length time.Duration) (float64, error) {
	t, err := c.target()
	if err != nil {
		return 0, err
	}
	a, b := muster(ctx, t, "near", 100, t.at(0)), muster(ctx, t, "far", 100, t.at(1))
	defer a.dismiss()
	defer b.dismiss()
	if err := errors.Join(a.await(ctx, 100), b.await(ctx, 100)); err != nil {
		return 0, err
	}
	got := place(ctx, a.stations, b.stations, 50, length)
	if got.Ended["over/hangup"] != got.Count {
		return 0, fmt.Errorf("calls across hubs ended otherwise: %v", got.Ended)
	}
	return got.P50, nil
}

// freshCalls calls stations of another hub at the moment at which they have signed in, and counts those that were said
// to be offline.
func (c *cluster) freshCalls(ctx context.Context, n int) (float64, error) {
	t, err := c.target()
	if err != nil {
		return 0, err
	}
	callers := muster(ctx, t, "caller", 20, t.at(0))
	defer callers.dismiss()
	if err := callers.await(ctx, 20); err != nil {
		return 0, err
	}
	var offline atomic.Int64
	var work sync.WaitGroup
	for i := range 20 {
		work.Go(func() {
			for k := range n / 20 {
				f := muster(ctx, t, fmt.Sprintf("fresh_%d_%d", i, k), 1, t.at(1+i%2))
				if f.await(ctx, 1) == nil {
					if a := callers.stations[i].call(ctx, f.stations[0].cuid); a.result.String() == "missed/offline" {
						offline.Add(1)
					}
				}
				f.dismiss()
			}
		})
	}
	work.Wait()
	return float64(offline.Load()), ctx.Err()
}

// race lets eight devices want one cuid at once, over all hubs, and counts the rounds after which not exactly one has
// it.
func (c *cluster) race(ctx context.Context, rounds int) (float64, error) {
	t, err := c.target()
	if err != nil {
		return 0, err
	}
	bad := 0
	for r := range rounds {
		var in atomic.Int64
		var work sync.WaitGroup
		// whoever is in stays until all have their answer, and is there when asked
		rctx, over := context.WithCancel(ctx)
		answered := make(chan struct{}, 8)
		for i := range 8 {
			work.Go(func() { claim(rctx, t, i, r, &in, answered) })
		}
		for range 8 {
			select {
			case <-answered:
			case <-ctx.Done():
			}
		}
		over()
		work.Wait()
		if in.Load() != 1 {
			bad++
		}
	}
	return float64(bad), ctx.Err()
}

// claimer is a device that wants a cuid and takes the first answer.
type claimer struct {
	in       *atomic.Int64
	answered chan struct{}
	once     sync.Once
}

func (c *claimer) Up(wire.WelcomeBody) {
	c.once.Do(func() { c.in.Add(1); c.answered <- struct{}{} })
}
func (c *claimer) Down(error)           { c.once.Do(func() { c.answered <- struct{}{} }) }
func (c *claimer) Receive(link.Message) {}

// claim is device i of a round.
func claim(ctx context.Context, t target, i, round int, in *atomic.Int64, answered chan struct{}) {
	c := &claimer{in: in, answered: answered}
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 2, byte(i), byte(1+round%250))}}
	l := link.New(link.Config{URLs: t.at(i % len(t.URLs))(0), Account: t.Account, APIKey: t.APIKey,
		CUID: fmt.Sprint("race_", round, "_x"), Instance: fmt.Sprint("device ", i), TLS: t.TLS, Dial: from.DialContext},
		c, func() []wire.CallRef { return nil }, slog.New(slog.DiscardHandler))
	_ = l.Run(ctx)
}

// killOne kills one hub of three, and gives the time after which 99 % of its stations are back elsewhere.
func (c *cluster) killOne(ctx context.Context, n int) (float64, error) {
	t, err := c.target()
	if err != nil {
		return 0, err
	}
	f := muster(ctx, t, "moving", n, t.spread)
	defer f.dismiss()
	if err := f.await(ctx, n); err != nil {
		return 0, err
	}
	began := time.Now()
	_ = c.hubs[0].Signal(syscall.SIGKILL)
	<-c.hubs[0].Ended()
	for f.up.Load() > int64(n-n/3) && ctx.Err() == nil { // until those of that hub have noticed
		sleep(ctx, time.Millisecond)
	}
	err = f.await(ctx, n-n/300)
	return time.Since(began).Seconds(), err
}
