package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"intercom/internal/fault"
	"intercom/wire"
)

// downs hands on why a session could not be made.
type downs chan error

func (downs) Up(wire.WelcomeBody) {}
func (downs) Receive(Message)     {}
func (d downs) Down(err error) {
	select {
	case d <- err:
	default:
	}
}

// The key is said to the hub that is configured. Whoever stands between could send a station on to an address without
// TLS, or to a hub of his own.
func TestNoRedirectIsFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer thief.Close()
	plain := "http" + strings.TrimPrefix(thief.URL, "http")
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{plain + wire.Path + "?secret=x", "ws" + strings.TrimPrefix(thief.URL, "http") +
			wire.Path, "//" + thief.Listener.Addr().String() + wire.Path, ""} {
			hub := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", to)
				w.WriteHeader(status)
			}))
			roots := x509.NewCertPool()
			roots.AddCert(hub.Certificate())
			why := make(downs, 1)
			l := New(Config{URLs: []string{"wss" + strings.TrimPrefix(hub.URL, "https") + wire.Path},
				TLS: &tls.Config{RootCAs: roots}}, why,
				func() []wire.CallRef { return nil }, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			done := make(chan error, 1)
			go func() { done <- l.Run(ctx) }()
			select {
			case err := <-why:
				if !fault.Is(err, fault.InternetLost) || !strings.Contains(err.Error(), "redirects are not followed") ||
					strings.Contains(err.Error(), "secret") {
					t.Errorf("%d to %q: %v", status, to, err)
				}
			case <-ctx.Done():
				t.Errorf("%d to %q: nothing was said", status, to)
			}
			cancel()
			<-done
			hub.Close()
		}
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}
