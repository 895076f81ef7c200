package rtc

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// The attacker in these tests is a real peer in an answered call, who has its keys: a.

// answered is a call in which b listens.
func answered(t *testing.T) (a, b *end) {
	t.Helper()
	return answeredTo(t, &end{})
}

// undeclared is answered, by a peer that does not say which sources it has: any may come.
func undeclared(t *testing.T) (a, b *end) {
	t.Helper()
	return answeredTo(t, &end{bare: true})
}

func answeredTo(t *testing.T, caller *end) (a, b *end) {
	t.Helper()
	a, b = connectTo(t, caller, []Codec{opus, pcmu}, []Codec{opus, pcmu})
	for _, e := range []*end{a, b} {
		if s := wait(t, e.states, "state"); s != Up {
			t.Fatalf("the path is %s", s)
		}
	}
	return a, b
}

// on runs f on the goroutine of the path.
func (e *end) on(f func(*webrtc.PeerConnection)) {
	done := make(chan struct{})
	e.peer.do <- func(pc *webrtc.PeerConnection) error { defer close(done); f(pc); return nil }
	<-done
}

// raw sends RTP with any header.
func (e *end) raw(h rtp.Header, payload []byte) {
	e.peer.out.mu.Lock()
	w := e.peer.out.writer
	e.peer.out.mu.Unlock()
	h.Version = 2
	_, _ = w.WriteRTP(&h, payload)
}

// reason is why the path failed.
func (e *end) reason() error {
	if why := e.why.Load(); why != nil {
		return *why
	}
	return nil
}

// unheard forgets what came.
func (e *end) unheard() {
	for len(e.packets) > 0 {
		<-e.packets
	}
}

// flood repeats send until b's path has failed, and some more, and gives the reason. Then it must be possible to close
// it.
func flood(t *testing.T, b *end, send func(i int)) error {
	t.Helper()
	stop := time.After(20 * time.Second)
	for i, after := 0, 0; after < 3000; i++ {
		send(i)
		if i%50 == 0 {
			time.Sleep(time.Millisecond) // or the kernel drops nearly all of it
		}
		select {
		case s := <-b.states:
			if s != Failed {
				t.Fatalf("the path is %s", s)
			}
			after = 1
		case <-b.packets:
		case <-stop:
			t.Fatal("the path goes on after 20 s")
		default:
			if after > 0 {
				after++
			}
		}
	}
	b.peer.Close()
	wait(t, b.peer.Closed(), "end of the path")
	return b.reason()
}

func TestAFloodOfPacketsEndsTheCall(t *testing.T) {
	a, b := answered(t)
	if err := flood(t, b, func(int) { a.peer.Send([]byte{1, 2, 3}, 960, false) }); !errors.Is(err, errTooMuch) {
		t.Fatal(err)
	}
}

func TestAFloodOfPayloadTypesEndsTheCall(t *testing.T) {
	a, b := answered(t)
	err := flood(t, b, func(i int) {
		a.raw(rtp.Header{SSRC: 7, PayloadType: 13, SequenceNumber: uint16(i)}, []byte{1})
	})
	if !errors.Is(err, errTooMuch) {
		t.Fatal(err)
	}
}

func TestManySourcesEndTheCall(t *testing.T) {
	a, b := undeclared(t)
	err := flood(t, b, func(i int) { a.raw(rtp.Header{SSRC: uint32(1000 + i), PayloadType: 111}, []byte{1, 2, 3}) })
	if !errors.Is(err, errTooMuch) || !strings.Contains(err.Error(), "RTP of") {
		t.Fatal(err)
	}
	if n := b.peer.limits.sources[packetio.RTPBufferPacket]; n > 1000 { // a few more wait while it is being closed
		t.Fatalf("the library was given %d sources", n)
	}
}

func TestRTCPAboutManySourcesEndsTheCall(t *testing.T) {
	a, b := answered(t)
	var pc *webrtc.PeerConnection
	a.on(func(p *webrtc.PeerConnection) { pc = p })
	err := flood(t, b, func(i int) {
		bye := &rtcp.Goodbye{}
		for k := range 31 {
			bye.Sources = append(bye.Sources, uint32(1000+i*31+k))
		}
		_ = pc.WriteRTCP([]rtcp.Packet{bye})
	})
	if !errors.Is(err, errTooMuch) || !strings.Contains(err.Error(), "sources") {
		t.Fatal(err)
	}
	if n := b.peer.limits.sources[packetio.RTCPBufferPacket]; n > 10_000 {
		t.Fatalf("the library was given %d sources", n)
	}
}

