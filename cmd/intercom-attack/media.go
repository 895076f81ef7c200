package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"intercom/internal/stage"
	"intercom/wire"
)

// Floods of a station by the peer of a call that it has answered, or made.
var mediaAttacks = []attack{
	{"media/flood-packets", "sends a station it talks with RTP as fast as it can", mediaFlood(floodPackets)},
	{"media/flood-sources", "the same from a source (SSRC) of its own for each packet", mediaFlood(floodSources)},
	{"media/flood-types", "the same with payload types that nobody agreed on, comfort noise and digits among them",
		mediaFlood(floodTypes)},
	{"media/flood-rtcp", "sends a station it talks with RTCP about ever new sources, 31 a packet, as fast as it can",
		mediaFlood(floodRTCP)},
}

func floodPackets(p *mediaPeer, i int) error {
	return p.send(rtp.Header{SSRC: p.ssrc, PayloadType: p.kind, SequenceNumber: uint16(i), Timestamp: uint32(i) * 480})
}

func floodSources(p *mediaPeer, i int) error {
	return p.send(rtp.Header{SSRC: uint32(i + 1), PayloadType: p.kind})
}

func floodTypes(p *mediaPeer, i int) error {
	return p.send(rtp.Header{SSRC: p.ssrc, PayloadType: uint8(i) & 0x7f, SequenceNumber: uint16(i)})
}

func floodRTCP(p *mediaPeer, i int) error {
	bye := &rtcp.Goodbye{}
	for k := range 31 {
		bye.Sources = append(bye.Sources, uint32(i*31+k+1))
	}
	return p.pc.WriteRTCP([]rtcp.Packet{bye})
}

// Bounds of what a flood may do to a station, on a machine that is shared.
const (
	grown      = 48              // MiB of memory
	unanswered = 5 * time.Second // of its control socket
	chatter    = 40              // lines in its log
)

// mediaFlood has a station call us, floods it, and expects that it ends the call, and serves the next.
func mediaFlood(send func(p *mediaPeer, i int) error) func(*trial) {
	return func(t *trial) {
		t.startHub("")
		sound := t.startSound("front_door")
		manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: t.path("notify"), Net: "unixgram"})
		t.must(err)
		t.cleanup(func() { manager.Close() })
		var alive atomic.Int64 // when the station last fed the watchdog
		go func() {
			buf := make([]byte, 4096)
			for {
				n, err := manager.Read(buf)
				if err != nil {
					return
				}
				if strings.HasPrefix(string(buf[:n]), "WATCHDOG=1") {
					alive.Store(time.Now().UnixNano())
				}
			}
		}()
		door := t.startStation(sound, stage.Settings{CUID: "front_door", To: "reception",
			Env: []string{"NOTIFY_SOCKET=" + t.path("notify"), "WATCHDOG_USEC=1000000"}})
		desk := t.signIn("reception")
		p := t.answerAsPeer(door, desk)
		before, lines, worked := memory(t, door.PID()), logLines(door), processor(door)
		ctx, stop := context.WithTimeout(t.ctx, 10*time.Second)
		defer stop()
		var sent atomic.Int64
		go func() {
			for i := 0; ctx.Err() == nil && send(p, i) == nil; i++ {
				sent.Add(1)
			}
		}()
		began, slowest := time.Now(), time.Duration(0)
		phase := "talking"
		for ctx.Err() == nil {
			asked := time.Now()
			phase = t.phase(door)
			slowest = max(slowest, time.Since(asked))
			if phase == "idle" {
				break
			}
			sleep(ctx, 50*time.Millisecond)
		}
		t.figure("processor_s", (processor(door) - worked).Seconds())
		t.figure("sent", float64(sent.Load()))
		t.figure("ended_after_s", time.Since(began).Seconds())
		t.figure("control_slowest_ms", float64(slowest.Milliseconds()))
		more := memory(t, door.PID()) - before
		t.figure("memory_grew_mib", more)
		t.figure("log_lines", float64(logLines(door)-lines))
		stop()
		switch {
		case more > grown:
			t.through("the station took %.0f MiB more", more)
		case slowest > unanswered:
			t.through("the control socket took %v", slowest)
		case logLines(door)-lines > chatter:
			t.through("%d lines in the log", logLines(door)-lines)
		case time.Since(time.Unix(0, alive.Load())) > 5*time.Second:
			t.through("the watchdog was not fed")
		case phase != "idle":
			t.through("the call goes on under the flood: %s", phase)
		}
		t.must(p.pc.Close())
		if phase == "talking" {
			t.must(door.Press(t.ctx, "hangup"))
		}
		t.until("the station was free", func() bool { return t.phase(door) == "idle" })
		next := t.answerAsPeer(door, desk) // the next call
		t.must(next.pc.Close())
	}
}

