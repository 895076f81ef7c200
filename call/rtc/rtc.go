// Package rtc is the media path of a call: ICE, DTLS and SRTP through pion/webrtc, with payloads in and out.
//
// A [Peer] is one path. Its methods never block: a goroutine of its own does the work in order and tells [Events].
// Close ends that goroutine; Closed says when all is gone. Nothing is sent until Send is called, so a path can be made
// ready while it rings. The device imports it; only here is pion/webrtc known. The files: rtc.go has the engine and the
// path, restart.go its descriptions and ICE restarts, track.go what it sends.
package rtc

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"

	"intercom/wire"
)

// Codec is one that this program can decode and, if Send, encode.
type Codec struct {
	Name     string // as in SDP: opus, PCMU, PCMA
	Rate     uint32 // RTP clock, Hz
	Channels uint16 // as in SDP; opus says 2 also for mono (RFC 7587, section 7)
	Fmtp     string
	Type     uint8 // RTP payload type
	Send     bool
}

// Settings of the engine.
type Settings struct {
	Codecs     []Codec  // in order of preference
	Interfaces []string // names of the network interfaces to use; empty for all but loopback

	// Way watches how packets leave this machine from one address to another; moved says that they leave otherwise by
	// now. An invalid from stands for any. Nil where nobody can tell.
	Way func(from, to netip.Addr) (moved func() bool)
}

// RED is the name of the codec that wraps payloads of another with copies of earlier ones (RFC 2198). It is never sent
// for itself: see [Outgoing].
const RED = "red"

// Packet is an RTP packet as it came.
type Packet struct {
	Codec     string // or RED
	Seq       uint16
	Timestamp uint32
	Payload   []byte // valid during the call only
}

// State is how the path is.
type State string

// The states. A broken path may come up again; a failed one does not, nor one that the other side closed.
const (
	Up     State = "up"
	Broke  State = "broke"
	Failed State = "failed"
	Closed State = "closed"
)

// Events is told what happens, on goroutines of the path; its methods must return at once.
type Events interface {
	Local(sdp, answers string) // our description is ready to be sent; answers is as in Remote
	Candidate(string)          // one of our candidates
	State(s State, why error)  // why is the reason of Failed, where it is not the network
	Packet(Packet)
	Report(Stats) // the other side's, about once a second
}

// Stats is what RTCP says of what we send (RFC 3550, section 6.4.1), as the other side sees it.
type Stats struct {
	RoundTrip time.Duration
	Loss      float64 // of the last interval, 0 to 1
	Jitter    time.Duration
}

// Engine makes peers.
type Engine struct {
	media    *webrtc.MediaEngine
	reports  *interceptor.Registry
	settings webrtc.SettingEngine // of all paths
	codecs   []Codec
	way      func(from, to netip.Addr) (moved func() bool)
}

// ICE times: the path is called broken after 3 s of silence and failed 25 s later; a keepalive each half second in
// which nothing else was sent.
const (
	brokenAfter = 3 * time.Second
	failedAfter = 25 * time.Second
	keepAlive   = 500 * time.Millisecond
)

// relayAfter is how long a direct way has to be found before one through a relay is taken. The library's 2 s are two
// seconds of silence for who moves in a call that is relayed.
const relayAfter = time.Second

// handshakeAgain is after how long a flight of the DTLS handshake without an answer is sent again; the time doubles
// with each. RFC 6347, section 4.2.4.1, proposes a second, and allows less where the delay matters: on a link that
// loses one packet in five, calls took longer than ten seconds to have their sound, or had none.
const handshakeAgain = 150 * time.Millisecond

// New makes an engine. It fails only for codecs that pion refuses.
func New(s Settings) (*Engine, error) {
	m := &webrtc.MediaEngine{}
	for _, c := range s.Codecs {
		err := m.RegisterCodec(webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: "audio/" + c.Name, ClockRate: c.Rate,
				Channels: c.Channels, SDPFmtpLine: c.Fmtp},
			PayloadType: webrtc.PayloadType(c.Type),
		}, webrtc.RTPCodecTypeAudio)
		if err != nil {
			return nil, fmt.Errorf("codec %s: %w", c.Name, err)
		}
	}
	reports := &interceptor.Registry{}
	sender, err := report.NewSenderInterceptor(report.SenderInterval(time.Second))
	if err != nil {
		return nil, err
	}
	receiver, err := report.NewReceiverInterceptor(report.ReceiverInterval(time.Second))
	if err != nil {
		return nil, err
	}
	reports.Add(sender)
	reports.Add(receiver)

	e := webrtc.SettingEngine{LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard,
		DefaultLogLevel: logging.LogLevelDisabled}}
	e.SetICETimeouts(brokenAfter, failedAfter, keepAlive)
	e.SetDTLSRetransmissionInterval(handshakeAgain)
	e.SetRelayAcceptanceMinWait(relayAfter)
	e.SetIncludeLoopbackCandidate(true)
	e.DisableActiveTCP(true) // the peer's candidates would have us connect to any TCP port
	e.SetInterfaceFilter(func(name string) bool {
		if len(s.Interfaces) > 0 {
			return slices.Contains(s.Interfaces, name)
		}
		i, err := net.InterfaceByName(name)
		return err != nil || i.Flags&net.FlagLoopback == 0
	})
	return &Engine{media: m, reports: reports, settings: e, codecs: s.Codecs, way: s.Way}, nil
}

