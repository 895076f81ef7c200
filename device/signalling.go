package device

import (
	"errors"
	"time"

	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// signalling is the station's side of the hub: whether it is signed in, and what the hub has to hear. What the hub says
// is in messages.go.
type signalling struct {
	o          *owner
	servers    []wire.ICEServer // for each call
	ends       []wire.Envelope  // of calls, that the hub has not heard of
	registered time.Time        // first
	trouble    string           // why it is not signed in
	code       fault.Code       // of the trouble, where it is an error with one
	declared   *rate.Limiter
	declaring  *time.Timer // until it is declared again; nil for not
}

// declareEvery is how often the hub is told how the station is, after the first few times.
const declareEvery = 500 * time.Millisecond

func newSignalling(o *owner) signalling {
	return signalling{o: o, trouble: "not signed in yet", declared: rate.NewLimiter(rate.Every(declareEvery), 10)}
}

func (h *signalling) up(w wire.WelcomeBody) {
	o := h.o
	if h.registered.IsZero() {
		h.registered = time.Now()
	}
	h.trouble, h.code = "", ""
	if h.servers = w.ICEServers; wire.CheckServers(w.ICEServers) != nil {
		h.servers = nil
	}
	if !w.Resumed {
		o.leg.mayOpen = false // what was said of it may be lost
	}
	o.handle(call.LinkUp{Ack: millis(w.AckMS)})
	if o.leg.path != nil { // for a restart of ICE: another hub may have the call now
		o.wire.Send(wire.New(wire.Servers, o.state.ID, nil))
	}
	h.declare()
	h.flushEnds()
	if !w.Resumed {
		o.notes.inFlight = "" // what was under way is lost, or not; a note has an id
	}
	o.notes.send()
}

func (h *signalling) down(err error) {
	h.trouble, h.code = wire.Printable(err.Error(), 500), "" // it may be the hub's own words
	var known *fault.Error
	if errors.As(err, &known) {
		h.code = known.Code.Entry().Code
	}
	h.o.handle(call.LinkDown{})
}

func (h *signalling) status() control.HubStatus {
	return control.HubStatus{Online: h.o.state.Online, URL: h.o.cfg.Hub.URL, CAFile: h.o.cfg.Hub.CAFile,
		Trouble: h.trouble, Code: h.code}
}

// declare tells the hub how the station is: at once, but for one that changes all the time, as with a wire that is
// loose. Its hub would else throw it out for saying too much.
func (h *signalling) declare() {
	o := h.o
	switch {
	case h.declaring != nil: // soon
		return
	case !h.declared.Allow():
		h.declaring = time.AfterFunc(declareEvery, func() { o.tell(func() { h.declaring = nil; h.declare() }) })
		return
	}
	b := wire.StateBody{Health: "healthy", DND: o.state.DND, Light: string(o.lights.now)}
	if len(o.faults) > 0 {
		b.Health, b.Faults, b.Codes = "degraded", map[string]string{}, map[string]string{}
	}
	for part, f := range o.faults {
		part = wire.Printable(part, 64)
		b.Faults[part], b.Codes[part] = wire.Printable(f.Text, 500), string(f.Code)
	}
	if o.doorway.has() {
		b.Door = o.cfg.Door.Remote
	}
	if o.Given != nil {
		b.Settings, b.Refused = o.Given.Versions()
	}
	o.wire.Send(wire.New(wire.State, "", b))
}

// calls are those that the hub is asked about at the sign-in.
func (h *signalling) calls() []wire.CallRef {
	if h.o.state.ID == "" {
		return nil
	}
	return []wire.CallRef{{Call: h.o.state.ID, Ticket: h.o.leg.ticket}}
}

// queueEnd remembers an end that the hub has not heard of, so that it is on record when the hub is back.
func (h *signalling) queueEnd(r outcome.Result) {
	if t := h.o.leg.ticket; t != "" && len(h.ends) < wire.MaxCalls {
		b := wire.HangUpBody{Reason: r.Reason, Ticket: t, EndedAt: r.EndedAt}
		h.ends = append(h.ends, wire.New(wire.HangUp, r.Call, b))
	}
}

// flushEnds tells the hub of the ends that it has not heard of.
func (h *signalling) flushEnds() {
	for len(h.ends) > 0 && h.o.wire.Send(h.ends[0]) {
		h.ends = h.ends[1:]
	}
}

// millis is a time as the protocol writes it: none below zero, and a day at most.
func millis(n int64) time.Duration {
	return max(0, min(wire.Millis(n), 24*time.Hour))
}
