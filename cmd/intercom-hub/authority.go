package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"intercom/hub"
	"intercom/hub/authority"
	"intercom/web"
)

// This file is about the hub's own certificate authority: its commands, its renewal, and how browsers get it.

func tlsNew(f *flag.FlagSet) func(*job) error {
	hosts := f.String("host", "",
		"`names` and IP addresses by which browsers and stations reach the hub, with commas between")
	return func(j *job) error {
		if err := needs("host", *hosts); err != nil {
			return err
		}
		var all []string
		for h := range strings.SplitSeq(*hosts, ",") {
			all = append(all, strings.TrimSpace(h))
		}
		a, err := authority.New(j.cfg.Authority(), all, time.Now())
		if err != nil {
			return err
		}
		j.describe(a)
		if !j.cfg.TLSPrivate {
			fmt.Fprintln(j.stderr, "Set tls_private = true in the configuration and restart the hub; see docs/tls.md.")
		}
		return nil
	}
}

func tlsRenew(*flag.FlagSet) func(*job) error {
	return func(j *job) error {
		a, err := authority.Renew(j.cfg.Authority(), time.Now())
		if err == nil {
			j.describe(a)
		}
		return err
	}
}

func tlsShow(*flag.FlagSet) func(*job) error {
	return func(j *job) error {
		a, err := authority.Open(j.cfg.Authority())
		if err == nil {
			j.describe(a)
		}
		return err
	}
}

// describe shows what somebody compares who is to trust the authority.
func (j *job) describe(a *authority.Authority) {
	long, brief := a.Fingerprints()
	rows := [][]string{{"authority", a.Cert.Subject.CommonName}, {"file", authority.CAFile(j.cfg.Authority())},
		{"SHA-256", long}, {"SHA-1", brief},
		{"hosts", strings.Join(a.Hosts(), ", ")}, {"valid until", a.Cert.NotAfter.Format(time.DateOnly)}}
	if a.Hub != nil {
		rows = append(rows, []string{"hub's certificate until", a.Hub.NotAfter.Format(time.DateOnly)})
	} else {
		rows = append(rows, []string{"hub's certificate", "cannot be read; make it with 'intercom-hub tls renew'"})
	}
	j.table(rows...)
}

// renew keeps the certificate of the own authority valid, where there is one.
func renew(ctx context.Context, cfg *hub.Config, log *slog.Logger) error {
	if !cfg.TLSPrivate {
		<-ctx.Done()
		return nil
	}
	return authority.Keep(ctx, cfg.Authority(), log)
}

// giveCA serves the certificate of the own authority without TLS, for those who do not trust it yet, where it is
// wanted.
func giveCA(ctx context.Context, cfg *hub.Config, h *hub.Hub) error {
	if cfg.CAListen == "" {
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", cfg.CAListen)
	if err != nil {
		return err
	}
	return h.ServePages(ctx, l, web.Trust(caOf(cfg)))
}

// pages are those of the hub, with the certificate of its own authority.
func pages(cfg *hub.Config) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", web.Handler())
	mux.HandleFunc("GET "+web.CAPath, web.ServeCA(caOf(cfg)))
	return mux
}

// caOf is the file of the own authority; "" for a hub without.
func caOf(cfg *hub.Config) string {
	if !cfg.TLSPrivate {
		return ""
	}
	return authority.CAFile(cfg.Authority())
}
