// Package authority is a certificate authority of the hub's own, for houses without a public name: browsers and
// stations that trust it reach the hub over TLS.
//
// Whoever takes its key can speak as this hub and as nobody else: its certificate names the only hosts that it may
// vouch for (RFC 5280, section 4.2.1.10), and no authority may stand below it. A folder holds everything: ca.pem is
// given away, ca.key stays, and hub.pem, the hub's certificate with its key, is written as one file, so that it is
// never half of two. Files change only in [New], [Renew] and [Keep]. cmd/intercom-hub imports it.
package authority

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"intercom/internal/backoff"
	"intercom/internal/durable"
)

// Times of the certificates.
const (
	Lasts      = 397 * 24 * time.Hour      // of the hub; browsers refuse what is valid for longer
	RenewAhead = 60 * 24 * time.Hour       // before its end
	CALasts    = 10 * 365 * 24 * time.Hour // of the authority
	skew       = 24 * time.Hour            // that a clock may be behind the hub's
)

// Files of a folder.
const (
	caCert  = "ca.pem"
	caKey   = "ca.key"
	hubCert = "hub.pem"
)

// CAFile is the certificate of the authority, which is given to browsers and stations.
func CAFile(dir string) string { return filepath.Join(dir, caCert) }

// HubFile is the hub's certificate, with its key in the same file.
func HubFile(dir string) string { return filepath.Join(dir, hubCert) }

// Authority is one that was read from its folder.
type Authority struct {
	Cert *x509.Certificate
	Hub  *x509.Certificate // nil where it cannot be read: Renew makes it anew
	dir  string
}

// New makes an authority for these hosts, names and IP addresses, and the hub's first certificate. One that is there
// stays: all browsers and stations would have to trust another.
func New(dir string, hosts []string, now time.Time) (*Authority, error) {
	h, err := parse(hosts)
	if err != nil {
		return nil, err
	}
	if now.Year() < 2025 {
		return nil, fmt.Errorf("the clock of this machine says %s; set it first", now.Format(time.DateOnly))
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	unlock, err := durable.Lock(dir) // of two who make one at once, the key and the certificate must be of one
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Stat(CAFile(dir)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is an authority in %s already; 'intercom-hub tls renew' makes a new "+
			"certificate from it. For other hosts remove the folder first: all browsers and stations then have to "+
			"trust the new one", dir)
	}
	if err := own(dir); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Intercom of " + hosts[0][:min(len(hosts[0]), 40)] +
			" " + now.UTC().Format(time.DateOnly)},
		NotBefore: now.Add(-skew), NotAfter: now.Add(CALasts),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	h.constrain(t)
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := durable.Write(filepath.Join(dir, caKey),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return nil, err
	}
	if err := durable.Write(CAFile(dir), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, err
	}
	return Renew(dir, now)
}

// Open reads an authority. The error says what to do where there is none.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	var err error
	if a.Cert, err = readCert(CAFile(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no authority in %s; make one with 'intercom-hub tls new -host NAME,ADDRESS'",
			dir)
	} else if err != nil {
		return nil, err
	}
	a.Hub, _ = readCert(HubFile(dir))
	return a, nil
}

// Renew makes the hub's certificate anew, for the hosts of the authority.
func Renew(dir string, now time.Time) (*Authority, error) {
	a, err := Open(dir)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, caKey))
	if err != nil {
		return nil, fmt.Errorf("the key of the authority is needed to renew: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s has no key (PEM)", filepath.Join(dir, caKey))
	}
	signer, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, caKey), err)
	}
	end := now.Add(Lasts - skew)
	if now.Before(a.Cert.NotBefore) || !now.Before(a.Cert.NotAfter) {
		return nil, fmt.Errorf("the authority is valid from %s to %s, and this machine's clock says %s; set the "+
			"clock, or make a new authority",
			a.Cert.NotBefore.Format(time.DateOnly), a.Cert.NotAfter.Format(time.DateOnly), now.Format(time.DateOnly))
	} else if end.After(a.Cert.NotAfter) {
		end = a.Cert.NotAfter
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// No host in the subject: some check also that against the authority's constraints, as a name.
	t := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Intercom hub"},
		NotBefore: end.Add(-Lasts), NotAfter: end,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    a.names(), IPAddresses: a.addresses()}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("%s does not belong to %s: %w", caKey, caCert, err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := durable.Write(HubFile(dir), both); err != nil {
		return nil, err
	}
	a.Hub, err = x509.ParseCertificate(der)
	return a, err
}

// Due reports whether the hub's certificate is to be renewed.
func (a *Authority) Due(now time.Time) bool {
	return a.Hub == nil || now.After(a.Hub.NotAfter.Add(-RenewAhead)) && a.Hub.NotAfter.Before(a.Cert.NotAfter)
}

// lookEvery is how often Keep looks: the clock may also be set.
const lookEvery = time.Hour

// Keep renews the hub's certificate in time, until ctx ends.
func Keep(ctx context.Context, dir string, log *slog.Logger) error {
	told := ""
	for ; ctx.Err() == nil; backoff.Sleep(ctx, lookEvery) {
		a, err := Open(dir)
		if err == nil && !a.Due(time.Now()) {
			told = ""
			continue
		}
		if err == nil {
			if a, err = Renew(dir, time.Now()); err == nil {
				log.Info("the hub's certificate was renewed", "until", a.Hub.NotAfter)
				continue
			}
		}
		if err.Error() != told {
			told = err.Error()
			log.Error("the hub's certificate cannot be renewed; see docs/tls.md", "err", err)
		}
	}
	return nil
}

// Hosts are the only ones that the authority may vouch for.
func (a *Authority) Hosts() []string {
	all := a.names()
	for _, ip := range a.addresses() {
		all = append(all, ip.String())
	}
	return all
}

func (a *Authority) names() []string {
	if len(a.Cert.PermittedDNSDomains) == 1 && a.Cert.PermittedDNSDomains[0] == noName {
		return nil
	}
	return append([]string(nil), a.Cert.PermittedDNSDomains...)
}

func (a *Authority) addresses() (all []net.IP) {
	for _, n := range a.Cert.PermittedIPRanges {
		all = append(all, n.IP)
	}
	return all
}

// Fingerprints of the authority, as browsers and systems show them: SHA-256, and SHA-1, which Windows calls a
// thumbprint.
func (a *Authority) Fingerprints() (sha256Text, sha1Text string) {
	long, brief := sha256.Sum256(a.Cert.Raw), sha1.Sum(a.Cert.Raw)
	return colons(long[:]), colons(brief[:])
}

func colons(b []byte) string {
	text := strings.ToUpper(hex.EncodeToString(b))
	var s strings.Builder
	for i := 0; i < len(text); i += 2 {
		if i > 0 {
			s.WriteByte(':')
		}
		s.WriteString(text[i : i+2])
	}
	return s.String()
}

func readCert(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s has no certificate (PEM)", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// serial is 127 random bits (RFC 5280, section 4.1.2.2).
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails since Go 1.24
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}
