package rtc

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"intercom/wire"
)

// heard waits until a packet that is sent now comes to each side.
func heard(t *testing.T, a, b *end) {
	t.Helper()
	for _, way := range [][2]*end{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		for len(to.packets) > 0 {
			<-to.packets
		}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for end := time.After(20 * time.Second); ; {
			from.peer.Send([]byte{1, 2, 3}, 960, false)
			select {
			case <-to.packets:
			case <-tick.C:
				continue
			case <-end:
				t.Fatal("nothing is heard within 20 s of the restart")
			}
			break
		}
	}
}

// again waits until a path is up again.
func again(t *testing.T, ends ...*end) {
	t.Helper()
	for _, e := range ends {
		for wait(t, e.states, "state") != Up {
		}
	}
}

// fragments are the user names of both sides as the two know them, which must agree.
func fragments(t *testing.T, a, b *end) [2]string {
	t.Helper()
	var of [2][2]string
	for i, e := range []*end{a, b} {
		got := make(chan [2]string, 1)
		e.peer.do <- e.peer.current(got)
		of[i] = wait(t, got, "description")
	}
	if of[0][0] != of[1][1] || of[0][1] != of[1][0] {
		t.Fatalf("the two do not agree on the restart: %v", of)
	}
	return of[0]
}

func settled(t *testing.T) (callee, caller *end) {
	callee, caller = connect(t, []Codec{opus}, []Codec{opus})
	again(t, callee, caller)
	heard(t, callee, caller)
	return callee, caller
}

func TestARestart(t *testing.T) {
	for name, pick := range map[string]func(callee, caller *end) (*end, *end){
		"by the callee": func(callee, caller *end) (*end, *end) { return callee, caller },
		"by the caller": func(callee, caller *end) (*end, *end) { return caller, callee },
	} {
		t.Run(name, func(t *testing.T) {
			callee, caller := settled(t)
			who, other := pick(callee, caller)
			for range 3 { // roles and states have to be right each time
				before := fragments(t, who, other)
				who.peer.Restart(nil)
				again(t, who, other)
				heard(t, who, other)
				if after := fragments(t, who, other); after[0] == before[0] || after[1] == before[1] {
					t.Fatal("nothing was restarted")
				}
				who, other = other, who
			}
		})
	}
}

// Both offer at once: the caller's offer yields, and one restart is made.
func TestOffersThatCross(t *testing.T) {
	for range 5 {
		callee, caller := settled(t)
		for _, e := range []*end{callee, caller} {
			e.mu.Lock()
			e.cut = true
			e.mu.Unlock()
			e.peer.Restart(nil)
			for done := false; !done; time.Sleep(time.Millisecond) { // its offer is out
				e.mu.Lock()
				done = len(e.kept) > 0
				e.mu.Unlock()
			}
		}
		caller.mend()
		callee.mend()
		again(t, callee, caller)
		heard(t, callee, caller)
		fragments(t, callee, caller)
	}
}

// Several offers that nobody answered for a time: of their answers the last one counts.
func TestAnswersThatComeLate(t *testing.T) {
	callee, caller := settled(t)
	caller.mu.Lock()
	caller.cut = true
	caller.mu.Unlock()
	for range 3 {
		callee.peer.Restart(nil)
	}
	for n := 0; n < 3; time.Sleep(time.Millisecond) {
		caller.mu.Lock()
		n = len(caller.kept)
		caller.mu.Unlock()
	}
	caller.mend()
	again(t, callee, caller)
	heard(t, callee, caller)
	fragments(t, callee, caller)
}

// A caller that does not yield offers again and again. The callee does, when its own offer comes to nothing.
func TestOneThatDoesNotYield(t *testing.T) {
	callee, caller := settled(t)
	callee.mu.Lock()
	callee.cut = true // its offer is lost on the other side
	callee.mu.Unlock()
	callee.peer.Restart(nil)
	caller.peer.Restart(nil)
	for n := 0; n == 0; time.Sleep(time.Millisecond) {
		got := make(chan bool, 1)
		callee.peer.do <- callee.peer.ignoring(got)
		if wait(t, got, "word") {
			n++
		}
	}
	callee.mu.Lock()
	callee.cut, callee.kept = false, nil
	callee.mu.Unlock()
	callee.peer.Restart(nil)
	again(t, callee, caller)
	heard(t, callee, caller)
	fragments(t, callee, caller)
}

// One of an older version does not say which offer it answers.
func TestARestartWithAnOlderPeer(t *testing.T) {
	callee, caller := settled(t)
	caller.old = true
	callee.peer.Restart(nil)
	again(t, callee, caller)
	heard(t, callee, caller)
	caller.peer.Restart(nil)
	again(t, callee, caller)
	heard(t, callee, caller)
}

// The servers of a restart are those that it is given: credentials can be new.
func TestARestartAsksTheServersThatItIsGiven(t *testing.T) {
	t.Parallel() // the library waits for an answer of the server before it lets go
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	asked := make(chan bool, 1)
	go func() {
		_, _, err := server.ReadFrom(make([]byte, 1500))
		asked <- err == nil
	}()
	callee, caller := settled(t)
	for gathered := false; !gathered; time.Sleep(time.Millisecond) {
		got := make(chan bool, 1)
		callee.peer.do <- callee.peer.gathered(got)
		gathered = wait(t, got, "word")
	}
	callee.peer.Restart([]wire.ICEServer{{URLs: []string{"turn:" + server.LocalAddr().String() + "?transport=udp"},
		Username: "a", Credential: "b"}})
	again(t, callee, caller)
	heard(t, callee, caller)
	if !wait(t, asked, "request to the server") {
		t.Error("it was not asked")
	}
}

func TestAPathSaysThatItMoved(t *testing.T) {
	asked := make(chan [2]netip.Addr, 99)
	moved := false
	engine, err := New(Settings{Codecs: []Codec{opus}, Interfaces: []string{"lo"},
		Way: func(from, to netip.Addr) func() bool {
			asked <- [2]netip.Addr{from, to}
			return func() bool { return moved }
		}})
	if err != nil {
		t.Fatal(err)
	}
	x, y := &end{states: make(chan State, 9), packets: make(chan Packet, 99)}, &end{states: make(chan State, 9),
		packets: make(chan Packet, 99)}
	x.other, y.other = y, x
	x.mu.Lock()
	y.mu.Lock()
	x.peer, y.peer = engine.Peer(nil, true, x), engine.Peer(nil, false, y)
	x.mu.Unlock()
	y.mu.Unlock()
	for _, e := range []*end{x, y} {
		t.Cleanup(func() { e.peer.Close(); <-e.peer.Closed() })
	}
	again(t, x, y)
	here := netip.MustParseAddr("127.0.0.1")
	if got := wait(t, asked, "way"); got != [2]netip.Addr{here, here} {
		t.Errorf("the way %v is watched", got)
	}
	if x.peer.Moved() {
		t.Error("it moved before anything did")
	}
	moved = true
	if !x.peer.Moved() {
		t.Error("it did not move")
	}
}
