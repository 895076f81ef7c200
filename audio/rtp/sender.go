package rtp

import (
	"fmt"
	"sync"
	"time"

	"intercom/audio/codec"
)

// SenderSettings are those of a sender.
type SenderSettings struct {
	Frame   time.Duration // 10 or 20 ms; 0 for as the link is
	Bitrate int           // bit/s at most; 0 for 48,000
	Now     func() time.Time
}

// Link is what was agreed with the peer.
type Link struct {
	Codec string // to encode with; "" for not yet
	Type  uint8  // its RTP payload type
	RED   bool   // the peer knows RED
}

// Frame is one packet's payload.
type Frame struct {
	Payload []byte // valid until the next block
	Ticks   uint32 // that it lasts, of the codec's RTP clock
	RED     bool   // the payload is wrapped
}

// Sending is how it is sent just now.
type Sending struct {
	Codec      string
	Frame      time.Duration
	Bitrate    int     // bit/s, without copies
	Complexity int     // 0 to 10
	FEC        int     // percent of loss that Opus' own redundancy is made for
	Copies     int     // of each frame that follow it
	Loss       float64 // as the peer reports it, falling slowly; 0 to 1
	Load       float64 // share of the time that encoding takes; 0 to 1
}

// When a link is lossy, as shares of its packets.
const (
	lossy     = 0.01
	veryLossy = 0.06
	well      = 0.003 // again
	fading    = 0.85  // of what was reported, from a report to the next: up at once, down over seconds
)

// Bitrates by the number of copies, so that redundancy does not crowd the link it is to help.
var bitrates = [maxCopies + 1]int{48000, 32000, 24000}

// The processor's headroom.
const (
	complexity = 5    // where it begins, and the most
	busy       = 0.25 // share of the time at which encoding becomes simpler
	free       = 0.10 // and better again
)

// Sender encodes blocks, as the link and the processor allow. On a good link it is Opus in its mode of least delay.
// When the peer reports loss, copies of earlier frames go along (RED) if it knows them, in frames of half the length,
// so that a copy comes soon; else Opus' own redundancy. It belongs to one goroutine, but for Report, Agree and Status.
type Sender struct {
	set SenderSettings
	now func() time.Time

	mu   sync.Mutex
	link Link
	want Sending // as decided
	load float64

	// Of the microphone's goroutine alone.
	enc     codec.Encoder
	is      Sending
	of      string // codec of enc
	pcm     [codec.Frame]int16
	have    int
	at      uint32
	copies  redundant
	payload [codec.MaxSize]byte
	wrapped [(maxCopies + 1) * codec.MaxSize]byte
}

// NewSender makes a sender that has agreed on nothing yet.
func NewSender(s SenderSettings) *Sender {
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Bitrate == 0 {
		s.Bitrate = bitrates[0]
	}
	n := &Sender{set: s, now: s.Now}
	n.want.Complexity = complexity
	n.decide()
	return n
}

// Agree says what was agreed with the peer.
func (s *Sender) Agree(l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l != s.link {
		s.link = l
		s.decide()
	}
}

// Report takes what the peer says: the share of packets that it lost since the last report, 0 to 1.
func (s *Sender) Report(loss float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want.Loss = max(loss, s.want.Loss*fading)
	if s.want.Loss < well/10 {
		s.want.Loss = 0
	}
	switch {
	case s.load > busy:
		s.want.Complexity = max(0, s.want.Complexity-1)
	case s.load < free:
		s.want.Complexity = min(complexity, s.want.Complexity+1)
	}
	s.decide()
}

// Status is how it is sent just now.
func (s *Sender) Status() Sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.want
	w.Codec, w.Load = s.link.Codec, s.load
	return w
}

// decide follows the link. The lock is held.
func (s *Sender) decide() {
	w := &s.want
	was := w.Copies > 0 || w.FEC > 0
	bad := w.Loss >= lossy || was && w.Loss > well
	w.Copies, w.FEC, w.Frame = 0, 0, 20*time.Millisecond
	switch {
	case bad && s.link.RED:
		w.Copies, w.Frame = 1, 10*time.Millisecond
		if w.Loss >= veryLossy {
			w.Copies = maxCopies
		}
	case bad && s.link.Codec == "opus":
		w.FEC = max(5, min(30, int(w.Loss*150)))
	}
	if s.set.Frame != 0 {
		w.Frame = s.set.Frame
	}
	w.Bitrate = min(s.set.Bitrate, bitrates[w.Copies])
}

// Block takes 10 ms of the microphone and gives a frame to send, if one is full. The error is of the codec.
func (s *Sender) Block(pcm []int16) (f Frame, ok bool, err error) {
	s.mu.Lock()
	link, want := s.link, s.want
	s.mu.Unlock()
	if link.Codec == "" {
		return f, false, nil
	}
	if s.have == 0 || s.of != link.Codec { // changes take place between frames
		if err := s.tune(link, want); err != nil {
			return f, false, err
		}
	}
	s.have += copy(s.pcm[s.have:], pcm)
	if s.have < int(s.is.Frame*codec.Rate/time.Second) {
		return f, false, nil
	}
	frame := s.pcm[:s.have]
	s.have = 0
	began := s.now()
	n, err := s.enc.Encode(frame, s.payload[:])
	s.spent(s.now().Sub(began), s.is.Frame)
	if err != nil {
		return f, false, fmt.Errorf("encoding %s: %w", link.Codec, err)
	}
	f = Frame{Payload: s.payload[:n], Ticks: ticks(link.Codec, len(frame))}
	if s.is.Copies > 0 {
		n = s.copies.wrap(link.Type, s.at, f.Payload, s.is.Copies, s.wrapped[:])
		f.Payload, f.RED = s.wrapped[:n], true
	}
	s.at += f.Ticks
	return f, true, nil
}

// tune makes the encoder what it should be.
func (s *Sender) tune(link Link, want Sending) error {
	if s.of != link.Codec {
		enc, err := codec.NewEncoder(link.Codec)
		if err != nil {
			return err
		}
		s.enc, s.of, s.have = enc, link.Codec, 0
	}
	if want.Copies == 0 {
		s.copies = redundant{}
	}
	s.is = want
	return s.enc.Tune(codec.Tuning{Bitrate: want.Bitrate, Complexity: want.Complexity, Loss: want.FEC})
}

// spent follows how much of a frame's time its encoding takes.
func (s *Sender) spent(d, frame time.Duration) {
	s.mu.Lock()
	s.load += 0.05 * (float64(d)/float64(frame) - s.load)
	s.mu.Unlock()
}
