// Package jitter is the receiving half of a voice path: packets in as the network gives them, an unbroken stream of
// samples out, with as little delay as the jitter allows.
//
// # What is played
//
// For each frame there is the packet, else its redundancy (RFC 2198) or what the next one carries of it (RFC 6716,
// section 2.1.7), else concealment; and comfort noise while the other side is silent. The playback's pull is the clock.
//
// # Delay
//
// Delay follows the packets that come late: up at once, by stretching the sound; down when they have not been late for
// some seconds, by squeezing it; and small differences, as between two sound cards, by playing a little faster or
// slower.
//
// A [Buffer] may be filled and pulled from two goroutines; neither allocates. audio/rtp imports it.
package jitter

import (
	"math"
	"sync"
	"time"

	"intercom/audio/codec"
)

const msec = codec.Rate / 1000 // samples

// How the delay is kept, in samples.
const (
	margin   = 2 * msec   // that late packets should still come before their time, besides a pull
	tooMuch  = 10 * msec  // more than wanted: sound is squeezed
	tooFew   = 5 * msec   // less than wanted: it is stretched
	urgent   = 60 * msec  // so much more that a seam may be heard
	pause    = 3          // frames from one seam to the next
	step     = 10 * msec  // of concealment
	patience = 120 * msec // concealed before a sender is believed to have stopped
	resync   = 500 * msec // gap in the sender's time after which it has begun anew
	foreign  = 2 * codec.Rate
	slots    = 64 // packets held at most
)

// forget is after how many samples without a frame that was lost and came again nothing more is held for such.
const forget = 6 * codec.Rate

// Playing a little faster or slower, in parts per million: for the difference that there is, and for the one that keeps
// coming back, as sound cards differ.
const (
	perSample = 200.0 / msec // for each millisecond of difference
	perSecond = 10.0 / msec  // the same, for each second that it lasts
	fastest   = 1000.0
	drifting  = 600.0 // more than two sound cards ever differ
)

// Settings of a buffer.
type Settings struct {
	Most time.Duration    // delay that it may hold, beyond which packets are too late; 0 for 200 ms
	Now  func() time.Time // nil for time.Now
}

// Packet is a frame of the sender.
type Packet struct {
	Codec     string
	Seq       uint16
	Timestamp uint32 // of the RTP clock (RFC 3550, section 5.1), in samples at 48 kHz
	Payload   []byte // copied
	Copy      bool   // it is redundancy, not the packet itself
}

// Stats counts what happened to packets and frames.
type Stats struct {
	Received   int           // packets
	Late       int           // came after their time
	Duplicate  int           // came twice
	Reordered  int           // came after a later one
	Redundant  int           // frames played from a copy in a later packet (RED)
	Recovered  int           // frames played from what the next one carried (FEC)
	Concealed  time.Duration // invented in place of what was lost or late
	Comfort    time.Duration // noise while the other side was silent
	Stretched  time.Duration // put in, to hold more
	Squeezed   time.Duration // taken out, to hold less
	Restarts   int           // the sender began anew, or was away
	Delay      time.Duration // from a packet's coming to its being played, of an ordinary one
	Jitter     time.Duration // from ordinary packets to late ones
	DriftPPM   float64       // how much faster than written it is played just now
	Unreadable int           // packets that no codec could read
}

type slot struct {
	Packet
	full   bool
	length int // samples
	buf    []byte
}

// Buffer is a jitter buffer for one stream.
type Buffer struct {
	most int
	now  func() time.Time

	mu       sync.Mutex
	slots    [slots]slot
	cursor   uint32 // the sender's time of the next sample to decode
	state    state
	wait     int // samples of silence before the first packet
	missing  int // samples concealed since there was a packet
	extra    int // samples of delay held for what is lost and comes again a packet later
	fading   int // samples until that is given up
	newest   uint16
	dtx      bool // the sender has stopped sending because it is silent (RFC 6716, section 2.1.9)
	decoders map[string]codec.Decoder
	last     codec.Decoder
	pcm      []int16 // decoded, of which those before off are played
	off      int
	seam     int // frames since the last
	ratio    float64
	drift    float64 // ppm, what it has to be all the time
	res      resampler
	noise    noise
	spares   spares
	pulled   time.Time // when chunk samples were taken
	chunk    int
	grain    int // samples that are usually pulled at once: a packet must be there when its first one is
	stats    Stats
}

type state int

const (
	idle    state = iota // nothing came yet, or not for long
	priming              // the first packet waits
	playing
)

// New makes an empty buffer.
func New(s Settings) *Buffer {
	if s.Most == 0 {
		s.Most = 200 * time.Millisecond
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return &Buffer{most: int(s.Most * codec.Rate / time.Second), now: s.Now, decoders: map[string]codec.Decoder{},
		pcm: make([]int16, 0, 2*codec.MaxFrame+longest), ratio: 1}
}

// Stats gives the counts so far.
func (b *Buffer) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Delay, s.Jitter, s.DriftPPM = lasting(max(0, b.spares.middle())), lasting(b.spares.spread()),
		math.Round((b.ratio-1)*1e6)
	return s
}

