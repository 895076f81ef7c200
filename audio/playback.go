package audio

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"intercom/internal/backoff"
)

// playback is the loudspeaker's stream.
type playback struct {
	stream
	needed atomic.Int64
	wake   chan struct{}
}

func newPlayback() *playback {
	p := &playback{wake: make(chan struct{}, 1)}
	p.init()
	return p
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

// playback makes a loudspeaker's stream and feeds it until it breaks. It never stops by itself: silence is written too.
// nil means that another device is to be used, or that the connection is gone.
func (a *Audio) playback(ctx context.Context, c *conn, o *output) error {
	news := c.follow()
	defer c.unfollow(news)
	sink := a.sinkFor(c, o)
	p := newPlayback()
	c.mu.Lock()
	c.play[o] = p
	c.mu.Unlock()
	var r proto.CreatePlaybackStreamReply
	err := c.Request(&proto.CreatePlaybackStream{
		SampleSpec: spec(), ChannelMap: proto.ChannelMap{proto.ChannelMono},
		SinkIndex: proto.Undefined, SinkName: sink,
		BufferMaxLength: proto.Undefined, BufferTargetLength: uint32(bytesIn(a.set.Buffer)), BufferPrebufferLength: 0,
		BufferMinimumRequest: proto.Undefined,
		ChannelVolumes:       proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		SyncID:               uint32(slices.Index(a.outs, o)), // streams of one id must be on one sink
		// A stream on a device that was chosen is ended with it, not moved to where nobody listens; it is made anew.
		NoMove: sink != "", AdjustLatency: true, Properties: properties("intercom " + string(o.what)),
	}, &r)
	if err != nil {
		return fmt.Errorf("the loudspeaker %s cannot be opened: %w", named(sink), err)
	}
	p.index.Store(int64(r.StreamIndex))
	defer c.Request(&proto.DeletePlaybackStream{StreamIndex: r.StreamIndex}, nil)
	p.device.CompareAndSwap(nil, &r.SinkName)
	a.trouble(o.what, nil)
	p.asked(r.StreamIndex, int(r.Missing))
	return a.feed(ctx, c, o, p, feeder{c: c, index: r.StreamIndex, buffer: int(r.BufferTargetLength)}, sink, news)
}

// feed serves an existing playback stream on a sink.
func (a *Audio) feed(ctx context.Context, c *conn, o *output, p *playback, f feeder, sink string,
	news <-chan struct{}) error {
	look := time.NewTimer(backoff.Round(noRequest))
	defer look.Stop()
	said := ""
	for {
		a.beat.Store(time.Now().UnixNano())
		if name := *p.device.Load(); name != said && o == a.outs[0] {
			said = name
			a.update(func(s *Status) { s.Sink = name })
		}
		if calm := a.calm(o); calm != f.calm {
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
		case <-news:
			if a.sinkFor(c, o) != sink {
				return nil
			}
		case <-o.stir:
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
			if f.write(int(p.needed.Swap(0)), func(out, spare []int16) { a.mix(o, out, spare) }) != nil {
				return nil
			}
		}
	}
}

// While nothing is heard, seconds of silence lie in the server, which asks for more every two seconds and not two
// hundred times in one. They are thrown away when a sound is to be heard. The two lengths leave 20 ms for the device:
// the server's rule is half of what the buffer has beyond two requests.
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
	set := proto.SetPlaybackStreamBufferAttr{StreamIndex: f.index, BufferMaxLength: proto.Undefined,
		BufferTargetLength:    uint32(bytesIn(short)),
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
		return f.flush()
	}
	return nil
}

// write sends n bytes of what mix gives. A short buffer is asked for seconds by a server that was frozen, or by one
// that asked while the buffer was long: it would hold back a sound for that long, and counts them as owed until they
// come, so they are written as silence and thrown away.
func (f *feeder) write(n int, mix func(out, spare []int16)) error {
	if n = n / 2 * 2; n == 0 {
		return nil
	}
	if !f.calm && n >= bytesIn(calmRequest) {
		for silence := make([]byte, bytesIn(calmRequest)); n > 0; n -= len(silence) {
			if err := f.c.Send(f.index, silence[:min(n, len(silence))]); err != nil {
				return err
			}
		}
		return f.flush()
	}
	if len(f.raw) < n {
		f.out, f.spare, f.raw = make([]int16, n/2), make([]int16, n/2), make([]byte, n)
	}
	samples := f.out[:n/2]
	mix(samples, f.spare)
	for i, v := range samples {
		f.raw[2*i], f.raw[2*i+1] = byte(v), byte(v>>8)
	}
	return f.c.Send(f.index, f.raw[:n])
}

// flush throws away what the server has not played yet, and has it ask anew.
func (f *feeder) flush() error {
	return f.c.Request(&proto.FlushPlaybackStream{StreamIndex: f.index}, nil)
}