// mediaPeer is the other end of a station's voice path: a browser that does what it likes.
type mediaPeer struct {
	pc   *webrtc.PeerConnection
	out  webrtc.TrackLocalWriter
	ssrc uint32
	kind uint8
}

func (p *mediaPeer) ID() string                { return "voice" }
func (p *mediaPeer) RID() string               { return "" }
func (p *mediaPeer) StreamID() string          { return "attack" }
func (p *mediaPeer) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// Bind is told how to send.
func (p *mediaPeer) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, c := range ctx.CodecParameters() {
		if strings.EqualFold(c.MimeType, webrtc.MimeTypePCMU) {
			p.out, p.ssrc, p.kind = ctx.WriteStream(), uint32(ctx.SSRC()), uint8(c.PayloadType)
			return c, nil
		}
	}
	return webrtc.RTPCodecParameters{}, errors.New("no codec in common")
}

func (p *mediaPeer) Unbind(webrtc.TrackLocalContext) error { return nil }

func (p *mediaPeer) send(h rtp.Header) error {
	h.Version = 2
	_, err := p.out.WriteRTP(&h, make([]byte, 160))
	return err
}

// answerAsPeer has the station call desk, which answers, and returns when both talk.
func (t *trial) answerAsPeer(door *stage.Station, desk *client) *mediaPeer {
	t.must(door.Press(t.ctx, "call"))
	in, err := desk.await(most, wire.Incoming)
	t.must(err)
	s := webrtc.SettingEngine{LoggerFactory: &logging.DefaultLoggerFactory{Writer: io.Discard,
		DefaultLogLevel: logging.LogLevelDisabled}}
	s.SetIncludeLoopbackCandidate(true)
	s.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	m := &webrtc.MediaEngine{}
	t.must(m.RegisterDefaultCodecs())
	p := &mediaPeer{}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(m))
	p.pc, err = api.NewPeerConnection(webrtc.Configuration{})
	t.must(err)
	t.cleanup(func() { _ = p.pc.Close() })
	up := make(chan struct{})
	p.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateConnected {
			close(up)
		}
	})
	_, err = p.pc.AddTrack(p)
	t.must(err)
	offer, err := p.pc.CreateOffer(nil)
	t.must(err)
	all := webrtc.GatheringCompletePromise(p.pc)
	t.must(p.pc.SetLocalDescription(offer))
	<-all
	var bare strings.Builder // any source may come: none is named
	for line := range strings.Lines(p.pc.LocalDescription().SDP) {
		if !strings.HasPrefix(line, "a=ssrc") {
			bare.WriteString(line)
		}
	}
	t.must(desk.request(wire.New(wire.Ringing, in.Call, wire.SDPBody{SDP: bare.String()})))
	t.must(desk.request(wire.Envelope{T: wire.Answer, Call: in.Call}))
	for described := false; ; {
		var e wire.Envelope
		select {
		case <-up:
			t.until("the station talked", func() bool { return t.phase(door) == "talking" })
			return p
		case e = <-desk.in:
		case <-time.After(10 * time.Second):
			t.must(errors.New("no voice path within 10 s"))
		}
		switch e.T {
		case wire.SDP:
			if b, ferr := wire.Body[wire.SDPBody](e); ferr == nil && !described {
				described = true
				t.must(p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: b.SDP}))
			}
		case wire.ICE:
			if b, ferr := wire.Body[wire.ICEBody](e); ferr == nil && described {
				_ = p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: b.Candidate})
			}
		case wire.Ended:
			t.must(fmt.Errorf("the call ended: %s", e.B))
		}
	}
}

// processor is what a station has used of the processor.
func processor(s *stage.Station) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID()))
	words := strings.Fields(string(b))
	if len(words) < 15 {
		return 0
	}
	user, _ := strconv.Atoi(words[13])
	system, _ := strconv.Atoi(words[14])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func logLines(s *stage.Station) int {
	b, _ := os.ReadFile(filepath.Clean(s.Log))
	return strings.Count(string(b), "\n")
}
