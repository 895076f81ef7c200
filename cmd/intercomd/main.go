// Command intercomd is the daemon of a door station or kiosk: buttons and LEDs, sound, calls.
//
//	intercomd -config FILE          run
//	intercomd check -config FILE    check the configuration and end
//	intercomd config show           print it whole; with -origin, where each value comes from
//	intercomd -version              say which release this is
//
// Exit status: 0 stopped as asked, 1 something failed, 64 wrong usage, 78 the configuration is not valid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"intercom/device/rollback"
	"intercom/internal/config"
	"intercom/internal/version"
)

// Exit statuses as in sysexits.h.
const (
	exUsage  = 64
	exConfig = 78
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	command := ""
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = strings.TrimSpace(command+" "+args[0]), args[1:]
	}
	flags := flag.NewFlagSet("intercomd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: intercomd [check | config show [-origin]] [-config FILE]")
		flags.PrintDefaults()
	}
	file := flags.String("config", "/etc/intercomd/intercomd.toml", "configuration `file`; those in FILE.d lie over it")
	asked := flags.Bool("version", false, "say which release this is, and end")
	origin := flags.Bool("origin", false, "with config show: where each value comes from")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exUsage
	}
	command = strings.TrimSpace(command + " " + strings.Join(flags.Args(), " "))
	switch command {
	case "", "check", "config show":
	default:
		fmt.Fprintf(stderr, "intercomd: %q is not understood; there are the commands check and config show\n", command)
		return exUsage
	}
	if *asked {
		fmt.Fprintln(stdout, version.Line("intercomd"))
		return 0
	}
	if command != "" {
		cfg, origins, err := rollback.Read(*file)
		if err != nil {
			fmt.Fprintln(stderr, err)
			return exConfig
		}
		if command == "check" {
			fmt.Fprintf(stdout, "%s is valid\n", *file)
		} else {
			_, _ = stdout.Write(config.Show(cfg, origins, *origin))
		}
		return 0
	}
	cfg, conf, err := rollback.Open(*file)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exConfig
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, cfg, conf); err != nil {
		fmt.Fprintln(stderr, "intercomd:", err)
		return 1
	}
	return 0
}
