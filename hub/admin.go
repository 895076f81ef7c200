package hub

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"intercom/internal/outcome"
	"intercom/wire"
)

// metrics are what /metrics shows (Prometheus text format). They count; nothing in them names a device or an account.
type metrics struct {
	registry *prometheus.Registry
	ended    *prometheus.CounterVec
	talked   prometheus.Counter
	refused  prometheus.Counter
}

func (h *Hub) newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "intercom_calls_ended_total",
			Help: "Calls that ended, by outcome."}, []string{"status", "reason"}),
		talked: prometheus.NewCounter(prometheus.CounterOpts{Name: "intercom_talked_seconds_total",
			Help: "Time talked in calls that ended."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "intercom_sign_ins_refused_total",
			Help: "Sign-ins that were refused."}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	yes := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	m.registry.MustRegister(m.ended, m.talked, m.refused,
		gauge("intercom_devices", "Devices that are signed in at this hub.", func() float64 {
			return float64(h.router.count())
		}),
		gauge("intercom_calls", "Calls that this hub owns and that go on.", func() float64 {
			return float64(h.router.liveCalls.Load())
		}),
		gauge("intercom_bus_up", "1 while the bus between the hubs answers.", func() float64 {
			return yes(!h.router.cutOff.Load())
		}),
		gauge("intercom_records_up", "1 while call records can be written.", func() float64 {
			return yes(h.set.Trouble() == nil)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "intercom_sign_ins_total",
			Help: "Devices that signed in."}, func() float64 { return float64(h.sockets.signedIn.Load()) }),
	)
	return m
}

func (m *metrics) record(r outcome.Result) {
	m.ended.WithLabelValues(string(r.Status), string(r.Reason)).Inc()
	m.talked.Add(float64(r.DurationMS) / 1000)
}

// Metrics serves what can be measured.
func (h *Hub) Metrics() http.Handler {
	return promhttp.HandlerFor(h.metrics.registry, promhttp.HandlerOpts{})
}

// Station is a device as intercom-hub stations shows it.
type Station struct {
	Account string `json:"account"`
	wire.Device
}

// Admin serves the operator of this machine, over a socket that only the hub's user may open: /stations, /metrics.
func (h *Hub) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.Metrics())
	mux.HandleFunc("GET /stations", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h.stations())
	})
	return mux
}

// stations are the devices of this hub, by account and cuid.
func (h *Hub) stations() []Station {
	h.router.mu.Lock()
	defer h.router.mu.Unlock()
	all := []Station{}
	for w, m := range h.router.sessions {
		if m.online() {
			d := h.router.describe(m)
			d.Openers = nil
			all = append(all, Station{w.account, d})
		}
	}
	slices.SortFunc(all, func(a, b Station) int {
		if c := strings.Compare(a.Account, b.Account); c != 0 {
			return c
		}
		return strings.Compare(a.CUID, b.CUID)
	})
	return all
}
