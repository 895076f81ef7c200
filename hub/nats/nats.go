// Package nats is the bus between hubs over NATS: a server inside the process, or a cluster elsewhere; the same code.
//
// It is used narrowly. Hubs speak by core NATS, with one subscription a hub and none a device. Claims and leases are in
// JetStream key-value buckets in memory; call records in a stream on disk (records.go). Nothing waits for JetStream to
// be ready: until it is, claims fail at once, and the hub serves without them.
//
// A [Bus] lives from Open to Close. cmd/intercom-hub imports it.
package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"intercom/hub/bus"
	"intercom/internal/backoff"
	"intercom/internal/tasks"
)

// Config says where the NATS is.
type Config struct {
	Name        string  // of this hub; letters, digits, - and _
	URL         string  // of a cluster elsewhere; "" for a server inside
	Credentials string  // file for the cluster elsewhere; "" for none
	Dir         string  // for the files of the server inside
	Cluster     Cluster // of servers inside
	Replicas    int     // of what JetStream keeps; 0 for as many as there are servers, 3 at most
}

// Bus is one hub's end.
type Bus struct {
	cfg    Config
	log    *slog.Logger
	server *server.Server // nil when it is elsewhere
	nc     *nats.Conn
	js     jetstream.JetStream
	ctx    context.Context // ends at Close
	stop   context.CancelFunc
	done   tasks.Group

	claims atomic.Pointer[jetstream.KeyValue] // nil until JetStream is ready
	leases atomic.Pointer[jetstream.KeyValue]
	stream atomic.Pointer[jetstream.Stream]

	mu       sync.Mutex
	life     string // which life of this hub the lease is for
	revision uint64 // of the lease; 0 when there was none yet
}

// ErrNotReady says that JetStream is not there, or not yet.
var ErrNotReady = errors.New("JetStream is not ready")

// Open starts or joins a NATS.
func Open(cfg Config, log *slog.Logger) (*Bus, error) {
	b := &Bus{cfg: cfg, log: log, life: nats.NewInbox()}
	b.ctx, b.stop = context.WithCancel(context.Background())
	opts := []nats.Option{nats.Name("intercom-hub " + cfg.Name), nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		// what cannot be said now is not said later
		nats.ReconnectWait(500 * time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("nats", "err", err) })}
	if cfg.URL == "" {
		s, err := embed(cfg.Name, cfg.Dir, cfg.Cluster, log)
		if err != nil {
			return nil, err
		}
		b.server = s
		opts = append(opts, nats.InProcessServer(s))
		if cfg.Cluster.Listen != "" {
			opts = append(opts, nats.UserInfo(user, cfg.Cluster.Secret))
		}
	} else if cfg.Credentials != "" {
		opts = append(opts, nats.UserCredentials(cfg.Credentials))
	}
	nc, err := nats.Connect(cfg.URL, opts...)
	if err == nil {
		b.nc = nc
		b.js, err = jetstream.New(nc)
	}
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("the bus between the hubs: %w", err)
	}
	ready := make(chan struct{})
	b.done.Go(func() { b.prepare(b.ctx, ready) })
	if cfg.URL == "" && cfg.Cluster.Listen == "" { // a moment, so that the first devices find their claims
		select {
		case <-ready:
		case <-time.After(2 * time.Second):
			log.Warn("JetStream is slow to start; the hub serves without it")
		}
	}
	return b, nil
}

