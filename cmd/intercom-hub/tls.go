package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"intercom/hub"
	"intercom/hub/authority"
)

// tlsConfig is how the hub proves who it is: by a certificate from files, by one that an authority gives it over ACME
// (RFC 8555), by one of its own authority, or not at all (nil).
func tlsConfig(cfg *hub.Config, log *slog.Logger) (*tls.Config, error) {
	switch {
	case cfg.TLSCert != "":
		return fromFiles(cfg.TLSCert, cfg.TLSKey, log)
	case cfg.TLSPrivate:
		a, err := authority.Open(cfg.Authority())
		if err == nil && a.Due(time.Now()) {
			if _, rerr := authority.Renew(cfg.Authority(), time.Now()); a.Hub == nil {
				err = rerr // otherwise the old one may still do
			}
		}
		if err != nil {
			return nil, err
		}
		return fromFiles(authority.HubFile(cfg.Authority()), authority.HubFile(cfg.Authority()), log)
	case len(cfg.ACME.Domains) > 0:
		return acmeConfig(&cfg.ACME, filepath.Join(cfg.StateDir, "acme"))
	}
	return nil, nil
}

func fromFiles(cert, key string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{cert: cert, key: key, log: log}
	_, err := c.get(nil)
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, err
}

// certificate is one from files, read again when they have changed.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu     sync.Mutex
	loaded *tls.Certificate
	of     [2]time.Time // when the files of the loaded one were written
	told   string
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := [2]time.Time{written(c.cert), written(c.key)}
	if c.loaded != nil && now == c.of {
		return c.loaded, nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	switch {
	case err == nil:
		if c.loaded != nil {
			c.log.Info("the certificate was read again", "path", c.cert)
		}
		c.loaded, c.of, c.told = &pair, now, ""
	case c.loaded == nil:
		return nil, fmt.Errorf("cannot read the hub's certificate: %w", err)
	case err.Error() != c.told: // perhaps half of the two is written
		c.told = err.Error()
		c.log.Error("the new certificate cannot be read; the old one stays", "path", c.cert, "err", err)
	}
	return c.loaded, nil
}

func written(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// acmeConfig gets certificates over TLS-ALPN-01 (RFC 8737), on the port that the hub serves on, and renews them.
func acmeConfig(cfg *hub.ACMEConfig, folder string) (*tls.Config, error) {
	m := &autocert.Manager{Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(folder),
		HostPolicy: autocert.HostWhitelist(cfg.Domains...), Email: cfg.Email}
	m.Client = &acme.Client{DirectoryURL: cfg.Directory, UserAgent: "intercom-hub"}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read acme.ca_file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("acme.ca_file has no certificate (PEM)")
		}
		m.Client.HTTPClient = &http.Client{Timeout: time.Minute,
			Transport: &http.Transport{Proxy: http.ProxyFromEnvironment,
				TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}}}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: m.GetCertificate,
		NextProtos: []string{"http/1.1", acme.ALPNProto}}, nil
}
