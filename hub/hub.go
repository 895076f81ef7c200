// Package hub is the signalling server: accounts, who is there, routing, the ring timer and the record of every call.
//
// One lane a call decides its races (lane.go); the router knows who is signed in and which calls there are (router.go);
// a socket is one connection (socket.go). The lock order is call, then router; nothing waits while holding either. A
// [Hub] serves HTTP until Stop, which ends all calls with an outcome and tells the devices to come back. Only
// cmd/intercom-hub imports it.
package hub

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"intercom/wire"
)

// Hub is a signalling server on one machine.
type Hub struct {
	log      *slog.Logger
	accounts *Accounts
	router   *router
	records  *Records
	ready    atomic.Bool
	mux      *http.ServeMux
	sockets  sync.WaitGroup
}

// New makes a hub that keeps its records with r, which the caller runs.
func New(ring time.Duration, a *Accounts, r *Records, log *slog.Logger) *Hub {
	h := &Hub{log: log, accounts: a, records: r, router: newRouter(ring, r.Add, log), mux: http.NewServeMux()}
	h.mux.HandleFunc("GET "+wire.Path, h.serveSocket)
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { h.health(w, true) })
	h.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { h.health(w, h.ready.Load()) })
	h.ready.Store(true)
	return h
}

// ServeHTTP serves the WebSocket at /v1/ws and the probes /healthz and /readyz.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// health answers a probe: 200 or 503 with the same JSON.
func (h *Hub) health(w http.ResponseWriter, ok bool) {
	devices, calls := h.router.count()
	state := "healthy"
	if err := h.records.Trouble(); err != nil {
		state = "degraded"
	}
	w.Header().Set("Content-Type", "application/json")
	if !ok {
		state = "down"
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"health": state, "devices": devices, "calls": calls, "version": wire.Subprotocol})
}

// Spread is the time over which devices come back after a clean stop.
const Spread = 2 * time.Second

// Stop ends all calls, each with its outcome and record, tells all devices to come back, and closes their sockets.
func (h *Hub) Stop() {
	h.ready.Store(false)
	h.router.stop()
}

// Wait waits until all sockets are closed, or for as long as it may.
func (h *Hub) Wait(most time.Duration) {
	done := make(chan struct{})
	go func() { h.sockets.Wait(); close(done) }()
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Alive proves progress: the router's lock is free, or becomes so before ctx ends.
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
