package audio

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jfreymuth/pulse/proto"
)

// canceller is the server's echo canceller between our streams and the devices.
type canceller struct {
	sink, source string // what our streams use
	module       uint32
	masterSink   string // the devices
	masterSource string
}

// Names of what is loaded into the server. They also tell what a life before ours left there.
const (
	echoSink   = "intercom_speaker"
	echoSource = "intercom_microphone"
)

func (a *Audio) canceller() *canceller {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ec
}

func (a *Audio) use(c *conn, ec *canceller) {
	a.mu.Lock()
	a.ec = ec
	a.mu.Unlock()
	half := ec == nil && a.set.Echo != EchoOff && a.set.Echo != ""
	switch {
	case ec != nil:
		a.gate.mode.Store(gateRest)
	case half:
		a.gate.mode.Store(gateHalf)
	default:
		a.gate.mode.Store(gateOpen)
	}
	a.update(func(s *Status) {
		switch {
		case ec != nil:
			s.Echo = "cancelled"
		case half:
			s.Echo = "half duplex"
		default:
			s.Echo = "off"
		}
	})
	c.tellAll()
}

// cancelEcho keeps the server's echo canceller between our streams and the devices that are wanted, until ctx ends;
// then it is taken away. Where it cannot be had, one talks at a time.
func (a *Audio) cancelEcho(ctx context.Context, c *conn) {
	a.use(c, nil)
	if a.set.Echo != EchoAuto {
		return
	}
	news := c.follow()
	defer c.unfollow(news)
	defer a.use(c, nil)
	c.unloadStale()
	for ctx.Err() == nil {
		ec, err := a.loadCanceller(c)
		if err != nil {
			a.trouble(EchoCanceller, fmt.Errorf("it cannot be cancelled (%w); one talks at a time", err))
		} else {
			a.trouble(EchoCanceller, nil)
			a.use(c, ec)
		}
		if !a.echoStays(ctx, c, ec, news) {
			break
		}
		a.use(c, nil)
		if ec != nil {
			_ = c.Request(&proto.UnloadModule{ModuleIndex: ec.module}, nil)
		}
	}
	if ec := a.canceller(); ec != nil {
		_ = c.Request(&proto.UnloadModule{ModuleIndex: ec.module}, nil)
	}
}

// echoStays waits until the canceller should be between other devices, or is gone; false means that ctx or the
// connection ended.
func (a *Audio) echoStays(ctx context.Context, c *conn, ec *canceller, news <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-c.dead:
			return false
		case <-news:
		}
		sink, source, err := a.masters(c)
		if ec == nil {
			if err == nil { // the devices are others than when it failed
				select {
				case <-time.After(time.Second): // not at each of many events
				case <-ctx.Done():
				}
				return true
			}
			continue
		}
		there, lerr := c.sources()
		if _, ours := pick([]string{ec.source}, there); lerr == nil && !ours ||
			err == nil && (sink != ec.masterSink || source != ec.masterSource) {
			return true
		}
	}
}

// masters are the devices that the canceller belongs between.
func (a *Audio) masters(c *conn) (sink, source string, err error) {
	var server proto.GetServerInfoReply
	if err := c.Request(&proto.GetServerInfo{}, &server); err != nil {
		return "", "", err
	}
	sinks, err := c.sinks()
	if err != nil {
		return "", "", err
	}
	sources, err := c.sources()
	if err != nil {
		return "", "", err
	}
	sink, _ = pick(a.set.Sinks, sinks)
	source, _ = pick(a.set.Sources, sources)
	sink, source = cmp.Or(sink, server.DefaultSinkName), cmp.Or(source, server.DefaultSourceName)
	if sink == "" || source == "" || sink == echoSink || source == echoSource {
		return "", "", fmt.Errorf("there is no loudspeaker or no microphone")
	}
	return sink, source, nil
}

// loadCanceller loads WebRTC's canceller with noise suppression, and sees that it is there. Its gain control is off: it
// makes what is left of the echo louder (measured: 18 to 27 dB of echo loss with it, 30 to 37 without).
func (a *Audio) loadCanceller(c *conn) (*canceller, error) {
	ec := &canceller{sink: echoSink, source: echoSource}
	var err error
	if ec.masterSink, ec.masterSource, err = a.masters(c); err != nil {
		return nil, err
	}
	args := []string{"aec_method=webrtc", "source_name=" + echoSource, "sink_name=" + echoSink,
		"source_master=" + ec.masterSource, "sink_master=" + ec.masterSink,
		"rate=48000", "channels=1", "use_volume_sharing=no",
		`aec_args="high_pass_filter=1 noise_suppression=1 analog_gain_control=0 digital_gain_control=0"`}
	var r proto.LoadModuleReply
	if err := c.Request(&proto.LoadModule{Name: "module-echo-cancel", Args: strings.Join(args, " ")}, &r); err != nil {
		return nil, fmt.Errorf("module-echo-cancel: %w", err)
	}
	ec.module = r.ModuleIndex
	if !c.appears(echoSource) {
		_ = c.Request(&proto.UnloadModule{ModuleIndex: ec.module}, nil)
		return nil, fmt.Errorf("module-echo-cancel was loaded and its source %s is not there", echoSource)
	}
	return ec, nil
}

// appears waits for a source of a module that was loaded. PipeWire makes it some time after it has said that it did.
func (c *conn) appears(source string) bool {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		sources, err := c.sources()
		if _, there := pick([]string{source}, sources); there || err != nil || time.Now().After(end) {
			return there
		}
	}
}

// unloadStale takes away what a life before ours left in the server.
func (c *conn) unloadStale() {
	var all proto.GetModuleInfoListReply
	if c.Request(&proto.GetModuleInfoList{}, &all) != nil {
		return
	}
	for _, m := range all {
		if m.ModuleName == "module-echo-cancel" && strings.Contains(m.ModuleArgs, "source_name="+echoSource) {
			_ = c.Request(&proto.UnloadModule{ModuleIndex: m.ModuleIndex}, nil)
		}
	}
}
