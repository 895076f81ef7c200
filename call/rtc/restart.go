package rtc

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/pion/webrtc/v4"

	"intercom/wire"
)

// This file is the exchange of descriptions: the first one, and those that restart ICE (RFC 8445, section 9). When two
// offers cross, that of the polite side yields, as in the pattern that the WebRTC specification calls perfect
// negotiation (W3C WebRTC 1.0, section 10.7); the polite one is the caller.

// Remote takes the other side's description: an offer is answered. answers is the user name (ice-ufrag) of the offer
// that an answer is about; empty where the other side does not say it.
func (p *Peer) Remote(sdp, answers string) {
	p.tell(func(pc *webrtc.PeerConnection) error {
		if n := strings.Count(sdp, "\nm="); n > mostMedia {
			return fmt.Errorf("a description with %d media; at most %d are taken", n, mostMedia)
		}
		if strings.Contains(sdp, "\nm=application") {
			return errors.New("a description with a data channel, which nobody would read")
		}
		pending := pc.PendingLocalDescription()
		switch {
		case !offers(pc, sdp) && (pending == nil || answers != "" && answers != wire.Fragment(pending.SDP)):
			return nil // an answer that came late, or twice
		case !offers(pc, sdp):
			p.ignored = ""
			return p.take(pc, webrtc.SDPTypeAnswer, sdp)
		case pending != nil && !p.polite:
			p.ignored, p.early = sdp, nil
			return nil
		case pending != nil:
			if err := p.rollback(pc); err != nil {
				return err
			}
		}
		return p.answer(pc, sdp)
	})
}

// offers tells an offer from an answer: of the first two the roles decide; later the offer is the one that leaves it to
// the other side who is active in DTLS (RFC 8842, section 5.2).
func offers(pc *webrtc.PeerConnection, sdp string) bool {
	if pc.CurrentRemoteDescription() == nil {
		return pc.SignalingState() != webrtc.SignalingStateHaveLocalOffer
	}
	return strings.Contains(sdp, "a=setup:actpass")
}

// answer answers an offer.
func (p *Peer) answer(pc *webrtc.PeerConnection, sdp string) error {
	if now := pc.CurrentRemoteDescription(); now != nil && strings.Contains(now.SDP, "a=setup:active") {
		// Who had the active role keeps it (RFC 8842, section 5.5); the library would take it for us.
		sdp = strings.Replace(sdp, "a=setup:actpass", "a=setup:active", 1)
	}
	p.ignored = ""
	p.hold()
	if err := p.take(pc, webrtc.SDPTypeOffer, sdp); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	return p.local(pc, answer, wire.Fragment(sdp), err)
}

// take sets the other side's description.
func (p *Peer) take(pc *webrtc.PeerConnection, kind webrtc.SDPType, sdp string) error {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: kind, SDP: sdp}); err != nil {
		return fmt.Errorf("the other side's description: %w", err)
	}
	for _, c := range p.early {
		_ = pc.AddICECandidate(c) // a bad candidate is one path less, no more
	}
	p.early = nil
	return nil
}

// Restart looks for a new way between the two, by these STUN and TURN servers: it makes an offer. An offer that yielded
// to one of ours which nobody answered is answered instead: the other side does not know how to yield.
func (p *Peer) Restart(servers []wire.ICEServer) {
	p.tell(func(pc *webrtc.PeerConnection) error {
		if pc.CurrentRemoteDescription() == nil {
			return nil // the first descriptions are under way
		}
		// The library does not guard its list of servers while it gathers; the next restart has them then.
		if !reflect.DeepEqual(servers, p.servers) && pc.ICEGatheringState() == webrtc.ICEGatheringStateComplete {
			if err := pc.SetConfiguration(configuration(servers)); err != nil {
				return err
			}
			p.servers = servers
		}
		if pc.PendingLocalDescription() != nil {
			if err := p.rollback(pc); err != nil {
				return err
			}
		}
		if p.ignored != "" {
			return p.answer(pc, p.ignored)
		}
		return p.offer(pc, &webrtc.OfferOptions{ICERestart: true})
	})
}

func (p *Peer) offer(pc *webrtc.PeerConnection, options *webrtc.OfferOptions) error {
	p.hold()
	offer, err := pc.CreateOffer(options)
	return p.local(pc, offer, "", err)
}

// rollback takes an offer back. The library has no rollback (RFC 9429, section 4.1.10.2), so the offer gets for its
// answer what was agreed before; the restart that follows throws that away.
func (p *Peer) rollback(pc *webrtc.PeerConnection) error {
	// we answered as the active one
	before := strings.Replace(pc.CurrentRemoteDescription().SDP, "a=setup:actpass", "a=setup:passive", 1)
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: before})
}

// local sets our description and tells it. The candidates follow one by one (trickle ICE, RFC 8838).
func (p *Peer) local(pc *webrtc.PeerConnection, d webrtc.SessionDescription, answers string, err error) error {
	if err != nil {
		return err
	}
	p.limits.described(wire.Fragment(d.SDP), d.SDP)
	p.ev.Local(d.SDP, answers)
	p.release()
	return pc.SetLocalDescription(d)
}

// hold has our candidates wait for the next description, which they would overtake in a restart; release lets them go.
func (p *Peer) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.ours = true, nil
	p.moved.Store(nil)
}

func (p *Peer) release() {
	for {
		p.mu.Lock()
		ours := p.ours
		p.ours = nil
		p.held = len(ours) > 0
		p.mu.Unlock()
		if len(ours) == 0 {
			return
		}
		for _, c := range ours {
			p.ev.Candidate(c)
		}
	}
}

func (p *Peer) candidate(c string) {
	p.mu.Lock()
	held := p.held
	if held {
		p.ours = append(p.ours, c)
	}
	p.mu.Unlock()
	if !held {
		p.ev.Candidate(c)
	}
}

// Candidate takes one of the other side's candidates.
func (p *Peer) Candidate(c string) {
	p.tell(func(pc *webrtc.PeerConnection) error {
		one := webrtc.ICECandidateInit{Candidate: c}
		if pc.RemoteDescription() == nil || p.ignored != "" {
			if len(p.early) < 64 {
				p.early = append(p.early, one)
			}
		}
		if pc.RemoteDescription() != nil {
			_ = pc.AddICECandidate(one)
		}
		return nil
	})
}

// Moved reports whether packets of the path leave this machine otherwise than when it came up: its address or its route
// is another. False while there is no path.
func (p *Peer) Moved() bool {
	moved := p.moved.Load()
	return moved != nil && (*moved)()
}

// watch begins to watch the way of a pair of candidates.
func (p *Peer) watch(pair *webrtc.ICECandidatePair) {
	if p.engine.way == nil {
		return
	}
	base, to := pair.Local.Address, pair.Remote.Address
	switch pair.Local.Typ {
	case webrtc.ICECandidateTypeHost:
	case webrtc.ICECandidateTypeRelay: // by a connection to the relay, whose address it is
		base, to = "", pair.Local.Address
	default:
		base = pair.Local.RelatedAddress
	}
	local, _ := netip.ParseAddr(base)
	remote, err := netip.ParseAddr(to)
	if err != nil { // a name of multicast DNS, which stands for a neighbour
		remote = local
	}
	if remote.IsValid() {
		moved := p.engine.way(local, remote)
		p.moved.Store(&moved)
	}
}
