package audio

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"intercom/audio/codec"
)

// capture is the microphone's stream.
type capture struct {
	stream
	in   chan []byte
	any  atomic.Bool // something was heard
	last time.Time   // of the library's goroutine
	stop time.Time   // until when what arrives is stale
}

func newCapture() *capture {
	r := &capture{in: make(chan []byte, 64)}
	r.init()
	return r
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

// capture makes the microphone's stream on mic when it is wanted, corks and uncorks it, and ends with it. c tells of
// the devices. nil means that the stream is no longer wanted, or that a connection is gone.
func (a *Audio) capture(ctx context.Context, c, mic *conn) error {
	for a.wanted() == Closed {
		select {
		case <-ctx.Done():
			return nil
		case <-mic.dead:
			return nil
		case <-a.poke:
		}
	}
	news := c.follow()
	defer c.unfollow(news)
	source := a.sourceFor(c)
	r := newCapture()
	mic.mu.Lock()
	mic.rec = r
	mic.mu.Unlock()
	var reply proto.CreateRecordStreamReply
	err := mic.Request(&proto.CreateRecordStream{
		SampleSpec: spec(), ChannelMap: proto.ChannelMap{proto.ChannelMono},
		SourceIndex: proto.Undefined, SourceName: source,
		BufferMaxLength: proto.Undefined, BufferFragSize: uint32(bytesIn(a.set.Block)), Corked: true,
		DirectOnInputIndex: proto.Undefined, ChannelVolumes: proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		NoMove: source != "", AdjustLatency: true, Properties: properties("intercom microphone"),
	}, &reply)
	if err != nil {
		return fmt.Errorf("the microphone %s cannot be opened: %w", named(source), err)
	}
	r.index.Store(int64(reply.StreamIndex))
	r.device.CompareAndSwap(nil, &reply.SourceName)
	a.trouble(Capture, nil)
	a.update(func(s *Status) { s.Capture = lasting(int(reply.BufferFragSize)) })
	defer func() {
		_ = mic.Request(&proto.DeleteRecordStream{StreamIndex: reply.StreamIndex}, nil)
		a.level(&a.mic, nil)
		a.update(func(s *Status) { s.MicOpen, s.Source = false, "" })
	}()
	another := func() bool { return a.sourceFor(c) != source }
	return a.record(ctx, mic, r, reply.StreamIndex, news, another)
}

// record serves an existing capture stream, until at some news another device is the right one.
func (a *Audio) record(ctx context.Context, mic *conn, r *capture, index uint32, news <-chan struct{},
	another func() bool) error {
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
			if err := mic.Request(&proto.CorkRecordStream{StreamIndex: index, Corked: corked}, nil); err != nil {
				return fmt.Errorf("the microphone cannot be switched: %w", err)
			}
			began, have = time.Now(), 0
			a.update(func(s *Status) { s.MicOpen = !corked })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-mic.dead:
			return nil
		case <-r.killed:
			return errKilled
		case <-a.poke:
		case <-news:
			if another() {
				return nil
			}
		case <-look.C:
			silent := min(r.idle(), time.Since(began))
			limit := noFragment
			if !r.any.Load() {
				limit = firstSound
			}
			if corked || r.suspended.Load() || silent < limit {
				continue
			}
			if mic.alive() {
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
					if !a.testing.Load() { // a self-test wants to hear the loudspeaker
						a.gate.pass(frame, math.Float64frombits(a.spk.Load()))
					}
					a.deliver(frame)
				}
			}
		}
	}
}

// wanted is what is wanted of the stream: one that is muted records nothing.
func (a *Audio) wanted() Goal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.goal == Open && a.muted {
		return Armed
	}
	return a.goal
}

// deliver gives a frame to whoever wants it, if the microphone is still to be open.
func (a *Audio) deliver(frame []int16) {
	a.mu.Lock()
	sink := a.sink
	if a.goal != Open || a.muted {
		sink = nil
	}
	a.mu.Unlock()
	if sink != nil {
		sink(frame)
	}
}
