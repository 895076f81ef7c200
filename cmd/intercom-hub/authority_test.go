package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intercom/hub"
	"intercom/hub/authority"
	"intercom/internal/stage"
)

// A hub serves with a certificate of its own authority, gives the authority away without TLS, and takes a renewed
// certificate without a restart. One that has ended by the start is made anew.
func TestAHubWithAnAuthorityOfItsOwn(t *testing.T) {
	free, err := stage.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := begin(t, func(cfg *hub.Config) {
		cfg.TLSPrivate, cfg.CAListen = true, fmt.Sprint("127.0.0.1:", free[0])
		if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
			t.Fatal(err)
		}
		if _, err := authority.New(cfg.Authority(), []string{"intercom.lan"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(authority.HubFile(cfg.Authority()), []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	roots := x509.NewCertPool()
	text, err := os.ReadFile(authority.CAFile(cfg.Authority()))
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(text)
	serial := func() *big.Int {
		c, err := knock(t, cfg.Listen, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "intercom.lan",
			RootCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates[0].SerialNumber
	}
	first := serial()
	if _, err := knock(t, cfg.Listen, &tls.Config{MinVersion: tls.VersionTLS12, ServerName: "other.lan",
		RootCAs: roots}); err == nil {
		t.Error("it has a certificate for another name")
	}
	later := time.Now().Add(2 * time.Second)
	if _, err := authority.Renew(cfg.Authority(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(authority.HubFile(cfg.Authority()), later, later); err != nil { // a clock of whole seconds
		t.Fatal(err)
	}
	if serial().Cmp(first) == 0 {
		t.Error("a renewed certificate waits for a restart")
	}
	get := func(path string) (int, string) {
		r, err := http.Get("http://" + cfg.CAListen + path)
		// it starts beside the hub
		for end := time.Now().Add(10 * time.Second); err != nil &&
			time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			r, err = http.Get("http://" + cfg.CAListen + path)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return r.StatusCode, string(b)
	}
	if status, got := get("/ca.pem"); status != http.StatusOK || got != string(text) {
		t.Errorf("%d %s", status, got)
	}
	if status, got := get("/"); status != http.StatusOK || !strings.Contains(got, "intercom-hub tls show") {
		t.Errorf("%d %s", status, got)
	}
	for _, path := range []string{"/v1/session", "/healthz", "/setup", "/sdk/intercom.js"} {
		if status, _ := get(path); status != http.StatusNotFound {
			t.Errorf("%s without TLS: %d", path, status)
		}
	}
}

func TestAHubWithoutItsAuthorityDoesNotStart(t *testing.T) {
	cfg := hub.Defaults()
	cfg.TLSPrivate, cfg.StateDir = true, t.TempDir()
	if _, err := tlsConfig(cfg, nil); err == nil || !strings.Contains(err.Error(), "intercom-hub tls new") {
		t.Error(err)
	}
	if err := os.MkdirAll(cfg.Authority(), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Authority(), "ca.pem"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tlsConfig(cfg, nil); err == nil || !strings.Contains(err.Error(), "has no certificate") {
		t.Error(err)
	}
}
