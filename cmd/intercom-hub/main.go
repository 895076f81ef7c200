// Command intercom-hub is the signalling server that stations and browsers sign in at.
//
// # Commands
//
//	intercom-hub -config FILE             run
//	intercom-hub check                    check the configuration and the accounts, and end
//	intercom-hub config show              print the configuration whole; with -origin, where each value comes from
//	intercom-hub config key|push|list     settings that stations are given by the hub
//	intercom-hub account new|list         accounts
//	intercom-hub key new|list|revoke      API keys of an account; a new one is printed this once
//	intercom-hub token                    a short-lived token for a browser
//	intercom-hub group set|list|remove    names under which several stations are called
//	intercom-hub user add|list|remove     operators of the console
//	intercom-hub tls new|renew|show       a certificate authority of the hub's own, for a house without a public name
//	intercom-hub stations                 the devices that are signed in at the hub of this machine
//	intercom-hub calls                    the call records of this machine
//
// Every command takes -config FILE; -h shows its flags.
//
// # Exit status
//
// 0 stopped as asked, 1 something failed, 64 wrong usage, 78 the configuration is not valid.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"intercom/hub"
	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/internal/version"
)

// Exit statuses as in sysexits.h.
const (
	exUsage  = 64
	exConfig = 78
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// job is what a command works with.
type job struct {
	cfg    *hub.Config
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	dir    *access.Directory // for commands that need it, without the files that have a problem
	wrong  config.Problems   // of those

	origins config.Origins // of cfg
}

// command is one of the words after intercom-hub.
type command struct {
	name, about string
	flags       func(*flag.FlagSet) func(*job) error // defines its flags, and gives what runs
	accounts    bool                                 // it needs the accounts
}

func commands() []command {
	return []command{
		{"", "run the hub", serveCommand, true},
		{"check", "check the configuration and the accounts", checkCommand, true},
		{"config show", "print the configuration whole; with -origin, where each value comes from", configShow, false},
		{"config key", "make a key that signs settings of stations", configKey, false},
		{"config push", "check, sign and give settings to stations", configPush, true},
		{"config list", "show which settings stations have", configList, true},
		{"account new", "make an account", accountNew, false},
		{"account list", "list the accounts", accountList, true},
		{"key new", "add an API key to an account; it is printed this once", keyNew, false},
		{"key list", "list the keys of an account", keyList, true},
		{"key revoke", "take a key away; who came in by it has to leave", keyRevoke, false},
		{"token", "make a short-lived token for a browser", tokenNew, true},
		{"group set", "make or change a group", groupSet, false},
		{"group list", "list the groups of an account", groupList, true},
		{"group remove", "take a group away", groupRemove, false},
		{"user add", "add an operator; the password is read from standard input", userAdd, false},
		{"user password", "change an operator's password; it is read from standard input", userPassword, false},
		{"user role", "change an operator's role", userRole, false},
		{"user list", "list the operators of an account", userList, true},
		{"user remove", "take an operator away", userRemove, false},
		{"tls new", "make a certificate authority of the hub's own, for a house without a public name", tlsNew, false},
		{"tls renew", "make the hub's certificate anew from that authority", tlsRenew, false},
		{"tls show", "show the fingerprint of that authority, and how long it is valid", tlsShow, false},
		{"stations", "show the devices that are signed in at the hub of this machine", stationsCommand, false},
		{"calls", "show the call records of this machine", callsCommand, false},
	}
}

// usageError is a wrong use of the command line.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// notValid is what is wrong with files that a command needs.
type notValid struct{ config.Problems }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c, rest, ok := find(args)
	if !ok {
		fmt.Fprintf(stderr, "intercom-hub: %q is not understood\n%s", strings.Join(args, " "), usage())
		return exUsage
	}
	flags := flag.NewFlagSet("intercom-hub "+c.name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "intercom-hub %s: %s\n", c.name, c.about)
		flags.PrintDefaults()
		if c.name == "" {
			fmt.Fprint(stderr, usage())
		}
	}
	file := flags.String("config", "/etc/intercom-hub/intercom-hub.toml", "configuration `file`")
	asked := flags.Bool("version", false, "say which release this is, and end")
	do := c.flags(flags)
	if err := flags.Parse(rest); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "intercom-hub: %q is not understood\n%s", flags.Arg(0), usage())
		return exUsage
	}
	if *asked {
		fmt.Fprintln(stdout, version.Line("intercom-hub"))
		return 0
	}
	j := &job{cfg: hub.Defaults(), stdin: stdin, stdout: stdout, stderr: stderr}
	var err error
	if j.origins, err = config.Read(*file, "INTERCOM_HUB", j.cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return exConfig
	}
	if c.accounts {
		j.dir, err = access.Open(j.cfg.Accounts)
		if err != nil && !errors.As(err, &j.wrong) { // of the folder
			fmt.Fprintln(stderr, err)
			return exConfig
		}
	}
	err = do(j)
	var wrong usageError
	var files notValid
	switch {
	case err == nil:
		return 0
	case errors.As(err, &files):
		fmt.Fprintln(stderr, err)
		return exConfig
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "intercom-hub: %v\n", err)
		return exUsage
	}
	fmt.Fprintln(stderr, "intercom-hub:", err)
	return 1
}

// find takes the command off the arguments: two words, one, or none.
func find(args []string) (c command, rest []string, ok bool) {
	words := 0
	for words < len(args) && words < 2 && !strings.HasPrefix(args[words], "-") {
		words++
	}
	for ; words >= 0; words-- {
		for _, c := range commands() {
			if c.name == strings.Join(args[:words], " ") && (words > 0 || len(args) == 0 ||
				strings.HasPrefix(args[0], "-")) {
				return c, args[words:], true
			}
		}
	}
	return command{}, nil, false
}

func usage() string {
	var b strings.Builder
	b.WriteString("usage: intercom-hub [COMMAND] [-config FILE] [FLAGS]\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-14s %s\n", c.name, c.about)
	}
	return b.String()
}

func serveCommand(*flag.FlagSet) func(*job) error {
	return func(j *job) error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if len(j.wrong) > 0 && len(j.dir.Accounts()) == 0 {
			return notValid{j.wrong}
		}
		return serve(ctx, j.cfg, j.dir)
	}
}

func checkCommand(*flag.FlagSet) func(*job) error {
	return func(j *job) error {
		if len(j.wrong) > 0 {
			return notValid{j.wrong}
		}
		if _, err := tlsConfig(j.cfg, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		fmt.Fprintf(j.stdout, "the configuration and %s are valid; %d accounts\n", j.cfg.Accounts,
			len(j.dir.Accounts()))
		return nil
	}
}

func configShow(f *flag.FlagSet) func(*job) error {
	origin := f.Bool("origin", false, "where each value comes from")
	return func(j *job) error {
		_, err := j.stdout.Write(config.Show(j.cfg, j.origins, *origin))
		return err
	}
}
