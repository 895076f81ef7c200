package hub

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"intercom/wire"
)

// A device signs in through a real reverse proxy, and the log names it, whatever it wrote into the header itself.
func TestBehindAReverseProxy(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := serveLogging(t, l, func(set *Settings) {
		set.Proxies = Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, Header: XForwardedFor}
	}, slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil)))
	hub, _ := url.Parse(s.URL)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(hub)
		r.Out.Host = r.In.Host
		r.Out.Header[XForwardedFor] = r.In.Header[XForwardedFor] // which SetXForwarded adds to, as nginx does
		r.SetXForwarded()
	}})
	defer proxy.Close()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 3, 0, 5)}}
	behind := &server{T: t, URL: proxy.URL, hub: s.hub, key: s.key}
	for key, want := range map[string]wire.Type{s.key: wire.Welcome, "ik_wrong": wire.Fail} {
		ws := behind.dialWith(&http.Client{Transport: &http.Transport{DialContext: from.DialContext}},
			http.Header{XForwardedFor: {"8.8.8.8"}})
		ws.hello(wire.HelloBody{Account: "demo", APIKey: key, CUID: "front_door", Instance: "i"})
		if e, code := ws.until(want); e.T != want {
			t.Fatalf("closed with %d", code)
		}
		ws.ws.CloseNow()
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		text := log.String()
		mu.Unlock()
		if strings.Contains(text, "address=127.3.0.5") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s", text)
		}
	}
}

// self is a certificate that nobody vouches for.
func self(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1),
		NotAfter: time.Now().Add(time.Hour)}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// With TLS the same holds: a handshake that does not come, or comes a byte a second, ends in time, and HTTP/2 is not
// offered.
func TestWhoSaysNothingOverTLS(t *testing.T) {
	for _, text := range []string{"", "\x16\x03\x01", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
		"GET / HTTP/1.1\r\n\r\n"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &pipes{make(chan net.Conn), make(chan struct{})}
				serveTLS(t, p, self(t))
				c := p.bare(t, "198.51.100.7", text)
				began := time.Now()
				// else the test, not the connection, would go on for ever
				_ = c.SetReadDeadline(began.Add(10 * requestTime))
				_, _ = io.Copy(io.Discard, c)
				if took := time.Since(began); took > requestTime+time.Second {
					t.Errorf("the connection lived for %v", took)
				}
				c, err := p.connect(t.Context(), "198.51.100.7")
				if err != nil {
					t.Fatal(err)
				}
				// a test's own
				secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
				defer secure.Close()
				if err := secure.HandshakeContext(t.Context()); err != nil ||
					secure.ConnectionState().NegotiatedProtocol != "http/1.1" {
					t.Errorf("%v, %q", err, secure.ConnectionState().NegotiatedProtocol)
				}
			})
		})
	}
}
