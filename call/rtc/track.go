package rtc

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// track is what we send. It picks the first codec that both sides have and that we can encode.
type track struct {
	codecs []Codec

	mu     sync.Mutex
	codec  Codec
	red    uint8 // payload type of RED; 0 when it cannot be sent
	head   rtp.Header
	writer webrtc.TrackLocalWriter // nil until the descriptions are exchanged
}

func (t *track) ID() string                { return "voice" }
func (t *track) RID() string               { return "" }
func (t *track) StreamID() string          { return "intercom" }
func (t *track) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeAudio }

// Bind is told what both sides have.
func (t *track) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	var red webrtc.RTPCodecParameters
	for _, both := range ctx.CodecParameters() {
		if strings.EqualFold(codecName(both.MimeType), RED) {
			red = both
		}
	}
	for _, ours := range t.codecs {
		if !ours.Send {
			continue
		}
		for _, both := range ctx.CodecParameters() {
			if !strings.EqualFold(codecName(both.MimeType), ours.Name) {
				continue
			}
			t.mu.Lock()
			t.codec, t.red, t.writer = ours, 0, ctx.WriteStream()
			if red.ClockRate == ours.Rate { // it runs on the clock of what it wraps
				t.red = uint8(red.PayloadType)
			}
			t.head = rtp.Header{Version: 2, PayloadType: uint8(both.PayloadType), SSRC: uint32(ctx.SSRC()),
				SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(), // both random: RFC 3550, section 5.1
				Marker: true} // of the first packet of a talk spurt: RFC 3551, section 4.1
			t.mu.Unlock()
			return both, nil
		}
	}
	return webrtc.RTPCodecParameters{}, errors.New("the two sides have no codec in common")
}

func (t *track) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	t.writer = nil
	t.mu.Unlock()
	return nil
}

func (t *track) agreed() Outgoing {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.writer == nil {
		return Outgoing{}
	}
	return Outgoing{Codec: t.codec.Name, Type: t.head.PayloadType, RED: t.red != 0}
}

func (t *track) rate() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.codec.Rate
}

func (t *track) send(payload []byte, ticks uint32, red bool) {
	t.mu.Lock()
	w, h := t.writer, t.head
	if red {
		h.PayloadType = t.red
	}
	t.head.Marker = false
	t.head.SequenceNumber++
	t.head.Timestamp += ticks
	t.mu.Unlock()
	if w != nil {
		_, _ = w.WriteRTP(&h, payload)
	}
}

func codecName(mime string) string { return strings.TrimPrefix(mime, "audio/") }
