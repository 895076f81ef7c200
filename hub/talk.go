package hub

import (
	"encoding/json"
	"sync"
	"time"

	"intercom/internal/outcome"
	"intercom/wire"
)

// talk is a call at its owner: its lane behind a lock, its timers, and where its parties are.
type talk struct {
	r       *router
	account string
	key     callKey
	target  string // the only one called, "" for a group
	mu      sync.Mutex
	lane    lane
	at      map[string]*place
	timers  map[happening]*time.Timer
	claim   uint64 // revision of the claim of an adopted call

	refusals int // of wishes to open a door
}

type callKey struct{ account, id string }

// place is where a party is: at which hub, and since when it is away.
type place struct {
	hub  string
	away *time.Timer
}

func (r *router) newTalk(account string, l lane) *talk {
	return &talk{r: r, account: account, key: callKey{account, l.Call}, lane: l, at: map[string]*place{}, timers: map[happening]*time.Timer{}}
}

// happen passes an event through the lane and does what follows. It reports whether it changed anything.
func (t *talk) happen(n news) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	acts, did := t.lane.step(n, time.Now())
	t.perform(acts)
	return did
}

// perform does what the lane wants. The lock is held.
func (t *talk) perform(acts []effect) {
	for len(acts) > 0 {
		a := acts[0]
		acts = acts[1:]
		switch a := a.(type) {
		case offer:
			if o, refuses := t.offer(a.to); refuses {
				more, _ := t.lane.step(news{what: refused, by: a.to, outcome: o}, time.Now())
				acts = append(acts, more...)
			}
		case say:
			if a.T == wire.Answered {
				a.Envelope = t.answered(a.to)
			}
			t.tell(a.to, a.Envelope)
		case arm:
			t.arm(a)
		case disarm:
			for _, timer := range t.timers {
				timer.Stop()
			}
			clear(t.timers)
		case done:
			t.record()
		case supply:
			t.serve(a.to)
		}
	}
}

// serve tells a party the servers for its media path, where there are some. The lock is held.
func (t *talk) serve(cuid string) {
	if servers := t.r.servers(t.account, cuid, t.lane.Call); len(servers) > 0 {
		t.tell(cuid, wire.New(wire.Servers, t.lane.Call, wire.ServersBody{ICEServers: servers}))
	}
}

func (t *talk) arm(a arm) {
	if old := t.timers[a.what]; old != nil {
		old.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(a.after, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.timers[a.what] != timer { // stopped while it went off
			return
		}
		delete(t.timers, a.what)
		acts, _ := t.lane.step(news{what: a.what}, time.Now())
		t.perform(acts)
	})
	t.timers[a.what] = timer
}

// offer makes a callee ring, here or at another hub. refuses says that it cannot, and how that ends its part.
func (t *talk) offer(cuid string) (o outcome.Outcome, refuses bool) {
	w := who{t.account, cuid}
	if acct := t.r.access.Account(t.account); acct != nil && !acct.MayCall(t.lane.From, cuid) {
		return outcome.Of(outcome.Declined, outcome.NotAllowed), true
	}
	e := t.lane.incoming(t.lane.leg(cuid), time.Now())
	switch got := t.r.ring(w, t.lane.From, legRef{t.lane.Call, t.r.name}, e); got {
	case rang:
		t.at[cuid] = &place{hub: t.r.name}
		return o, false
	case busy:
		return outcome.Of(outcome.Declined, outcome.Busy), true
	case yours:
		return outcome.Of(outcome.Cancelled, outcome.ByCaller), true
	}
	if !t.r.bus.Peers() {
		return outcome.Of(outcome.Missed, outcome.Offline), true
	}
	t.r.background(func() { t.r.search(t, w, e, true) })
	return o, false
}

