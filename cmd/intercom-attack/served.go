package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"intercom/internal/outcome"
	"intercom/wire"
)

// target is how long others may wait during a flood, from the invite to the answer, for 99 of 100 calls. It is
// reported; only a call that fails, or takes longer than most, got through: machines that run tests are shared.
const (
	target = 50 * time.Millisecond
	most   = 5 * time.Second
	pace   = 50 * time.Millisecond // between calls, or the hub takes them for a flood
)

// served makes calls between two devices, one after the other, while flood runs, and notes how long they took; two
// others are in a call all the time. flood must end soon after its ctx.
func (t *trial) served(calls int, flood func(ctx context.Context)) {
	if !(attack{name: t.result.Attack}).measured() {
		t.must(fmt.Errorf("%s is measured, so its name must say that it is a flood", t.result.Attack))
	}
	talking, calling := t.pair("talking"), t.pair("calling")
	long, err := talking.begin()
	t.must(err)
	defer func() {
		if err := talking.end(long); err != nil {
			t.through("the call that went on during the flood: %v", err)
		}
	}()
	ctx, stop := context.WithCancel(t.ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); flood(ctx) }()
	finish := func() { stop(); <-ended }
	defer finish()
	select { // the flood is there before the first call
	case <-time.After(500 * time.Millisecond):
	case <-ended:
	}
	var took []float64
	for i := range calls {
		time.Sleep(pace)
		began := time.Now()
		call, err := calling.begin()
		took = append(took, float64(time.Since(began).Microseconds())/1000)
		if err == nil {
			err = calling.end(call)
		}
		if err != nil {
			t.through("call %d of others failed during the flood: %v", i+1, err)
			return
		}
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[min(len(took)-1, int(q*float64(len(took))))] }
	t.figure("invite_to_answered_p50_ms", at(0.5))
	t.figure("invite_to_answered_p99_ms", at(0.99))
	if worst := took[len(took)-1]; worst > float64(most.Milliseconds()) {
		t.through("a call of others took %.0f ms from the invite to the answer", worst)
	}
	if p99 := at(0.99); p99 > float64(target.Milliseconds()) {
		t.figure("over_target_ms", float64(target.Milliseconds()))
	}
}

// pair is a caller and a callee, and their cuids.
type pair struct {
	caller, callee *client
	from, to       string
}

func (t *trial) pair(name string) pair {
	p := pair{from: name + "_caller", to: name + "_callee"}
	p.caller, p.callee = t.signIn(p.from), t.signIn(p.to)
	return p
}

// begin makes a call, and returns when it is answered.
func (p pair) begin() (call string, err error) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	call = hex.EncodeToString(b[:])
	if err := p.caller.request(wire.New(wire.Invite, call,
		wire.InviteBody{To: wire.Receivers{p.to}, Context: "Served?"})); err != nil {
		return call, err
	}
	if e, err := p.callee.await(most, wire.Incoming); err != nil || e.Call != call {
		return call, fmt.Errorf("it did not ring: %w", err)
	}
	if err := p.callee.request(wire.Envelope{T: wire.Answer, Call: call}); err != nil {
		return call, err
	}
	_, err = p.caller.await(most, wire.Answered)
	return call, err
}

// end hangs up, which must be the end of the call for both.
func (p pair) end(call string) error {
	if err := p.caller.request(wire.New(wire.HangUp, call, wire.HangUpBody{Reason: outcome.HangUp})); err != nil {
		return err
	}
	for _, c := range []*client{p.caller, p.callee} {
		e, err := c.await(most, wire.Ended)
		if err != nil {
			return err
		}
		if b, ferr := wire.Body[wire.EndedBody](e); ferr != nil || e.Call != call ||
			b.Outcome != outcome.Of(outcome.Over, outcome.HangUp) || b.By != p.from {
			return fmt.Errorf("it ended as %s by %s", b.Outcome, b.By)
		}
	}
	return nil
}
