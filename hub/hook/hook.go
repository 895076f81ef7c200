// Package hook tells other programs what happened: calls that ended, visitors that were missed, stations that are
// silent and that are back. Each is a POST of JSON to the URLs that the account's file names, signed, and tried again
// until it is taken.
//
// Nothing waits for it: what happened is queued, in memory, up to a limit for each URL; a hub that stops loses what is
// left. A [Sender] is a part (Run). cmd/intercom-hub wires it to the hub.
package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/internal/backoff"
	"intercom/internal/outcome"
	"intercom/internal/tasks"
	"intercom/wire"
)

// The events.
const (
	CallEnded     = "call.ended"
	CallMissed    = "call.missed" // as well as call.ended: nobody answered, or nobody was there
	StationSilent = "station.silent"
	StationBack   = "station.back"
	StationNote   = "station.note" // a visit while nobody could be reached, or something at the door
)

// Event is what is told.
type Event struct {
	ID      string          `json:"id"` // the same when it is told again
	Event   string          `json:"event"`
	At      time.Time       `json:"at"`
	Account string          `json:"account"`
	Call    *outcome.Result `json:"call,omitempty"`
	Station string          `json:"station,omitempty"`
	Since   *time.Time      `json:"since,omitempty"` // a station is silent since then
	Note    *wire.NoteBody  `json:"note,omitempty"`
}

// SignatureHeader carries t=SECONDS,v1=HEX: the time of sending, and the HMAC-SHA-256 (RFC 2104) of "SECONDS." and the
// body under the webhook's secret. Who checks it also refuses what is older than a few minutes.
const SignatureHeader = "Intercom-Signature"

// Limits of the sender.
const (
	maxWaiting = 1000 // events for one URL
	timeout    = 10 * time.Second
	giveUp     = 24 * time.Hour
)

// Sender sends events to the webhooks of their accounts.
type Sender struct {
	dir    *access.Directory
	log    *slog.Logger
	client *http.Client

	mu     sync.Mutex
	queues map[target]*queue
	ctx    context.Context // nil before Run
	work   tasks.Group
}

type target struct{ account, url string }

type queue struct {
	waiting []Event
	busy    bool
}

// New makes a sender for the webhooks that the directory names.
func New(dir *access.Directory, log *slog.Logger) *Sender {
	return &Sender{dir: dir, log: log, queues: map[target]*queue{}, client: &http.Client{Timeout: timeout,
		// Where it is sent is what the file says, and nothing that the other side says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	for t, q := range s.queues {
		s.start(t, q)
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.work.Wait()
	return nil
}

// Send queues an event for those who want it. It never blocks.
func (s *Sender) Send(e Event) {
	acct := s.dir.Account(e.Account)
	if acct == nil || len(acct.Hooks) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range acct.Hooks {
		if !h.Wants(e.Event) {
			continue
		}
		t := target{e.Account, h.URL}
		q := s.queues[t]
		if q == nil {
			q = &queue{}
			s.queues[t] = q
		}
		if len(q.waiting) >= maxWaiting {
			s.log.Error("an event for a webhook is lost: too many wait", "url", h.URL, "event", q.waiting[0].Event)
			q.waiting = q.waiting[1:]
		}
		q.waiting = append(q.waiting, e)
		s.start(t, q)
	}
}

// start sends what waits, unless somebody does. The lock is held.
func (s *Sender) start(t target, q *queue) {
	if q.busy || s.ctx == nil || s.ctx.Err() != nil || len(q.waiting) == 0 {
		return
	}
	q.busy = true
	s.work.Go(func() { s.drain(t, q) })
}

// drain sends what waits for one URL, in order.
func (s *Sender) drain(t target, q *queue) {
	for {
		s.mu.Lock()
		if len(q.waiting) == 0 || s.ctx.Err() != nil {
			q.busy = false
			s.mu.Unlock()
			return
		}
		e := q.waiting[0]
		q.waiting = q.waiting[1:]
		s.mu.Unlock()
		s.deliver(t, e)
	}
}

// deliver tries until the event is taken, is too old, or nobody wants it any more.
func (s *Sender) deliver(t target, e Event) {
	b := backoff.Backoff{First: time.Second, Base: 2 * time.Second, Cap: 5 * time.Minute, Health: time.Minute}
	for try := 1; s.ctx.Err() == nil; try++ {
		err := s.post(t, e)
		if err == nil {
			return
		}
		if errors.Is(err, errUnwanted) || time.Since(e.At) > giveUp {
			s.log.Error("an event for a webhook is given up", "url", t.url, "event", e.Event, "err", err)
			return
		}
		if try == 1 {
			s.log.Warn("a webhook does not take an event; trying again", "url", t.url, "event", e.Event, "err", err)
		}
		backoff.Sleep(s.ctx, b.Next(0))
	}
}

var errUnwanted = errors.New("it is not wanted")

func (s *Sender) post(t target, e Event) error {
	acct := s.dir.Account(t.account)
	var hook *access.Webhook
	for i := range accountHooks(acct) {
		if acct.Hooks[i].URL == t.url {
			hook = &acct.Hooks[i]
		}
	}
	if hook == nil { // taken out of the file meanwhile
		return errUnwanted
	}
	body, err := json.Marshal(e)
	if err != nil {
		return errors.Join(errUnwanted, err)
	}
	q, err := http.NewRequestWithContext(s.ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return errors.Join(errUnwanted, err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("User-Agent", "intercom-hub")
	if secret := hook.Secret().Reveal(); secret != "" {
		q.Header.Set(SignatureHeader, Sign(secret, body, time.Now()))
	}
	r, err := s.client.Do(q)
	if err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, r.Body, 4<<10)
	r.Body.Close()
	switch {
	case r.StatusCode >= 200 && r.StatusCode < 300:
		return nil
	case r.StatusCode == http.StatusGone:
		return errUnwanted
	}
	return fmt.Errorf("it answered %s", r.Status)
}

func accountHooks(a *access.Account) []access.Webhook {
	if a == nil {
		return nil
	}
	return a.Hooks
}

// Sign makes the signature of a body that is sent now.
func Sign(secret string, body []byte, now time.Time) string {
	t := strconv.FormatInt(now.Unix(), 10)
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(h.Sum(nil))
}
