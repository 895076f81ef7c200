// Command intercom-attack attacks a hub and stations of its own, each a real process on loopback, and says what got
// through. "make test-attacks" runs it; docs/security.md names the attack, or the test, that tries to break each
// promise.
//
//	intercom-attack -bin bin                     everything
//	intercom-attack -bin bin -run 'relay/|cuid/' attacks whose name matches
//	intercom-attack -list                        their names, and what each does
//
// It prints a line for each attack, and with -json writes the report. Several are tried at once, but each flood alone:
// it is also measured, how long calls of others take from the invite to the answer meanwhile. Exit status: 0, 1 an
// attack got through or could not be tried, 64 wrong usage.
//
// # A new attack
//
// It is a function that takes a [trial], in a file of its theme, and a line in that file's list. It starts
// what it needs with the trial's methods; everything is stopped for it. It calls through for each thing that got
// through, and must for what has to work before the attack can be tried.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

const exUsage = 64

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// attack is something that somebody tries who must not succeed.
type attack struct {
	name string // theme/what, as docs/security.md has it
	does string // one sentence
	try  func(*trial)
}

// attacks are all that there are, by theme.
func attacks() []attack {
	return slices.Concat(accessAttacks, floodAttacks, excessAttacks, handshakeAttacks, formAttacks, cuidAttacks,
		callAttacks, mediaAttacks, doorAttacks, pageAttacks, relayAttacks, secretAttacks,
		falseHubAttacks, ruleAttacks, redirectAttacks)
}

// result is what came of an attack, as -json has it.
type result struct {
	Attack  string             `json:"attack"`
	Through []string           `json:"through,omitempty"` // what got through
	Failed  string             `json:"failed,omitempty"`  // why it could not be tried
	Figures map[string]float64 `json:"figures,omitempty"`
	Seconds float64            `json:"seconds"`
}

func (r result) String() string {
	switch {
	case r.Failed != "":
		return "not tried: " + r.Failed
	case len(r.Through) > 0:
		return "GOT THROUGH: " + join(r.Through)
	}
	return "held"
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("intercom-attack", flag.ContinueOnError)
	flags.SetOutput(stderr)
	bin := flags.String("bin", "bin", "`folder` of the programs")
	which := flags.String("run", "", "`pattern` (a regular expression) for the names of attacks to try; all when empty")
	list := flags.Bool("list", false, "say which attacks there are, and end")
	out := flags.String("json", "", "`file` for the report")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exUsage
	} else if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "intercom-attack: %q is not understood\n", flags.Args())
		flags.Usage()
		return exUsage
	}
	pattern, err := regexp.Compile(*which)
	if err != nil {
		fmt.Fprintf(stderr, "intercom-attack: -run: %v\n", err)
		return exUsage
	}
	chosen := slices.DeleteFunc(attacks(), func(a attack) bool { return !pattern.MatchString(a.name) })
	if len(chosen) == 0 {
		fmt.Fprintf(stderr, "intercom-attack: no attack matches %q; -list shows them\n", *which)
		return exUsage
	}
	if *list {
		w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
		for _, a := range chosen {
			fmt.Fprintf(w, "%s\t%s\n", a.name, a.does)
		}
		w.Flush()
		return 0
	}
	if *bin, err = filepath.Abs(*bin); err != nil {
		fmt.Fprintln(stderr, "intercom-attack:", err)
		return 1
	}
	report := tryAll(ctx, chosen, *bin, stdout)
	if ctx.Err() != nil {
		return 1
	}
	fmt.Fprintf(stdout, "%d passed, %d failed\n", count(report, true), count(report, false))
	if *out != "" {
		b, _ := json.MarshalIndent(report, "", "  ")
		if err := os.WriteFile(*out, append(b, '\n'), 0o644); err != nil {
			fmt.Fprintln(stderr, "intercom-attack:", err)
			return 1
		}
	}
	if count(report, false) > 0 {
		return 1
	}
	return 0
}

// together is how many attacks are tried at once: most of them wait, most of the time.
const together = 4

// measured tells the attacks that are tried alone, because what others notice of them is measured: the floods.
func (a attack) measured() bool { return strings.Contains(a.name, "flood") }

// tryAll tries attacks, says what came of each when it is over, and gives the report.
func tryAll(ctx context.Context, chosen []attack, bin string, stdout io.Writer) (report []result) {
	var mu sync.Mutex
	try := func(a attack) {
		r := perform(ctx, a, bin)
		mu.Lock()
		defer mu.Unlock()
		report = append(report, r)
		fmt.Fprintf(stdout, "%-28s %5.1f s  %s%s\n", r.Attack, r.Seconds, r, figures(r.Figures))
	}
	var all sync.WaitGroup
	places := make(chan struct{}, together)
	for _, a := range chosen {
		if !a.measured() && ctx.Err() == nil {
			places <- struct{}{}
			all.Go(func() { defer func() { <-places }(); try(a) })
		}
	}
	all.Wait()
	for _, a := range chosen {
		if a.measured() && ctx.Err() == nil {
			try(a)
		}
	}
	return report
}

// perform tries one attack, in a folder of its own.
func perform(ctx context.Context, a attack, bin string) result {
	began := time.Now()
	r := result{Attack: a.name, Figures: map[string]float64{}}
	dir, err := os.MkdirTemp("", "intercom-attack-")
	if err != nil {
		r.Failed = err.Error()
		return r
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	t := &trial{ctx: ctx, bin: bin, dir: dir, result: &r}
	t.run(a.try)
	r.Seconds = time.Since(began).Seconds()
	return r
}

func count(report []result, held bool) (n int) {
	for _, r := range report {
		if held == (r.Failed == "" && len(r.Through) == 0) {
			n++
		}
	}
	return n
}
