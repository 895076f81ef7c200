package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intercom/device"
	"intercom/hub"
	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/internal/stage"
	"intercom/wire"
	"intercom/wire/link"
)

// news is a handler that passes on how a link fares.
type news chan error

func (n news) Up(wire.WelcomeBody)  { n <- nil }
func (n news) Down(err error)       { n <- err }
func (n news) Receive(link.Message) {}

func TestTLSFromFilesAndNoWayAroundIt(t *testing.T) {
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := hub.Defaults()
	cfg.Name, cfg.Listen, cfg.Accounts, cfg.StateDir = "hub", free.Addr().String(), filepath.Join(dir, "accounts"), filepath.Join(dir, "hub")
	cfg.LogLevel = "error"
	if cfg.TLSCert, cfg.TLSKey, err = stage.Certificate(dir); err != nil {
		t.Fatal(err)
	}
	free.Close()
	key, err := access.NewKey(cfg.Accounts, "demo", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := access.Open(cfg.Accounts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- serve(ctx, cfg, accounts) }()
	defer func() { cancel(); <-done }()

	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := config.ReadSecret(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	try := func(caFile string) error {
		tls, err := (&device.HubConfig{CAFile: caFile}).TLS()
		if err != nil {
			t.Fatal(err)
		}
		heard := make(news, 64)
		lctx, stop := context.WithCancel(ctx)
		defer stop()
		l := link.New(link.Config{URLs: []string{"wss://" + cfg.Listen + wire.Path}, Account: "demo", APIKey: secret, CUID: "front_door", Instance: "i", TLS: tls},
			heard, func() []wire.CallRef { return nil }, slog.New(slog.DiscardHandler))
		ended := make(chan error, 1)
		go func() { ended <- l.Run(lctx) }()
		defer func() { stop(); <-ended }()
		for {
			err := <-heard
			if err == nil || !strings.Contains(err.Error(), "refused") { // the hub may still be starting
				return err
			}
		}
	}
	if err := try(cfg.TLSCert); err != nil {
		t.Errorf("with the hub's authority: %v", err)
	}
	if err := try(""); err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("with the system's authorities: %v", err)
	}
}
