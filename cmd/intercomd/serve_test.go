package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"intercom/internal/needs"
)

// Requests that are never finished and connections that say nothing end by themselves, and those who come after are
// served.
func TestTheControlSocketIsNotHeldUp(t *testing.T) {
	needs.Time(t)
	path := filepath.Join(t.TempDir(), "control.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	served, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- serveHTTP(served, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
		}))
	}()
	defer func() { stop(); <-done }()
	var unfinished net.Conn
	for i := range 2 * mostClients {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		text := []string{"", "POST /v1/call HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
			"GET /v1/status HTTP/1.1\r\nHost"}[i%3]
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 {
			unfinished = c
		}
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}, DisableKeepAlives: true}}
	q, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://intercomd/v1/status", nil)
	r, err := client.Do(q)
	if err != nil {
		t.Fatal("who comes after is not served: ", err)
	}
	r.Body.Close()
	_ = unfinished.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.Copy(io.Discard, unfinished); err != nil {
		t.Error("a request that is never finished is kept: ", err)
	}
}
