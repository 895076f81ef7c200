// Command intercom-lab measures the voice of two stations on a private sound server, over a cable between two network
// namespaces that can be made bad. It needs root, and what 'make bench-audio' installs.
//
//	intercom-lab -bin bin                       everything, as make bench-audio does
//	intercom-lab -bin bin -only clean,loss5     some of it
//	intercom-lab -bin bin -only web,webmove     calls with a browser, as make bench-web does
//
// It prints a table, and with -json writes the figures. Exit status: 0, 1 something could not be measured, 64 wrong
// usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
)

const exUsage = 64

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// goals are what the figures should reach: at least, or at most.
var goals = map[string]string{
	"mouth_to_ear_median_ms": "<= 50", "mouth_to_ear_p95_ms": "<= 60", "mouth_to_ear_10ms_median_ms": "<= 45",
	"pipewire_extra_ms":  "<= 15",
	"answer_to_sound_ms": "<= 60", "press_to_ringing_ms": "<= 40", "press_to_light_ms": "<= 50",
	"press_to_tone_ms": "<= 150", "corr_median": ">= 0.98", "gaps_100ms": "<= 0", "drift_delay_change_ms": "<= 10",
	"loss5_lost": "<= 0", "loss5_median_ms": "<= 90", "loss10_lost": "<= 0", "loss10_median_ms": "<= 100",
	"loss10_good_share": ">= 0.9", "recover_s": "<= 10",
	"cpu_s_per_min": "<= 4", "pss_mib": "<= 20", "wakeups_per_s": "<= 600", "idle_wakeups_per_s": "<= 15",
	"echo_loss_db": ">= 25",
}

// moveGoal is when both have to hear each other again after a move.
const moveGoal = "<= 5000"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("intercom-lab", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "bin", "`folder` of the programs")
	only := flags.String("only", "", "`parts` to measure, with commas between; all when empty: "+
		strings.Join(names(), ", "))
	calls := flags.Int("calls", 5, "how `many` of each kind")
	long := flags.Bool("long", os.Getenv("LONG") != "", "measure drift over half an hour instead of five minutes")
	out := flags.String("json", "", "`file` for the figures")
	svg := flags.String("svg", "", "`file` for a drawing of the delay beside that of others")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exUsage
	} else if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "intercom-lab: %q is not understood\n", flags.Args())
		flags.Usage()
		return exUsage
	}
	wanted := names()
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	goals := goals
	if strings.HasPrefix(*only, "web") {
		goals = webGoals
	}
	figures := map[string]float64{}
	failed := false
	for _, name := range wanted {
		part := parts[name]
		if part == nil {
			fmt.Fprintf(stderr, "intercom-lab: there is no part %q; there are %s\n", name, strings.Join(names(), ", "))
			return exUsage
		}
		fmt.Fprintf(stderr, "lab: %s\n", name)
		if err := measure(ctx, *bin, part, settings{calls: *calls, long: *long}, figures); err != nil {
			fmt.Fprintf(stderr, "intercom-lab: %s: %v\n", name, err)
			failed = true
		}
		if ctx.Err() != nil {
			return 1
		}
	}
	table(stdout, figures, goals)
	if err := write(*out, *svg, figures); err != nil {
		fmt.Fprintln(stderr, "intercom-lab:", err)
		return 1
	}
	if failed {
		return 1
	}
	return 0
}

func table(stdout io.Writer, figures map[string]float64, goals map[string]string) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tmeasured\tasked\t")
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		g, note := goals[name], ""
		if strings.Contains(name, "move") && !strings.Contains(name, "longest") {
			g = moveGoal
		}
		if g != "" && !reached(figures[name], g) {
			note = "not reached"
		}
		fmt.Fprintf(w, "%s\t%g\t%s\t%s\n", name, figures[name], g, note)
	}
	w.Flush()
}

func reached(v float64, goal string) bool {
	var limit float64
	_, _ = fmt.Sscanf(goal[3:], "%g", &limit)
	if strings.HasPrefix(goal, ">=") {
		return v >= limit
	}
	return v <= limit
}

func write(out, svg string, figures map[string]float64) error {
	for path, text := range map[string]func() []byte{
		out: func() []byte { b, _ := json.MarshalIndent(figures, "", "  "); return append(b, '\n') },
		svg: func() []byte { return draw(figures) },
	} {
		if path == "" {
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text(), 0o644)); err != nil {
			return err
		}
	}
	return nil
}