// api is the library for one path, whose limits it has.
func (e *Engine) api(p *Peer) *webrtc.API {
	s := e.settings
	s.SetNet(sockets{interfaces{&stdnet.Net{}}, &p.limits})
	s.BufferFactory = p.queue
	return webrtc.NewAPI(webrtc.WithMediaEngine(e.media), webrtc.WithInterceptorRegistry(e.reports),
		webrtc.WithSettingEngine(s))
}

// interfaces is the network of this machine as it is now: the library's own remembers what it was when the path was
// made, and would look for a new way at addresses that are gone.
type interfaces struct{ *stdnet.Net }

// Interfaces are those that there are.
func (interfaces) Interfaces() ([]*transport.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return now.Interfaces()
}

// Peer is one media path.
type Peer struct {
	engine *Engine
	ev     Events
	do     chan func(*webrtc.PeerConnection) error
	quit   chan struct{}
	gone   chan struct{}
	once   sync.Once
	out    track
	stats  atomic.Pointer[Stats]
	route  atomic.Pointer[Route]
	names  atomic.Pointer[map[uint8]string]

	moved  atomic.Pointer[func() bool]
	limits limits
	voice  voice

	mu   sync.Mutex
	held bool     // our candidates wait for the description that they belong to
	ours []string // those that wait

	// Of the peer's goroutine alone.
	servers []wire.ICEServer
	polite  bool                      // its offer yields when two cross
	early   []webrtc.ICECandidateInit // remote candidates that came before the description
	ignored string                    // the other side's offer that yielded to ours
}

// Peer starts a path over the given STUN and TURN servers. With offer, it makes the first description.
func (e *Engine) Peer(servers []wire.ICEServer, offer bool, ev Events) *Peer {
	p := &Peer{engine: e, ev: ev, do: make(chan func(*webrtc.PeerConnection) error, 64), quit: make(chan struct{}),
		gone: make(chan struct{}), limits: newLimits(), servers: servers, polite: !offer}
	p.out.codecs = e.codecs
	go p.run(offer)
	return p
}

// Outgoing is what was agreed to be sent.
type Outgoing struct {
	Codec string // to encode with; "" until the descriptions are exchanged
	Type  uint8  // its payload type
	RED   bool   // the other side knows RED
}

// Sends says what to send.
func (p *Peer) Sends() Outgoing { return p.out.agreed() }

// Send sends one payload that lasts so many ticks of the codec's RTP clock, wrapped as RED or plain. A packet that
// cannot go is lost, as on the network.
func (p *Peer) Send(payload []byte, ticks uint32, red bool) { p.out.send(payload, ticks, red) }

// Codec is what a payload type means in what we receive; "" for nothing.
func (p *Peer) Codec(kind uint8) string {
	if names := p.names.Load(); names != nil {
		return (*names)[kind]
	}
	return ""
}

// Stats is the latest report of the other side; the zero value before the first.
func (p *Peer) Stats() Stats {
	if s := p.stats.Load(); s != nil {
		return *s
	}
	return Stats{}
}

// Route is the way that a path takes.
type Route string

// The routes. None is the zero value.
const (
	None   Route = ""
	Direct Route = "direct" // from station to station
	Relay  Route = "relay"  // through a TURN server, at one end or both
)

// Route is the way that the path takes now.
func (p *Peer) Route() Route {
	if r := p.route.Load(); r != nil {
		return *r
	}
	return None
}

func (p *Peer) routed(pair *webrtc.ICECandidatePair) {
	r := Direct
	if pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Remote.Typ == webrtc.ICECandidateTypeRelay {
		r = Relay
	}
	p.route.Store(&r)
	if at, err := netip.ParseAddr(pair.Remote.Address); err == nil {
		p.limits.leads(netip.AddrPortFrom(at.Unmap(), pair.Remote.Port))
	}
	p.watch(pair)
}

// Close ends the path. It does not wait; see [Peer.Closed].
func (p *Peer) Close() { p.once.Do(func() { close(p.quit) }) }

// Closed is closed when everything of the path is gone.
func (p *Peer) Closed() <-chan struct{} { return p.gone }

func (p *Peer) tell(f func(*webrtc.PeerConnection) error) {
	select {
	case p.do <- f:
	case <-p.quit:
	default: // 64 waiting: the other side floods us
	}
}

