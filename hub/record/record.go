// Package record keeps one record of every call: a JSON line in a file of the day, and, in a cluster, a message in a
// stream that the other hubs copy into their own files, so that each has the whole history.
//
// A disk that is full, or a stream that is away, degrades the records and nothing else: what cannot be written waits in
// memory, up to a limit, and is written when it can. A [Store] is a part (Run); Add never blocks. cmd/intercom-hub
// wires it to the hub.
package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"intercom/internal/backoff"
	"intercom/internal/durable"
	"intercom/internal/event"
	"intercom/internal/outcome"
)

// Record is the result of a call, with its account and the hub that owned it.
type Record struct {
	Account string `json:"account"`
	Hub     string `json:"hub"`
	outcome.Result
}

// Stream is where the hubs of a cluster share records.
type Stream interface {
	Append(ctx context.Context, lines []byte) error
	Follow(ctx context.Context, after uint64, f func(n uint64, lines []byte) error) error
}

// Store keeps the records of one hub.
type Store struct {
	dir    string
	hub    string
	keep   time.Duration
	stream Stream // nil for a hub alone
	log    *slog.Logger
	file   chan Record
	share  chan Record
	files  sync.Mutex // our own records and those of other hubs go to the same files

	mu      sync.Mutex
	trouble map[string]error // by what has it
	known   map[key]outcome.Result
	order   []key // of known, the oldest first
}

type key struct{ account, call string }

// Limits of a store.
const (
	maxWaiting = 4096   // records that wait for the disk, or for the stream
	batch      = 256    // at once
	maxKnown   = 10_000 // results that are known without a look at the files
	tryEvery   = time.Second
	tidyEvery  = time.Hour
)

// Open reads what the files of the last day know. A folder that cannot be made or read is trouble, not an error.
func Open(dir, hub string, keep time.Duration, stream Stream, log *slog.Logger) *Store {
	s := &Store{dir: dir, hub: hub, keep: keep, stream: stream, log: log, file: make(chan Record, maxWaiting),
		share:   make(chan Record, maxWaiting),
		trouble: map[string]error{}, known: map[key]outcome.Result{}}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		s.note("files", err)
	}
	page, err := Query(dir, Filter{Since: time.Now().Add(-24 * time.Hour), Limit: maxKnown})
	if err != nil {
		s.note("files", err)
	}
	for i := range page.Records {
		s.learn(page.Records[len(page.Records)-1-i])
	}
	return s
}

// Add takes a record and never blocks.
func (s *Store) Add(account string, r outcome.Result) {
	one := Record{account, s.hub, r}
	s.learn(one)
	s.queue("files", s.file, one)
	if s.stream != nil {
		s.queue("stream", s.share, one)
	}
}

func (s *Store) queue(what string, queue chan Record, one Record) {
	select {
	case queue <- one:
	default:
		s.log.Error("a call record is lost: too many wait", event.Call(one.Call), event.Part("records"), "what", what)
	}
}

// Find gives the result of a call, if it is not older than a day.
func (s *Store) Find(account, call string) (outcome.Result, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.known[key{account, call}]
	return r, ok
}

// learn notes a record, and reports whether it is new.
func (s *Store) learn(r Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{r.Account, r.Call}
	if _, ok := s.known[k]; ok {
		return false
	}
	s.known[k] = r.Result
	s.order = append(s.order, k)
	if len(s.order) > maxKnown {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	return true
}

// Trouble is what keeps the records from being written or shared, or nil.
func (s *Store) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []error
	for _, err := range s.trouble {
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (s *Store) note(what string, err error) {
	s.mu.Lock()
	before := s.trouble[what]
	if s.trouble[what] = err; err == nil {
		delete(s.trouble, what)
	}
	s.mu.Unlock()
	switch {
	case err != nil && before == nil:
		s.log.Error("call records cannot be written; calls go on", event.Part("records"), "what", what, "err", err)
	case err == nil && before != nil:
		s.log.Info("call records are written again", event.Part("records"), "what", what)
	}
}

// Run writes records until ctx ends, and then those that are left.
func (s *Store) Run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { s.drain(ctx, "files", s.file, func(_ context.Context, r []Record) error { return s.write(r) }) })
	work.Go(func() { s.tidy(ctx) })
	if s.stream != nil {
		work.Go(func() { s.drain(ctx, "stream", s.share, s.publish) })
		work.Go(func() { s.copy(ctx) })
	}
	<-ctx.Done()
	return nil
}

