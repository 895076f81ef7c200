package nats

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"intercom/internal/backoff"
)

const recordsStream, recordsSubject = "intercom_records", "intercom.records"

// records makes the stream of call records, trying until it can: a full disk must not keep a hub from anything else.
func (b *Bus) records(ctx context.Context) {
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 5*time.Second) {
		for _, n := range b.replicas() {
			rctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			s, err := b.js.CreateOrUpdateStream(rctx,
				jetstream.StreamConfig{Name: recordsStream, Subjects: []string{recordsSubject},
					Storage: jetstream.FileStorage, Replicas: n, MaxAge: 400 * 24 * time.Hour, MaxBytes: 1 << 30,
					Discard: jetstream.DiscardOld})
			cancel()
			if err == nil {
				b.stream.Store(&s)
				return
			}
		}
		backoff.Sleep(ctx, wait)
	}
}

// Append adds one message of records to the stream; when it returns nil, they are on the disk.
func (b *Bus) Append(ctx context.Context, lines []byte) error {
	if b.stream.Load() == nil || !b.nc.IsConnected() {
		return ErrNotReady
	}
	_, err := b.js.Publish(ctx, recordsSubject, lines)
	return err
}

// Follow gives each message of the stream after a number, in order, until ctx ends or f fails. It waits for the stream.
func (b *Bus) Follow(ctx context.Context, after uint64, f func(n uint64, lines []byte) error) error {
	for b.stream.Load() == nil {
		if backoff.Sleep(ctx, time.Second); ctx.Err() != nil {
			return nil
		}
	}
	c, err := (*b.stream.Load()).OrderedConsumer(ctx,
		jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1})
	if err != nil {
		return err
	}
	it, err := c.Messages()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, it.Stop)
	defer stop()
	defer it.Stop()
	for {
		m, err := it.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if err := f(meta.Sequence.Stream, m.Data()); err != nil {
			return err
		}
	}
}
