package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"intercom/hub/bus"
	"intercom/internal/needs"
	"intercom/internal/stage"
)

var quiet = slog.New(slog.DiscardHandler)

// three opens three buses with servers of their own.
func three(t *testing.T) []*Bus {
	ports, err := stage.Ports(3)
	if err != nil {
		t.Fatal(err)
	}
	buses := make([]*Bus, 3)
	var work sync.WaitGroup
	for i := range 3 {
		c := Cluster{Listen: fmt.Sprint("127.0.0.1:", ports[i]), Secret: "s"}
		for j := range 3 {
			if j != i {
				c.Routes = append(c.Routes, fmt.Sprint("127.0.0.1:", ports[j]))
			}
		}
		dir := t.TempDir()
		work.Go(func() {
			b, err := Open(Config{Name: fmt.Sprint("hub", i), Dir: dir, Cluster: c}, quiet)
			if err != nil {
				t.Error(err)
				return
			}
			buses[i] = b
			t.Cleanup(b.Close)
			b.ready(t)
		})
	}
	work.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return buses
}

func (b *Bus) ready(t *testing.T) {
	for end := time.Now().Add(30 * time.Second); b.claims.Load() == nil ||
		b.stream.Load() == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Error("JetStream does not get ready")
			return
		}
	}
}

// ear is a handler that writes down what it hears.
type ear struct {
	name string
	mu   sync.Mutex
	tape []string
}

func (e *ear) note(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tape = append(e.tape, fmt.Sprintf(format, args...))
}
func (e *ear) Heard(m []byte)               { e.note("%s", m) }
func (e *ear) Undelivered(to, token string) { e.note("undelivered %s %s", to, token) }
func (e *ear) Asked(m []byte, reply func([]byte)) {
	if string(m) == "who?" || strings.HasSuffix(string(m), e.name) {
		reply([]byte(e.name))
	}
}

// until waits until the tape has n lines, and gives them.
func (e *ear) until(t *testing.T, n int) []string {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		e.mu.Lock()
		tape := slices.Clone(e.tape)
		e.mu.Unlock()
		if len(tape) >= n || time.Now().After(end) {
			return tape
		}
	}
}

func listen(t *testing.T, b *Bus) *ear {
	e := &ear{name: b.Name()}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, e) }()
	t.Cleanup(func() { cancel(); <-ended })
	return e
}