// drain puts what is queued where it belongs, many at once, and tries again each second while it will not go.
func (s *Store) drain(ctx context.Context, what string, queue chan Record, put func(context.Context, []Record) error) {
	for {
		var some []Record
		select {
		case one := <-queue:
			some = append(some, one)
		case <-ctx.Done():
			if len(queue) == 0 {
				return
			}
		}
		for len(some) < batch && len(queue) > 0 {
			some = append(some, <-queue)
		}
		for {
			pctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			err := put(pctx, some)
			cancel()
			s.note(what, err)
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				s.log.Error("call records are lost: there is no time left to try again", event.Part("records"), "what",
					what, "count",
					len(some), "err", err)
				return
			}
			backoff.Sleep(ctx, tryEvery)
		}
	}
}

func lines(some []Record) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b) // a line each
	for _, r := range some {
		if err := e.Encode(r); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func (s *Store) publish(ctx context.Context, some []Record) error {
	b, err := lines(some)
	if err != nil {
		return err
	}
	return s.stream.Append(ctx, b)
}

// write appends lines to the files of their days, and sees them onto the disk.
func (s *Store) write(some []Record) error {
	s.files.Lock()
	defer s.files.Unlock()
	for len(some) > 0 {
		day := dayOf(some[0])
		n := 1
		for n < len(some) && dayOf(some[n]) == day {
			n++
		}
		b, err := lines(some[:n])
		if err != nil {
			return err
		}
		if err := appendTo(fileOf(s.dir, day), b); err != nil {
			return err
		}
		some = some[n:]
	}
	return nil
}

func dayOf(r Record) string {
	if r.EndedAt == nil {
		return time.Now().UTC().Format(time.DateOnly)
	}
	return r.EndedAt.Format(time.DateOnly)
}

func fileOf(dir, day string) string { return filepath.Join(dir, "calls-"+day+".jsonl") }

// appendTo writes whole lines or nothing: what a full disk took of them is cut off again, and a half line that a power
// cut left is ended first.
func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(path), 0o750); err == nil {
			f, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
		}
	}
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return err
	}
	end := before.Size()
	if last := make([]byte, 1); end > 0 {
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			b = append([]byte{'\n'}, b...)
		}
	}
	if _, err = f.WriteAt(b, end); err != nil {
		return errors.Join(err, f.Truncate(end))
	}
	return f.Sync()
}

// copy keeps what the other hubs share.
func (s *Store) copy(ctx context.Context) {
	place := filepath.Join(s.dir, ".position")
	b, _ := os.ReadFile(place)
	at, _ := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	saved := time.Now()
	for ctx.Err() == nil {
		err := s.stream.Follow(ctx, at, func(n uint64, text []byte) error {
			var some []Record
			for line := range bytes.Lines(text) {
				var r Record
				if json.Unmarshal(line, &r) == nil && r.Hub != s.hub && s.learn(r) {
					some = append(some, r)
				}
			}
			if err := s.write(some); err != nil {
				return err
			}
			if at = n; time.Since(saved) > 10*time.Second {
				saved = time.Now()
				return durable.Write(place, []byte(strconv.FormatUint(n, 10)))
			}
			return nil
		})
		if ctx.Err() == nil {
			s.note("copy", err)
			backoff.Sleep(ctx, tryEvery)
		}
	}
	_ = durable.Write(place, []byte(strconv.FormatUint(at, 10))) // else some are read again, and known
}

// tidy removes the files of days that need not be kept.
func (s *Store) tidy(ctx context.Context) {
	for ctx.Err() == nil {
		if entries, err := os.ReadDir(s.dir); err == nil && s.keep > 0 {
			oldest := time.Now().Add(-s.keep).UTC().Format(time.DateOnly)
			for _, e := range entries {
				_, day, ok := strings.Cut(e.Name(), "-") // calls-2006-01-02.jsonl, notes-2006-01-02.account.jsonl
				if ok && strings.HasSuffix(day, ".jsonl") && len(day) >= len(oldest) && day[:len(oldest)] < oldest {
					_ = os.Remove(filepath.Join(s.dir, e.Name())) // what cannot be removed stays until the next time
				}
			}
		}
		backoff.Sleep(ctx, tidyEvery)
	}
}
