package device

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"time"

	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/internal/outcome"
	"intercom/wire"
)

// leg is this station's side of one call: everything that belongs to the call, except the state of the rules. Each call
// gets a new one, so that nothing of an earlier call can be mistaken for this one's; between calls there is an empty
// one. A timer or a media path that reports late reports to the leg that it was made for, and changes no other.
type leg struct {
	id     string
	wants  placing           // of a call of ours: whom it is to
	invite wire.InviteBody   // of a call of ours
	caller wire.IncomingBody // of one that comes in
	voice  setup.Mode
	result outcome.Result  // as far as it is known here
	final  *outcome.Result // what the hub says of it
	ticket string          // of the hub, once it was answered

	timers map[call.Timer]*time.Timer
	auto   *time.Timer // answers by itself

	servers      []wire.ICEServer // for this call; none where the hub named some for all
	path         Path
	descriptions *rate.Limiter // of the peer, for the path
	candidates   int           // since the last of them
	opening      bool          // the microphone is about to open: its LED comes first
	quality      control.Quality
	mayOpen      bool // the peer was told that it may open the door
}

// newOutgoing makes the leg of a call of ours.
func newOutgoing(cfg *setup.Config, p placing) *leg {
	id := newID()
	return &leg{id: id, wants: p, voice: cmp.Or(p.voice, cfg.Call.Voice),
		invite: wire.InviteBody{To: p.to, Context: p.context, InitiatorImage: cfg.Image},
		result: outcome.Result{Call: id, From: cfg.CUID, To: p.to.String(), Context: p.context}}
}

// newIncoming makes the leg of a call that comes in.
func newIncoming(cfg *setup.Config, id string, b wire.IncomingBody) *leg {
	return &leg{id: id, caller: b, voice: cfg.Call.Voice, servers: b.ICEServers,
		result: outcome.Result{Call: id, From: b.From, To: cfg.CUID, Context: b.Context}}
}

// newID is 128 random bits, so that an invite is idempotent by the call's id.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

// reached notes when the call got where, for a result that the hub cannot give.
func (l *leg) reached(s call.State) {
	now, r := outcome.At(time.Now()), &l.result
	r.InvitedAt = cmp.Or(r.InvitedAt, now)
	switch {
	case s.Phase == call.Ringback || s.Phase == call.Ringing:
		r.RingingAt = now
	case s.Live() && r.AnsweredAt == nil:
		r.AnsweredAt = now
		if s.Caller {
			r.To = s.Peer // of several called, the one who answered
		}
	}
}

// set starts a timer, and stops an earlier one of that name.
func (l *leg) set(name call.Timer, after time.Duration, tell func(func()), expired func()) {
	l.stop(name)
	var t *time.Timer
	t = time.AfterFunc(after, func() {
		tell(func() {
			if l.timers[name] == t { // not stopped in the meantime
				delete(l.timers, name)
				expired()
			}
		})
	})
	if l.timers == nil {
		l.timers = map[call.Timer]*time.Timer{}
	}
	l.timers[name] = t
}

// stop stops a timer; "" stops all.
func (l *leg) stop(name call.Timer) {
	for one, t := range l.timers {
		if name == "" || name == one {
			t.Stop()
			delete(l.timers, one)
		}
	}
}

// noAuto takes an automatic answer back; it rings as for everybody.
func (l *leg) noAuto() {
	if l.auto != nil {
		l.auto.Stop()
		l.auto = nil
	}
}

// description tells the media path what the peer says of its own, and reports whether it did. Nobody needs to say it
// often.
func (l *leg) description(sdp, answers string) bool {
	if l.path == nil || !l.descriptions.Allow() {
		return false
	}
	l.candidates = 0
	l.path.Remote(sdp, answers)
	return true
}

// mostCandidates are taken with one description of the peer.
const mostCandidates = 2 * wire.MaxCandidates

// candidate tells the media path one of the peer's candidates.
func (l *leg) candidate(c string) {
	if l.path == nil {
		return
	}
	if l.candidates++; l.candidates <= mostCandidates {
		l.path.Candidate(c)
	}
}

// close ends the media path.
func (l *leg) close() {
	l.opening = false
	if l.path != nil {
		l.quality = l.path.Quality()
		l.path.Close()
		l.path = nil
	}
}
