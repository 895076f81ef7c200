// Command intercom-load puts many stations on hubs: they sign in as real ones do, hold, call one another without sound,
// and come back when a hub dies.
//
//	intercom-load -hub ws://127.0.0.1:8443/v1/ws -account demo -apikey-file ./key -stations 1000 -rate 50 -for 10s
//	intercom-load bench -hub-program bin/intercom-hub      what make bench-hub runs: hubs of its own, all figures
//
// With -json it prints one line of JSON. Exit status: 0 all stations signed in and all calls went as they should, 1
// something did not, 64 wrong usage.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"intercom/internal/config"
)

const exUsage = 64

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "bench" {
		os.Exit(bench(ctx, os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// figures are what a run prints.
type figures struct {
	Stations int     `json:"stations"`
	Rate     float64 `json:"registrations_per_s"`
	Back     float64 `json:"storm_back_s,omitempty"` // from the first that was lost to the last that is back
	Calls    *calls  `json:"calls,omitempty"`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("intercom-load", flag.ContinueOnError)
	flags.SetOutput(stderr)
	hubs := flags.String("hub", "ws://127.0.0.1:8443/v1/ws",
		"`URLs` of the hubs, with commas between; stations are spread over them")
	account := flags.String("account", "demo", "account `id`")
	keyFile := flags.String("apikey-file", "", "`file` with the API key")
	caFile := flags.String("ca-file", "",
		"`file` with the authority of the hubs' certificates; the system's when empty")
	stations := flags.Int("stations", 100, "how `many`")
	prefix := flags.String("prefix", "load", "of their cuids")
	rate := flags.Float64("rate", 0, "calls a second; 0 for as many as go")
	length := flags.Duration("for", 0, "how long they call; 0 to hold only")
	hold := flags.Duration("hold", 0, "how long they hold before")
	storm := flags.Bool("storm", false, "wait for a hub to die, and measure how long it takes until all are back")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil || flags.NArg() > 0 {
		return exUsage
	}
	fail := func(err error) int {
		fmt.Fprintln(stderr, "intercom-load:", err)
		return 1
	}
	if *keyFile == "" {
		fmt.Fprintln(stderr, "intercom-load: -apikey-file is missing; make a key with 'intercom-hub key new'")
		return exUsage
	}
	t := target{URLs: strings.Split(*hubs, ","), Account: *account}
	var err error
	if t.APIKey, err = new(config.Report).ReadSecret(*keyFile); err != nil {
		return fail(err)
	}
	if t.TLS, err = trust(*caFile); err != nil {
		return fail(err)
	}
	began := time.Now()
	f := muster(ctx, t, *prefix, *stations, t.spread)
	defer f.dismiss()
	if err := f.await(ctx, *stations); err != nil {
		return fail(err)
	}
	r := figures{Stations: *stations, Rate: float64(*stations) / time.Since(began).Seconds()}
	sleep(ctx, *hold)
	if *storm {
		fmt.Fprintln(stderr, waiting)
		if r.Back, err = f.storm(ctx); err != nil {
			return fail(err)
		}
	}
	ok := true
	if *length > 0 {
		half := len(f.stations) / 2
		c := place(ctx, f.stations[:half], f.stations[half:2*half], *rate, *length)
		r.Calls = &c
		ok = c.Ended["over/hangup"] == c.Count
	}
	if *asJSON {
		_ = json.NewEncoder(stdout).Encode(r)
	} else {
		fmt.Fprintf(stdout, "%d stations signed in, %.0f a second\n", r.Stations, r.Rate)
		if r.Back > 0 {
			fmt.Fprintf(stdout, "all back after %.1f s\n", r.Back)
		}
		if c := r.Calls; c != nil {
			fmt.Fprintf(stdout, "%d calls, %.0f a second; invite to answered %.2f ms (p95 %.2f, p99 %.2f); %v\n",
				c.Count, c.Rate, c.P50, c.P95, c.P99, c.Ended)
		}
	}
	if !ok {
		return 1
	}
	return 0
}

// spread gives each station its own first hub, and the others after it.
func (t target) spread(i int) []string {
	n := i % len(t.URLs)
	return append(append([]string{}, t.URLs[n:]...), t.URLs[:n]...)
}

// waiting is said when all are signed in and a hub may die.
const waiting = "intercom-load: all stations are signed in; waiting for a hub to die"

// storm waits until stations are lost, and gives the time from then until all are back.
func (f *fleet) storm(ctx context.Context) (seconds float64, err error) {
	all := int64(len(f.stations))
	for f.up.Load() == all {
		if sleep(ctx, time.Millisecond); ctx.Err() != nil {
			return 0, errors.New("no hub died")
		}
	}
	lost := time.Now()
	err = f.await(ctx, int(all))
	return time.Since(lost).Seconds(), err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func trust(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return nil, nil
	}
	b, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
