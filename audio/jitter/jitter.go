// Package jitter is the receiving half of a voice path: packets in as the network gives them, an unbroken stream of
// samples out, with as little delay as the jitter allows.
//
// The playback's pull is the clock; the buffer has none of its own. Delay grows when packets come late (what is missing
// is concealed, in place) and shrinks when they have all come early for a while. Lost packets are recovered from the
// redundancy of the next, else concealed. A [Buffer] may be filled and pulled from two goroutines. The device's voice
// imports it.
package jitter

import (
	"sync"
	"time"

	"intercom/audio/codec"
)

// Delays. A packet should come at least so much before it is needed; more than that for a window of frames is given back.
const (
	half     = codec.Frame / 2    // the step by which delay grows and shrinks, 10 ms
	start    = half               // waited before the first packet is played
	enough   = codec.Frame + half // spare time that is too much
	window   = 100                // packets over which the least spare time is taken
	hurry    = 25                 // the same when there is twice too much
	patience = 12                 // halves concealed before a silent sender is believed to have paused
	slots    = 64                 // packets held at most
)

// Stats counts what happened to packets.
type Stats struct {
	Received  int           `json:"received"`
	Late      int           `json:"late"`      // came after their time, or twice
	Recovered int           `json:"recovered"` // lost, but found again in the next packet
	Concealed int           `json:"concealed"` // halves of a frame that were invented
	Dropped   int           `json:"dropped"`   // halves given back to shorten the delay
	Delay     time.Duration `json:"delay"`     // how long before it is played the last packet came
}

type packet struct {
	seq     uint16
	full    bool
	codec   string
	payload []byte
}

// Buffer is a jitter buffer for one stream.
type Buffer struct {
	mu       sync.Mutex
	ring     [slots]packet
	held     int // packets in the ring
	next     uint16
	playing  bool
	wait     int // samples of silence before the first packet
	missing  int // halves concealed in a row, without a packet at all
	decoders map[string]codec.Decoder
	last     codec.Decoder
	pcm      []int16 // decoded, not yet pulled
	frame    [codec.Frame]int16
	least    int // the least spare time of this window, in samples
	seen     int
	stats    Stats
}

// New makes an empty buffer.
func New() *Buffer {
	return &Buffer{decoders: map[string]codec.Decoder{}, pcm: make([]int16, 0, codec.Frame)}
}

// Stats gives the counts so far.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Put takes a packet as it came. The payload is copied.
func (b *Buffer) Put(name string, seq uint16, payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.Received++
	if !b.playing && b.held == 0 {
		b.next, b.wait = seq, start
		b.least, b.seen = 1<<30, 0
	}
	ahead := int(int16(seq - b.next)) // RFC 3550, appendix A.1: sequence numbers wrap
	switch {
	case ahead < 0 && ahead > -slots:
		b.stats.Late++
		return
	case ahead >= slots || ahead <= -slots: // a new stream, or one that was away: start anew
		b.reset()
		b.next, b.wait, ahead = seq, start, 0
	}
	slot := &b.ring[seq%slots]
	if slot.full {
		b.stats.Late++
		return
	}
	slot.seq, slot.full, slot.codec = seq, true, name
	slot.payload = append(slot.payload[:0], payload...)
	b.held++
	b.measure(ahead*codec.Frame + len(b.pcm) + b.wait)
}

// measure takes how long before its time a packet came, in samples.
func (b *Buffer) measure(spare int) {
	b.stats.Delay = time.Duration(spare) * time.Second / codec.Rate
	b.least = min(b.least, spare)
	b.seen++
}

func (b *Buffer) reset() {
	for i := range b.ring {
		b.ring[i].full = false
	}
	b.held, b.playing, b.missing, b.pcm = 0, false, 0, b.pcm[:0]
	b.least, b.seen = 1<<30, 0
}

// Read fills out with what is to be heard next; silence when there is nothing.
func (b *Buffer) Read(out []int16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(out) > 0 {
		if len(b.pcm) == 0 && !b.fill() {
			n := len(out)
			if b.wait > 0 {
				n = min(n, b.wait)
				b.wait -= n
			}
			clear(out[:n])
			out = out[n:]
			continue
		}
		n := copy(out, b.pcm)
		b.pcm = b.pcm[:copy(b.pcm, b.pcm[n:])]
		out = out[n:]
	}
}

// fill decodes the next frame into pcm; false means silence.
func (b *Buffer) fill() bool {
	if !b.playing {
		if b.held == 0 || b.wait > 0 {
			return false
		}
		b.playing = true
	}
	slot := &b.ring[b.next%slots]
	after := &b.ring[(b.next+1)%slots]
	switch {
	case slot.full:
		b.missing = 0
		b.decode(slot)
	case after.full:
		b.missing = 0
		b.recover(after)
	case b.held > 0: // lost, and the next too
		b.missing = 0
		b.conceal(codec.Frame)
		b.next++
	default: // nothing at all: the network is late, or the sender paused. Wait half a frame in place.
		if b.missing++; b.missing > patience {
			b.reset()
			return false
		}
		b.conceal(half)
		return true
	}
	if b.seen >= window || b.seen >= hurry && b.least > 2*enough {
		if b.least > enough {
			b.shorten()
		}
		b.least, b.seen = 1<<30, 0
	}
	return true
}

func (b *Buffer) decoder(name string) codec.Decoder {
	d := b.decoders[name]
	if d == nil {
		d, _ = codec.NewDecoder(name) // an unknown codec decodes to concealment
		b.decoders[name] = d
	}
	return d
}

func (b *Buffer) decode(p *packet) {
	p.full = false
	b.held--
	b.next++
	d := b.decoder(p.codec)
	if d == nil || d.Decode(p.payload, b.frame[:]) != nil {
		b.conceal(codec.Frame)
		return
	}
	b.last = d
	b.pcm = append(b.pcm, b.frame[:]...)
}

func (b *Buffer) recover(after *packet) {
	b.next++
	if d := b.decoder(after.codec); d != nil && d.Recover(after.payload, b.frame[:]) {
		b.stats.Recovered++
		b.pcm = append(b.pcm, b.frame[:]...)
		return
	}
	b.conceal(codec.Frame)
}

func (b *Buffer) conceal(n int) {
	b.stats.Concealed += n / half
	if b.last == nil {
		clear(b.frame[:n])
	} else {
		b.last.Conceal(b.frame[:n])
	}
	b.pcm = append(b.pcm, b.frame[:n]...)
}

// shorten plays the frame just decoded in half its time: its first half goes over into its second.
func (b *Buffer) shorten() {
	if len(b.pcm) < codec.Frame {
		return
	}
	b.stats.Dropped++
	for i := range half {
		b.pcm[i] = int16((int(b.pcm[i])*(half-i) + int(b.pcm[half+i])*i) / half)
	}
	b.pcm = b.pcm[:half]
}