// tell gives a party a message, wherever it is. The lock is held.
func (t *talk) tell(cuid string, e wire.Envelope) {
	p := t.at[cuid]
	if p == nil { // an adopted call's other party, which has not been found yet
		return
	}
	w := who{t.account, cuid}
	if p.hub == t.r.name {
		t.r.deliver(w, e)
		return
	}
	s := slip{Kind: kTell, Hub: t.r.name, Account: w.account, CUID: w.cuid, Call: t.lane.Call, Env: &e}
	if t.r.bus.Send(p.hub, s.bytes(), s.token()) != nil && !t.lane.ended() {
		t.missing(cuid, false)
	}
}

// missing begins the time that a party may be away; for good means that there is none.
func (t *talk) missing(cuid string, forGood bool) {
	p := t.at[cuid]
	if p == nil {
		p = &place{}
		t.at[cuid] = p
	}
	grace := UnansweredGrace
	switch {
	case forGood:
		grace = 0
	case p.away != nil:
		return
	case t.lane.adopted && p.hub == "":
		grace = wire.AdoptGrace
	case t.lane.talks():
		grace = wire.ResumeGrace
	}
	if p.away != nil {
		p.away.Stop()
	}
	p.away = time.AfterFunc(grace, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if p.away == nil || t.at[cuid] != p {
			return
		}
		acts, _ := t.lane.step(news{what: partyGone, by: cuid}, time.Now())
		t.perform(acts)
	})
}

// UnansweredGrace is how long a party of a call that is not answered yet may be away; the devices wait as long.
const UnansweredGrace = 4 * time.Second

// left says that a party's connection is gone.
func (t *talk) left(cuid, hub string, forGood bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.at[cuid]; t.lane.ended() || p == nil || p.hub != hub {
		return
	}
	t.missing(cuid, forGood)
}

// back says that a party is at a hub. It is told how the call stands, unless its session went on and it missed nothing.
func (t *talk) back(cuid, hub string, resumed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.at[cuid]
	if p == nil {
		p = &place{}
		t.at[cuid] = p
	}
	if p.away != nil {
		p.away.Stop()
		p.away = nil
	}
	moved := p.hub != hub
	p.hub = hub
	if !resumed || moved {
		t.perform(t.lane.stands(cuid, time.Now()))
	}
}

// answered is what a party is told at the answer, with the ticket.
func (t *talk) answered(cuid string) wire.Envelope {
	peer := t.lane.To
	if peer == cuid {
		peer = t.lane.From
	}
	return wire.New(wire.Answered, t.lane.Call, wire.AnsweredBody{Peer: peer, Ticket: t.ticket(), LimitMS: t.lane.limit.Milliseconds()})
}

// record keeps the result, and the call for those who come late.
func (t *talk) record() {
	r := t.lane.Result
	t.r.log.Info("call ended", "call", r.Call, "cuid", r.From, "peer", r.To, "status", string(r.Status), "reason", string(r.Reason))
	t.r.record(t.account, r)
	for _, p := range t.at {
		if p.away != nil {
			p.away.Stop()
			p.away = nil
		}
	}
	t.r.liveCalls.Add(-1)
	time.AfterFunc(wire.RememberEnded, func() { t.r.forget(t) })
}

// ticket proves the call to any hub of the cluster.
type ticket struct {
	Account    string        `json:"a"`
	Call       string        `json:"id"`
	From       string        `json:"f"`
	To         string        `json:"t"`
	Context    string        `json:"x"`
	InvitedAt  time.Time     `json:"i"`
	RingingAt  *time.Time    `json:"r"`
	AnsweredAt time.Time     `json:"n"`
	Limit      time.Duration `json:"l,omitempty"`
}

func (t *talk) ticket() string {
	l := &t.lane
	b, err := json.Marshal(ticket{t.account, l.Call, l.From, l.To, l.Context, *l.InvitedAt, l.RingingAt, *l.AnsweredAt, l.limit})
	if err != nil { // a ticket holds only what JSON can say
		return ""
	}
	return t.r.tickets.Sign(b)
}
