package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"

	"intercom/hub"
	"intercom/internal/stage"
)

// acmeServer is a real ACME server (Pebble, of the makers of Let's Encrypt) that asks for proof at the hub's port, and
// a DNS server that says that every name is this machine.
func acmeServer(t *testing.T, hubPort string) (directory, caFile string, roots *x509.CertPool) {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	quiet := log.New(io.Discard, "", 0)
	at, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names := at.LocalAddr().String()
	at.Close()
	dns, err := challtestsrv.New(challtestsrv.Config{DNSAddrs: []string{names}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	dns.SetDefaultDNSIPv6("")
	go dns.Run()
	t.Cleanup(dns.Shutdown)

	port, err := strconv.Atoi(hubPort)
	if err != nil {
		t.Fatal(err)
	}
	store := db.NewMemoryStore()
	signer := ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {}})
	front := wfe.New(quiet, store, va.New(quiet, 80, port, true, names, store), signer, []string{"pebble.test"}, true,
		false, 0, 0)
	dir := t.TempDir()
	cert, key, err := stage.Certificate(dir)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(front.Handler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)

	manage := httptest.NewServer(front.ManagementHandler())
	defer manage.Close()
	r, err := http.Get(manage.URL + wfe.RootCertPath + "0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return s.URL + wfe.DirectoryPath, cert, roots
}

func TestACertificateOverACME(t *testing.T) {
	var roots *x509.CertPool
	cfg, _ := begin(t, func(cfg *hub.Config) {
		_, port, err := net.SplitHostPort(cfg.Listen)
		if err != nil {
			t.Fatal(err)
		}
		cfg.ACME.Domains, cfg.ACME.AcceptTerms, cfg.ACME.Email = []string{"hub.example.org"}, true, "admin@example.org"
		cfg.ACME.Directory, cfg.ACME.CAFile, roots = acmeServer(t, port)
	})
	c, err := knock(t, cfg.Listen, &tls.Config{ServerName: "hub.example.org", RootCAs: roots})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || !strings.Contains(string(answer), " 200 OK") {
		t.Errorf("%s %v", answer, err)
	}
	if kept, err := filepath.Glob(filepath.Join(cfg.StateDir, "acme", "hub.example.org*")); err != nil ||
		len(kept) == 0 {
		t.Errorf("the certificate is not kept: %v", err)
	}
	if _, err := knock(t, cfg.Listen, &tls.Config{ServerName: "other.example.org", RootCAs: roots}); err == nil {
		t.Error("another name has a certificate")
	}
}
