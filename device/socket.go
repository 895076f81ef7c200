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
)

// kept is how many events a station remembers for a report.
const kept = 200

// emit tells the watchers. One that does not read is dropped, and its channel closed.
func (d *Device) emit(e control.Event) {
	e.At = time.Now()
	if d.recent = append(d.recent, e); len(d.recent) > kept {
		d.recent = slices.Delete(d.recent, 0, len(d.recent)-kept)
	}
	for w := range d.watchers {
		select {
		case w <- e:
		default:
			delete(d.watchers, w)
			close(w)
		}
	}
}

// Status asks the owner how it is.
func (d *Device) Status(ctx context.Context) (control.Status, error) {
	var s control.Status
	err := d.Ask(ctx, func() {
		s = control.Status{CUID: d.cfg.CUID, Name: d.cfg.Name, Health: "healthy", Phase: d.state.Phase, Call: d.state.ID, Peer: d.state.Peer,
			PeerName: d.leg.caller.Name, Image: d.leg.caller.InitiatorImage,
			Light: d.light, Hub: control.HubStatus{Online: d.state.Online, URL: d.cfg.Hub.URL, Trouble: d.hubTrouble, Code: d.hubCode}, LastCall: d.last, StartedAt: d.began}
		if d.state.Phase != call.Idle {
			s.Context = d.leg.result.Context
		}
		if len(d.faults) > 0 {
			s.Faults = map[string]string{}
		}
		for part, f := range d.faults {
			s.Faults[part] = f.Text
		}
		s.Troubles = control.Troubles(d.faults, s.Hub)
		if len(s.Troubles) > 0 {
			s.Health = "degraded"
		}
		if !d.registered.IsZero() {
			s.RegisteredMS = ms(d.registered.Sub(d.began))
		}
		s.Door, s.DND, s.Privacy, s.Untold = d.doorStatus(), d.state.DND, d.memory.Privacy, len(d.memory.Notes)
		if h := d.schedule(); h != nil {
			s.Schedule = cmp.Or(h.Name, "without a name")
		}
		s.Buttons, s.Restart = d.buttons(), d.restart
		if d.leg.path != nil && d.state.Live() {
			q := d.leg.path.Quality()
			s.Quality = &q
		}
	})
	s.Sound = d.sound.Status()
	return s, err
}

// buttons are what was seen on the lines.
func (d *Device) buttons() map[string]control.Button {
	if d.counts == nil || len(d.cfg.Button) == 0 {
		return nil
	}
	all := map[string]control.Button{}
	for _, b := range d.cfg.Button {
		c := d.counts(b.Name)
		_, stuck := d.faults[control.PartStuck(b.Name)]
		all[b.Name] = control.Button{Presses: c.Presses, Glitches: c.Glitches, Stuck: stuck}
	}
	return all
}

