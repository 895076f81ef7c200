package device

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intercom/device/control"
	"intercom/device/setup"
	"intercom/internal/config"
	"intercom/wire"
)

func TestWhatIsRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	reports := make(chan control.Fault, 10)
	report := func(f control.Fault) { reports <- f }
	k := NewKeeper(dir)
	if m := k.Load(); m.Tampered || m.DND || len(m.Notes) > 0 {
		t.Errorf("a new station remembers %+v", m)
	}
	run := func(m Memory) {
		ctx, cancel := context.WithCancel(t.Context())
		k.Keep(m)
		cancel()
		_ = k.Run(ctx, report) // writes what is left
	}
	run(Memory{DND: true, Tampered: true, Talk: 80, Notes: []wire.NoteBody{{ID: "x", Kind: wire.Visit}}})
	if f := <-reports; f.Part != control.PartMemory || f.Text != "" {
		t.Fatal(f)
	}
	if m := k.Load(); !m.DND || !m.Tampered || m.Talk != 80 || len(m.Notes) != 1 {
		t.Errorf("%+v", m)
	}
	// A file that cannot be understood is put aside, said, and locks a relay.
	if err := os.WriteFile(filepath.Join(dir, "station.json"), []byte(`{"tampered":fal`), 0o600); err != nil {
		t.Fatal(err)
	}
	if m := k.Load(); !m.Tampered || m.broken == "" {
		t.Errorf("%+v", m)
	}
	if _, err := os.Stat(filepath.Join(dir, "station.json.bad")); err != nil {
		t.Error(err)
	}
	// A folder that cannot be written is said, and nothing else happens.
	bad := NewKeeper("/proc/nowhere")
	bad.Keep(Memory{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = bad.Run(ctx, report)
	if f := <-reports; f.Code != control.MemoryBroken || !strings.Contains(f.Text, "state_dir") {
		t.Errorf("%+v", f)
	}
}

func TestTheKiosk(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("a-long-random-word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := setup.Defaults()
	cfg.Kiosk = setup.Kiosk{Listen: "127.0.0.1:8090", TokenFile: file, Origin: "http://localhost:3000"}
	cfg.Check(new(config.Report)) // which reads the token
	d := New(cfg, Parts{}, slog.New(slog.DiscardHandler))
	h := d.Kiosk(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, c := range []struct {
		method, path, token, origin, cookie string
		want                                int
	}{
		{"GET", "/v1/status", "", "", "", 401},
		{"GET", "/v1/status", "wrong", "", "", 401},
		{"GET", "/v1/status", "a-long-random-word", "", "", 418},
		{"GET", "/v1/status", "", "", "a-long-random-word", 418},
		{"POST", "/v1/session", "", "", "a-long-random-word", 401},
		{"POST", "/v1/session", "a-long-random-word", "", "", 204},
		{"POST", "/v1/door", "a-long-random-word", "http://localhost:3000", "", 418},
		{"POST", "/v1/door", "a-long-random-word", "https://evil.example", "", 403},
		{"OPTIONS", "/v1/door", "", "http://localhost:3000", "", 204},
		{"OPTIONS", "/v1/door", "", "https://evil.example", "", 403},
		{"POST", "/v1/press", "a-long-random-word", "", "", 404},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if c.cookie != "" {
			r.AddCookie(&http.Cookie{Name: kioskCookie, Value: c.cookie})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%+v: %d", c, w.Code)
		}
	}
}