func lasting(samples int) time.Duration { return time.Duration(samples) * time.Second / codec.Rate }

// Put takes a packet as it came.
func (b *Buffer) Put(p Packet) {
	length := codec.Length(p.Codec, p.Payload)
	b.mu.Lock()
	defer b.mu.Unlock()
	if length == 0 {
		b.stats.Unreadable++
		return
	}
	if !p.Copy {
		b.count(p)
	}
	ahead := int(int32(p.Timestamp - b.cursor))
	if b.state == idle || ahead > foreign || ahead < -foreign {
		if p.Copy { // a stream begins with a packet, not with what is older
			return
		}
		b.begin(p.Timestamp)
		ahead = 0
	}
	if !p.Copy {
		b.spares.add(ahead + b.waiting())
	}
	if ahead <= -length {
		if !p.Copy {
			b.stats.Late++
		}
		return
	}
	if have := b.find(p.Timestamp); have != nil {
		if !p.Copy && !have.Copy {
			b.stats.Duplicate++
		}
		return
	}
	s := b.free()
	s.buf = append(s.buf[:0], p.Payload...)
	s.Packet, s.full, s.length = p, true, length
	s.Payload = s.buf
}

// count notes the order of packets.
func (b *Buffer) count(p Packet) {
	b.stats.Received++
	if int16(p.Seq-b.newest) > 0 || b.stats.Received == 1 { // RFC 3550, appendix A.1: sequence numbers wrap
		b.newest = p.Seq
	} else if p.Seq != b.newest {
		b.stats.Reordered++
	}
}

// begin starts with a packet of that time, and waits as long as the jitter so far says.
func (b *Buffer) begin(at uint32) {
	if b.stats.Received > 1 {
		b.stats.Restarts++
	}
	for i := range b.slots {
		b.slots[i].full = false
	}
	b.cursor, b.state = at, priming
	b.wait = margin + b.grain + min(b.spares.spread(), b.most)
	b.spares.forget()
	b.missing, b.dtx, b.ratio = 0, false, 1
	b.pcm, b.off = b.pcm[:0], 0
}

// waiting is how long it takes until the cursor's sample is needed, in samples: what is decoded, and what of the last
// pull is still being played.
func (b *Buffer) waiting() int {
	playing := b.chunk - int(b.now().Sub(b.pulled)*codec.Rate/time.Second)
	return len(b.pcm) - b.off + b.wait + max(0, min(b.chunk, playing))
}

// find gives the packet of a time.
func (b *Buffer) find(at uint32) *slot {
	for i := range b.slots {
		if s := &b.slots[i]; s.full && s.Timestamp == at {
			return s
		}
	}
	return nil
}

// free gives an empty slot; the oldest packet's when all are full.
func (b *Buffer) free() *slot {
	oldest := &b.slots[0]
	for i := range b.slots {
		s := &b.slots[i]
		if !s.full {
			return s
		}
		if int32(s.Timestamp-oldest.Timestamp) < 0 {
			oldest = s
		}
	}
	return oldest
}

// ready gives the packet with the cursor's sample, and the first one after it. What is before the cursor is forgotten.
func (b *Buffer) ready() (now, next *slot) {
	for i := range b.slots {
		s := &b.slots[i]
		if !s.full {
			continue
		}
		switch ahead := int(int32(s.Timestamp - b.cursor)); {
		case ahead <= -s.length:
			s.full = false
		case ahead <= 0:
			now = s
		case next == nil || int32(s.Timestamp-next.Timestamp) < 0:
			next = s
		}
	}
	return now, next
}

// Read fills out with what is to be heard next; silence when there is nothing.
func (b *Buffer) Read(out []int16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pulled, b.chunk, b.grain = b.now(), len(out), max(len(out), b.grain-1)
	b.fadeAway(len(out))
	for len(out) > 0 {
		n := 0
		switch {
		case b.state == playing:
			var took int
			n, took = b.res.run(out, b.pcm[b.off:], b.ratio)
			b.off += took
			b.spares.shift -= took - n
			if n < len(out) {
				b.pcm, b.off = b.pcm[:0], 0
				b.fill()
			}
		case b.state == priming && b.wait == 0:
			b.state = playing
		default:
			if n = len(out); b.state == priming {
				n = min(n, b.wait)
				b.wait -= n
			}
			clear(out[:n])
		}
		out = out[n:]
	}
}

// fill decodes the next frame into pcm, or stops playing.
func (b *Buffer) fill() {
	now, next := b.ready()
	switch {
	case now != nil:
		b.decode(now)
	case next != nil:
		b.bridge(next)
	case b.dtx:
		b.silent(step)
		b.cursor += step
	default: // the network is late, or the sender stopped: time stands still here, and delay grows
		if b.missing += step; b.missing > patience {
			b.quiet()
			return
		}
		b.conceal(step)
		b.spares.shift += step
	}
	b.adjust()
}

