package hub

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// lane is one call at its owner, the caller's hub: every event about it passes here in one order, which decides every
// race. It is pure: step says what is so next and what is to be done; talk.go does it.
type lane struct {
	outcome.Result
	plan
	name, image string // of the caller
	legs        []leg
	lead        string // the callee whose media path the caller makes ready
	caller      media  // what the caller said to it
	turn        int    // in a sequence: the leg that rings
	adopted     bool   // made from a ticket, so its invitation and early history are not here
}

// plan is how a call is to go.
type plan struct {
	ring     time.Duration // until it is missed, all in all
	patience time.Duration // of the caller, until there is a result
	ack      time.Duration // until a callee says that it rings
	each     time.Duration // that each rings in a sequence; 0 when all ring at once
	limit    time.Duration // of the talk; 0 for none
}

// leg is one of the called.
type leg struct {
	cuid    string
	auto    bool // the lists allow it to answer by itself
	servers []wire.ICEServer
	state   legState
	end     outcome.Result // once it is over for this one
	media
}

// media is what one side said about its media path while it rang, kept so that it can be said again: to a caller whose
// chosen callee changed, and to one that comes back.
type media struct {
	sdp json.RawMessage
	ice []json.RawMessage
}

func (m *media) keep(e wire.Envelope) {
	switch {
	case e.T != wire.ICE:
		m.sdp, m.ice = e.B, nil
	case len(m.ice) < wire.MaxCandidates:
		m.ice = append(m.ice, e.B)
	}
}

type legState int

const (
	waiting legState = iota // its turn has not come
	offered                 // its hub was asked to ring
	ringing                 // it rings
	talking                 // it answered
	gone                    // it is out: refused, stopped, or the call is over
)

// news is what can happen to a call at the hub.
type news struct {
	what    happening
	by      string // cuid of the party, "" for the hub itself
	reason  outcome.Reason
	outcome outcome.Outcome // of refused
	told    bool            // of refused: it may ring all the same
	env     wire.Envelope   // of relayed
	to      string          // of relayed, from the caller: for whom it is
	at      time.Time       // of hungUp, when it is told late
}

type happening string

const (
	refused     happening = "refused"      // a callee's hub could not make it ring
	wantServers happening = "want servers" // a party asks for the servers of its media path
	relayed     happening = "relayed"      // a party says something about its media path
	answered    happening = "answered"     // a callee answers
	declined    happening = "declined"     // a callee refuses
	cancelled   happening = "cancelled"    // the caller gives up
	hungUp      happening = "hung up"      // a party ends it
	partyGone   happening = "gone"         // a party's grace is over, or it came back without the call
	hubStops    happening = "hub stops"
	ringOver    happening = "ring over" // the ring time is over
	waitOver    happening = "wait over" // the caller's time is over
	ackOver     happening = "ack over"  // whoever does not ring by now will not
	turnOver    happening = "turn over" // in a sequence: the time of one
	nearLimit   happening = "near limit"
	limitOver   happening = "limit over"
)

// effect is something to be done.
type effect interface{ effect() }

type (
	offer struct{ to string } // make this callee ring
	say   struct {
		to string
		wire.Envelope
	}
	arm struct { // the lane wants this news after a time; one of each kind runs
		what  happening
		after time.Duration
	}
	disarm struct{}            // all of them
	done   struct{}            // the result is final: record it
	supply struct{ to string } // tell this party the servers for its media path
)

func (offer) effect()  {}
func (say) effect()    {}
func (arm) effect()    {}
func (disarm) effect() {}
func (done) effect()   {}
func (supply) effect() {}

func (l *lane) ended() bool { return l.EndedAt != nil }
func (l *lane) talks() bool { return l.AnsweredAt != nil && !l.ended() }

func (l *lane) leg(cuid string) *leg {
	for i := range l.legs {
		if l.legs[i].cuid == cuid {
			return &l.legs[i]
		}
	}
	return nil
}

// media reports whether a party may have a media path now: the caller once somebody rings, a callee from when it is asked
// to ring, both until they are out.
func (l *lane) media(cuid string) bool {
	g := l.leg(cuid)
	switch {
	case l.ended():
		return false
	case cuid == l.From:
		return l.lead != "" || l.AnsweredAt != nil
	}
	return g != nil && g.state != waiting && g.state != gone
}

func (l *lane) has(cuid string) bool { return cuid == l.From || l.leg(cuid) != nil }

// begin makes the first ones ring.
func (l *lane) begin(now time.Time) []effect {
	acts := []effect{arm{ringOver, l.ring}, arm{waitOver, l.patience}}
	if l.each > 0 {
		return append(acts, l.next(now)...)
	}
	for i := range l.legs {
		l.legs[i].state = offered
		acts = append(acts, offer{l.legs[i].cuid})
	}
	return append(acts, arm{ackOver, l.ack})
}

