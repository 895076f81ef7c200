// Command intercomd is the daemon of a door station or kiosk: buttons and LEDs, sound, calls.
//
//	intercomd -config FILE          run
//	intercomd check -config FILE    check the configuration and end
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
	"syscall"

	"intercom/device"
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
	check := len(args) > 0 && args[0] == "check"
	if check {
		args = args[1:]
	}
	flags := flag.NewFlagSet("intercomd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: intercomd [check] -config FILE")
		flags.PrintDefaults()
	}
	file := flags.String("config", "/etc/intercomd/intercomd.toml", "configuration `file`")
	asked := flags.Bool("version", false, "say which release this is, and end")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "intercomd: %q is not understood; there is only the command check\n", flags.Arg(0))
		return exUsage
	}
	if *asked {
		fmt.Fprintln(stdout, version.Line("intercomd"))
		return 0
	}
	cfg := device.Defaults()
	if err := config.Load(*file, cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return exConfig
	}
	if check {
		fmt.Fprintf(stdout, "%s is valid\n", *file)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *file, cfg); err != nil {
		fmt.Fprintln(stderr, "intercomd:", err)
		return 1
	}
	return 0
}
