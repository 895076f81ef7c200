package rtc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/packetio"
	"golang.org/x/time/rate"
)

// This file limits what the peer of a call, and anybody who finds our ports, can send us.
//
// Before a packet is authenticated, at the socket, it is only ever dropped: its source address may be forged. What has
// passed SRTP or SRTCP is the peer's own word. A peer whose packets of any kind exceed callRate and callBurst, or that
// uses more sources (SSRC) than a call can need, ends the call: the library keeps state for each source until the path
// is closed.
const (
	mostMedia   = 4    // media sections in a description: the voice, and a few that a newer program may offer beside it
	mostSources = 32   // sources of RTP on one path
	mostReports = 64   // sources that RTCP speaks of on one path
	mostPlaces  = 64   // transport addresses from which the peer checks one path; more are ignored
	largest     = 1500 // bytes of a packet

	// Opus in frames of 10 ms is 100 packets a second, and RTCP a few; a network that stalls for 3 s delivers 300 at
	// once.
	callRate, callBurst = 400, 2000

	peerRate, peerBurst     = 1000, 4000 // datagrams from where the path leads, a second and at once
	othersRate, othersBurst = 200, 1000  // datagrams from everywhere else, to one socket
	readRate                = 20000      // datagrams read from one socket, a second; the kernel drops the others

	unread, unreadReports = 128 << 10, 16 << 10 // bytes that wait for us, of one source
)

// errTooMuch is why a path failed.
var errTooMuch = errors.New("the peer sends more than a call can need")

// limits counts what came on one path.
type limits struct {
	rate *rate.Limiter // of authenticated packets
	over atomic.Bool   // there were too many

	mu      sync.Mutex
	name    string                  // our ice-ufrag
	places  map[netip.AddrPort]bool // that checked the path under that name
	to      netip.AddrPort          // where the path leads
	types   [128]bool               // payload types that we offered or took
	sources map[packetio.BufferPacketType]int
}

func newLimits() limits {
	return limits{rate: rate.NewLimiter(callRate, callBurst), sources: map[packetio.BufferPacketType]int{}}
}

// described takes our description, in which we say what may be sent to us.
func (l *limits) described(name, sdp string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if name != l.name {
		l.name, l.places = name, map[netip.AddrPort]bool{}
	}
	for line := range strings.Lines(sdp) {
		if words := strings.Fields(line); len(words) > 3 && words[0] == "m=audio" {
			for _, word := range words[3:] {
				if kind, err := strconv.Atoi(word); err == nil && kind >= 0 && kind < len(l.types) {
					l.types[kind] = true
				}
			}
		}
	}
}

// leads sets where the path leads.
func (l *limits) leads(to netip.AddrPort) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

func (l *limits) isPeer(from netip.AddrPort) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return from == l.to
}

// room reports whether a datagram may come from there. The library makes a candidate of each address from which the
// peer checks a path, and checks all of them.
func (l *limits) room(from netip.AddrPort, datagram []byte) bool {
	if len(datagram) < 2 || datagram[0] != 0 || datagram[1] != 1 || !stun.IsMessage(datagram) {
		return true // no binding request: RFC 8489, section 5
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.places[from] {
		return true
	}
	m := &stun.Message{Raw: datagram}
	if m.Decode() != nil {
		return false
	}
	user, err := m.Get(stun.AttrUsername)
	if name, _, ok := strings.Cut(string(user), ":"); err != nil || !ok || name != l.name {
		return true // a stranger, whom the library does not let in
	}
	if len(l.places) >= mostPlaces {
		return false
	}
	l.places[from] = true
	return true
}

// known reports whether a payload type is one that we named.
func (l *limits) known(kind uint8) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.types[kind&0x7f]
}

// enter counts a source. The error says that there are too many.
func (l *limits) enter(kind packetio.BufferPacketType) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources[kind]++
	switch n := l.sources[kind]; {
	case kind == packetio.RTPBufferPacket && n > mostSources:
		return fmt.Errorf("%w: RTP of more than %d sources", errTooMuch, mostSources)
	case kind == packetio.RTCPBufferPacket && n > mostReports:
		return fmt.Errorf("%w: RTCP about more than %d sources", errTooMuch, mostReports)
	}
	return nil
}

