package authority

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"intercom/internal/needs"
)

var today = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestAHubIsTrustedByItsNamesAndNoOther(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	a, err := New(dir, []string{"Intercom.lan", "192.168.1.20", "fd00::20", "::ffff:192.168.1.21",
		"intercom.lan"}, today)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(a.Hosts(), " "); got != "intercom.lan 192.168.1.20 fd00::20 192.168.1.21" {
		t.Error(got)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Cert)
	for host, good := range map[string]bool{"intercom.lan": true, "192.168.1.20": true, "[fd00::20]": true,
		"192.168.1.21": true, "192.168.1.22": false, "example.org": false} {
		if _, err := a.Hub.Verify(x509.VerifyOptions{Roots: roots, DNSName: host,
			CurrentTime: today}); (err == nil) != good {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := tls.LoadX509KeyPair(HubFile(dir), HubFile(dir)); err != nil {
		t.Error(err)
	}
	if d := a.Hub.NotAfter.Sub(a.Hub.NotBefore); d > 397*24*time.Hour {
		t.Errorf("valid for %v: Apple's systems refuse more than 398 days", d)
	}
	if !a.Cert.MaxPathLenZero || a.Cert.MaxPathLen != 0 || !a.Cert.PermittedDNSDomainsCritical {
		t.Errorf("%+v", a.Cert)
	}
	for _, secret := range []string{caKey, hubCert} {
		if st, err := os.Stat(filepath.Join(dir, secret)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", secret, st.Mode(), err)
		}
	}
	for _, public := range []string{caCert} {
		if b, _ := os.ReadFile(filepath.Join(dir, public)); bytes.Contains(b, []byte("PRIVATE")) {
			t.Errorf("%s has a key in it", public)
		}
	}
}

// Whoever has taken the key vouches for nobody else with it, by this library and by another.
func TestATakenKeyVouchesForNobodyElse(t *testing.T) {
	needs.Programs(t, "openssl")
	for _, hosts := range [][]string{{"intercom.lan", "192.168.1.20"}, {"intercom.lan"}, {"192.168.1.20"},
		{"fd00::20"}} {
		dir := filepath.Join(t.TempDir(), "tls")
		a, err := New(dir, hosts, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(filepath.Join(dir, caKey))
		block, _ := pem.Decode(text)
		taken, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		forge := func(change func(*x509.Certificate), by *x509.Certificate, with any) (*x509.Certificate,
			*ecdsa.PrivateKey) {
			t.Helper()
			key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			c := &x509.Certificate{SerialNumber: serial(), NotBefore: time.Now().Add(-time.Hour),
				NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
			change(c)
			der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), with)
			if err != nil {
				t.Fatal(err)
			}
			c, err = x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			return c, key
		}
		if out, err := exec.Command("openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile",
			CAFile(dir), HubFile(dir)).CombinedOutput(); err != nil {
			t.Errorf("openssl does not trust the hub: %v %s", err, out)
		}
		deny := func(what string, c *x509.Certificate, below ...*x509.Certificate) {
			t.Helper()
			roots, between := x509.NewCertPool(), x509.NewCertPool()
			roots.AddCert(a.Cert)
			var chain bytes.Buffer
			for _, b := range below {
				between.AddCert(b)
				_ = pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: b.Raw})
			}
			if _, err := c.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between}); err == nil {
				t.Errorf("%v: %s is trusted", hosts, what)
			}
			leaf, mid := filepath.Join(dir, "leaf.pem"), filepath.Join(dir, "mid.pem")
			_ = os.WriteFile(leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600)
			args := []string{"verify", "-x509_strict", "-CAfile", CAFile(dir)}
			if chain.Len() > 0 {
				_ = os.WriteFile(mid, chain.Bytes(), 0o600)
				args = append(args, "-untrusted", mid)
			}
			if out, err := exec.Command("openssl", append(args, leaf)...).CombinedOutput(); err == nil {
				t.Errorf("%v: openssl trusts %s: %s", hosts, what, out)
			}
		}
		for _, name := range []string{"bank.example.com", "lan", "evilintercom.lan", "192-168-1-20.example.com"} {
			c, _ := forge(func(c *x509.Certificate) { c.DNSNames = []string{name} }, a.Cert, taken)
			deny(name, c)
		}
		for _, ip := range []string{"192.168.1.2", "1.1.1.1", "fd00::21", "2606:4700::1111"} {
			c, _ := forge(func(c *x509.Certificate) { c.IPAddresses = h(t, ip).IPAddresses }, a.Cert, taken)
			deny(ip, c)
		}
		below, key := forge(func(c *x509.Certificate) {
			c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
		}, a.Cert, taken)
		own, _ := forge(func(c *x509.Certificate) { *c = merge(*c, h(t, a.Hosts()...)) }, below, key)
		deny("an authority below it", own, below)
	}
}

