package link

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/wire"
)

// resuming lets a client in, knows its session again, and tells what it says.
func resuming(heard chan<- wire.Envelope) func(ctx context.Context, ws *websocket.Conn) {
	return func(ctx context.Context, ws *websocket.Conn) {
		hello, err := hear(ctx, ws)
		h, _ := wire.Body[wire.HelloBody](hello)
		w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "s", Resumed: h.Resume != nil})
		w.Re = hello.ID
		say(ctx, ws, w)
		for err == nil {
			var e wire.Envelope
			if e, err = hear(ctx, ws); err == nil && e.T != wire.Ping {
				heard <- e
			}
		}
	}
}

func TestAWayThatIsAnotherIsLeftAtOnce(t *testing.T) {
	heard := make(chan wire.Envelope, 9)
	try(t, resuming(heard), func(b *bench) {
		time.Sleep(time.Minute)
		b.take()
		b.moved.Store(true)
		b.NetworkChanged()
		b.Send(wire.New(wire.ICE, "c1", wire.ICEBody{})) // too soon for it
		if got := b.take(); len(got) != 3 || got[0] != "1m0s down: "+errMoved.Error() || got[1] != got[0] ||
			got[2] != "1m0s up s" {
			t.Errorf("%q", got)
		}
		select {
		case e := <-heard:
			t.Errorf("the hub heard %s: it must not take the device for one that left", e.T)
		default:
		}
	})
}

// A hub that does not answer when it is asked to is left, long before its silence would say so.
func TestACheckOfADeadConnection(t *testing.T) {
	var deaf atomic.Bool
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		hello, err := hear(ctx, ws)
		w := wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "s"})
		w.Re = hello.ID
		say(ctx, ws, w)
		for err == nil {
			var e wire.Envelope
			if e, err = hear(ctx, ws); err == nil && e.ID != 0 && !deaf.Load() {
				say(ctx, ws, wire.Reply(e, nil))
			}
		}
	}, func(b *bench) {
		time.Sleep(time.Minute)
		b.Check()
		time.Sleep(61 * time.Second)
		if got := b.take(); !slices.Equal(got, []string{"0s up s"}) {
			t.Errorf("a hub that answers: %q", got)
		}
		deaf.Store(true)
		b.Check()
		time.Sleep(checkTime)
		if got := b.take(); len(got) != 3 || got[0] != "2m3s down: "+errDeaf.Error() || got[2] != "2m3s up s" {
			t.Errorf("%q", got)
		}
	})
}

func TestAnUnrelatedChangeIsNothing(t *testing.T) {
	try(t, welcome, func(b *bench) {
		time.Sleep(time.Minute)
		for range 50 {
			b.NetworkChanged()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if got := b.take(); !slices.Equal(got, []string{"0s up s"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestANetworkThatIsBackIsTriedAtOnce(t *testing.T) {
	try(t, welcome, func(b *bench) {
		b.net.set(true)
		time.Sleep(time.Hour)
		b.take()
		b.net.set(false)
		b.NetworkChanged()
		time.Sleep(time.Second)
		if got := b.take(); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], " up s") {
			t.Errorf("%q", got)
		}
	})
}

// An interface that comes and goes all the time costs a hub that is away a try a second, and no more.
func TestANetworkThatChangesAllTheTime(t *testing.T) {
	try(t, welcome, func(b *bench) {
		b.net.set(true)
		time.Sleep(time.Hour)
		b.take()
		for range 1000 {
			b.NetworkChanged()
			time.Sleep(10 * time.Millisecond)
		}
		if got := b.take(); len(got) > 12 {
			t.Errorf("%d tries in ten seconds", len(got))
		}
	})
}

// A dial that goes nowhere since its address is gone is made anew a second later, not when its time is over.
func TestADialOfBeforeTheChange(t *testing.T) {
	try(t, welcome, func(b *bench) {
		b.net.swallow(true)
		b.net.set(true)
		time.Sleep(20 * time.Second) // in the middle of a dial, or nearly
		b.net.set(false)
		b.NetworkChanged()
		b.net.swallow(false)
		time.Sleep(2 * time.Second)
		if got := b.take(); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], " up s") {
			t.Errorf("%q", got)
		}
	})
}

// After a wrong key the station waits, whatever the network does.
func TestAWrongKeyIsNotSaidAgainSooner(t *testing.T) {
	try(t, func(ctx context.Context, ws *websocket.Conn) {
		e, _ := hear(ctx, ws)
		say(ctx, ws, wire.Reply(e, fault.New(fault.Credentials)))
		ws.Close(wire.CloseCredentials, "")
	}, func(b *bench) {
		for range 50 {
			b.NetworkChanged()
			time.Sleep(time.Second)
		}
		if got := b.take(); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}