// queue holds the packets of one source, of RTP or RTCP, until they are read. What would have the library give up the
// source is left out: an error of one packet is one to it for ever.
type queue struct {
	*packetio.Buffer
	p    *Peer
	kind packetio.BufferPacketType
}

// queue makes the one of a new source.
func (p *Peer) queue(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	if err := p.limits.enter(kind); err != nil {
		p.flooded(err)
	}
	q := queue{packetio.NewBuffer(), p, kind}
	q.SetLimitSize(unread)
	if kind == packetio.RTCPBufferPacket {
		q.SetLimitSize(unreadReports)
	}
	return q
}

func (q queue) Read(b []byte) (int, error) {
	n, _, err := q.Buffer.Read(b, nil)
	return n, err
}

func (q queue) Write(b []byte) (int, error) {
	if !q.p.limits.rate.Allow() {
		q.p.flooded(fmt.Errorf("%w: over %d packets a second", errTooMuch, callRate))
	}
	if !q.takes(b) {
		return 0, packetio.ErrFull // which is a lost packet to the library
	}
	return q.Buffer.Write(b, nil)
}

// takes reports whether a packet can be read.
func (q queue) takes(b []byte) bool {
	if q.kind == packetio.RTCPBufferPacket {
		_, err := rtcp.Unmarshal(b)
		return err == nil
	}
	var h rtp.Header
	_, err := h.Unmarshal(b)
	return err == nil && q.p.limits.known(h.PayloadType)
}

// flooded ends the path. It returns when the path is being closed: until then nothing more is read, and so nothing
// kept.
func (p *Peer) flooded(why error) {
	if p.limits.over.CompareAndSwap(false, true) {
		p.ev.State(Failed, why)
	}
	<-p.quit
}

// sockets is the network of this machine, with limits on what is read.
type sockets struct {
	interfaces
	limits *limits
}

// ListenUDP opens the socket of a candidate.
func (s sockets) ListenUDP(network string, at *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := s.interfaces.ListenUDP(network, at)
	udp, ok := conn.(*net.UDPConn)
	if err != nil || !ok || at != nil && at.IP.IsMulticast() { // of multicast DNS
		return conn, err
	}
	return s.limited(udp, false), nil
}

// ListenPacket opens a socket to a relay.
func (s sockets) ListenPacket(network, at string) (net.PacketConn, error) {
	conn, err := s.interfaces.ListenPacket(network, at)
	udp, ok := conn.(*net.UDPConn)
	if err != nil || !ok {
		return conn, err
	}
	return s.limited(udp, true), nil
}

func (s sockets) limited(udp *net.UDPConn, relay bool) *socket {
	return &socket{UDPConn: udp, limits: s.limits, relay: relay, peer: rate.NewLimiter(peerRate, peerBurst),
		others: rate.NewLimiter(othersRate, othersBurst), reads: rate.NewLimiter(readRate, readRate)}
}

// socket is a UDP socket that gives no more than a call can need. It has two ways to be read, as the library has.
type socket struct {
	*net.UDPConn
	limits              *limits
	relay               bool // everything comes from the relay
	peer, others, reads *rate.Limiter
}

// ReadFromAddrPort gives the next datagram that is within the limits.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := s.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, from, err
		}
		if !s.reads.Allow() {
			time.Sleep(5 * time.Millisecond) // the kernel drops what does not fit meanwhile: that costs us nothing
		}
		if n <= largest && s.allows(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), b[:n]) {
			return n, from, nil
		}
	}
}

func (s *socket) allows(from netip.AddrPort, datagram []byte) bool {
	if s.limits.over.Load() {
		return false
	}
	if s.relay || s.limits.isPeer(from) {
		return s.peer.Allow()
	}
	return s.others.Allow() && s.limits.room(from, datagram)
}

// ReadFrom is ReadFromAddrPort with another kind of address.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteToAddrPort sends a datagram.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return s.WriteToUDPAddrPort(b, to)
}