// next makes the next of a sequence ring, or ends the call when there is none.
func (l *lane) next(now time.Time) []effect {
	for i := range l.legs {
		if l.legs[i].state == waiting {
			l.turn = i
			l.legs[i].state = offered
			return []effect{offer{l.legs[i].cuid}, arm{turnOver, l.each}, arm{ackOver, l.ack}}
		}
	}
	return l.exhausted(now)
}

// step applies what happened at now. did is false when it changed nothing: it came too late, or was said twice.
func (l *lane) step(n news, now time.Time) (acts []effect, did bool) {
	if l.ended() {
		return nil, false
	}
	if g := l.leg(n.by); n.by != "" && n.by != l.From && (g == nil || g.state == gone) {
		return nil, false
	}
	switch n.what {
	case relayed:
		return l.relay(n, now), true
	case wantServers:
		if !l.media(n.by) {
			return nil, false
		}
		return []effect{supply{n.by}}, true
	case refused:
		if l.AnsweredAt != nil {
			return nil, false
		}
		if !n.told {
			l.leg(n.by).state = waiting // it never heard of the call, so it needs no end
		}
		return l.out(n.by, n.outcome, "hub", now), true
	case answered:
		return l.answer(n.by, now)
	case turnOver:
		if l.AnsweredAt != nil {
			return nil, false
		}
		return l.out(l.legs[l.turn].cuid, outcome.Of(outcome.Missed, outcome.NoAnswer), "hub", now), true
	case ackOver:
		return l.unheard(now)
	case nearLimit:
		left := wire.New(wire.Warning, l.Call, wire.WarningBody{LeftMS: min(wire.LimitWarning, l.limit).Milliseconds()})
		return []effect{say{l.From, left}, say{l.To, left}}, true
	}
	return l.conclude(n, now)
}

// relay passes on what a party says about its media path. While it rings, the caller hears of one callee's only.
func (l *lane) relay(n news, now time.Time) []effect {
	e := wire.Envelope{T: n.env.T, Call: l.Call, B: n.env.B}
	if door := e.T == wire.Door || e.T == wire.DoorDone || e.T == wire.Capabilities; door && l.AnsweredAt == nil {
		return nil // who only rings opens nothing
	}
	if n.by == l.From {
		// With several called, what the caller said to one may come when another has taken its place.
		if l.lead == "" || n.to != "" && n.to != l.lead {
			return nil
		}
		if l.AnsweredAt == nil {
			l.caller.keep(e)
		}
		return []effect{say{l.lead, e}}
	}
	g := l.leg(n.by)
	if l.AnsweredAt == nil {
		other := e.T == wire.Ringing && l.lead == g.cuid && !bytes.Equal(g.sdp, e.B)
		g.keep(e)
		if other { // it rings in another place, and what the caller said was for the one before
			return l.follow(g)
		}
	}
	if e.T == wire.Ringing && g.state == offered {
		g.state = ringing
		if l.RingingAt == nil {
			l.RingingAt = outcome.At(now)
		}
		if l.lead == "" {
			return l.follow(g)
		}
	}
	if l.lead == g.cuid {
		return []effect{say{l.From, e}}
	}
	return nil
}

// follow makes a callee the one whose media path the caller makes ready.
func (l *lane) follow(g *leg) []effect {
	l.lead, l.caller = g.cuid, media{}
	return l.replay(g)
}

func (l *lane) replay(g *leg) []effect {
	var b wire.SDPBody
	if g.sdp != nil {
		b, _ = wire.Body[wire.SDPBody](wire.Envelope{B: g.sdp})
	}
	b.From = g.cuid
	acts := []effect{supply{l.From}, say{l.From, wire.New(wire.Ringing, l.Call, b)}}
	for _, c := range g.ice {
		acts = append(acts, say{l.From, wire.Envelope{T: wire.ICE, Call: l.Call, B: c}})
	}
	return acts
}

func (l *lane) answer(by string, now time.Time) ([]effect, bool) {
	g := l.leg(by)
	if by == l.From || l.AnsweredAt != nil || g.state == waiting {
		return nil, false
	}
	acts := []effect{disarm{}}
	g.state = talking
	for i := range l.legs {
		if o := &l.legs[i]; o != g {
			acts = append(acts, l.stop(o, outcome.Of(outcome.Cancelled, outcome.AnsweredElsewhere), by, now)...)
		}
	}
	if l.lead != by {
		acts = append(acts, l.follow(g)...)
	}
	l.AnsweredAt, l.To = outcome.At(now), by
	acts = append(acts, say{l.From, wire.Envelope{T: wire.Answered, Call: l.Call}}, say{by, wire.Envelope{T: wire.Answered, Call: l.Call}})
	return append(acts, l.watch(l.limit)...), true
}

