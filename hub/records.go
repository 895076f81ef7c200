package hub

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"intercom/internal/backoff"
	"intercom/internal/outcome"
)

// Records appends the result of each call as a JSON line to a file. A disk that is full degrades the records and
// nothing else: what cannot be written waits in memory, up to a limit, and is written when it can.
type Records struct {
	path string
	log  *slog.Logger
	in   chan outcome.Result

	mu      sync.Mutex
	trouble error
}

// maxWaiting records are kept while the file cannot be written.
const maxWaiting = 1000

// NewRecords keeps records in the file path. Run must run.
func NewRecords(path string, log *slog.Logger) *Records {
	return &Records{path: path, log: log, in: make(chan outcome.Result, maxWaiting)}
}

// Add takes a record and never blocks.
func (r *Records) Add(one outcome.Result) {
	select {
	case r.in <- one:
	default:
		r.log.Error("a call record is lost: too many wait for the disk", "call", one.Call)
	}
}

// Trouble is what keeps the records from being written, or nil.
func (r *Records) Trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.trouble
}

// Run writes records until ctx ends, and then those that are left.
func (r *Records) Run(ctx context.Context) error {
	for {
		select {
		case one := <-r.in:
			r.keep(ctx, one)
		case <-ctx.Done():
			for {
				select {
				case one := <-r.in:
					r.last(one)
				default:
					return nil
				}
			}
		}
	}
}

// last writes a record when there is no time to try again.
func (r *Records) last(one outcome.Result) {
	if err := r.write(one); err != nil {
		r.log.Error("a call record is lost: the disk would not have it before the end", "call", one.Call, "err", err)
	}
}

// keep writes one record, trying again each second while the disk will not have it.
func (r *Records) keep(ctx context.Context, one outcome.Result) {
	for {
		err := r.write(one)
		r.note(err)
		if err == nil {
			return
		}
		if backoff.Sleep(ctx, time.Second); ctx.Err() != nil {
			r.last(one)
			return
		}
	}
}

func (r *Records) note(err error) {
	r.mu.Lock()
	before := r.trouble
	r.trouble = err
	r.mu.Unlock()
	switch {
	case err != nil && before == nil:
		r.log.Error("call records cannot be written; calls go on", "err", err)
	case err == nil && before != nil:
		r.log.Info("call records are written again")
	}
}

// write appends one line and sees it onto the disk. What a full disk took of a line is cut off again.
func (r *Records) write(one outcome.Result) error {
	b, err := json.Marshal(one)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err = f.Write(append(b, '\n')); err != nil {
		return errors.Join(err, f.Truncate(before.Size()))
	}
	return f.Sync()
}
