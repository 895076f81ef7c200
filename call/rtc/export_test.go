package rtc

import (
	"github.com/pion/webrtc/v4"

	"intercom/wire"
)

// current tells the user names of the descriptions that hold, ours first.
func (p *Peer) current(to chan<- [2]string) func(*webrtc.PeerConnection) error {
	return func(pc *webrtc.PeerConnection) error {
		to <- [2]string{wire.Fragment(pc.CurrentLocalDescription().SDP),
			wire.Fragment(pc.CurrentRemoteDescription().SDP)}
		return nil
	}
}

// ignoring tells whether an offer that yielded waits.
func (p *Peer) ignoring(to chan<- bool) func(*webrtc.PeerConnection) error {
	return func(*webrtc.PeerConnection) error {
		to <- p.ignored != ""
		return nil
	}
}

// gathered tells whether all candidates are known.
func (p *Peer) gathered(to chan<- bool) func(*webrtc.PeerConnection) error {
	return func(pc *webrtc.PeerConnection) error {
		to <- pc.ICEGatheringState() == webrtc.ICEGatheringStateComplete
		return nil
	}
}
