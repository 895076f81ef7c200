package rtp

import (
	"sync/atomic"
	"time"

	"intercom/audio/jitter"
)

// Packet is an RTP packet of the peer.
type Packet struct {
	Codec     string // or RED; "" for one that nobody agreed on
	Seq       uint16
	Timestamp uint32 // of the codec's RTP clock
	Payload   []byte // copied
}

// Receiver unwraps packets, brings them to one clock, and holds them until they are played: see [jitter.Buffer].
// Packets may come on one goroutine, and be read on another.
type Receiver struct {
	buffer *jitter.Buffer
	codec  func(kind uint8) string
	first  atomic.Pointer[string]
}

// NewReceiver makes a receiver. most is the delay that it may hold; 0 for the usual. codec names what a payload type
// that is wrapped in RED means.
func NewReceiver(most time.Duration, codec func(kind uint8) string) *Receiver {
	return &Receiver{buffer: jitter.New(jitter.Settings{Most: most}), codec: codec}
}

// Packet takes a packet.
func (r *Receiver) Packet(p Packet) {
	if p.Codec != RED {
		r.put(p, false)
		return
	}
	_ = unwrap(p.Payload, func(kind uint8, age uint32, payload []byte) { // what is not RED is lost
		one := p
		one.Codec, one.Timestamp, one.Payload = r.codec(kind), p.Timestamp-age, payload
		r.put(one, age > 0)
	})
}

func (r *Receiver) put(p Packet, older bool) {
	if r.first.Load() == nil {
		name := p.Codec
		r.first.Store(&name)
	}
	r.buffer.Put(jitter.Packet{Codec: p.Codec, Seq: p.Seq, Timestamp: samples(p.Codec, p.Timestamp), Payload: p.Payload,
		Copy: older})
}

// Read fills out with the samples to play now.
func (r *Receiver) Read(out []int16) { r.buffer.Read(out) }

// Codec is the one that came first; "" for none.
func (r *Receiver) Codec() string {
	if c := r.first.Load(); c != nil {
		return *c
	}
	return ""
}

// Stats are what became of the packets.
func (r *Receiver) Stats() jitter.Stats { return r.buffer.Stats() }