// Close leaves, and stops the server inside.
func (b *Bus) Close() {
	b.stop()
	b.done.Wait()
	if b.nc != nil {
		b.nc.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}

// prepare makes the buckets and the stream, trying until it can.
func (b *Bus) prepare(ctx context.Context, ready chan struct{}) {
	var told string
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := b.buckets(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		if err.Error() != told {
			told = err.Error()
			b.log.Debug("JetStream is not ready; trying on", "err", err)
		}
		backoff.Sleep(ctx, wait)
	}
	close(ready)
	b.records(ctx)
}

func (b *Bus) buckets(ctx context.Context) error {
	if b.server != nil {
		if err := enable(b.server, b.cfg.Dir); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	claims, err := b.bucket(ctx, "intercom_claims",
		jetstream.StreamConfig{AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute})
	if err != nil {
		return err
	}
	leases, err := b.bucket(ctx, "intercom_leases",
		jetstream.StreamConfig{MaxAge: bus.LeaseTime, Duplicates: bus.LeaseTime})
	if err != nil {
		return err
	}
	b.claims.Store(&claims)
	b.leases.Store(&leases)
	return nil
}

// bucket opens a bucket, and makes it first where there is none.
//
// It is made as the stream that it is (NATS ADR-8), since the library would let every replica answer for it
// (AllowDirect), and one that is behind shows a claim that was released. Ours are read from the leader.
func (b *Bus) bucket(ctx context.Context, name string, cfg jetstream.StreamConfig) (kv jetstream.KeyValue, err error) {
	if kv, err = b.js.KeyValue(ctx, name); err == nil {
		return kv, nil
	}
	cfg.Name, cfg.Subjects, cfg.Storage = "KV_"+name, []string{"$KV." + name + ".>"}, jetstream.MemoryStorage
	cfg.MaxMsgsPerSubject, cfg.Discard, cfg.AllowRollup, cfg.DenyDelete = 1, jetstream.DiscardNew, true, true
	for _, cfg.Replicas = range b.replicas() {
		if _, err = b.js.CreateStream(ctx, cfg); err == nil {
			return b.js.KeyValue(ctx, name)
		}
	}
	return nil, err
}

// replicas are the numbers to try, the best first.
func (b *Bus) replicas() []int {
	switch {
	case b.cfg.Replicas > 0:
		return []int{b.cfg.Replicas}
	case b.cfg.URL != "":
		return []int{3, 1}
	}
	return []int{min(3, len(b.cfg.Cluster.Routes)+1)}
}

// Name is the hub's.
func (b *Bus) Name() string { return b.cfg.Name }

// Peers reports whether other hubs may be there.
func (b *Bus) Peers() bool { return b.cfg.URL != "" || b.cfg.Cluster.Listen != "" }

// The subjects.
const (
	everybody = "intercom.all"
	toHub     = "intercom.hub."  // and its name: what it is told
	askHub    = "intercom.ask."  // and its name: what it is asked
	nobody    = "intercom.nack." // and its name, who was to hear, and the token: what nobody heard
)

// Serve hands over what the others say until ctx ends.
func (b *Bus) Serve(ctx context.Context, h bus.Handler) error {
	in := make(chan *nats.Msg, 8192) // one for all, so that what one hub says stays in order
	for _, subject := range []string{toHub + b.cfg.Name, askHub + b.cfg.Name, everybody, nobody + b.cfg.Name + ".>"} {
		sub, err := b.nc.ChanSubscribe(subject, in)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-in:
			b.hear(m, h)
		}
	}
}

func (b *Bus) hear(m *nats.Msg, h bus.Handler) {
	switch {
	case strings.HasPrefix(m.Subject, toHub):
		h.Heard(m.Data)
	case strings.HasPrefix(m.Subject, nobody):
		rest := strings.TrimPrefix(m.Subject, nobody+b.cfg.Name+".")
		if hub, token, ok := strings.Cut(rest, "."); ok && m.Header.Get("Status") == "503" {
			h.Undelivered(hub, token)
		}
	default:
		if m.Header.Get(fromHeader) == b.cfg.Name { // our own word to all
			return
		}
		if m.Reply == "" {
			h.Heard(m.Data)
			return
		}
		h.Asked(m.Data, func(answer []byte) { _ = m.Respond(answer) })
	}
}

const fromHeader = "From-Hub"

// Send tells one hub something. If nobody listens there, the server says so to our subject for that.
func (b *Bus) Send(to string, m []byte, token string) error {
	return b.nc.PublishMsg(&nats.Msg{Subject: toHub + to, Reply: nobody + b.cfg.Name + "." + to + "." + token, Data: m})
}

// Tell says something to all others.
func (b *Bus) Tell(m []byte) error {
	return b.nc.PublishMsg(&nats.Msg{Subject: everybody, Data: m, Header: nats.Header{fromHeader: {b.cfg.Name}}})
}

// Ask asks one hub.
func (b *Bus) Ask(ctx context.Context, to string, m []byte) ([]byte, error) {
	return b.ask(ctx, askHub+to, m)
}

// AskAll asks all others.
func (b *Bus) AskAll(ctx context.Context, m []byte) ([]byte, error) {
	answer, err := b.ask(ctx, everybody, m)
	if errors.Is(err, context.DeadlineExceeded) {
		err = bus.ErrNobody
	}
	return answer, err
}

func (b *Bus) ask(ctx context.Context, subject string, m []byte) ([]byte, error) {
	reply, err := b.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: m,
		Header: nats.Header{fromHeader: {b.cfg.Name}}})
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, bus.ErrNobody
	case err != nil:
		return nil, err
	}
	return reply.Data, nil
}

