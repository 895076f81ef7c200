package device

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"runtime/pprof"
	"slices"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/fault"
	"intercom/wire"
)

// api is the control API: what a program on this machine may ask of the station, over HTTP. cmd/intercomd serves it on
// the control socket, and parts of it to the kiosk's page.
type api struct {
	d     *Device
	panel *gpio.Panel // of virtual buttons and LEDs; nil for none
}

// Handler serves the control API, as intercomctl speaks it; panel is nil where the buttons are real.
//
//	GET  /v1/status   how it is
//	GET  /v1/events   what happens, a JSON object a line, until the client leaves
//	GET  /v1/recent   the latest events
//	GET  /v1/config   the configuration that holds, with where each value comes from
//	GET  /v1/goroutines
//	GET  /v1/metrics  in Prometheus' format
//	POST /v1/call     {"to": cuid, "context": text}, both optional → {"call": id}
//	POST /v1/answer   /v1/decline   /v1/hangup
//	POST /v1/press    {"button": name, "hold_ms": n}
//	POST /v1/mute     {"on": bool}
//	POST /v1/dnd      {"on": bool}
//	POST /v1/privacy  {"on": bool}
//	POST /v1/door     {"do": open, hold, release or unlock} → {"done": what became of it}
//	POST /v1/volume   {"talk": percent, "ring": percent}, both optional
//	POST /v1/selftest → what it found
//	POST /v1/reload   read the configuration again → {"waits": keys that wait for a restart}
//	POST /v1/restart  {"why": text}: start again as soon as the station is idle → {"waits": whether it is not}
func (d *Device) Handler(panel *gpio.Panel) http.Handler {
	a := &api{d: d, panel: panel}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]http.HandlerFunc{
		"GET /v1/status":     a.status,
		"GET /v1/events":     a.events,
		"GET /v1/recent":     a.recent,
		"GET /v1/config":     a.config,
		"GET /v1/metrics":    a.metrics,
		"GET /v1/goroutines": a.goroutines,
		"POST /v1/call":      a.call,
		"POST /v1/answer":    a.command("answer"),
		"POST /v1/decline":   a.command("decline"),
		"POST /v1/hangup":    a.command("hangup"),
		"POST /v1/press":     a.press,
		"POST /v1/mute":      a.mute,
		"POST /v1/dnd":       a.mode(func(o *owner, on bool) { o.memory.setDND(on) }),
		"POST /v1/privacy":   a.mode(func(o *owner, on bool) { o.memory.setPrivacy(on) }),
		"POST /v1/door":      a.door,
		"POST /v1/volume":    a.volume,
		"POST /v1/selftest":  a.selfTest,
		"POST /v1/reload":    a.reload,
		"POST /v1/restart":   a.restart,
	} {
		mux.HandleFunc(pattern, serve)
	}
	return mux
}

func (a *api) status(w http.ResponseWriter, r *http.Request) {
	s, err := a.d.Status(r.Context())
	if a.panel != nil {
		s.Lines = map[string]bool{}
		for _, n := range a.panel.Names() {
			s.Lines[n] = a.panel.Lit(n)
		}
	}
	answer(w, s, err)
}

func (a *api) events(w http.ResponseWriter, r *http.Request) {
	events, leave, err := a.d.Follow(r.Context())
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := endless(w)
	out := json.NewEncoder(w)
	_ = flush.Flush() // the client may wait for the headers before it acts
	for {
		select {
		case <-r.Context().Done():
			return
		case e, ok := <-events:
			if !ok {
				return
			}
			inTime(flush)
			if out.Encode(e) != nil || flush.Flush() != nil {
				return
			}
		}
	}
}

func (a *api) recent(w http.ResponseWriter, r *http.Request) {
	all, err := ask(r.Context(), a.d, func(o *owner) ([]control.Event, error) {
		return slices.Clone(o.events.recent), nil
	})
	if err != nil {
		answer(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	for _, e := range all {
		_ = out.Encode(e)
	}
}

func (a *api) config(w http.ResponseWriter, _ *http.Request) {
	if show := a.d.parts.Show; show != nil {
		_, _ = w.Write(show())
	}
}

func (a *api) goroutines(w http.ResponseWriter, _ *http.Request) {
	_ = pprof.Lookup("goroutine").WriteTo(w, 1)
}

func (a *api) call(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ To, Context string }](w, r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	id, err := ask(r.Context(), a.d, func(o *owner) (string, error) {
		then := setup.Receivers(o.cfg.Call.Then)
		id, err := o.dial(placing{to: setup.Receivers(b.To), then: then, context: b.Context})
		if err != nil {
			return "", err
		}
		return id, nil
	})
	answer(w, map[string]string{"call": id}, err)
}

func (a *api) command(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := ask(r.Context(), a.d, func(o *owner) (string, error) { return o.command(what) })
		answer(w, map[string]string{"call": id}, err)
	}
}

