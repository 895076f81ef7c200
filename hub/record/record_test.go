package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"intercom/internal/needs"
	"intercom/internal/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

func result(id string, at time.Time) outcome.Result {
	r := outcome.Result{Call: id, From: "front_door", To: "reception", InvitedAt: outcome.At(at)}
	r.Finish(outcome.Of(outcome.Missed, outcome.NoAnswer), "hub", at)
	return r
}

// stream is one in memory, which can be away.
type stream struct {
	mu   sync.Mutex
	away bool
	all  [][]byte
	more chan struct{} // closed when there is more, for all who follow
}

func newStream() *stream { return &stream{more: make(chan struct{})} }

func (s *stream) Append(_ context.Context, lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	s.all = append(s.all, lines)
	close(s.more)
	s.more = make(chan struct{})
	return nil
}

func (s *stream) Follow(ctx context.Context, after uint64, f func(uint64, []byte) error) error {
	for n := int(after); ; {
		s.mu.Lock()
		some, more := s.all[n:], s.more
		s.mu.Unlock()
		for _, lines := range some {
			n++
			if err := f(uint64(n), lines); err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

func run(t *testing.T, s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); <-ended }) }
	t.Cleanup(stop)
	return stop
}

// calls are the ids in a folder, once there are n.
func calls(t *testing.T, dir string, n int) []string {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		p, err := Query(dir, Filter{Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Records) >= n || time.Now().After(end) {
			var ids []string
			for _, r := range slices.Backward(p.Records) {
				ids = append(ids, r.Call)
			}
			return ids
		}
	}
}

// Each hub has every record once, also when the stream was away, and after a restart that lost its place.
func TestHubsShareTheirRecords(t *testing.T) {
	shared, now := newStream(), time.Now()
	dirs := []string{t.TempDir(), t.TempDir()}
	a, b := Open(dirs[0], "a", 0, shared, quiet), Open(dirs[1], "b", 0, shared, quiet)
	stop := run(t, a)
	run(t, b)
	a.Add("demo", result("1", now))
	b.Add("demo", result("2", now))
	for _, d := range dirs {
		if got := calls(t, d, 2); len(got) != 2 {
			t.Errorf("%q", got)
		}
	}
	shared.mu.Lock()
	shared.away = true
	shared.mu.Unlock()
	b.Add("demo", result("3", now))
	for end := time.Now().Add(10 * time.Second); b.Trouble() == nil &&
		time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if b.Trouble() == nil {
		t.Error("nothing is wrong")
	}
	if got := calls(t, dirs[1], 3); len(got) != 3 {
		t.Errorf("its own file waits for the stream: %q", got)
	}
	stop()
	shared.mu.Lock()
	shared.away = false
	shared.mu.Unlock()
	if err := os.Remove(filepath.Join(dirs[0], ".position")); err != nil {
		t.Fatal(err)
	}
	a = Open(dirs[0], "a", 0, shared, quiet)
	if _, ok := a.Find("demo", "1"); !ok {
		t.Error("a record of today is not known after a restart")
	}
	run(t, a)
	got := calls(t, dirs[0], 3)
	if slices.Sort(got); !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Errorf("%q", got)
	}
}

// A disk that is full loses nothing that was there, and gets what waited when there is room.
func TestAFullDisk(t *testing.T) {
	needs.Programs(t, "mount", "umount")
	needs.Root(t)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("a small disk cannot be made: %v: %s", err, out)
	}
	defer func() { _ = exec.Command("umount", dir).Run() }()
	s := Open(dir, "a", 0, nil, quiet)
	stop := run(t, s)
	now := time.Now()
	s.Add("demo", result("first", now))
	calls(t, dir, 1)
	ballast := filepath.Join(dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := f.Write(make([]byte, 512)); err != nil {
			break
		}
	}
	f.Close()
	for i := range 200 { // more than the rest of the last block takes
		s.Add("demo", result(fmt.Sprint(i), now))
	}
	for end := time.Now().Add(10 * time.Second); s.Trouble() == nil &&
		time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if s.Trouble() == nil {
		t.Fatal("nothing is wrong with a full disk")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if got := calls(t, dir, 201); len(got) != 201 || got[0] != "first" || got[200] != "199" {
		t.Errorf("%d records", len(got))
	}
	for end := time.Now().Add(10 * time.Second); s.Trouble() != nil &&
		time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if err := s.Trouble(); err != nil {
		t.Error(err)
	}
	stop()
}

func TestPagesAndFilters(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := Open(dir, "a", 0, nil, quiet)
	var all []Record
	for i := range 50 {
		r := result(fmt.Sprint(i), at.Add(time.Duration(i)*time.Hour)) // three days
		if i%5 == 0 {
			r.To = "office_1,office_2"
		}
		all = append(all, Record{Account: "demo", Hub: "a", Result: r})
	}
	if err := s.write(all); err != nil {
		t.Fatal(err)
	}
	// A power cut left half a line.
	f, _ := os.OpenFile(fileOf(dir, "2026-01-02"), os.O_APPEND|os.O_WRONLY, 0)
	_, _ = f.WriteString(`{"account":"demo","call":"ha`)
	f.Close()
	late := result("late", at.Add(24*time.Hour))
	if err := s.write([]Record{{Account: "demo", Result: late}}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	filter, pages := Filter{Limit: 7}, 0
	for {
		p, err := Query(dir, filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			if seen[r.Call] {
				t.Errorf("%s is there twice", r.Call)
			}
			seen[r.Call] = true
		}
		pages++
		if filter.After = p.Next; p.Next == "" {
			break
		}
	}
	if len(seen) != 51 || pages != 8 {
		t.Errorf("%d records on %d pages", len(seen), pages)
	}
	for want, f := range map[int]Filter{10: {CUID: "office_2"}, 0: {Account: "other"},
		3: {Since: at.Add(47 * time.Hour)}, 5: {Until: at.Add(5 * time.Hour)}, 51: {Status: outcome.Missed}} {
		if p, err := Query(dir, f); err != nil || len(p.Records) != want {
			t.Errorf("%+v: %d records, %v", f, len(p.Records), err)
		}
	}
	if _, err := Query(dir, Filter{After: "nonsense"}); err == nil ||
		!strings.Contains(err.Error(), "not one that was given out") {
		t.Error(err)
	}
	if p, err := Query(filepath.Join(dir, "nowhere"), Filter{}); err != nil || len(p.Records) != 0 {
		t.Error(p, err)
	}
}

// Files of days that need not be kept are removed.
func TestOldRecordsGo(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	s := Open(dir, "a", 48*time.Hour, nil, quiet)
	if err := s.write([]Record{{Result: result("old", now.Add(-5*24*time.Hour))},
		{Result: result("new", now)}}); err != nil {
		t.Fatal(err)
	}
	run(t, s)
	for end := time.Now().Add(10 * time.Second); len(calls(t, dir, 1)) > 1 &&
		time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if got := calls(t, dir, 1); !slices.Equal(got, []string{"new"}) {
		t.Errorf("%q", got)
	}
}