// h has hosts as a certificate has them.
func h(t *testing.T, all ...string) (c x509.Certificate) {
	t.Helper()
	hosts, err := parse(all)
	if err != nil {
		t.Fatal(err)
	}
	c.DNSNames = hosts.names
	for _, a := range hosts.addresses {
		c.IPAddresses = append(c.IPAddresses, a.AsSlice())
	}
	return c
}

func merge(c, with x509.Certificate) x509.Certificate {
	c.DNSNames, c.IPAddresses = with.DNSNames, with.IPAddresses
	return c
}

func TestHostsThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "https://intercom.lan", "intercom.lan:443", "*.lan", "com", "co.uk", "invalid",
		"0.0.0.0", "::", "224.0.0.1", "fe80::1%eth0", "192.168.1", "a..b", "-a.lan", "türe.lan", "a b",
		strings.Repeat("a.", 127) + "a"} {
		if _, err := New(filepath.Join(t.TempDir(), "tls"), []string{bad}, today); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := New(filepath.Join(t.TempDir(), "tls"), nil, today); err == nil {
		t.Error("none are taken")
	}
	if _, err := New(filepath.Join(t.TempDir(), "tls"), []string{"good.lan", "bad one", "*"}, today); err == nil ||
		!strings.Contains(err.Error(), `"bad one"`) || !strings.Contains(err.Error(), `"*"`) {
		t.Errorf("not every problem is said: %v", err)
	}
	if _, err := New(filepath.Join(t.TempDir(), "tls"), []string{"good.lan"},
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("a clock that is not set: %v", err)
	}
}

// An authority that is there stays, whatever is asked for, and a broken certificate of the hub is made anew.
func TestAnAuthorityStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	a, err := New(dir, []string{"intercom.lan"}, today)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(CAFile(dir))
	if _, err := New(dir, []string{"other.lan"}, today); err == nil || !strings.Contains(err.Error(), "tls renew") {
		t.Errorf("a second one: %v", err)
	}
	if err := os.WriteFile(HubFile(dir), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := Open(dir); err != nil || b.Hub != nil || !b.Due(today) {
		t.Errorf("%v, %v", b, err)
	}
	b, err := Renew(dir, today.AddDate(0, 6, 0))
	if err != nil || b.Hub.SerialNumber.Cmp(a.Hub.SerialNumber) == 0 || strings.Join(b.Hosts(), " ") != "intercom.lan" {
		t.Errorf("%v, %v", b, err)
	}
	if after, _ := os.ReadFile(CAFile(dir)); !bytes.Equal(before, after) {
		t.Error("the authority changed")
	}
	if _, err := Renew(dir, today.AddDate(11, 0, 0)); err == nil ||
		!strings.Contains(err.Error(), "make a new authority") {
		t.Errorf("an authority that has ended renews: %v", err)
	}
	late, err := Renew(dir, a.Cert.NotAfter.AddDate(0, -1, 0))
	if err != nil || late.Hub.NotAfter.After(a.Cert.NotAfter) || late.Due(a.Cert.NotAfter.AddDate(0, 0, -7)) {
		t.Errorf("%v, %v", late, err)
	}
	if err := os.Remove(filepath.Join(dir, caKey)); err != nil {
		t.Fatal(err)
	}
	if _, err := Renew(dir, today); err == nil {
		t.Error("it renews without a key")
	}
	if _, err := Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "tls new") {
		t.Error(err)
	}
}

// In three years without a restart there is no day without a valid certificate.
func TestTheHubRenewsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(today)) // the bubble begins in 2000
		dir := filepath.Join(t.TempDir(), "tls")
		if _, err := New(dir, []string{"intercom.lan"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Keep(ctx, dir, slog.New(slog.DiscardHandler)) }()
		serials := map[string]bool{}
		for range 3 * 52 {
			time.Sleep(7*24*time.Hour + time.Minute)
			synctest.Wait()
			a, err := Open(dir)
			if err != nil || a.Hub == nil {
				t.Fatal(err)
			}
			serials[a.Hub.SerialNumber.String()] = true
			if left := time.Until(a.Hub.NotAfter); left < RenewAhead-2*lookEvery {
				t.Errorf("%v are left", left)
			}
		}
		if len(serials) != 4 {
			t.Errorf("renewed %d times in three years", len(serials)-1)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
