package audio

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"

	"intercom/audio/codec"
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
