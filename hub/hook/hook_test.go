package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"intercom/hub/access"
	"intercom/internal/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taker is a program that takes events, and refuses the first few.
type taker struct {
	*httptest.Server
	mu     sync.Mutex
	refuse int
	tries  int
	got    []Event
	signed []bool
}

func newTaker(t *testing.T, refuse int) *taker {
	k := &taker{refuse: refuse}
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.tries++; k.tries <= k.refuse {
			http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect) // is not followed
			return
		}
		var e Event
		_ = json.Unmarshal(body, &e)
		seconds, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(SignatureHeader), "t="), ",")
		at, _ := strconv.ParseInt(seconds, 10, 64)
		k.got = append(k.got, e)
		k.signed = append(k.signed, r.Header.Get(SignatureHeader) == Sign("shared", body, time.Unix(at, 0)) &&
			time.Since(time.Unix(at, 0)) < time.Minute)
	}))
	t.Cleanup(k.Close)
	return k
}

func (k *taker) until(t *testing.T, n int) []string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		k.mu.Lock()
		var all []string
		for _, e := range k.got {
			all = append(all, e.Event)
		}
		signed := !slices.Contains(k.signed, false)
		k.mu.Unlock()
		if len(all) >= n || time.Now().After(end) {
			if !signed {
				t.Error("a signature is wrong")
			}
			return all
		}
	}
}

func sender(t *testing.T, hooks ...string) *Sender {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("shared\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, h := range hooks {
		text += fmt.Sprintf("[[webhook]]\n%s\nsecret_file = %q\n", h, secret)
	}
	if err := os.WriteFile(access.File(dir, "demo"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := New(d, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended; s.client.CloseIdleConnections() })
	return s
}

func event(kind string) Event {
	return Event{ID: kind, Event: kind, At: time.Now(), Account: "demo", Call: &outcome.Result{Call: "c1"}}
}

func TestEachIsToldWhatItWantsInOrder(t *testing.T) {
	all, some := newTaker(t, 0), newTaker(t, 0)
	s := sender(t, fmt.Sprintf("url = %q", all.URL), fmt.Sprintf("url = %q\nevents = ['station.silent']", some.URL))
	for _, k := range []string{CallEnded, StationSilent, CallMissed, StationBack} {
		s.Send(event(k))
	}
	s.Send(Event{Account: "other", Event: CallEnded})
	if got := all.until(t, 4); !slices.Equal(got, []string{CallEnded, StationSilent, CallMissed, StationBack}) {
		t.Errorf("%q", got)
	}
	if got := some.until(t, 1); !slices.Equal(got, []string{StationSilent}) {
		t.Errorf("%q", got)
	}
}

// One that does not answer is tried again, and keeps nobody else waiting.
func TestOneThatFails(t *testing.T) {
	failing, good := newTaker(t, 2), newTaker(t, 0)
	stuck := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	t.Cleanup(func() { close(stuck); slow.Close() })
	s := sender(t, fmt.Sprintf("url = %q", failing.URL), fmt.Sprintf("url = %q", slow.URL),
		fmt.Sprintf("url = %q", good.URL))
	began := time.Now()
	for range 3 * maxWaiting {
		s.Send(event(CallEnded)) // more than are kept
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("telling took %v", took)
	}
	if got := good.until(t, 100); len(got) < 100 {
		t.Errorf("%d were taken", len(got))
	}
	if got := failing.until(t, 1); len(got) < 1 {
		t.Error("it was not tried again")
	}
}
