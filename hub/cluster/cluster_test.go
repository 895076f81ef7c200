package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"intercom/hub/bus"
	"intercom/hub/cluster"
	"intercom/hub/hubtest"
	"intercom/internal/outcome"
)

// listener writes down what it hears, and has the device bravo.
type listener struct {
	mu   sync.Mutex
	tape []string
}

func (l *listener) write(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tape = append(l.tape, line)
}

func (l *listener) Heard(m cluster.Message) {
	l.write(fmt.Sprint(m.Hub, " ", m.Kind, " ", m.CUID, " ", m.Outcome))
}

func (l *listener) Asked(m cluster.Message, reply func(string)) {
	if m.CUID == "bravo" {
		reply("here")
	}
}

func (l *listener) Undelivered(hub string, m cluster.Message) {
	l.write(fmt.Sprint("undelivered to ", hub, ": ", m.Account, " ", m.Call, " ", m.CUID))
}

func (l *listener) heard(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.tape, want) {
		t.Errorf("heard %q, want %q", l.tape, want)
	}
	l.tape = nil
}

// two joins two hubs, of which the second has the device bravo.
func two(t *testing.T, f func(t *testing.T, one, two *cluster.Hubs, at *listener)) {
	synctest.Test(t, func(t *testing.T) {
		var net hubtest.Net
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		var all []*cluster.Hubs
		var ears []*listener
		for _, name := range []string{"one", "two"} {
			h, l := cluster.New(net.Join(name), log), &listener{}
			all, ears = append(all, h), append(ears, l)
			work.Go(func() { _ = h.Serve(ctx, l) })
		}
		synctest.Wait()
		f(t, all[0], all[1], ears[1])
		cancel()
		work.Wait()
	})
}

func TestHubsSayAndAsk(t *testing.T) {
	two(t, func(t *testing.T, one, two *cluster.Hubs, at *listener) {
		refusal := cluster.Message{
			Kind: cluster.Refuse, Account: "demo", CUID: "alpha", Call: "c",
			Outcome: outcome.Of(outcome.Declined, outcome.Busy),
		}
		if err := one.Send("two", refusal); err != nil {
			t.Error(err)
		}
		one.Tell(cluster.Message{Kind: cluster.Watch, Account: "demo"})
		at.heard(t, "one refuse alpha declined/busy", "one watch  /")
		for cuid, want := range map[string]string{"bravo": "here", "charly": ""} {
			if got, err := one.Locate(t.Context(), "demo", cuid, true); got != want || err != nil {
				t.Errorf("%s is at %q, %v; want %q", cuid, got, err, want)
			}
		}
		if _, err := one.Ask(t.Context(), "three", cluster.Message{Kind: cluster.Holds}); !errors.Is(err,
			bus.ErrNobody) {
			t.Errorf("a hub that is not there: %v", err)
		}
		_ = two.Send("three", cluster.Message{Kind: cluster.Said, Account: "demo", CUID: "al.pha", Call: "c"})
		at.heard(t, "undelivered to three: demo c al.pha")
	})
}

func TestClaims(t *testing.T) {
	two(t, func(t *testing.T, one, two *cluster.Hubs, _ *listener) {
		ctx, key := t.Context(), cluster.DeviceClaim("demo", "alpha")
		first, err := one.Claim(ctx, key, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := two.Claim(ctx, key, 0); !errors.Is(err, bus.ErrTaken) {
			t.Errorf("a claim that is taken: %v", err)
		}
		hub, revision, err := two.Holder(ctx, key)
		if hub != "one" || revision != first || err != nil {
			t.Errorf("%s has it at %d, %v", hub, revision, err)
		}
		if got, _ := two.Locate(ctx, "demo", "alpha", true); got != "one" { // the hint is believed
			t.Errorf("it is at %q", got)
		}
		if _, err := two.Claim(ctx, key, revision); err != nil { // who knows the revision takes it over
			t.Error(err)
		}
		if err := one.Release(ctx, key, first); !errors.Is(err, bus.ErrTaken) {
			t.Errorf("a claim of another is released: %v", err)
		}
	})
}