// Claim writes a key if it is at this revision.
func (b *Bus) Claim(ctx context.Context, key string, value []byte, revision uint64) (got uint64, err error) {
	kv := b.claims.Load()
	if kv == nil || !b.nc.IsConnected() {
		return 0, ErrNotReady
	}
	err = settled(ctx, func() (err error) {
		if revision == 0 {
			got, err = (*kv).Create(ctx, key, value)
		} else {
			got, err = (*kv).Update(ctx, key, value, revision)
		}
		return err
	})
	return got, b.meaning(err)
}

// Claimed reads a key.
func (b *Bus) Claimed(ctx context.Context, key string) ([]byte, uint64, error) {
	kv := b.claims.Load()
	if kv == nil || !b.nc.IsConnected() {
		return nil, 0, ErrNotReady
	}
	e, err := (*kv).Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, b.meaning(err)
	}
	return e.Value(), e.Revision(), nil
}

// Release takes a key away.
func (b *Bus) Release(ctx context.Context, key string, revision uint64) error {
	kv := b.claims.Load()
	if kv == nil || !b.nc.IsConnected() {
		return ErrNotReady
	}
	return b.meaning(settled(ctx, func() error {
		return (*kv).Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(time.Minute))
	}))
}

// settled does a write, again as long as another one of the same key is under way: that one may be over already, and
// says nothing about whose the key is.
func settled(ctx context.Context, write func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := write()
		var api *jetstream.APIError
		if !errors.As(err, &api) || api.ErrorCode != jetstream.JSErrCodeStreamWrongLastSequenceConstant ||
			wait > 128*time.Millisecond || ctx.Err() != nil {
			return err
		}
		backoff.Sleep(ctx, wait)
	}
}

// Renew keeps the lease.
func (b *Bus) Renew(ctx context.Context) error {
	kv := b.leases.Load()
	if kv == nil || !b.nc.IsConnected() {
		return ErrNotReady
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.revision != 0 {
		got, err := (*kv).Update(ctx, b.cfg.Name, []byte(b.life), b.revision)
		if err == nil {
			b.revision = got
			return nil
		}
		if err = b.meaning(err); !errors.Is(err, bus.ErrTaken) {
			return err
		}
	}
	// There was none: either this hub is new, or it was away for too long. What a life before ours left does not count.
	fenced := b.revision != 0
	got, err := (*kv).Put(ctx, b.cfg.Name, []byte(b.life))
	if err != nil {
		return b.meaning(err)
	}
	b.revision = got
	if fenced {
		return bus.ErrFenced
	}
	return nil
}

// meaning turns the library's errors into those of a bus. A bucket that is gone is made again.
func (b *Bus) meaning(err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return bus.ErrTaken
	case errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyRevisionMismatch),
		errors.Is(err, jetstream.ErrKeyNotFound):
		return bus.ErrTaken
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, jetstream.ErrStreamNotFound),
		errors.Is(err, jetstream.ErrBucketNotFound):
		if b.claims.Swap(nil) != nil {
			b.leases.Store(nil)
			b.done.Go(func() {
				for b.buckets(b.ctx) != nil && b.ctx.Err() == nil {
					backoff.Sleep(b.ctx, time.Second)
				}
			})
		}
	}
	return err
}
