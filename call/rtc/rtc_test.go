package rtc

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	opus = Codec{Name: "opus", Rate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1", Type: 111, Send: true}
	pcmu = Codec{Name: "PCMU", Rate: 8000, Type: 0, Send: true}
)

var ssrcLine = regexp.MustCompile(`a=ssrc[^\n]*\n`)

// end is one side of a call whose signalling goes straight to the other.
type end struct {
	mu      sync.Mutex
	peer    *Peer
	other   *end
	old     bool // does not say what it answers
	cut     bool // what is said waits
	why     atomic.Pointer[error]
	bare    bool // says nothing of its SSRC
	kept    []func(*Peer)
	states  chan State
	packets chan Packet
}

func (e *end) Local(sdp, answers string) {
	if e.old {
		answers = ""
	}
	if e.bare {
		sdp = ssrcLine.ReplaceAllString(sdp, "")
	}
	e.say(func(p *Peer) { p.Remote(sdp, answers) })
}
func (e *end) Candidate(c string) { e.say(func(p *Peer) { p.Candidate(c) }) }

// say has something said to the other side, or keeps it while the line is cut.
func (e *end) say(f func(*Peer)) {
	e.mu.Lock()
	cut := e.cut
	if cut {
		e.kept = append(e.kept, f)
	}
	e.mu.Unlock()
	if !cut {
		e.to(f)
	}
}

// mend says what was kept.
func (e *end) mend() {
	e.mu.Lock()
	kept := e.kept
	e.cut, e.kept = false, nil
	e.mu.Unlock()
	for _, f := range kept {
		e.to(f)
	}
}
func (e *end) State(s State, why error) {
	if why != nil {
		e.why.Store(&why)
	}
	e.states <- s
}
func (e *end) Report(Stats)       {}
func (e *end) to(f func(p *Peer)) { e.other.mu.Lock(); defer e.other.mu.Unlock(); f(e.other.peer) }
func (e *end) Packet(p Packet)    { p.Payload = bytes.Clone(p.Payload); e.packets <- p }

func connect(t *testing.T, a, b []Codec) (*end, *end) {
	t.Helper()
	return connectTo(t, &end{}, a, b)
}

// connectTo is connect with the caller's side as it is given.
func connectTo(t *testing.T, x *end, a, b []Codec) (*end, *end) {
	t.Helper()
	x.states, x.packets = make(chan State, 9), make(chan Packet, 99)
	y := &end{states: make(chan State, 9), packets: make(chan Packet, 99)}
	x.other, y.other = y, x
	x.mu.Lock()
	y.mu.Lock()
	for _, one := range []struct {
		e      *end
		codecs []Codec
		offer  bool
	}{{x, a, true}, {y, b, false}} {
		engine, err := New(Settings{Codecs: one.codecs, Interfaces: []string{"lo"}})
		if err != nil {
			t.Fatal(err)
		}
		one.e.peer = engine.Peer(nil, one.offer, one.e)
		t.Cleanup(func() { one.e.peer.Close(); <-one.e.peer.Closed() })
	}
	x.mu.Unlock()
	y.mu.Unlock()
	return x, y
}

func wait[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("no %s within 10 s", what)
		panic("unreachable")
	}
}

func TestTwoPeersOverLoopback(t *testing.T) {
	a, b := connect(t, []Codec{opus, pcmu}, []Codec{opus, pcmu})
	if wait(t, a.states, "state") != Up || wait(t, b.states, "state") != Up {
		t.Fatal("the path did not come up")
	}
	for i := range 5 {
		a.peer.Send([]byte{1, 2, byte(i)}, 960, false)
	}
	first := wait(t, b.packets, "packet")
	for i := 1; i < 5; i++ {
		p := wait(t, b.packets, "packet")
		if p.Codec != "opus" || p.Seq != first.Seq+uint16(i) || p.Timestamp != first.Timestamp+uint32(960*i) ||
			p.Payload[2] != byte(i) {
			t.Fatalf("packet %d is %+v after %+v", i, p, first)
		}
	}
	b.peer.Send([]byte{7}, 960, false)
	wait(t, a.packets, "packet the other way")
}

func TestTheOtherSideClosesThePath(t *testing.T) {
	a, b := connect(t, []Codec{opus}, []Codec{opus})
	wait(t, a.states, "state")
	wait(t, b.states, "state")
	b.peer.Close()
	if s := wait(t, a.states, "state"); s != Closed {
		t.Fatalf("the path is %s", s)
	}
	select {
	case s := <-b.states:
		t.Fatalf("who closed it was told %s", s)
	default:
	}
}

