package device

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"intercom/call"
	"intercom/device/control"
	"intercom/internal/outcome"
)

// Metrics serves how the station is, in Prometheus' text format (version 0.0.4). Written here, since the library is 3
// MB and 5 MB of memory on a small board.
func (d *Device) Metrics() http.Handler { return http.HandlerFunc((&api{d: d}).metrics) }

func (a *api) metrics(w http.ResponseWriter, r *http.Request) {
	s, err := a.d.Status(r.Context())
	var ended map[outcome.Outcome]int
	if err == nil {
		ended, err = ask(r.Context(), a.d, func(o *owner) (map[outcome.Outcome]int, error) {
			return maps.Clone(o.ended), nil
		})
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(exposition(s, ended)))
}

// metrics is a text in the making.
type metrics struct{ strings.Builder }

// about begins a metric: what is put after it belongs to it.
func (m *metrics) about(kind, name, help string) *metrics {
	fmt.Fprintf(m, "# HELP intercom_station_%s %s\n# TYPE intercom_station_%[1]s %s\n", name, help, kind)
	return m
}

// put adds a value, with labels as names and values in turn.
func (m *metrics) put(name string, v float64, labels ...string) {
	m.WriteString("intercom_station_" + name)
	for i := 0; i+1 < len(labels); i += 2 {
		fmt.Fprintf(m, "%c%s=\"%s\"", "{,"[min(i, 1)], labels[i],
			strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		m.WriteByte('}')
	}
	fmt.Fprintf(m, " %g\n", v)
}

func exposition(s control.Status, ended map[outcome.Outcome]int) string {
	m := &metrics{}
	gauge := func(name, help string, v float64) { m.about("gauge", name, help).put(name, v) }
	counter := func(name, help string, v float64) { m.about("counter", name, help).put(name, v) }
	yes := map[bool]float64{true: 1}
	m.about("gauge", "info", "The station.").put("info", 1, "cuid", s.CUID, "name", s.Name)
	gauge("registered", "Whether it is signed in at its hub.", yes[s.Hub.Online])
	gauge("in_call", "Whether there is a call.", yes[s.Phase != call.Idle])
	gauge("untold_notes", "Visits and openings that the hub has not heard of.", float64(s.Untold))
	gauge("start_time_seconds", "When it started.", float64(s.StartedAt.Unix()))
	gauge("microphone_open", "Whether the microphone records.", yes[s.Sound.MicOpen])
	counter("sound_underflows_total", "Times that the loudspeaker had nothing to play.", float64(s.Sound.Underflows))
	counter("sound_overflows_total", "Times that the microphone was not read in time.", float64(s.Sound.Overflows))
	m.about("counter", "calls_ended_total", "Calls that ended, by outcome.")
	byName := func(a, b outcome.Outcome) int { return cmp.Compare(a.String(), b.String()) }
	for _, o := range slices.SortedFunc(maps.Keys(ended), byName) {
		m.put("calls_ended_total", float64(ended[o]), "status", string(o.Status), "reason", string(o.Reason))
	}
	m.about("gauge", "trouble", "What is wrong: docs/errors.md.")
	for _, t := range s.Troubles {
		m.put("trouble", 1, "code", string(t.Code), "severity", string(t.Severity), "part", t.Part)
	}
	names := slices.Sorted(maps.Keys(s.Buttons))
	m.about("counter", "button_presses_total", "Presses of a button.")
	for _, name := range names {
		m.put("button_presses_total", float64(s.Buttons[name].Presses), "button", name)
	}
	m.about("counter", "button_glitches_total", "Levels of a button's line that did not hold.")
	for _, name := range names {
		m.put("button_glitches_total", float64(s.Buttons[name].Glitches), "button", name)
	}
	if s.Door != nil {
		gauge("door_open", "Whether the door's relay is energised.", yes[s.Door.Open])
	}
	if q := s.Quality; q != nil {
		gauge("call_round_trip_seconds", "To the other side and back.", q.RoundTripMS/1000)
		gauge("call_delay_seconds", "From the other microphone to our ear, estimated.", q.DelayMS/1000)
		gauge("call_loss_ratio", "Of the packets that we send.", q.Loss)
	}
	return m.String()
}