// watch waits for the limit of a metered call, of which this much is left.
func (l *lane) watch(left time.Duration) []effect {
	if l.limit == 0 {
		return nil
	}
	return []effect{arm{nearLimit, max(0, left-wire.LimitWarning)}, arm{limitOver, max(0, left)}}
}

// stop takes a callee out of a call that goes on; it is told if it was ever asked.
func (l *lane) stop(g *leg, o outcome.Outcome, by string, now time.Time) []effect {
	was := g.state
	if was == gone {
		return nil
	}
	g.state, g.media = gone, media{}
	g.end = l.Result
	g.end.To = g.cuid
	g.end.Finish(o, by, now)
	if was == waiting {
		return nil
	}
	return []effect{say{g.cuid, ended(g.end)}}
}

// unheard takes out those who are there and do not say that they ring.
func (l *lane) unheard(now time.Time) (acts []effect, did bool) {
	if l.AnsweredAt != nil {
		return nil, false
	}
	for i := range l.legs {
		if g := &l.legs[i]; g.state == offered && !l.ended() {
			acts = append(acts, l.out(g.cuid, outcome.Of(outcome.Failed, outcome.NetworkLost), "hub", now)...)
			did = true
		}
	}
	return acts, did
}

// out takes a callee out that will not talk, and goes on with those who are left.
func (l *lane) out(cuid string, o outcome.Outcome, by string, now time.Time) []effect {
	g := l.leg(cuid)
	if len(l.legs) == 1 { // the end of the only one is the end of the call
		return l.finish(o, by, now)
	}
	acts := l.stop(g, o, by, now)
	if l.lead == cuid {
		l.lead = ""
		for i := range l.legs {
			if l.legs[i].state == ringing {
				acts = append(acts, l.follow(&l.legs[i])...)
				break
			}
		}
	}
	if l.each > 0 {
		if g == &l.legs[l.turn] {
			acts = append(acts, l.next(now)...)
		}
		return acts
	}
	if !slices.ContainsFunc(l.legs, func(g leg) bool { return g.state != gone }) {
		acts = append(acts, l.exhausted(now)...)
	}
	return acts
}

// exhausted ends a call that none of the called will take. Of their reasons the most human one counts.
func (l *lane) exhausted(now time.Time) []effect {
	weight := map[outcome.Outcome]int{
		outcome.Of(outcome.Declined, outcome.ByHand): 6, outcome.Of(outcome.Missed, outcome.NoAnswer): 5,
		outcome.Of(outcome.Declined, outcome.Busy): 4, outcome.Of(outcome.Declined, outcome.MicUnavailable): 3,
		outcome.Of(outcome.Failed, outcome.NetworkLost): 2, outcome.Of(outcome.Declined, outcome.NotAllowed): 1,
	}
	best := slices.MaxFunc(l.legs, func(a, b leg) int { return cmp.Compare(weight[a.end.Outcome], weight[b.end.Outcome]) })
	by := best.end.By
	if best.end.Outcome == (outcome.Outcome{}) {
		return l.finish(outcome.Of(outcome.Missed, outcome.Offline), "hub", now)
	}
	return l.finish(best.end.Outcome, by, now)
}

// conclude is an event that ends the call, or one callee's part of it. What comes too late for what it wanted still ends
// the call: a cancel that lost against the answer is a hang-up.
func (l *lane) conclude(n news, now time.Time) ([]effect, bool) {
	answered, caller := l.AnsweredAt != nil, n.by == l.From
	o, by := outcome.Outcome{}, cmp.Or(n.by, "hub")
	switch n.what {
	case declined:
		if caller {
			return nil, false
		}
		if o = outcome.Of(outcome.Declined, n.reason); answered || !o.Valid() {
			o = outcome.Outcome{}
		}
	case cancelled:
		if !caller {
			return nil, false
		}
		if o = outcome.Of(outcome.Cancelled, n.reason); answered || !o.Valid() || n.reason == outcome.AnsweredElsewhere {
			o = outcome.Outcome{}
		}
	case hungUp:
		if !n.at.IsZero() && answered { // told late: it ended when it did, not when we hear of it
			now = later(*l.AnsweredAt, earlier(n.at, now))
		}
		o = l.hungUp(n, now)
	case ringOver:
		if answered {
			return nil, false
		}
		o = outcome.Of(outcome.Missed, outcome.NoAnswer)
		if l.nobody() {
			o = outcome.Of(outcome.Missed, outcome.Offline)
		}
	case waitOver:
		if answered {
			return nil, false
		}
		o = outcome.Of(outcome.Cancelled, outcome.RingTimeout)
	case limitOver:
		o = outcome.Of(outcome.Over, outcome.MaxDuration)
	case partyGone:
		if o = outcome.Of(outcome.Over, outcome.Lost); !answered {
			o = outcome.Of(outcome.Failed, outcome.NetworkLost)
		}
	case hubStops:
		if answered {
			return nil, false // it goes on without us
		}
		o = outcome.Of(outcome.Failed, outcome.NetworkLost)
	default:
		return nil, false
	}
	if o == (outcome.Outcome{}) {
		switch {
		case answered:
			o = outcome.Of(outcome.Over, outcome.HangUp)
		case caller:
			o = outcome.Of(outcome.Cancelled, outcome.ByCaller)
		default:
			o = outcome.Of(outcome.Declined, outcome.ByHand)
		}
	}
	if !answered && !caller && n.by != "" {
		return l.out(n.by, o, by, now), true
	}
	return l.finish(o, by, now), true
}

