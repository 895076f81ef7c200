package hub

import (
	"encoding/hex"
	"slices"
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// invite starts a call, which this hub owns. It replies, unless it gives an error.
func (r *router) invite(m *member, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.InviteBody](e)
	if err != nil {
		return err
	}
	if raw, err := hex.DecodeString(e.Call); err != nil || len(raw) != 16 {
		return fault.In(fault.InvalidCall, "call", "The call id must be 128 random bits as 32 hexadecimal digits.")
	}
	if r.known(m, e.Call) { // it had an end, of which the device had not heard
		m.reply(e, nil, nil)
		return nil
	}
	l, err := r.plan(m.who, b)
	if err != nil {
		return err
	}
	now := time.Now()
	l.image = b.InitiatorImage
	l.Result = outcome.Result{Call: e.Call, From: m.cuid, To: b.To.String(), Context: b.Context, InvitedAt: outcome.At(now)}

	for i := range l.legs {
		l.legs[i].servers = r.servers(m.account, l.legs[i].cuid, e.Call)
	}

	// The call is locked before others can find it.
	t := r.newTalk(m.account, l)
	t.at[m.cuid] = &place{hub: r.name}
	if len(l.legs) == 1 {
		t.target = l.legs[0].cuid
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return fault.New(fault.HubDegraded)
	}
	if id := m.call.id; id != "" {
		called := t.target != "" && m.caller == t.target
		r.mu.Unlock()
		if called { // both call each other: the first invite is the call
			return fault.New(fault.Conflict)
		}
		return fault.New(fault.CallInProgress)
	}
	t.lane.name = m.name
	m.call, m.caller, m.ringing = legRef{e.Call, r.name}, "", false
	r.presence.touch(m.who)
	r.calls[t.key] = t
	r.mu.Unlock()
	r.liveCalls.Add(1)
	m.reply(e, wire.InvitedBody{RingMS: l.ring.Milliseconds(), CallerMS: l.patience.Milliseconds()}, nil)
	t.perform(t.lane.begin(now))
	return nil
}

// plan checks an invite and says who is to ring, how and how long.
func (r *router) plan(from who, b wire.InviteBody) (lane, *fault.Error) {
	var l lane
	acct := r.access.Account(from.account)
	if acct == nil {
		return l, fault.New(fault.MissingAccount)
	}
	to, mode, each := []string(b.To), b.Mode, time.Duration(b.EachMS)*time.Millisecond
	if len(to) == 1 {
		if g := acct.Group(to[0]); g != nil {
			to, mode, each = g.Members, g.Mode, g.Each.Std()
			to = slices.DeleteFunc(slices.Clone(to), func(c string) bool { return c == from.cuid })
		}
	}
	if err := checkInvite(from.cuid, to, b); err != nil {
		return l, err
	}
	l.ring, l.patience, l.ack, l.limit = r.times.Ring, r.times.Caller, r.times.Ack, acct.Limit(from.cuid)
	if asked := time.Duration(b.MaxDurationMS) * time.Millisecond; asked > 0 && (l.limit == 0 || asked < l.limit) {
		l.limit = asked
	}
	if mode == wire.Sequence {
		if l.each = each; l.each == 0 {
			l.each = access.EachTime
		}
		l.ring = min(l.each*time.Duration(len(to)), MaxRing)
		l.patience = max(l.patience, l.ring+r.times.Caller-r.times.Ring)
	}
	for _, c := range to {
		l.legs = append(l.legs, leg{cuid: c, auto: acct.MayBeAnswered(from.cuid, c)})
	}
	return l, nil
}

// MaxRing is the longest that a call may ring, also in a sequence.
const MaxRing = 2 * time.Minute

func checkInvite(from string, to []string, b wire.InviteBody) *fault.Error {
	if len(to) == 0 || len(to) > wire.MaxReceivers {
		return fault.In(fault.InvalidCall, "to", "A call needs 1 to %d receivers; name the cuid to call, for example reception.", wire.MaxReceivers)
	}
	for i, c := range to {
		if err := wire.CheckReceiver(c, from); err != nil {
			return err
		}
		if slices.Index(to, c) != i {
			return fault.In(fault.InvalidCall, "to", "The receiver %s is named twice.", c)
		}
	}
	if err := wire.CheckContext(b.Context); err != nil {
		return err
	}
	if b.Mode != "" && b.Mode != wire.Parallel && b.Mode != wire.Sequence {
		return fault.In(fault.InvalidCall, "mode", "The mode must be parallel or sequence.")
	}
	if b.EachMS != 0 && (b.EachMS < 1000 || b.EachMS > 60_000) {
		return fault.In(fault.InvalidCall, "each_ms", "Each receiver of a sequence rings 1,000 to 60,000 ms.")
	}
	if b.MaxDurationMS < 0 || b.MaxDurationMS > (24*time.Hour).Milliseconds() {
		return fault.In(fault.InvalidCall, "max_duration_ms", "The limit of a call is 1 ms to 24 hours, in milliseconds.")
	}
	return wire.CheckImage(b.InitiatorImage)
}

// Heard, Asked and Undelivered make the router the handler of its bus.
