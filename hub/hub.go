// Package hub is the signalling server: who is signed in, routing, the timers of every call and its one result.
//
// From the top: admission is who may come in (listen.go); the sockets are signed in and read (sockets.go, socket.go for
// one of them); the listener and the reconciler hear and ask the other hubs (heard.go, reconcile.go); the router carries
// messages between devices and calls (router.go, failover.go); an owned call performs what the rules want (owned.go,
// package call); the parties are devices in calls (party.go); the registrar gives each device its one place in the
// cluster (registrar.go, claim.go, expel.go). Each knows those below it. What the registrar has to say upwards, it says
// by an interface, holding no lock.
//
// So locks are taken downwards: an owned call's, the registrar's, then a session's or that of presence, of devices or
// of the table of calls, then a socket's. Nothing waits while holding one. A [Hub] serves HTTP until Stop, which lets
// answered calls go on and tells the devices to come back. Only cmd/intercom-hub imports it.
package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"intercom/hub/access"
	"intercom/hub/api"
	"intercom/hub/bus"
	"intercom/hub/cluster"
	"intercom/hub/record"
	"intercom/internal/backoff"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Settings are what a hub stands on.
type Settings struct {
	Bus      cluster.Bus
	Access   *access.Directory
	Secret   *access.Secret
	Ended    *access.Ended // sessions of operators; nil for one that lives as long as the hub
	Times    Times
	Record   func(account string, r outcome.Result)                          // takes each result; returns at once
	Recorded func(account, call string) (outcome.Result, bool)               // finds the result of a call within TicketTime
	Calls    func(record.Filter) (record.Page, error)                        // the history
	Trouble  func() error                                                    // what keeps the records from being written; nil for nothing
	Note     func(account, cuid string, n wire.NoteBody) error               // writes down what happened at a station; nil for nothing
	Origins  []string                                                        // other sites whose pages may sign in
	Notes    func(account, station string, limit int) ([]record.Note, error) // the newest of these
	Pages    http.Handler                                                    // what people see in a browser; nil for nothing
	Servers  func(account, cuid, call string) []wire.ICEServer               // STUN and TURN for a party of a call, STUN alone for no call; nil for none
	Proxies  Proxies                                                         // in front of the hub
}

// Times are a hub's own; zeros are the standard ones of package wire.
type Times struct {
	Ring   time.Duration // that a call rings until it is missed
	Caller time.Duration // that a caller waits for a result
	Ack    time.Duration // within which a request is answered, and a call rings at a callee that is there
}

// Hub is a signalling server.
type Hub struct {
	log     *slog.Logger
	set     Settings
	api     *api.API
	hashing turns  // of passwords
	unwatch func() // the accounts
	router  *router
	metrics *metrics
	ready   atomic.Bool
	mux     *http.ServeMux

	admission                *admission
	sockets                  *sockets
	queries, minted, managed quota[string] // of accounts
}

// New makes a hub. Run must run.
func New(s Settings, log *slog.Logger) *Hub {
	t := s.Times
	s.Times = Times{cmp.Or(t.Ring, wire.RingTime), cmp.Or(t.Caller, wire.CallerLimit), cmp.Or(t.Ack, wire.AckTime)}
	if s.Ended == nil {
		s.Ended, _ = access.OpenEnded("") // which cannot fail
	}
	h := &Hub{
		log: log, set: s, hashing: turns{most: max(1, min(4, runtime.GOMAXPROCS(0)/2))}, mux: http.NewServeMux(),
	}
	h.queries.rate, h.minted.rate, h.managed.rate = queryRate, tokenRate, manageRate
	h.admission = newAdmission(s.Proxies, log)
	h.admission.provesItself = h.provesItself
	h.metrics = h.newMetrics()
	record := s.Record
	s.Record = func(account string, r outcome.Result) {
		h.metrics.record(r)
		record(account, r)
	}
	h.router = newRouter(s, log)
	h.sockets = newSockets(s, h.router, h.admission, h.metrics.refused.Inc, log)
	h.unwatch = s.Access.Watch(h.Reload)
	h.mux.HandleFunc("GET "+wire.Path, h.sockets.serveSocket)
	h.api = api.New(api.Settings{
		Access: s.Access, Secret: s.Secret, Ended: s.Ended, End: h.router.signOuts.end,
		Calls: s.Calls, Notes: s.Notes, Online: h.router.onlineAnywhere, Guard: guard{h}, Log: log,
	})
	h.api.Handle(h.mux)
	if s.Pages != nil {
		h.mux.Handle("GET /", s.Pages)
	}
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { h.health(w, true) })
	h.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { h.health(w, h.ready.Load()) })
	return h
}