// Handler serves the control socket; panel is nil where the buttons are real.
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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := d.Status(r.Context())
		if panel != nil {
			s.Lines = map[string]bool{}
			for _, n := range panel.Names() {
				s.Lines[n] = panel.Lit(n)
			}
		}
		answer(w, s, err)
	})
	mux.HandleFunc("GET /v1/events", d.serveEvents)
	mux.HandleFunc("GET /v1/recent", func(w http.ResponseWriter, r *http.Request) {
		var all []control.Event
		if err := d.Ask(r.Context(), func() { all = slices.Clone(d.recent) }); err != nil {
			answer(w, nil, err)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		out := json.NewEncoder(w)
		for _, e := range all {
			_ = out.Encode(e)
		}
	})
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) {
		if d.show != nil {
			_, _ = w.Write(d.show())
		}
	})
	mux.Handle("GET /v1/metrics", d.Metrics())
	mux.HandleFunc("GET /v1/goroutines", func(w http.ResponseWriter, _ *http.Request) { _ = pprof.Lookup("goroutine").WriteTo(w, 1) })
	mux.HandleFunc("POST /v1/call", func(w http.ResponseWriter, r *http.Request) {
		b, err := body[struct{ To, Context string }](w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		var id string
		var bad *fault.Error
		err = d.Ask(r.Context(), func() {
			id, bad = d.dial(placing{to: setup.Receivers(b.To), then: setup.Receivers(d.cfg.Call.Then), context: b.Context})
		})
		if bad != nil {
			err = bad
		}
		answer(w, map[string]string{"call": id}, err)
	})
	for _, name := range []string{"answer", "decline", "hangup"} {
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			id, err := d.callDo(r.Context(), name)
			answer(w, map[string]string{"call": id}, err)
		})
	}
	mux.HandleFunc("POST /v1/mute", func(w http.ResponseWriter, r *http.Request) {
		b, err := body[struct{ On bool }](w, r)
		if err == nil {
			d.sound.Mute(b.On)
		}
		answer(w, map[string]bool{"muted": b.On}, err)
	})
	for name, set := range map[string]func(bool){"dnd": d.setDND, "privacy": d.setPrivacy} {
		mux.HandleFunc("POST /v1/"+name, func(w http.ResponseWriter, r *http.Request) {
			b, err := body[struct{ On bool }](w, r)
			if err == nil {
				err = d.Ask(r.Context(), func() { set(b.On) })
			}
			answer(w, map[string]bool{"on": b.On}, err)
		})
	}
	mux.HandleFunc("POST /v1/door", d.serveDoor)
	mux.HandleFunc("POST /v1/volume", d.serveVolume)
	mux.HandleFunc("POST /v1/selftest", func(w http.ResponseWriter, r *http.Request) {
		found, err := d.sound.Test(r.Context())
		if err != nil {
			err = fault.In(fault.CallInProgress, "", "The sound cannot be tested now: %v.", err)
		} else {
			d.Fault(found.Fault())
		}
		answer(w, found, err)
	})
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		if d.reread == nil {
			answer(w, nil, fault.In(fault.NotAllowed, "", "This station has no configuration file."))
			return
		}
		waits, err := d.reread(r.Context())
		if err != nil {
			err = fault.In(fault.InvalidInit, "configuration", "%v", err)
		}
		answer(w, map[string][]string{"waits": waits}, err)
	})
	mux.HandleFunc("POST /v1/restart", func(w http.ResponseWriter, r *http.Request) {
		b, err := body[struct{ Why string }](w, r)
		waits := false
		if err == nil {
			err = d.Restart(r.Context(), cmp.Or(b.Why, "asked for by intercomctl"))
		}
		if err == nil {
			err = d.Ask(r.Context(), func() { waits = d.state.Phase != call.Idle })
		}
		answer(w, map[string]bool{"waits": waits}, err)
	})
	mux.HandleFunc("POST /v1/press", func(w http.ResponseWriter, r *http.Request) { d.servePress(w, r, panel) })
	return mux
}

// Command has the station do what a person could: answer, decline, hangup, or open (the door). who is in the door's records.
func (d *Device) Command(ctx context.Context, what, who string) (err error) {
	if what == "open" {
		_, err = d.tellDoor(ctx, what, who)
	} else {
		_, err = d.callDo(ctx, what)
	}
	return err
}

// callDo does something with the call that there is: answer, decline or hangup.
func (d *Device) callDo(ctx context.Context, name string) (id string, err error) {
	var fits func() bool
	var do func()
	switch name {
	case "answer":
		fits, do = func() bool { return d.state.Phase == call.Ringing }, d.pick
	case "decline":
		fits, do = func() bool { return d.state.Phase == call.Ringing }, func() { d.handle(call.Refuse{}) }
	case "hangup":
		fits, do = func() bool { return d.state.Phase != call.Idle }, func() { d.handle(call.HangUp{}) }
	default:
		return "", fault.In(fault.BadMessage, "", "A station can be told to answer, decline, hangup and open, and not to %q.", name)
	}
	err = d.Ask(ctx, func() {
		if fits() {
			id = d.state.ID
			do()
		}
	})
	if err == nil && id == "" {
		err = fault.In(fault.NotParty, "", "There is no call to %s; see 'intercomctl status'.", name)
	}
	return id, err
}

func (d *Device) serveDoor(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ Do string }](w, r)
	done := ""
	if err == nil {
		done, err = d.tellDoor(r.Context(), b.Do, "intercomctl")
	}
	answer(w, map[string]string{"done": done}, err)
}

