package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"intercom/internal/config"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/link"
)

// fleet is many stations that sign in as real ones do, with the same link, and call one another without sound.
type fleet struct {
	stations []*station
	up       atomic.Int64
	work     sync.WaitGroup
	stop     context.CancelFunc
}

// target is where a fleet signs in.
type target struct {
	URLs    []string
	Account string
	APIKey  config.Secret
	TLS     *tls.Config
}

// station is one of a fleet.
type station struct {
	*link.Link
	f    *fleet
	cuid string
	mu   sync.Mutex
	on   bool
	tell map[string]*attempt // by call
}

// attempt is a call that a station places.
type attempt struct {
	began    time.Time
	answered time.Duration
	result   outcome.Result
	done     chan struct{}
}

// muster starts n stations named prefix_1, prefix_2, …; those of an address come from many, as in a real network: a hub
// lets an address have few connections that are not signed in. pick chooses the order of hubs for a station.
func muster(ctx context.Context, t target, prefix string, n int, pick func(i int) []string) *fleet {
	ctx, cancel := context.WithCancel(ctx)
	f := &fleet{stop: cancel}
	quiet := slog.New(slog.DiscardHandler)
	for i := range n {
		s := &station{f: f, cuid: fmt.Sprintf("%s_%d", prefix, i+1), tell: map[string]*attempt{}}
		from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i/250), byte(1+i%250))}}
		s.Link = link.New(link.Config{URLs: pick(i), Account: t.Account, APIKey: t.APIKey, CUID: s.cuid, Name: "Load",
			Instance: s.cuid + "-instance", Agent: "intercom-load",
			TLS: t.TLS, Dial: from.DialContext}, s, func() []wire.CallRef { return nil }, quiet)
		f.stations = append(f.stations, s)
	}
	for _, s := range f.stations {
		f.work.Go(func() { _ = s.Run(ctx) })
	}
	return f
}

// dismiss ends all stations.
func (f *fleet) dismiss() {
	f.stop()
	f.work.Wait()
}

// await waits until at least n stations are signed in.
func (f *fleet) await(ctx context.Context, n int) error {
	for f.up.Load() < int64(n) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d stations are signed in", f.up.Load(), n)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// Up, Down and Receive make the station the handler of its link.

// Up says that it is signed in.
func (s *station) Up(wire.WelcomeBody) { s.set(true) }

// Down says that it is not.
func (s *station) Down(error) { s.set(false) }

func (s *station) set(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on == on {
		return
	}
	if s.on = on; on {
		s.f.up.Add(1)
	} else {
		s.f.up.Add(-1)
	}
}

// sdp is as long as a real one.
var sdp = wire.SDPBody{SDP: "v=0\r\n" + strings.Repeat("a=candidate-and-codec-lines-of-a-real-description\r\n", 18)}

var candidate = wire.ICEBody{Candidate: "candidate:1966762133 1 udp 2130706431 192.0.2.17 51413 typ host"}

// Receive plays the part of a station: it answers as soon as its description was answered, and hangs up what it called
// as soon as that is answered.
func (s *station) Receive(m link.Message) {
	switch m.T {
	case wire.Incoming:
		s.Send(wire.New(wire.Ringing, m.Call, sdp))
		s.Send(wire.New(wire.ICE, m.Call, candidate))
		s.Send(wire.New(wire.ICE, m.Call, candidate))
	case wire.Ringing:
		s.Send(wire.New(wire.SDP, m.Call, sdp))
		s.Send(wire.New(wire.ICE, m.Call, candidate))
		s.Send(wire.New(wire.ICE, m.Call, candidate))
	case wire.SDP:
		s.Send(wire.Envelope{T: wire.Answer, Call: m.Call})
	case wire.Answered:
		s.mu.Lock()
		a := s.tell[m.Call]
		s.mu.Unlock()
		if a != nil {
			a.answered = time.Since(a.began)
			s.Send(wire.New(wire.HangUp, m.Call, wire.HangUpBody{Reason: outcome.HangUp}))
		}
	case wire.Ended:
		s.mu.Lock()
		a := s.tell[m.Call]
		delete(s.tell, m.Call)
		s.mu.Unlock()
		if a != nil {
			if b, err := wire.Body[wire.EndedBody](m.Envelope); err == nil {
				a.result = b.Result
			}
			close(a.done)
		}
	}
}

// call calls another station and waits for the end.
func (s *station) call(ctx context.Context, to string) *attempt {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	id := hex.EncodeToString(raw[:])
	a := &attempt{began: time.Now(), done: make(chan struct{})}
	s.mu.Lock()
	s.tell[id] = a
	s.mu.Unlock()
	s.Send(wire.New(wire.Invite, id, wire.InviteBody{To: wire.Receivers{to}, Context: "Load"}))
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	select {
	case <-a.done:
	case <-ctx.Done():
	}
	return a
}

// calls is what came of many calls.
type calls struct {
	Count  int            `json:"calls"`
	Rate   float64        `json:"calls_per_s"`
	P50    float64        `json:"invite_answered_p50_ms"`
	P95    float64        `json:"invite_answered_p95_ms"`
	P99    float64        `json:"invite_answered_p99_ms"`
	Ended  map[string]int `json:"outcomes"`
	millis []float64
}

// place places calls between pairs of stations for a time: at a rate, or, at rate 0, each pair without a pause. A pair
// waits after each call, so that its messages stay within what the hub allows a station.
func place(ctx context.Context, callers, callees []*station, rate float64, length time.Duration) calls {
	const pause = 300 * time.Millisecond // a call is 5 messages, and 25 a second are allowed
	c := calls{Ended: map[string]int{}}
	var mu sync.Mutex
	var work sync.WaitGroup
	tickets := make(chan struct{})
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	began := time.Now()
	for i := range callers {
		work.Go(func() {
			for {
				if rate > 0 {
					select {
					case <-tickets:
					case <-ctx.Done():
						return
					}
				}
				if ctx.Err() != nil {
					return
				}
				a := callers[i].call(context.WithoutCancel(ctx), callees[i].cuid)
				mu.Lock()
				c.Count++
				c.Ended[a.result.String()]++
				if a.answered > 0 {
					c.millis = append(c.millis, float64(a.answered.Microseconds())/1000)
				}
				mu.Unlock()
				select {
				case <-time.After(pause):
				case <-ctx.Done():
				}
			}
		})
	}
	if rate > 0 {
		every := time.NewTicker(time.Duration(float64(time.Second) / rate))
		defer every.Stop()
		for ctx.Err() == nil {
			select {
			case <-every.C:
				select {
				case tickets <- struct{}{}:
				case <-ctx.Done():
				}
			case <-ctx.Done():
			}
		}
	}
	work.Wait()
	c.Rate = float64(c.Count) / time.Since(began).Seconds()
	c.P50, c.P95, c.P99 = percentile(c.millis, 50), percentile(c.millis, 95), percentile(c.millis, 99)
	return c
}

func percentile(all []float64, p int) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)-1, len(all)*p/100)]
}