func TestPacketsAtOnceAfterAStallAreHeard(t *testing.T) {
	a, b := answered(t)
	for range 6 { // 3 s of 10 ms; the kernel's buffer of this machine does not hold them all
		for range 50 {
			a.peer.Send([]byte{1, 2, 3}, 480, false)
		}
		for range 50 {
			wait(t, b.packets, "packet")
		}
	}
}

// What nobody agreed on, like comfort noise or the digits of a telephone, is not heard; what comes after it is.
func TestAStrangePacketDoesNotEndTheVoice(t *testing.T) {
	for _, first := range []bool{true, false} {
		for name, send := range map[string]func(a *end, ssrc uint32, seq uint16){
			"comfort noise": func(a *end, ssrc uint32, seq uint16) {
				a.raw(rtp.Header{SSRC: ssrc, PayloadType: 13, SequenceNumber: seq}, []byte{40})
			},
			"telephone-event": func(a *end, ssrc uint32, seq uint16) {
				a.raw(rtp.Header{SSRC: ssrc, PayloadType: 101, SequenceNumber: seq}, []byte{1, 10, 0, 160})
			},
			"empty": func(a *end, ssrc uint32, seq uint16) {
				a.raw(rtp.Header{SSRC: ssrc, PayloadType: 111, SequenceNumber: seq}, nil)
			},
			"large": func(a *end, ssrc uint32, seq uint16) {
				a.raw(rtp.Header{SSRC: ssrc, PayloadType: 111, SequenceNumber: seq}, make([]byte, 1600))
			},
		} {
			when := map[bool]string{true: " at first", false: " in between"}[first]
			t.Run(name+when, func(t *testing.T) {
				a, b := answered(t)
				if !first {
					a.peer.Send([]byte{1, 2, 3}, 960, false)
					wait(t, b.packets, "packet")
				}
				a.peer.out.mu.Lock()
				h := a.peer.out.head
				a.peer.out.head.SequenceNumber++
				a.peer.out.mu.Unlock()
				send(a, h.SSRC, h.SequenceNumber)
				for i := range 3 {
					a.peer.Send([]byte{7, 7, byte(i)}, 960, false)
				}
				for i := range 3 {
					if p := wait(t, b.packets, "packet after it"); !bytes.Equal(p.Payload, []byte{7, 7, byte(i)}) {
						t.Fatalf("heard %v", p.Payload)
					}
				}
				if len(b.states) > 0 {
					t.Fatalf("the path is %s", <-b.states)
				}
			})
		}
	}
}

// So it is with a codec that we offered and the peer did not take.
func TestACodecThatWasNotTakenDoesNotEndTheVoice(t *testing.T) {
	b, a := connect(t, []Codec{opus, pcmu}, []Codec{opus})
	for _, e := range []*end{a, b} {
		wait(t, e.states, "state")
	}
	a.peer.Send([]byte{1, 2, 3}, 960, false)
	wait(t, b.packets, "packet")
	a.peer.out.mu.Lock()
	h := a.peer.out.head
	a.peer.out.mu.Unlock()
	a.raw(rtp.Header{SSRC: h.SSRC, PayloadType: pcmu.Type, SequenceNumber: h.SequenceNumber + 100}, make([]byte, 160))
	heard(t, a, b)
}

// A second source does not disturb the first, and is heard when that has ended.
func TestOneSourceIsHeardAtATime(t *testing.T) {
	a, b := undeclared(t)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	a.peer.Send([]byte{1, 1}, 480, false)
	wait(t, b.packets, "packet")
	for i := range 50 {
		a.peer.Send([]byte{1, 1}, 480, false)
		h := rtp.Header{SSRC: 7, PayloadType: 111, SequenceNumber: uint16(i), Timestamp: uint32(i) * 480}
		a.raw(h, []byte{2, 2})
		if p := wait(t, b.packets, "packet"); p.Payload[0] != 1 {
			t.Fatal("the second source was heard beside the first")
		}
		<-tick.C
	}
	b.unheard()
	for i := 50; ; i++ {
		h := rtp.Header{SSRC: 7, PayloadType: 111, SequenceNumber: uint16(i), Timestamp: uint32(i) * 480}
		a.raw(h, []byte{2, 2})
		select {
		case p := <-b.packets:
			if p.Payload[0] != 2 {
				t.Fatalf("heard %v", p.Payload)
			}
			return
		case <-tick.C:
			if i > 2000 {
				t.Fatal("the second source is not heard after the first has ended")
			}
		}
	}
}

