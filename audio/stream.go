package audio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"intercom/audio/codec"
	"intercom/internal/backoff"
)

// Liveness of a stream: how long it may be silent before the server is asked, and the stream made anew.
const (
	noRequest  = 2 * time.Second        // playback: no request for samples, besides the time for which some lie there
	noFragment = 300 * time.Millisecond // capture: no samples
	firstSound = 3 * time.Second        // capture: from uncork to the first samples, for hardware that starts slowly
	staleGap   = 150 * time.Millisecond // capture: after such a gap what arrives at once is old
)

var errKilled = errors.New("the server ended the stream; is the device still there?")

// stream is what playback and capture have in common.
type stream struct {
	index     atomic.Int64 // -1 until the server has said it
	killed    chan struct{}
	once      sync.Once
	device    atomic.Pointer[string]
	suspended atomic.Bool
	activity  atomic.Int64 // when it last moved, in nanoseconds since the epoch
}

func (s *stream) init() {
	s.index.Store(-1)
	s.killed = make(chan struct{})
	s.activity.Store(time.Now().UnixNano())
}

func newPlayback() *playback {
	p := &playback{wake: make(chan struct{}, 1)}
	p.init()
	return p
}

func newCapture() *capture {
	r := &capture{in: make(chan []byte, 64)}
	r.init()
	return r
}

// mine reports whether an event is about this stream; one that is still being made takes the events that come early.
func (s *stream) mine(index uint32) bool {
	at := s.index.Load()
	return at < 0 || at == int64(index)
}

func (s *stream) end(index uint32) {
	if s.mine(index) {
		s.once.Do(func() { close(s.killed) })
	}
}

func (s *stream) moved(index uint32, name string) {
	if s.mine(index) {
		s.device.Store(&name)
	}
}

func (s *stream) idle() time.Duration { return time.Since(time.Unix(0, s.activity.Load())) }

func spec() proto.SampleSpec {
	return proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 1, Rate: codec.Rate}
}

func properties(name string) proto.PropList {
	return proto.PropList{"media.name": proto.PropListString(name), "media.role": proto.PropListString("phone")}
}

// playback is the loudspeaker's stream.
type playback struct {
	stream
	needed atomic.Int64
	wake   chan struct{}
}

// asked is the server's request for n bytes.
func (p *playback) asked(index uint32, n int) {
	if !p.mine(index) {
		return
	}
	p.activity.Store(time.Now().UnixNano())
	p.needed.Add(int64(n))
	poke(p.wake)
}

// playback makes the loudspeaker's stream and feeds it until it breaks. It never stops by itself: silence is written too.
func (a *Audio) playback(ctx context.Context, c *conn) error {
	p := newPlayback()
	c.mu.Lock()
	c.play = p
	c.mu.Unlock()
	var r proto.CreatePlaybackStreamReply
	err := c.Request(&proto.CreatePlaybackStream{
		SampleSpec: spec(), ChannelMap: proto.ChannelMap{proto.ChannelMono},
		SinkIndex: proto.Undefined, SinkName: a.set.Sink,
		BufferMaxLength: proto.Undefined, BufferTargetLength: uint32(bytesIn(a.set.Buffer)), BufferPrebufferLength: 0, BufferMinimumRequest: proto.Undefined,
		ChannelVolumes: proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		// A stream on a device that was named is ended with it, not moved to where nobody listens; it is made anew when the
		// device is back.
		NoMove: a.set.Sink != "", AdjustLatency: true, Properties: properties("intercom loudspeaker"),
	}, &r)
	if err != nil {
		return fmt.Errorf("the loudspeaker %s cannot be opened: %w", named(a.set.Sink), err)
	}
	p.index.Store(int64(r.StreamIndex))
	defer c.Request(&proto.DeletePlaybackStream{StreamIndex: r.StreamIndex}, nil)
	p.device.CompareAndSwap(nil, &r.SinkName)
	a.trouble("playback", nil)
	p.asked(r.StreamIndex, int(r.Missing))
	return a.feed(ctx, c, p, feeder{c: c, index: r.StreamIndex, buffer: int(r.BufferTargetLength)})
}