func (p *Peer) run(offer bool) {
	defer close(p.gone)
	pc, err := p.open()
	if err == nil && offer {
		err = p.offer(pc, nil)
	}
	for err == nil {
		select {
		case <-p.quit:
			_ = pc.GracefulClose()
			return
		case f := <-p.do:
			err = f(pc)
		}
	}
	p.ev.State(Failed, err)
	<-p.quit
	if pc != nil {
		_ = pc.GracefulClose()
	}
}

func configuration(servers []wire.ICEServer) webrtc.Configuration {
	c := webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle}
	for _, s := range servers {
		c.ICEServers = append(c.ICEServers, webrtc.ICEServer{URLs: s.URLs, Username: s.Username,
			Credential: s.Credential})
	}
	return c
}

func (p *Peer) open() (*webrtc.PeerConnection, error) {
	pc, err := p.engine.api(p).NewPeerConnection(configuration(p.servers))
	if err != nil {
		return nil, err
	}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c != nil {
			p.candidate(c.ToJSON().Candidate)
		}
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		switch s {
		case webrtc.PeerConnectionStateConnected:
			p.ev.State(Up, nil)
		case webrtc.PeerConnectionStateDisconnected:
			p.ev.State(Broke, nil)
		case webrtc.PeerConnectionStateFailed:
			p.ev.State(Failed, nil)
		case webrtc.PeerConnectionStateClosed:
			select {
			case <-p.quit: // by ourselves
			default:
				p.ev.State(Closed, nil)
			}
		}
	})
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
		go func() { // the other side's sender reports reach the interceptors only when they are read
			buf := make([]byte, 1500)
			for {
				if _, _, err := r.Read(buf); err != nil {
					return
				}
			}
		}()
		names := map[uint8]string{}
		for _, c := range r.GetParameters().Codecs {
			names[uint8(c.PayloadType)] = codecName(c.MimeType)
		}
		p.names.Store(&names)
		p.receive(t, names)
	})
	sender, err := pc.AddTrack(&p.out)
	if err != nil {
		return pc, err
	}
	sender.Transport().ICETransport().OnSelectedCandidatePairChange(p.routed)
	go p.reports(sender)
	return pc, nil
}

// receive reads the track until the path is closed.
func (p *Peer) receive(t *webrtc.TrackRemote, names map[uint8]string) {
	buf := make([]byte, largest)
	var h rtp.Packet
	for {
		n, _, err := t.Read(buf)
		if n == 0 && err != nil {
			return
		}
		if err != nil || h.Unmarshal(buf[:n]) != nil || len(h.Payload) == 0 || !p.voice.is(h.SSRC, time.Now()) {
			continue // with n, the error is that of one packet: a payload type that was not agreed
		}
		p.ev.Packet(Packet{Codec: names[h.PayloadType], Seq: h.SequenceNumber, Timestamp: h.Timestamp,
			Payload: h.Payload})
	}
}

// voice is the source that is heard: two at once would be neither.
type voice struct {
	mu   sync.Mutex
	ssrc uint32
	last time.Time
}

// quiet is after how long without a packet another source may take the voice's place. Opus says at least every 400 ms
// that it is silent (RFC 7587, section 3.1.3).
const quiet = time.Second

// is reports whether a packet of that source is the voice's.
func (v *voice) is(ssrc uint32, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if ssrc != v.ssrc && !v.last.IsZero() && now.Sub(v.last) < quiet {
		return false
	}
	v.ssrc, v.last = ssrc, now
	return true
}

// reports reads what the other side says of our packets, until the path is closed.
func (p *Peer) reports(s *webrtc.RTPSender) {
	for {
		packets, _, err := s.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if rr, ok := packet.(*rtcp.ReceiverReport); ok {
				for _, r := range rr.Reports {
					p.reported(r)
				}
			}
		}
	}
}

func (p *Peer) reported(r rtcp.ReceptionReport) {
	st := Stats{Loss: float64(r.FractionLost) / 256, RoundTrip: p.Stats().RoundTrip}
	if rate := p.out.rate(); rate > 0 {
		st.Jitter = time.Duration(r.Jitter) * time.Second / time.Duration(rate)
	}
	if r.LastSenderReport != 0 {
		st.RoundTrip = roundTrip(time.Now(), r.LastSenderReport, r.Delay)
	}
	p.stats.Store(&st)
	p.ev.Report(st)
}

// roundTrip is A - LSR - DLSR in units of 1/65536 s (RFC 3550, section 6.4.1), never below zero.
func roundTrip(now time.Time, lsr, dlsr uint32) time.Duration {
	const from1900 = 2208988800
	a := uint32((now.Unix()+from1900)<<16) | uint32(uint64(now.Nanosecond())<<16/1e9)
	d := int32(a - lsr - dlsr)
	return time.Duration(max(d, 0)) * time.Second / 65536
}