func (l *lane) hungUp(n news, now time.Time) outcome.Outcome {
	o := outcome.Of(outcome.Over, n.reason)
	switch {
	case n.reason == outcome.MediaFailed && l.AnsweredAt != nil:
		return outcome.Of(outcome.Failed, outcome.MediaFailed)
	case n.reason == outcome.MaxDuration && (l.limit == 0 || now.Sub(*cmp.Or(l.AnsweredAt, &now)) < l.limit-time.Second):
		return outcome.Outcome{} // the limit is the hub's
	case l.AnsweredAt != nil && o.Valid():
		return o
	}
	return outcome.Outcome{}
}

// nobody reports whether no callee was ever there.
func (l *lane) nobody() bool {
	return !slices.ContainsFunc(l.legs, func(g leg) bool {
		return g.state != waiting && g.end.Outcome != outcome.Of(outcome.Missed, outcome.Offline)
	})
}

// finish is the only end of a call: one result, the same for all who are still in it.
func (l *lane) finish(o outcome.Outcome, by string, now time.Time) []effect {
	l.Finish(o, by, now)
	acts := []effect{disarm{}, done{}, say{l.From, ended(l.Result)}}
	for i := range l.legs {
		g := &l.legs[i]
		if g.state != gone && g.state != waiting {
			acts = append(acts, say{g.cuid, ended(l.Result)})
		}
		if g.state != gone {
			g.end = l.Result
		}
		g.state, g.media = gone, media{}
	}
	l.caller = media{}
	return acts
}

// stands is what a party has to be told of how the call stands: all that it may have missed.
func (l *lane) stands(cuid string, now time.Time) []effect {
	g := l.leg(cuid)
	switch {
	case g != nil && g.end.EndedAt != nil:
		return []effect{say{cuid, ended(g.end)}}
	case l.ended():
		return []effect{say{cuid, ended(l.Result)}}
	case l.AnsweredAt != nil:
		return []effect{supply{cuid}, say{cuid, wire.Envelope{T: wire.Answered, Call: l.Call}}}
	case g == nil: // the caller, of a call that rings
		if lead := l.leg(l.lead); lead != nil {
			return l.replay(lead)
		}
	case g.state != waiting:
		acts := []effect{say{cuid, l.incoming(g, now)}}
		if l.lead == cuid && l.caller.sdp != nil {
			acts = append(acts, say{cuid, wire.Envelope{T: wire.SDP, Call: l.Call, B: l.caller.sdp}})
			for _, c := range l.caller.ice {
				acts = append(acts, say{cuid, wire.Envelope{T: wire.ICE, Call: l.Call, B: c}})
			}
		}
		return acts
	}
	return nil
}

// incoming is how a callee is told of the call.
func (l *lane) incoming(g *leg, now time.Time) wire.Envelope {
	left := l.ring - now.Sub(*l.InvitedAt)
	if l.each > 0 {
		left = min(left, l.each)
	}
	return wire.New(wire.Incoming, l.Call, wire.IncomingBody{From: l.From, Name: l.name, Context: l.Context, InitiatorImage: l.image,
		RingMS: max(0, left.Milliseconds()), AutoAnswer: g.auto, ICEServers: g.servers})
}

func ended(r outcome.Result) wire.Envelope {
	return wire.New(wire.Ended, r.Call, wire.EndedBody{Result: r, Error: code(r.Outcome)})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// code is the error that the contract has for an outcome, or none.
func code(o outcome.Outcome) *fault.Error {
	switch o {
	case outcome.Of(outcome.Missed, outcome.Offline):
		return fault.New(fault.ReceiverOffline)
	case outcome.Of(outcome.Declined, outcome.Busy):
		return fault.New(fault.UserBusy)
	case outcome.Of(outcome.Declined, outcome.NotAllowed):
		return fault.New(fault.NotAllowed)
	case outcome.Of(outcome.Declined, outcome.MicUnavailable):
		return fault.New(fault.MicUnavailable)
	case outcome.Of(outcome.Failed, outcome.NetworkLost):
		return fault.New(fault.InternetLost)
	}
	return nil
}