// feed serves an existing playback stream. nil means that the connection is gone.
func (a *Audio) feed(ctx context.Context, c *conn, p *playback, f feeder) error {
	look := time.NewTimer(backoff.Round(noRequest))
	defer look.Stop()
	said := ""
	for {
		if name := *p.device.Load(); name != said {
			said = name
			a.update(func(s *Status) { s.Sink = name })
		}
		if calm := a.calm(); calm != f.calm {
			if err := f.rest(calm, a.set.Buffer); err != nil {
				return fmt.Errorf("the loudspeaker's buffer cannot be changed: %w", err)
			}
			if !calm {
				a.update(func(s *Status) { s.Playback = lasting(f.buffer) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.dead:
			return nil
		case <-p.killed:
			return errKilled
		case <-a.stir:
		case <-look.C:
			look.Reset(backoff.Round(noRequest))
			if p.suspended.Load() || p.idle() < noRequest+lasting(f.buffer) {
				continue
			}
			if c.alive() {
				return fmt.Errorf("the loudspeaker took no samples for %v", p.idle().Round(time.Millisecond))
			}
			return nil
		case <-p.wake:
			if f.write(int(p.needed.Swap(0)), a.mix) != nil {
				return nil
			}
		}
	}
}

// While nothing is heard, seconds of silence lie in the server, which asks for more every two seconds and not two hundred
// times in one. They are thrown away when a sound is to be heard. The two lengths leave 20 ms for the device: the server's
// rule is half of what the buffer has beyond two requests.
const (
	calmBuffer  = 4 * time.Second
	calmRequest = 1980 * time.Millisecond
)

// feeder writes samples into a playback stream.
type feeder struct {
	c          *conn
	index      uint32
	buffer     int // bytes
	calm       bool
	out, spare []int16
	raw        []byte
}

// rest makes the stream's buffer long while nothing is heard, and short again.
func (f *feeder) rest(calm bool, short time.Duration) error {
	set := proto.SetPlaybackStreamBufferAttr{StreamIndex: f.index, BufferMaxLength: proto.Undefined, BufferTargetLength: uint32(bytesIn(short)),
		BufferPrebufferLength: 0, BufferMinimumRequest: proto.Undefined, AdjustLatency: true}
	if calm {
		set.BufferTargetLength, set.BufferMinimumRequest = uint32(bytesIn(calmBuffer)), uint32(bytesIn(calmRequest))
	}
	var r proto.SetPlaybackStreamBufferAttrReply
	if err := f.c.Request(&set, &r); err != nil {
		return err
	}
	was := f.calm
	f.calm, f.buffer = calm, int(r.BufferTargetLength)
	if was && !calm {
		return f.c.Request(&proto.FlushPlaybackStream{StreamIndex: f.index}, nil)
	}
	return nil
}

// write sends n bytes of what mix gives. A server that was frozen asks for all that it missed: what is more than a
// buffer is silence then, and not speech that would be thrown away.
func (f *feeder) write(n int, mix func(out, spare []int16)) error {
	if n = n / 2 * 2; n == 0 {
		return nil
	}
	most := max(f.buffer, bytesIn(calmBuffer))
	if len(f.out) < most/2 {
		f.out, f.spare, f.raw = make([]int16, most/2), make([]int16, most/2), make([]byte, most)
	}
	for ; n > most; n -= most {
		clear(f.raw[:most])
		if err := f.c.Send(f.index, f.raw[:most]); err != nil {
			return err
		}
	}
	samples := f.out[:n/2]
	mix(samples, f.spare)
	for i, v := range samples {
		f.raw[2*i], f.raw[2*i+1] = byte(v), byte(v>>8)
	}
	return f.c.Send(f.index, f.raw[:n])
}

// capture is the microphone's stream.
type capture struct {
	stream
	in   chan []byte
	any  atomic.Bool // something was heard
	last time.Time   // of the library's goroutine
	stop time.Time   // until when what arrives is stale
}

// heard takes samples. They are copied: the library uses its buffer again.
func (r *capture) heard(index uint32, b []byte) {
	if !r.mine(index) {
		return
	}
	now := time.Now()
	if !r.last.IsZero() && now.Sub(r.last) > staleGap {
		r.stop = now.Add(20 * time.Millisecond)
	}
	r.last = now
	r.any.Store(true)
	r.activity.Store(now.UnixNano())
	if now.Before(r.stop) {
		return
	}
	select {
	case r.in <- slices.Clone(b):
	default: // the encoder is stuck; the newest samples are as good to lose as the oldest
	}
}

// capture makes the microphone's stream when it is wanted, corks and uncorks it, and ends with it. nil means that it is
// no longer wanted, or that the connection is gone.
func (a *Audio) capture(ctx context.Context, c *conn) error {
	for a.wanted() == Closed {
		select {
		case <-ctx.Done():
			return nil
		case <-c.dead:
			return nil
		case <-a.poke:
		}
	}
	r := newCapture()
	c.mu.Lock()
	c.rec = r
	c.mu.Unlock()
	var reply proto.CreateRecordStreamReply
	err := c.Request(&proto.CreateRecordStream{
		SampleSpec: spec(), ChannelMap: proto.ChannelMap{proto.ChannelMono},
		SourceIndex: proto.Undefined, SourceName: a.set.Source,
		BufferMaxLength: proto.Undefined, BufferFragSize: uint32(bytesIn(a.set.Block)), Corked: true,
		DirectOnInputIndex: proto.Undefined, ChannelVolumes: proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		NoMove: a.set.Source != "", AdjustLatency: true, Properties: properties("intercom microphone"),
	}, &reply)
	if err != nil {
		return fmt.Errorf("the microphone %s cannot be opened: %w", named(a.set.Source), err)
	}
	r.index.Store(int64(reply.StreamIndex))
	r.device.CompareAndSwap(nil, &reply.SourceName)
	a.trouble("capture", nil)
	a.update(func(s *Status) { s.Capture = lasting(int(reply.BufferFragSize)) })
	defer func() {
		_ = c.Request(&proto.DeleteRecordStream{StreamIndex: reply.StreamIndex}, nil)
		a.level(&a.mic, nil)
		a.update(func(s *Status) { s.MicOpen, s.Source = false, "" })
	}()
	return a.record(ctx, c, r, reply.StreamIndex)
}

// record serves an existing capture stream.
func (a *Audio) record(ctx context.Context, c *conn, r *capture, index uint32) error {
	corked, began, said := true, time.Time{}, ""
	frame, have := make([]int16, codec.Block), 0
	look := time.NewTicker(noFragment / 2)
	defer look.Stop()
	for {
		if name := *r.device.Load(); name != said {
			said = name
			a.update(func(s *Status) { s.Source = name })
		}
		goal := a.wanted()
		switch {
		case goal == Closed:
			return nil
		case (goal != Open) != corked:
			corked = goal != Open
			if err := c.Request(&proto.CorkRecordStream{StreamIndex: index, Corked: corked}, nil); err != nil {
				return fmt.Errorf("the microphone cannot be switched: %w", err)
			}
			began, have = time.Now(), 0
			a.update(func(s *Status) { s.MicOpen = !corked })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.dead:
			return nil
		case <-r.killed:
			return errKilled
		case <-a.poke:
		case <-look.C:
			silent := min(r.idle(), time.Since(began))
			limit := noFragment
			if !r.any.Load() {
				limit = firstSound
			}
			if corked || r.suspended.Load() || silent < limit {
				continue
			}
			if c.alive() {
				return fmt.Errorf("the microphone gave no samples for %v", silent.Round(time.Millisecond))
			}
			return nil
		case b := <-r.in:
			for len(b) > 1 && !corked {
				for ; have < codec.Block && len(b) > 1; have++ {
					frame[have] = int16(uint16(b[0]) | uint16(b[1])<<8)
					b = b[2:]
				}
				if have == codec.Block {
					have = 0
					a.level(&a.mic, frame)
					a.deliver(frame)
				}
			}
		}
	}
}

func (a *Audio) wanted() Goal {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.goal
}

// deliver gives a frame to whoever wants it, if the microphone is still to be open.
func (a *Audio) deliver(frame []int16) {
	a.mu.Lock()
	sink := a.sink
	if a.goal != Open {
		sink = nil
	}
	a.mu.Unlock()
	if sink != nil {
		sink(frame)
	}
}

func named(device string) string {
	if device == "" {
		return "(the server's default)"
	}
	return fmt.Sprintf("%q", device)
}