func (a *api) mute(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ On bool }](w, r)
	if err == nil {
		a.d.parts.Sound.Mute(b.On)
	}
	answer(w, map[string]bool{"muted": b.On}, err)
}

func (a *api) mode(set func(o *owner, on bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := body[struct{ On bool }](w, r)
		if err == nil {
			err = a.d.Ask(r.Context(), func() { set(a.d.owner, b.On) })
		}
		answer(w, map[string]bool{"on": b.On}, err)
	}
}

func (a *api) door(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ Do string }](w, r)
	done := ""
	if err == nil {
		done, err = ask(r.Context(), a.d, func(o *owner) (string, error) {
			return o.doorway.command(b.Do, "intercomctl")
		})
	}
	answer(w, map[string]string{"done": done}, err)
}

func (a *api) volume(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ Talk, Ring *int }](w, r)
	s := a.d.parts.Sound.Status()
	for _, v := range []struct {
		name string
		set  *int
		to   *int
	}{{"talk", b.Talk, &s.TalkVolume}, {"ring", b.Ring, &s.RingVolume}} {
		if v.set != nil {
			if *v.to = *v.set; *v.set < 0 || *v.set > 150 {
				err = fault.In(fault.InvalidInit, v.name, "A volume is 0 to 150 percent.")
			}
		}
	}
	if err == nil {
		err = a.d.Ask(r.Context(), func() { a.d.owner.memory.setVolume(s.TalkVolume, s.RingVolume) })
	}
	answer(w, map[string]int{"talk": s.TalkVolume, "ring": s.RingVolume}, err)
}

func (a *api) selfTest(w http.ResponseWriter, r *http.Request) {
	found, err := a.d.parts.Sound.Test(r.Context())
	if err != nil {
		err = fault.In(fault.CallInProgress, "", "The sound cannot be tested now: %v.", err)
	} else {
		a.d.Fault(found.Fault())
	}
	answer(w, found, err)
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) {
	if a.d.parts.Reload == nil {
		answer(w, nil, fault.In(fault.NotAllowed, "", "This station has no configuration file."))
		return
	}
	waits, err := a.d.parts.Reload(r.Context())
	if err != nil {
		err = fault.In(fault.InvalidInit, "configuration", "%v", err)
	}
	answer(w, map[string][]string{"waits": waits}, err)
}

func (a *api) restart(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ Why string }](w, r)
	waits := false
	if err == nil {
		err = a.d.Restart(r.Context(), cmp.Or(b.Why, "asked for by intercomctl"))
	}
	if err == nil {
		waits, err = ask(r.Context(), a.d, func(o *owner) (bool, error) { return o.state.Phase != call.Idle, nil })
	}
	answer(w, map[string]bool{"waits": waits}, err)
}

// maxHold is how long a virtual finger may hold a button.
const maxHold = time.Minute

func (a *api) press(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct {
		Button string
		HoldMS int64 `json:"hold_ms"`
	}](w, r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	known := false
	names := ""
	for _, one := range inputs(a.d.cfg) {
		known = known || one == b.Button
		names += " " + one
	}
	hold := wire.Millis(b.HoldMS)
	switch {
	case a.panel == nil:
		err = fault.In(fault.NotAllowed, "button", "The buttons of this station are real (gpio.driver = chip); "+
			"press them by hand, or set the driver to virtual.")
	case !known:
		err = fault.In(fault.InvalidInit, "button", "There is no button %q; there are:%s.", b.Button, names)
	case hold <= 0 || hold > maxHold:
		err = fault.In(fault.InvalidInit, "hold_ms", "A button can be held for 1 ms to 1 minute.")
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	a.hold(r.Context(), b.Button, hold)
	answer(w, map[string]string{"button": b.Button}, nil)
}

func (a *api) hold(ctx context.Context, button string, hold time.Duration) {
	a.panel.Set(button, true)
	defer a.panel.Set(button, false)
	t := time.NewTimer(hold)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// inputs are the names of the lines that can be pressed.
func inputs(cfg *setup.Config) (all []string) {
	for _, b := range cfg.Button {
		all = append(all, b.Name)
	}
	for name, in := range cfg.Door.Inputs() {
		if in.Line != "" {
			all = append(all, "door "+name)
		}
	}
	slices.Sort(all)
	return all
}

// endless is for an answer that goes on for as long as the client is there.
func endless(w http.ResponseWriter) *http.ResponseController {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	inTime(c)
	return c
}

// inTime limits how long what is written now may take: a client that does not read is left.
func inTime(c *http.ResponseController) { _ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) }

func body[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var b T
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return b, fault.In(fault.BadMessage, "", "The request is not understood; see docs/operate.md.")
	}
	return b, nil
}

// answer writes a reply; an error has the status that its code deserves.
func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e := fault.Of(err)
		w.WriteHeader(e.Status())
		v = map[string]any{"error": e}
	}
	_ = json.NewEncoder(w).Encode(v)
}