// quiet is when nothing has come for a while: noise, and after seconds nothing.
func (b *Buffer) quiet() {
	if b.missing > foreign {
		b.state = idle
		return
	}
	b.silent(step)
	b.spares.shift += step
}

// bridge goes over a gap towards the next packet.
func (b *Buffer) bridge(next *slot) {
	gap := int(int32(next.Timestamp - b.cursor))
	b.missing = 0
	switch {
	case b.dtx:
		gap = min(gap, step)
		b.silent(gap)
	case gap > resync:
		b.spares.shift -= gap
		b.stats.Restarts++
	case gap > next.length:
		gap = min(gap-next.length, step)
		b.conceal(gap)
	case gap == next.length && b.recover(next, gap):
		b.cameAgain(gap)
	default:
		gap = min(gap, step)
		b.conceal(gap)
	}
	b.cursor += uint32(gap)
}

func (b *Buffer) decoder(name string) codec.Decoder {
	d, known := b.decoders[name]
	if !known {
		d, _ = codec.NewDecoder(name) // an unknown codec decodes to concealment
		b.decoders[name] = d
	}
	return d
}

// decode plays a packet, without what of it is past.
func (b *Buffer) decode(s *slot) {
	s.full = false
	if s.Copy {
		b.stats.Redundant++
		b.cameAgain(s.length)
	}
	if b.missing > patience { // it was quiet: time has stood still long enough
		b.spares.forget()
	}
	b.missing = 0
	past := int(int32(b.cursor - s.Timestamp))
	b.cursor = s.Timestamp + uint32(s.length)
	d := b.decoder(s.Codec)
	room := b.pcm[len(b.pcm) : len(b.pcm)+s.length]
	if d == nil || d.Decode(s.Payload, room) != nil {
		b.stats.Unreadable++
		b.conceal(s.length - past)
		return
	}
	b.last, b.dtx = d, codec.Silent(s.Codec, s.Payload)
	b.noise.hear(room)
	b.pcm = append(b.pcm, room[past:]...)
}

// recover plays what the next packet carries of the one before it.
func (b *Buffer) recover(next *slot, gap int) bool {
	d := b.decoder(next.Codec)
	room := b.pcm[len(b.pcm) : len(b.pcm)+gap]
	if d == nil || !d.Recover(next.Payload, room) {
		return false
	}
	b.stats.Recovered++
	b.pcm = b.pcm[:len(b.pcm)+gap]
	return true
}

// cameAgain notes that a frame of that length was lost and came with a later packet: one frame more is held for such.
func (b *Buffer) cameAgain(length int) { b.extra, b.fading = length, forget }

// fadeAway forgets that, as n samples go by.
func (b *Buffer) fadeAway(n int) {
	if b.fading -= n; b.fading <= 0 {
		b.extra = 0
	}
}

func (b *Buffer) conceal(n int) {
	b.stats.Concealed += lasting(n)
	room := b.pcm[len(b.pcm) : len(b.pcm)+n]
	if b.last == nil {
		clear(room)
	} else {
		b.last.Conceal(room)
	}
	b.pcm = b.pcm[:len(b.pcm)+n]
}

func (b *Buffer) silent(n int) {
	b.stats.Comfort += lasting(n)
	b.noise.fill(b.pcm[len(b.pcm) : len(b.pcm)+n])
	b.pcm = b.pcm[:len(b.pcm)+n]
}

// adjust brings the delay nearer to what it should be.
func (b *Buffer) adjust() {
	b.seam++
	if b.ratio = 1 + b.drift/1e6; b.spares.count < few || b.missing > 0 {
		return
	}
	excess := max(b.spares.least()-margin-b.grain-b.extra, b.spares.middle()-b.most)
	switch {
	case excess > tooMuch:
		if b.seam >= pause {
			left, n := squeeze(b.pcm, excess, excess > urgent)
			b.seamed(left, -n)
		}
	case excess < -tooFew && b.spares.middle() < b.most:
		if b.seam >= pause {
			longer, n := stretch(b.pcm, -excess, excess < -3*tooFew)
			b.seamed(longer, n)
		}
	default:
		b.drift = bound(b.drift+float64(excess)*perSecond*float64(len(b.pcm))/codec.Rate, drifting)
		b.ratio = 1 + bound(b.drift+float64(excess)*perSample, fastest)/1e6
	}
}

func bound(v, most float64) float64 { return max(-most, min(most, v)) }

func (b *Buffer) seamed(pcm []int16, added int) {
	if added == 0 {
		return
	}
	b.pcm, b.seam = pcm, 0
	b.spares.shift += added
	if added > 0 {
		b.stats.Stretched += lasting(added)
	} else {
		b.stats.Squeezed -= lasting(added)
	}
}