func TestThreeHubsOnServersOfTheirOwn(t *testing.T) {
	needs.Time(t)
	buses := three(t)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	a, b := buses[0], buses[1]
	var ears []*ear
	for _, one := range buses {
		ears = append(ears, listen(t, one))
	}
	for end := time.Now().Add(10 * time.Second); ; { // subscriptions take a moment to spread
		if _, err := a.Ask(ctx, "hub1", []byte("who?")); err == nil || time.Now().After(end) {
			break
		}
	}

	t.Run("what one says to another stays in order", func(t *testing.T) {
		for i := range 500 {
			if err := a.Send("hub1", fmt.Append(nil, i), "t"); err != nil {
				t.Fatal(err)
			}
		}
		for i, line := range ears[1].until(t, 500) {
			if line != fmt.Sprint(i) {
				t.Fatalf("number %d was %s", i, line)
			}
		}
	})
	t.Run("what nobody hears comes back", func(t *testing.T) {
		if err := a.Send("hub9", []byte("x"), "demo.c1.alpha"); err != nil {
			t.Fatal(err)
		}
		if got := ears[0].until(t, 1); !slices.Equal(got, []string{"undelivered hub9 demo.c1.alpha"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("questions", func(t *testing.T) {
		if answer, err := a.Ask(ctx, "hub2", []byte("who?")); err != nil || string(answer) != "hub2" {
			t.Errorf("%s %v", answer, err)
		}
		if _, err := a.Ask(ctx, "hub9", []byte("who?")); !errors.Is(err, bus.ErrNobody) {
			t.Error(err)
		}
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if answer, err := a.AskAll(short, []byte("are you hub2")); err != nil || string(answer) != "hub2" {
			t.Errorf("%s %v", answer, err)
		}
		brief, cancel := context.WithTimeout(ctx, 150*time.Millisecond)
		defer cancel()
		// it is, and does not ask itself
		if _, err := a.AskAll(brief, []byte("are you hub0")); !errors.Is(err, bus.ErrNobody) {
			t.Error(err)
		}
	})
	t.Run("a claim has one owner", func(t *testing.T) {
		const key = "device.demo.front_door"
		r, err := a.Claim(ctx, key, []byte("hub0"), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Claim(ctx, key, []byte("hub1"), 0); !errors.Is(err, bus.ErrTaken) {
			t.Error(err)
		}
		value, at, err := b.Claimed(ctx, key)
		if err != nil || string(value) != "hub0" || at != r {
			t.Errorf("%s %d %v", value, at, err)
		}
		next, err := b.Claim(ctx, key, []byte("hub1"), at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Claim(ctx, key, []byte("hub0"), r); !errors.Is(err, bus.ErrTaken) {
			t.Error(err)
		}
		if err := a.Release(ctx, key, r); !errors.Is(err, bus.ErrTaken) {
			t.Error(err)
		}
		if err := b.Release(ctx, key, next); err != nil {
			t.Error(err)
		}
		for i := range 50 { // each sees at once what the other has done
			if _, at, err = a.Claimed(ctx, key); err != nil || at != 0 {
				t.Fatal("it is still there:", at, err)
			}
			if r, err = a.Claim(ctx, key, fmt.Append(nil, i), 0); err != nil {
				t.Fatal(err)
			}
			if value, at, err = b.Claimed(ctx, key); err != nil || at != r || string(value) != fmt.Sprint(i) {
				t.Fatalf("%s %d %v", value, at, err)
			}
			if err := b.Release(ctx, key, r); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("a lease that is gone is told", func(t *testing.T) {
		for range 3 {
			if err := a.Renew(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := (*a.leases.Load()).Purge(ctx, "hub0"); err != nil { // as if it had run out
			t.Fatal(err)
		}
		if err := a.Renew(ctx); !errors.Is(err, bus.ErrFenced) {
			t.Error(err)
		}
		if err := a.Renew(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("records reach the others", func(t *testing.T) {
		for _, line := range []string{"one\n", "two\nthree\n"} {
			if err := a.Append(ctx, []byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		enough := errors.New("enough")
		err := b.Follow(ctx, 0, func(n uint64, text []byte) error {
			if got = append(got, fmt.Sprint(n, " ", string(text))); len(got) == 2 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || !slices.Equal(got, []string{"1 one\n", "2 two\nthree\n"}) {
			t.Errorf("%q %v", got, err)
		}
	})
}

// A hub alone opens no port, is ready at once, and keeps its records over a restart.
func TestAHubAlone(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Name: "alone", Dir: dir}
	b, err := Open(cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if b.Peers() || b.server.Addr() != nil {
		t.Errorf("peers %v, address %v", b.Peers(), b.server.Addr())
	}
	b.ready(t)
	if err := b.Append(t.Context(), []byte("one\n")); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if b, err = Open(cfg, quiet); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	enough := errors.New("enough")
	if err := b.Follow(t.Context(), 0, func(_ uint64, text []byte) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

// Without JetStream, as on a full disk, claims fail at once, and messages still go. When there is room, it starts.
func TestWithoutJetStream(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nats")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file in the place of the folder
		t.Fatal(err)
	}
	b, err := Open(Config{Name: "alone", Dir: dir}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	began := time.Now()
	if _, err := b.Claim(t.Context(), "device.demo.x", nil, 0); !errors.Is(err, ErrNotReady) ||
		time.Since(began) > time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if err := b.Append(t.Context(), nil); !errors.Is(err, ErrNotReady) {
		t.Error(err)
	}
	e := listen(t, b)
	heard := func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.tape) > 0 }
	// until the subscription is there
	for end := time.Now().Add(10 * time.Second); !heard() && time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := b.Send("nobody", []byte("x"), "t"); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.until(t, 1); len(got) == 0 || got[0] != "undelivered nobody t" {
		t.Errorf("%q", got)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	b.ready(t)
	if _, err := b.Claim(t.Context(), "device.demo.x", nil, 0); err != nil {
		t.Error(err)
	}
}
