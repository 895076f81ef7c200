package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/internal/needs"
	"intercom/wire"
	"intercom/wire/link"
)

// outcomes takes what came of a sign-in.
type outcomes chan error

func (o outcomes) Up(wire.WelcomeBody)  { o <- nil }
func (o outcomes) Down(err error)       { o <- err }
func (o outcomes) Receive(link.Message) {}

// Hubs over NATS count the devices of an account together. What one has let in, the others know a moment later, so
// that those who come in the same moment may be too many: here one for each of the other hubs.
func TestAnAccountIsFullAtAllHubs(t *testing.T) {
	needs.Time(t)
	const most, hubs = 20, 3
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	dir := t.TempDir()
	file := access.File(filepath.Join(dir, "accounts"), "demo")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, fmt.Appendf(nil, "max_devices = %d\n", most), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := newCluster(ctx, dir, program, hubs, false, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	in := 0
	for i := range most + 10 {
		done := make(outcomes, 100)
		name := fmt.Sprint("device_", i)
		cfg := link.Config{URLs: target.at(i % hubs)(0), Account: target.Account, APIKey: target.APIKey, CUID: name,
			Instance: name}
		l := link.New(cfg, done, func() []wire.CallRef { return nil }, slog.New(slog.DiscardHandler))
		work.Go(func() { _ = l.Run(ctx) })
		err := <-done
		for err != nil && !fault.Is(err, fault.NotAllowed) && ctx.Err() == nil { // it tries again
			err = <-done
		}
		if err == nil {
			in++
		} else if in < most {
			t.Errorf("%s is refused, and %d are signed in: %v", name, in, err)
		}
	}
	if in < most || in > most+hubs-1 {
		t.Errorf("%d are signed in, of %d", in, most)
	}
}
