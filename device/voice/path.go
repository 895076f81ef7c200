package voice

import (
	"sync"
	"sync/atomic"
	"time"

	"intercom/audio"
	"intercom/audio/rtp"
	"intercom/call"
	"intercom/call/rtc"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/wire"
)

// Path makes the voice path of one call. The capture stream is made at once, but corked: the answer then needs no time,
// and the microphone's LED stays dark.
func (v *Voice) Path(servers []wire.ICEServer, offer bool, voice setup.Mode, news device.News) device.Path {
	p := &path{v: v, mode: voice, news: news,
		sender: rtp.NewSender(rtp.SenderSettings{Frame: v.cfg.Audio.Frame.Std(), Bitrate: v.cfg.Audio.Bitrate})}
	p.receiver = rtp.NewReceiver(v.cfg.Audio.MostDelay.Std(), func(kind uint8) string { return p.peer.Codec(kind) })
	p.peer = v.engine.Peer(servers, offer, events{p})
	if voice != setup.Listen {
		v.audio.Mic(audio.Armed, nil)
	}
	return p
}

// path is one call's voice.
type path struct {
	v        *Voice
	mode     setup.Mode
	news     device.News
	peer     *rtc.Peer
	open     atomic.Bool // since the answer
	receiver *rtp.Receiver
	sender   *rtp.Sender
	warned   sync.Once
}

func (p *path) Remote(sdp, answers string)       { p.peer.Remote(sdp, answers) }
func (p *path) Candidate(c string)               { p.peer.Candidate(c) }
func (p *path) Restart(servers []wire.ICEServer) { p.peer.Restart(servers) }
func (p *path) Moved() bool                      { return p.peer.Moved() }

// OpenVoice opens loudspeaker and microphone.
func (p *path) OpenVoice() {
	p.open.Store(true)
	if p.mode != setup.Announce {
		p.v.audio.Voice(p.receiver)
	}
	p.v.audio.Mute(p.mode == setup.PushToTalk)
	if p.mode != setup.Listen {
		p.v.audio.Mic(audio.Open, p.block)
	}
}

func (p *path) Close() {
	p.open.Store(false)
	p.v.audio.Mic(audio.Closed, nil)
	p.v.audio.Mute(false)
	p.v.audio.Voice(nil)
	p.peer.Close()
}

// block takes 10 ms of the microphone.
func (p *path) block(pcm []int16) {
	if !p.open.Load() {
		return // over
	}
	out := p.peer.Sends()
	p.sender.Agree(rtp.Link(out))
	f, full, err := p.sender.Block(pcm)
	if err != nil {
		p.warned.Do(func() { p.v.log.Error("the microphone cannot be encoded", "err", err) })
	} else if full {
		p.peer.Send(f.Payload, f.Ticks, f.RED)
	}
}

// events is the side of a path that rtc tells things, on goroutines of its own.
type events struct{ p *path }

func (e events) Local(sdp, answers string) { e.p.news.Local(sdp, answers) }
func (e events) Candidate(c string)        { e.p.news.Candidate(c) }

// Packet takes a packet; before the answer none counts.
func (e events) Packet(k rtc.Packet) {
	p := e.p
	if !p.open.Load() {
		return
	}
	p.receiver.Packet(rtp.Packet(k))
}

// Report is what the peer says of what we send.
func (e events) Report(s rtc.Stats) { e.p.sender.Report(s.Loss) }

func (e events) State(s rtc.State, why error) {
	if why != nil {
		e.p.v.log.Warn("the voice path is given up", "err", why)
	}
	e.p.news.Event(func(id string) call.Event {
		switch s {
		case rtc.Up:
			return call.MediaUp{ID: id}
		case rtc.Broke:
			return call.MediaBroke{ID: id}
		case rtc.Closed:
			return call.MediaClosed{ID: id}
		}
		return call.MediaFailed{ID: id}
	})
}

// Quality is how well the call is heard.
func (p *path) Quality() control.Quality {
	ms := control.Millis
	j, r, s, out := p.receiver.Stats(), p.peer.Stats(), p.v.audio.Status(), p.sender.Status()
	q := control.Quality{Codec: p.receiver.Codec(), Route: string(p.peer.Route()), RoundTripMS: ms(r.RoundTrip),
		Loss: r.Loss, JitterMS: ms(r.Jitter)}
	q.Sending = control.Sending{Codec: out.Codec, FrameMS: ms(out.Frame), Bitrate: out.Bitrate,
		Complexity: out.Complexity, FEC: out.FEC, Copies: out.Copies, Load: out.Load}
	q.Receiving = control.Receiving{Received: j.Received, Late: j.Late, Duplicate: j.Duplicate, Reordered: j.Reordered,
		Unreadable: j.Unreadable, Redundant: j.Redundant, Recovered: j.Recovered, ConcealedMS: ms(j.Concealed),
		ComfortMS: ms(j.Comfort), StretchedMS: ms(j.Stretched), SqueezedMS: ms(j.Squeezed), Restarts: j.Restarts,
		DelayMS: ms(j.Delay), JitterMS: ms(j.Jitter), DriftPPM: j.DriftPPM}
	// What we hold, the playback buffer, and what the peer holds: a block, a frame, and the encoder's look-ahead.
	lookAhead := 2500 * time.Microsecond // RFC 6716, section 2
	if out.FEC > 0 {
		lookAhead += 4 * time.Millisecond // of the speech mode
	}
	q.DelayMS = ms(j.Delay+s.Playback+s.Capture+lookAhead+out.Frame) + q.RoundTripMS/2
	return q
}