// tellDoor has the door open, hold, release or unlock, and says what became of it.
func (d *Device) tellDoor(ctx context.Context, what, who string) (done string, err error) {
	const why = "said here"
	do := map[string]func() string{
		"open":    func() string { return d.openFor(who, why) },
		"hold":    func() string { return d.holdDoor(true, who, why) },
		"release": func() string { return d.holdDoor(false, who, why) },
		"unlock":  func() string { return d.unlockDoor(who, why) },
	}[what]
	if do == nil {
		return "", fault.In(fault.BadMessage, "do", "A door can be told to open, hold, release and unlock.")
	}
	none := false
	err = d.Ask(ctx, func() {
		if none = !d.hasDoor() && (what != "open" || !d.state.Live()); !none {
			done = do()
		}
	})
	switch {
	case err != nil:
	case none:
		err = fault.In(fault.InvalidInit, "door", "This station has no door, and is in no call with one that may; name the line of its relay in [door].")
	case done == refused:
		err = fault.In(fault.NotAllowed, "door", "The door's relay is locked, since the case was opened; close it, and say 'intercomctl door unlock'.")
	}
	return done, err
}

func (d *Device) serveVolume(w http.ResponseWriter, r *http.Request) {
	b, err := body[struct{ Talk, Ring *int }](w, r)
	s := d.sound.Status()
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
		err = d.Ask(r.Context(), func() { d.volume(s.TalkVolume, s.RingVolume) })
	}
	answer(w, map[string]int{"talk": s.TalkVolume, "ring": s.RingVolume}, err)
}

// maxHold is how long a virtual finger may hold a button.
const maxHold = time.Minute

func (d *Device) servePress(w http.ResponseWriter, r *http.Request, panel *gpio.Panel) {
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
	for _, one := range d.inputs() {
		known = known || one == b.Button
		names += " " + one
	}
	hold := time.Duration(b.HoldMS) * time.Millisecond
	switch {
	case panel == nil:
		err = fault.In(fault.NotAllowed, "button", "The buttons of this station are real (gpio.driver = chip); press them by hand, or set the driver to virtual.")
	case !known:
		err = fault.In(fault.InvalidInit, "button", "There is no button %q; there are:%s.", b.Button, names)
	case hold <= 0 || hold > maxHold:
		err = fault.In(fault.InvalidInit, "hold_ms", "A button can be held for 1 ms to 1 minute.")
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	panel.Set(b.Button, true)
	defer panel.Set(b.Button, false)
	t := time.NewTimer(hold)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
	answer(w, map[string]string{"button": b.Button}, nil)
}

// inputs are the names of the lines that can be pressed.
func (d *Device) inputs() (all []string) {
	for _, b := range d.cfg.Button {
		all = append(all, b.Name)
	}
	for name, in := range d.cfg.Door.Inputs() {
		if in.Line != "" {
			all = append(all, "door "+name)
		}
	}
	slices.Sort(all)
	return all
}

// Follow gives what happens from now on, until leave is called or whoever follows does not keep up; then it is closed.
func (d *Device) Follow(ctx context.Context) (events <-chan control.Event, leave func(), err error) {
	c := make(chan control.Event, 256)
	err = d.Ask(ctx, func() { d.watchers[c] = true })
	return c, func() {
		d.tell(func() {
			if d.watchers[c] {
				delete(d.watchers, c)
				close(c)
			}
		})
	}, err
}

func (d *Device) serveEvents(w http.ResponseWriter, r *http.Request) {
	events, leave, err := d.Follow(r.Context())
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
			soon(flush)
			if out.Encode(e) != nil || flush.Flush() != nil {
				return
			}
		}
	}
}

// endless is for an answer that goes on for as long as the client is there.
func endless(w http.ResponseWriter) *http.ResponseController {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{})
	soon(c)
	return c
}

// soon is how long what is written now may take: a client that does not read is left.
func soon(c *http.ResponseController) { _ = c.SetWriteDeadline(time.Now().Add(10 * time.Second)) }

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