func TestThePeerChecksFromAFewPlacesOnly(t *testing.T) {
	a, b := answered(t)
	var user, password string
	var to net.Addr
	b.on(func(pc *webrtc.PeerConnection) {
		here, there := pc.CurrentLocalDescription().SDP, pc.CurrentRemoteDescription().SDP
		value := func(sdp, key string) string {
			_, v, _ := strings.Cut(sdp, "a="+key+":")
			v, _, _ = strings.Cut(v, "\r\n")
			return v
		}
		user, password = value(here, "ice-ufrag")+":"+value(there, "ice-ufrag"), value(here, "ice-pwd")
		pair, err := pc.GetTransceivers()[0].Sender().Transport().ICETransport().GetSelectedCandidatePair()
		if err != nil {
			t.Error(err)
			return
		}
		to = &net.UDPAddr{IP: net.ParseIP(pair.Local.Address), Port: int(pair.Local.Port)}
	})
	const tries = 4 * mostPlaces
	replies := 0
	for range tries {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(user),
			stun.NewShortTermIntegrity(password), stun.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.WriteTo(m.Raw, to); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if _, _, err := conn.ReadFrom(make([]byte, largest)); err == nil {
			replies++
		}
	}
	if replies == 0 {
		t.Fatal("no check was answered: the test does not try what it should")
	}
	places := 0
	b.on(func(pc *webrtc.PeerConnection) {
		for _, s := range pc.GetStats() {
			if c, ok := s.(webrtc.ICECandidateStats); ok && c.Type == webrtc.StatsTypeRemoteCandidate {
				places++
			}
		}
	})
	if places > mostPlaces+4 { // and those that were told
		t.Fatalf("the path has %d candidates of the peer", places)
	}
	b.unheard()
	heard(t, a, b)
}

// What is no RTCP does not end the reports of how the peer hears us.
func TestAStrangeReportDoesNotEndTheReports(t *testing.T) {
	a, b := answered(t)
	var pc *webrtc.PeerConnection
	a.on(func(p *webrtc.PeerConnection) { pc = p })
	b.peer.out.mu.Lock()
	ssrc := b.peer.out.head.SSRC
	b.peer.out.mu.Unlock()
	strange := rtcp.RawPacket{0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0} // a NACK of nothing: RFC 4585, section 6.2.1
	binary.BigEndian.PutUint32(strange[8:], ssrc)
	if err := pc.WriteRTCP([]rtcp.Packet{&strange}); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for stop := time.Now().Add(20 * time.Second); b.peer.stats.Load() == nil; <-tick.C {
		b.peer.Send([]byte{1, 2, 3}, 960, false)
		wait(t, a.packets, "packet")
		if time.Now().After(stop) {
			t.Fatal("no report within 20 s")
		}
	}
}

// Whoever finds the port, and has no keys, takes nothing of the peer's share; and nothing large is read.
func TestStrangersAtThePort(t *testing.T) {
	var l limits
	conn, err := sockets{interfaces{&stdnet.Net{}}, &l}.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	here, ok := conn.(*socket)
	if !ok {
		t.Fatalf("the socket is a %T", conn)
	}
	from := func() *net.UDPConn {
		c, err := net.DialUDP("udp4", nil, conn.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	stranger, peer := from(), from()
	l.leads(peer.LocalAddr().(*net.UDPAddr).AddrPort())
	come := make(chan int)
	go func() {
		defer close(come)
		buf := make([]byte, 8192)
		for {
			n, _, err := here.ReadFrom(buf)
			if err != nil {
				return
			}
			come <- n
		}
	}()
	say := func(c *net.UDPConn, n int) {
		if _, err := c.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	passed := 0
	for range 3 * othersBurst { // the mark of the peer's, behind each, says that it was read
		say(stranger, 100)
		say(peer, 50)
		n := wait(t, come, "datagram of the peer's")
		if n == 100 {
			passed++
			n = wait(t, come, "datagram of the peer's")
		}
		if n != 50 {
			t.Fatalf("%d bytes", n)
		}
	}
	if passed < othersBurst || passed >= 3*othersBurst {
		t.Fatalf("%d datagrams of a stranger passed", passed)
	}
	say(peer, largest+1)
	say(peer, largest)
	if n := wait(t, come, "datagram"); n != largest {
		t.Fatalf("%d bytes were read", n)
	}
	conn.Close()
	for range come {
	}
}

func TestADataChannelIsRefused(t *testing.T) {
	engine, err := New(Settings{Codecs: []Codec{opus}, Interfaces: []string{"lo"}})
	if err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.GracefulClose()
	if _, err := pc.CreateDataChannel("files", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &end{states: make(chan State, 9), packets: make(chan Packet, 9), cut: true}
	e.peer = engine.Peer(nil, false, e)
	defer func() { e.peer.Close(); <-e.peer.Closed() }()
	e.peer.Remote(offer.SDP, "")
	if s := wait(t, e.states, "state"); s != Failed || e.reason() == nil {
		t.Fatalf("%s, %v", s, e.reason())
	}
}