func TestTheOtherSideReportsHowItHearsUs(t *testing.T) {
	a, b := connect(t, []Codec{opus}, []Codec{opus})
	wait(t, a.states, "state")
	wait(t, b.states, "state")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); a.peer.Stats().RoundTrip == 0; <-tick.C {
		a.peer.Send([]byte{1, 2, 3}, 960, false)
		wait(t, b.packets, "packet")
		if time.Now().After(end) {
			t.Fatalf("no round trip within 20 s: %+v", a.peer.Stats())
		}
	}
	if s := a.peer.Stats(); s.RoundTrip > time.Second || s.Loss != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheCodecBothHave(t *testing.T) {
	deaf := opus
	deaf.Send = false // a build without cgo: it decodes Opus, but cannot encode it
	a, b := connect(t, []Codec{opus, pcmu}, []Codec{deaf, pcmu})
	wait(t, a.states, "state")
	wait(t, b.states, "state")
	if a.peer.Sends().Codec != "opus" || b.peer.Sends().Codec != "PCMU" {
		t.Fatalf("a sends %+v, b sends %+v", a.peer.Sends(), b.peer.Sends())
	}
	b.peer.Send([]byte{1}, 160, false)
	if p := wait(t, a.packets, "packet"); p.Codec != "PCMU" {
		t.Fatalf("got %+v", p)
	}
}

func TestREDWhereBothKnowIt(t *testing.T) {
	red := Codec{Name: RED, Rate: 48000, Channels: 2, Fmtp: "111/111", Type: 63}
	a, b := connect(t, []Codec{opus, red, pcmu}, []Codec{opus, red, pcmu})
	wait(t, a.states, "state")
	wait(t, b.states, "state")
	if s := a.peer.Sends(); s != (Outgoing{"opus", 111, true}) {
		t.Fatalf("a sends %+v", s)
	}
	for i, want := range []string{"opus", RED, "opus", RED} {
		a.peer.Send([]byte{byte(i)}, 960, want == RED)
		if p := wait(t, b.packets, "packet"); p.Codec != want || p.Payload[0] != byte(i) {
			t.Fatalf("packet %d is %+v, not %s", i, p, want)
		}
	}
	if got := b.peer.Codec(111); got != "opus" {
		t.Errorf("111 is %q", got)
	}
	c, d := connect(t, []Codec{opus, red}, []Codec{opus})
	wait(t, c.states, "state")
	wait(t, d.states, "state")
	if c.peer.Sends().RED || d.peer.Sends().RED {
		t.Error("RED is sent to one that does not know it")
	}
}

func TestGarbageFailsOnePathOnly(t *testing.T) {
	engine, err := New(Settings{Codecs: []Codec{opus}, Interfaces: []string{"lo"}})
	if err != nil {
		t.Fatal(err)
	}
	e := &end{states: make(chan State, 9)}
	e.other = e
	p := engine.Peer(nil, false, e)
	e.peer = p
	for range 200 {
		p.Candidate("nonsense")
	}
	p.Close()
	<-p.Closed()

	many := "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=fingerprint:sha-256 " +
		strings.TrimSuffix(strings.Repeat("00:", 32), ":") +
		"\r\na=ice-ufrag:abcdabcd\r\na=ice-pwd:abcdabcdabcdabcdabcdabcd\r\na=setup:actpass\r\n"
	for i := range 200 {
		many += fmt.Sprintf("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:%d\r\na=rtcp-mux\r\n"+
			"a=sendrecv\r\na=rtpmap:111 opus/48000/2\r\n", i)
	}
	for name, sdp := range map[string]string{"nonsense": "v=0 but not really", "200 media": many} {
		p = engine.Peer(nil, false, e)
		p.Remote(sdp, "")
		if wait(t, e.states, "state") != Failed {
			t.Fatalf("%s was taken", name)
		}
		p.Close()
		<-p.Closed()
	}
}

func TestRoundTrip(t *testing.T) {
	now := time.Unix(1_700_000_000, 500_000_000)
	ntp := func(t time.Time) uint32 {
		return uint32((t.Unix()+2208988800)<<16) | uint32(uint64(t.Nanosecond())<<16/1e9)
	}
	got := roundTrip(now, ntp(now.Add(-300*time.Millisecond)), 65536/4)
	if got < 49*time.Millisecond || got > 51*time.Millisecond {
		t.Fatalf("got %v, want 50 ms", got)
	}
	if roundTrip(now, ntp(now), 100) != 0 {
		t.Fatal("a negative round trip")
	}
}
