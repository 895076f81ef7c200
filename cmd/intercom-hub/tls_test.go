package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intercom/device/setup"
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

// begin serves a hub with the account demo, set as it is wanted, until the test ends.
func begin(t *testing.T, change func(cfg *hub.Config)) (cfg *hub.Config, key string) {
	t.Helper()
	dir := t.TempDir()
	free, err := stage.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg = hub.Defaults()
	cfg.Name, cfg.Listen, cfg.Accounts, cfg.StateDir = "hub", fmt.Sprint("127.0.0.1:", free[0]), filepath.Join(dir,
		"accounts"), filepath.Join(dir, "hub")
	cfg.LogLevel = "error"
	change(cfg)
	if key, err = access.NewKey(cfg.Accounts, "demo", time.Now()); err != nil {
		t.Fatal(err)
	}
	accounts, _ := access.Open(cfg.Accounts) // without what change broke
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, cfg, accounts) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return cfg, key
}

// knock makes a TLS connection, as soon as the hub is there.
func knock(t *testing.T, address string, cfg *tls.Config) (*tls.Conn, error) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", address)
		if err != nil && time.Now().Before(end) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		s := tls.Client(c, cfg)
		return s, s.HandshakeContext(t.Context())
	}
}

func TestTLSFromFilesAndNoWayAroundIt(t *testing.T) {
	dir := t.TempDir()
	cfg, key := begin(t, func(cfg *hub.Config) {
		var err error
		if cfg.TLSCert, cfg.TLSKey, err = stage.Certificate(dir); err != nil {
			t.Fatal(err)
		}
	})
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := new(config.Report).ReadSecret(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	try := func(caFile string) error {
		tls, err := (&setup.Hub{CAFile: caFile}).TLS()
		if err != nil {
			t.Fatal(err)
		}
		heard := make(news, 64)
		lctx, stop := context.WithCancel(t.Context())
		defer stop()
		l := link.New(link.Config{URLs: []string{"wss://" + cfg.Listen + wire.Path}, Account: "demo", APIKey: secret,
			CUID: "front_door", Instance: "i", TLS: tls},
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

func TestOldTLSIsRefused(t *testing.T) {
	dir := t.TempDir()
	cfg, _ := begin(t, func(cfg *hub.Config) {
		var err error
		if cfg.TLSCert, cfg.TLSKey, err = stage.Certificate(dir); err != nil {
			t.Fatal(err)
		}
	})
	pem, err := os.ReadFile(cfg.TLSCert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for version, good := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true,
		tls.VersionTLS13: true} {
		_, err := knock(t, cfg.Listen, &tls.Config{MinVersion: version, MaxVersion: version, RootCAs: roots,
			ServerName: "127.0.0.1"})
		if (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	plain, err := http.Get("http://" + cfg.Listen + "/healthz")
	if err == nil {
		plain.Body.Close()
		if plain.StatusCode == http.StatusOK {
			t.Error("it answers without TLS")
		}
	}
}

// A renewed certificate is served without a restart; half of one changes nothing.
func TestANewCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := stage.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{cert: cert, key: key, log: slog.New(slog.DiscardHandler)}
	first, err := c.get(nil)
	if err != nil {
		t.Fatal(err)
	}
	renewed, newKey, err := stage.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now()
	put := func(from, to string) {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
		if later = later.Add(time.Second); err == nil {
			err = os.Chtimes(to, later, later)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(renewed, cert)
	if got, err := c.get(nil); err != nil || got != first {
		t.Errorf("half of the new one is served: %v", err)
	}
	put(newKey, key)
	if got, err := c.get(nil); err != nil || got == first {
		t.Errorf("the old one is still served: %v", err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if got, err := c.get(nil); err != nil || got == nil {
		t.Errorf("a key that is gone takes the certificate away: %v", err)
	}
}