// SetupCode makes the code of the link with which the first operator is created; see [api.API.SetupCode].
func (h *Hub) SetupCode() string { return h.api.SetupCode() }

// health answers a probe: 200 or 503 with the same JSON.
func (h *Hub) health(w http.ResponseWriter, ok bool) {
	devices, calls := h.router.count(), h.router.liveCalls.Load()
	state := "healthy"
	unkept := h.set.Trouble() != nil || h.set.Access.Trouble() != nil || h.router.signOuts.unsaved.Load()
	if unkept || h.router.cutOff.Load() {
		state = "degraded"
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		state = "down"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	answer := map[string]any{"health": state, "devices": devices, "calls": calls, "version": wire.Subprotocol}
	_ = json.NewEncoder(w).Encode(answer)
}

// Times of a hub.
const (
	Spread     = 2 * time.Second // over which devices come back after a clean stop
	RenewEvery = 5 * time.Second
	JoinTime   = 15 * time.Second // a hub that cannot join the others for so long is ready without them
)

// Run keeps the hub's place among the others until ctx ends: it listens to them and renews its lease. A hub that finds
// its lease gone, because it was frozen or cut off, gives up its devices and calls before anything else.
func (h *Hub) Run(ctx context.Context) error {
	defer h.router.end()
	defer h.unwatch()
	served := make(chan error, 1)
	go func() { served <- h.router.hubs.Serve(ctx, listener{h.router}) }()
	began, every := time.Now(), 100*time.Millisecond // until the bus is there for the first time
	for ctx.Err() == nil {
		h.router.fenceIfStale()
		h.router.pulse.Store(int64(time.Since(h.router.born)))
		if joined := h.renew(ctx); every < RenewEvery && (joined || time.Since(began) > JoinTime) {
			every = RenewEvery
			h.ready.Store(!h.router.isStopped())
		}
		backoff.Sleep(ctx, every)
	}
	return <-served
}

// renew keeps the lease, and reports whether there is one.
func (h *Hub) renew(ctx context.Context) bool {
	rctx, cancel := context.WithTimeout(ctx, RenewEvery)
	err := h.set.Bus.Renew(rctx)
	cancel()
	switch {
	case ctx.Err() != nil:
		return false
	case errors.Is(err, bus.ErrFenced):
		h.log.Warn("the lease of this hub had run out; its devices sign in again")
		h.router.fence()
	case err != nil:
		if !h.router.cutOff.Swap(true) && h.ready.Load() {
			h.log.Warn("the bus between the hubs is away; calls within this hub go on", "err", err)
		}
		return false
	default:
		if h.router.cutOff.Swap(false) && h.ready.Load() {
			h.log.Info("the bus between the hubs is back")
		}
	}
	h.router.presence.Renew()
	h.router.devices.round()
	h.router.signOuts.compare()
	rctx, cancel = context.WithTimeout(ctx, RenewEvery)
	defer cancel()
	h.router.reclaim(rctx)
	if h.set.Bus.Peers() {
		reconciler{h.router}.reconcile(rctx)
	}
	return true
}

// Calm gives memory back to the system when many devices have signed in and it is quiet again, until ctx ends: a storm
// leaves behind several times of what its devices need.
func (h *Hub) Calm(ctx context.Context) error {
	const quiet, many = 5 * time.Second, 500
	var seen, settled int64
	for ctx.Err() == nil {
		backoff.Sleep(ctx, quiet)
		now := h.sockets.signedIn.Load()
		if now == seen && now-settled > many {
			debug.FreeOSMemory()
			debug.FreeOSMemory() // pools keep what they have for one collection
			settled = now
		}
		seen = now
	}
	return nil
}

// Stop ends what is not answered, tells all devices to come back, and closes their sockets.
func (h *Hub) Stop() {
	h.ready.Store(false)
	h.sockets.open.Close()
	h.router.stop()
}

// Wait waits, after Stop, until all sockets are closed, or for as long as it may.
func (h *Hub) Wait(most time.Duration) {
	done := make(chan struct{})
	go func() { h.sockets.open.Wait(); close(done) }()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Reload lets go whoever came in by what is not there any more, and gives stations the settings that are new. While the
// hub runs it follows every change of the accounts by itself.
func (h *Hub) Reload() {
	h.api.AccountsChanged()
	h.router.expel()
	h.router.offerAllSettings()
	h.router.presence.Again()
}

// Alive proves progress: the registrar's lock is free, or becomes so before ctx ends.
func (h *Hub) Alive(ctx context.Context) error {
	free := make(chan struct{})
	go func() { h.router.count(); close(free) }()
	select {
	case <-free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
