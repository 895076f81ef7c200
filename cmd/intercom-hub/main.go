// Command intercom-hub is the signalling server that stations and browsers sign in at.
//
//	intercom-hub -config FILE                           run
//	intercom-hub check -config FILE                     check the configuration and the accounts, and end
//	intercom-hub key new -config FILE -account ID       add an API key to an account; it is printed this once
//
// Exit status: 0 stopped as asked, 1 something failed, 64 wrong usage, 78 the configuration is not valid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"intercom/hub"
	"intercom/internal/config"
	"intercom/internal/supervise"
	"intercom/systemd"
)

// Exit statuses as in sysexits.h.
const (
	exUsage  = 64
	exConfig = 78
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

const usage = `usage: intercom-hub [check] -config FILE
       intercom-hub key new -config FILE -account ID
`

func run(args []string, stdout, stderr io.Writer) int {
	command := ""
	switch {
	case len(args) > 0 && args[0] == "check":
		command, args = "check", args[1:]
	case len(args) > 1 && args[0] == "key" && args[1] == "new":
		command, args = "key new", args[2:]
	}
	flags := flag.NewFlagSet("intercom-hub", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	file := flags.String("config", "/etc/intercom-hub/intercom-hub.toml", "configuration `file`")
	account := ""
	if command == "key new" {
		flags.StringVar(&account, "account", "", "account `id` that the key is for; it is made if need be")
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "intercom-hub: %q is not understood\n%s", flags.Arg(0), usage)
		return exUsage
	}
	cfg := hub.Defaults()
	if err := config.Load(*file, cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return exConfig
	}
	if command == "key new" {
		return newKey(cfg, account, stdout, stderr)
	}
	accounts, err := hub.LoadAccounts(cfg.Accounts)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exConfig
	}
	if command == "check" {
		fmt.Fprintf(stdout, "%s and %s are valid; %d accounts\n", *file, cfg.Accounts, len(accounts.Account))
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, cfg, accounts); err != nil {
		fmt.Fprintln(stderr, "intercom-hub:", err)
		return 1
	}
	return 0
}

func newKey(cfg *hub.Config, account string, stdout, stderr io.Writer) int {
	if account == "" {
		fmt.Fprintln(stderr, "intercom-hub: name the account that the key is for: intercom-hub key new -account ID")
		return exUsage
	}
	key, err := hub.NewKey(cfg.Accounts, account, time.Now())
	if err != nil {
		fmt.Fprintln(stderr, "intercom-hub:", err)
		return 1
	}
	fmt.Fprintln(stdout, key)
	fmt.Fprintf(stderr, "Keep this key: it is not shown again. A running hub knows it after a restart.\n")
	return 0
}

// serve runs the hub until ctx ends, and then ends its calls and tells its devices.
func serve(ctx context.Context, cfg *hub.Config, accounts *hub.Accounts) error {
	log := systemd.Logger(config.Level(cfg.LogLevel))
	slog.SetDefault(log)
	if err := os.MkdirAll(filepath.Dir(cfg.Records), 0o750); err != nil {
		log.Warn("call records have no folder", "err", err)
	}
	records := hub.NewRecords(cfg.Records, log)
	h := hub.New(cfg.RingTime.Std(), accounts, records, log)
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; is another hub running, or is the port below 1024?", cfg.Listen, err)
	}
	if len(accounts.Account) == 0 {
		log.Warn("there are no accounts, so nobody can sign in; make one with 'intercom-hub key new -account ID'", "path", cfg.Accounts)
	}
	if cfg.TLSCert == "" && cfg.AllowPlain {
		log.Warn("serving without TLS because allow_plain is set; everybody on the way can listen in", "listen", cfg.Listen)
	}
	systemd.Ready()
	systemd.Status("Serving on " + l.Addr().String())
	log.Info("started", "listen", l.Addr().String(), "accounts", len(accounts.Account))
	context.AfterFunc(ctx, systemd.Stopping)
	return supervise.Run(ctx, log,
		supervise.Part{Name: "records", Run: records.Run},
		supervise.Part{Name: "http", Vital: true, Grace: 7 * time.Second, Run: func(ctx context.Context) error { return listen(ctx, l, cfg, h) }},
		supervise.Part{Name: "watchdog", Run: func(ctx context.Context) error { return systemd.Watchdog(ctx, log, h.Alive) }},
	)
}

func listen(ctx context.Context, l net.Listener, cfg *hub.Config, h *hub.Hub) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)}
	ended := make(chan error, 1)
	go func() {
		if cfg.TLSCert != "" {
			ended <- s.ServeTLS(l, cfg.TLSCert, cfg.TLSKey)
		} else {
			ended <- s.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	h.Stop()
	h.Wait(3 * time.Second)
	s.Close()
	<-ended
	return nil
}
