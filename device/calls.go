package device

import (
	"cmp"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// This file is how a call of this station begins and is answered, and what follows when one has ended.

// placing is a call that is wanted.
type placing struct {
	to, then wire.Receivers // nobody for the usual ones; then is called when to did not answer
	context  string
	voice    setup.Mode
}

// dial places a call. The error says at once what is wrong with it.
func (o *owner) dial(p placing) (id string, err *fault.Error) {
	if len(p.to) == 0 {
		p.to = setup.Receivers(o.cfg.Call.To)
		if s := o.schedule(); s != nil && s.To != "" {
			p.to = setup.Receivers(s.To)
		}
	}
	if len(p.to) == 0 {
		return "", fault.In(fault.InvalidCall, "to", "There is nobody to call; name a cuid, or set call.to.")
	}
	p.context = cmp.Or(p.context, o.cfg.Context)
	for _, one := range p.to {
		if err := wire.CheckReceiver(one, o.cfg.CUID); err != nil {
			return "", err
		}
	}
	if err := wire.CheckContext(p.context); err != nil {
		return "", err
	}
	if o.state.Phase != call.Idle {
		return "", fault.New(fault.CallInProgress)
	}
	l := newOutgoing(o.cfg, p)
	if !o.begin(l, call.Dial{ID: l.id, Peer: p.to.String()}) { // the rules ended it at once: the hub is away
		return l.id, fault.New(fault.InternetLost)
	}
	return l.id, nil
}

// pick answers, or, without a microphone, refuses for both sides to know why.
func (o *owner) pick() {
	if t := o.Sound.Status().MicTrouble; t != "" {
		o.log.Warn(event.NoMicrophone, "code", string(fault.MicUnavailable), "err", t)
		o.handle(call.NoVoice{})
		return
	}
	o.handle(call.Pick{})
}

// command answers, declines or hangs up the current call, and returns its id.
func (o *owner) command(what string) (id string, err error) {
	fits, do := o.state.Phase == call.Ringing, o.pick
	switch what {
	case "answer":
	case "decline":
		do = func() { o.handle(call.Refuse{}) }
	case "hangup":
		fits, do = o.state.Phase != call.Idle, func() { o.handle(call.HangUp{}) }
	default:
		return "", fault.In(fault.BadMessage, "",
			"A station can be told to answer, decline, hangup and open, and not to %q.", what)
	}
	if !fits {
		return "", fault.In(fault.NotParty, "", "There is no call to %s; see 'intercomctl status'.", what)
	}
	id = o.state.ID
	do()
	return id, nil
}

// report gives a call its one result: the hub's where it said one, else our own.
func (o *owner) report(a call.Report) {
	r := o.leg.result
	r.InvitedAt = cmp.Or(r.InvitedAt, outcome.At(time.Now())) // a call that never began
	mine := r.From == o.cfg.CUID                              // as it was here, whatever the hub says
	if o.leg.final != nil {
		r = *o.leg.final
	} else {
		r.Finish(a.Outcome, o.cfg.CUID, time.Now())
		o.hub.queueEnd(r)
	}
	o.last = &r
	o.lights.missed = !mine && (r.Status == outcome.Missed || r.Status == outcome.Cancelled)
	if mine && r.Status != outcome.Over && r.Status != outcome.Cancelled {
		o.lights.notReached()
	}
	if mine {
		o.followUp(r)
	}
	peer := r.From
	if r.From == o.cfg.CUID {
		peer = r.To
	}
	attrs := []any{event.Call(r.Call), event.Peer(peer), "status", string(r.Status), "reason", string(r.Reason)}
	ev := control.Event{Event: "ended", Call: r.Call, Peer: peer, Result: &r}
	if a.Code != "" {
		attrs = append(attrs, "code", string(a.Code))
		ev.Error = fault.New(a.Code)
	}
	o.log.Info(event.CallEnded, attrs...)
	o.ended[r.Outcome]++
	o.events.emit(ev)
	o.notes.quality(o.leg)
}

// followUp calls others when a call of ours that ended was not answered, or keeps the visit for when the hub is back.
func (o *owner) followUp(r outcome.Result) {
	p := o.leg.wants
	end := outcome.Of(r.Status, r.Reason)
	unanswered := r.Status == outcome.Missed || r.Status == outcome.Declined && r.Reason != outcome.ByHand ||
		end == outcome.Of(outcome.Cancelled, outcome.RingTimeout)
	switch {
	case end == outcome.Of(outcome.Failed, outcome.NetworkLost) && o.leg.ticket == "":
		o.notes.add(wire.NoteBody{Kind: wire.Visit, Who: o.cfg.CUID, Why: r.Context, Result: end.String(), To: r.To})
	case len(p.then) > 0 && unanswered:
		p.to, p.then = p.then, nil
		o.deferred = func() {
			if _, err := o.dial(p); err != nil {
				o.log.Warn("the second to be called cannot be", "to", p.to.String(),
					"code", string(err.Code), "err", err.Message)
			}
		}
	}
}
