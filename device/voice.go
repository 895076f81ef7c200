package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"intercom/audio"
	"intercom/audio/codec"
	"intercom/audio/jitter"
	"intercom/audio/sender"
	"intercom/audio/tone"
	"intercom/call"
	"intercom/call/rtc"
	"intercom/device/control"
	"intercom/device/network"
	"intercom/device/setup"
	"intercom/internal/durable"
	"intercom/internal/fetch"
	"intercom/wire"
)

// Voice is the real [Media] and [Sound] of a station: it joins microphone, codec and path, and path, jitter buffer and
// loudspeaker.
type Voice struct {
	audio  *audio.Audio
	engine *rtc.Engine
	log    *slog.Logger
	cfg    *setup.Config

	mu    sync.Mutex
	tones map[call.Tone]tone.Sound
	on    [2]string     // the devices, when they were last looked at
	moved chan struct{} // they are others
}

// Changed looks whether the devices are others than before. It is called when the sound's status is another.
func (v *Voice) Changed() {
	s := v.audio.Status()
	now := [2]string{s.Sink, s.Source}
	v.mu.Lock()
	defer v.mu.Unlock()
	if now[1] == "" { // there is no stream while there is no call
		now[1] = v.on[1]
	}
	if now == v.on || now[0] == "" {
		return
	}
	if v.on[0] != "" {
		select {
		case v.moved <- struct{}{}:
		default:
		}
	}
	v.on = now
}

// NewVoice joins the sound devices to an engine for paths. The configuration was checked.
func NewVoice(cfg *setup.Config, a *audio.Audio, log *slog.Logger) (*Voice, error) {
	var codecs []rtc.Codec
	for _, c := range codec.All() {
		codecs = append(codecs, rtc.Codec{Name: c.Name, Rate: c.Rate, Channels: c.Channels, Fmtp: c.Fmtp, Type: c.Type, Send: c.Send})
	}
	codecs = append(codecs, rtc.Codec{Name: rtc.RED, Rate: codec.Rate, Channels: 2, Fmtp: "111/111", Type: 63}) // around Opus
	engine, err := rtc.New(rtc.Settings{Codecs: codecs, Interfaces: cfg.Media.Interfaces, Way: network.Way})
	if err != nil {
		return nil, err
	}
	return &Voice{audio: a, engine: engine, log: log, cfg: cfg, tones: map[call.Tone]tone.Sound{
		call.PressTone: tone.Press(), call.SpeakTone: tone.Speak(),
		call.RingTone: tone.Ring(), call.RingbackTone: tone.Ringback(), call.DeclinedTone: tone.Declined(), call.BusyTone: tone.Busy(),
		call.MissedTone: tone.Missed(), call.OfflineTone: tone.Offline(), call.LimitTone: tone.Limit(), call.DoorTone: tone.Door(), call.AutoTone: tone.Auto(),
	}, moved: make(chan struct{}, 1)}, nil
}

// LoadTones puts files, and what is fetched, in the place of the tones made by code. What cannot be had is a fault, and the
// tone made by code stays. A tone that was fetched once is kept for when it cannot be fetched.
func (v *Voice) LoadTones(ctx context.Context, fault func(control.Fault)) {
	for name, from := range v.cfg.Tones.Files() {
		if from == "" {
			continue
		}
		s, err := v.load(ctx, name, from)
		if err != nil {
			fault(control.Fault{Code: control.ToneMissing, Part: control.PartTone(name), Text: fmt.Sprintf("%s: %v; the standard one is used", from, err)})
			continue
		}
		v.mu.Lock()
		s.Loop = v.tones[call.Tone(name)].Loop
		v.tones[call.Tone(name)] = s
		v.mu.Unlock()
	}
}

func (v *Voice) load(ctx context.Context, name, from string) (tone.Sound, error) {
	if !strings.Contains(from, "://") {
		return tone.Load(from, false)
	}
	kept := filepath.Join(v.cfg.StateDir, "tones", name)
	b, err := fetch.Fetcher{Hosts: v.cfg.Tones.Hosts, Types: []string{"audio/", "application/ogg"}}.Get(ctx, from)
	if err != nil {
		if s, kerr := tone.Load(kept, false); kerr == nil {
			v.log.Warn("a tone cannot be fetched; the one that was kept is used", "err", err)
			return s, nil
		}
		return tone.Sound{}, err
	}
	s, err := tone.Parse(b, false)
	if err == nil {
		if kerr := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o700), durable.Write(kept, b)); kerr != nil {
			v.log.Warn("a tone cannot be kept for the next start", "err", kerr)
		}
	}
	return s, err
}

// Play starts a tone in place of the one before.
func (v *Voice) Play(t call.Tone) {
	v.mu.Lock()
	p := tone.NewPlayer(v.tones[t])
	v.mu.Unlock()
	if t == call.RingTone {
		v.audio.Ring(p)
	} else {
		v.audio.Tone(p)
	}
}

// Silence stops the tone.
func (v *Voice) Silence() {
	v.audio.Ring(nil)
	v.audio.Tone(nil)
}

// Mute closes the microphone, or takes that back.
func (v *Voice) Mute(on bool) { v.audio.Mute(on) }

// Volume sets how loud voices and ringing are, in percent.
func (v *Voice) Volume(talk, ring int) { v.audio.Volume(talk, ring) }

// Test plays a chirp and listens.
func (v *Voice) Test(ctx context.Context) (control.SelfTest, error) {
	r, err := v.audio.SelfTest(ctx)
	return control.SelfTest{At: time.Now(), Heard: r.Heard, RoundTripMS: ms(r.RoundTrip), LevelDBFS: r.Level, LossDB: r.Loss, CancelledDB: r.Cancelled, Problem: r.Problem}, err
}

// TestNowAndThen tests the sound every so often, and when the devices are others, but not in a call. The result is a fault,
// or the end of one.
func (v *Voice) TestNowAndThen(ctx context.Context, every time.Duration, fault func(control.Fault)) error {
	if every == 0 {
		<-ctx.Done()
		return nil
	}
	const again = time.Minute // after it was put off
	for wait := again; ctx.Err() == nil; {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-v.moved:
			t.Stop()
		case <-t.C:
		}
		wait = every
		r, err := v.Test(ctx)
		if err != nil {
			wait = again
			continue
		}
		fault(r.Fault())
	}
	return nil
}

// soundCodes are the codes for what is broken of the sound.
var soundCodes = map[audio.Part]control.Code{
	audio.Server: control.SoundServer, audio.Capture: control.SoundCapture, audio.EchoCanceller: control.SoundEcho,
	audio.Playback: control.SoundPlayback, audio.Ringing: control.SoundPlayback,
	audio.Loudspeaker: control.SoundDevice, audio.RingLoudspeaker: control.SoundDevice, audio.Microphone: control.SoundDevice,
}

// Status is how the sound devices are.
func (v *Voice) Status() control.SoundStatus {
	s := v.audio.Status()
	c := control.SoundStatus{Sink: s.Sink, Source: s.Source, PlaybackMS: ms(s.Playback), CaptureMS: ms(s.Capture), MicOpen: s.MicOpen,
		MicDBFS: s.MicDBFS, SpkDBFS: s.SpkDBFS, Rebuilt: s.Rebuilt, Muted: s.Muted, TalkVolume: s.Talk, RingVolume: s.Ring, Echo: s.Echo, Realtime: s.Realtime,
		Underflows: s.Starved, Overflows: s.Spilled, Trouble: s.Trouble, Code: soundCodes[s.Broken], MicTrouble: s.Deaf}
	c.AskedMS.Playback, c.AskedMS.Capture = ms(v.cfg.Audio.Buffer.Std()), ms(v.cfg.Audio.Block.Std())
	return c
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Path makes the voice path of one call. The capture stream is made at once, but corked: the answer then needs no time,
// and the microphone's light stays dark.
func (v *Voice) Path(servers []wire.ICEServer, offer bool, voice setup.Mode, news News) Path {
	p := &path{v: v, mode: voice, news: news, jitter: jitter.New(jitter.Settings{Most: v.cfg.Audio.MostDelay.Std()}),
		send: sender.New(sender.Settings{Frame: v.cfg.Audio.Frame.Std(), Bitrate: v.cfg.Audio.Bitrate})}
	p.peer = v.engine.Peer(servers, offer, ears{p})
	if voice != setup.Listen {
		v.audio.Mic(audio.Armed, nil)
	}
	return p
}

// path is one call's voice.
type path struct {
	v      *Voice
	mode   setup.Mode
	news   News
	peer   *rtc.Peer
	open   atomic.Bool
	jitter *jitter.Buffer
	send   *sender.Sender
	codec  atomic.Pointer[string] // that we receive
	once   sync.Once              // for the log
}

func (p *path) Remote(sdp, answers string)       { p.peer.Remote(sdp, answers) }
func (p *path) Candidate(c string)               { p.peer.Candidate(c) }
func (p *path) Restart(servers []wire.ICEServer) { p.peer.Restart(servers) }
func (p *path) Moved() bool                      { return p.peer.Moved() }

// OpenVoice opens loudspeaker and microphone.
func (p *path) OpenVoice() {
	p.open.Store(true)
	if p.mode != setup.Announce {
		p.v.audio.Voice(p.jitter)
	}
	p.v.audio.Mute(p.mode == setup.PushToTalk)
	if p.mode != setup.Listen {
		p.v.audio.Mic(audio.Open, p.block)
	}
}

func (p *path) Close() {
	p.open.Store(false)
	p.v.audio.Mic(audio.Closed, nil)
	p.v.audio.Mute(false)
	p.v.audio.Voice(nil)
	p.peer.Close()
}

// block takes 10 ms of the microphone.
func (p *path) block(pcm []int16) {
	if !p.open.Load() {
		return // over
	}
	out := p.peer.Sends()
	p.send.Agree(sender.Link(out))
	f, full, err := p.send.Block(pcm)
	if err != nil {
		p.once.Do(func() { p.v.log.Error("the microphone cannot be encoded", "err", err) })
	} else if full {
		p.peer.Send(f.Payload, ticks(out.Codec, f.Samples), f.RED)
	}
}

// ticks of a codec's RTP clock, which is ours or that of G.711.
func ticks(name string, samples int) uint32 {
	if name == "opus" {
		return uint32(samples)
	}
	return uint32(samples / narrow)
}

// narrow is how many of our samples are one of G.711.
const narrow = 6

// ears is the side of a path that rtc tells things, on goroutines of its own.
type ears struct{ p *path }

func (e ears) Local(sdp, answers string) { e.p.news.Local(sdp, answers) }
func (e ears) Candidate(c string)        { e.p.news.Candidate(c) }

// Packet takes a packet; before the answer none counts.
func (e ears) Packet(k rtc.Packet) {
	p := e.p
	if !p.open.Load() {
		return
	}
	if k.Codec != rtc.RED {
		p.put(k, false)
		return
	}
	_ = codec.Unwrap(k.Payload, func(kind uint8, age uint32, payload []byte) { // what is not RED is lost
		one := k
		one.Codec, one.Timestamp, one.Payload = p.peer.Codec(kind), k.Timestamp-age, payload
		p.put(one, age > 0)
	})
}

func (p *path) put(k rtc.Packet, older bool) {
	if p.codec.Load() == nil {
		p.codec.Store(&k.Codec)
	}
	if k.Codec != "opus" {
		k.Timestamp *= narrow
	}
	p.jitter.Put(jitter.Packet{Codec: k.Codec, Seq: k.Seq, Timestamp: k.Timestamp, Payload: k.Payload, Copy: older})
}

// Report is what the other side says of what we send.
func (e ears) Report(s rtc.Stats) { e.p.send.Report(s.Loss) }

func (e ears) State(s rtc.State, why error) {
	if why != nil {
		e.p.v.log.Warn("the voice path is given up", "err", why)
	}
	e.p.news.Event(func(id string) call.Event {
		switch s {
		case rtc.Up:
			return call.MediaUp{ID: id}
		case rtc.Broke:
			return call.MediaBroke{ID: id}
		case rtc.Closed:
			return call.MediaClosed{ID: id}
		}
		return call.MediaFailed{ID: id}
	})
}

// Quality is how well the call is heard.
func (p *path) Quality() control.Quality {
	j, r, s, out := p.jitter.Stats(), p.peer.Stats(), p.v.audio.Status(), p.send.Status()
	q := control.Quality{Route: string(p.peer.Route()), RoundTripMS: ms(r.RoundTrip), Loss: r.Loss, JitterMS: ms(r.Jitter)}
	if c := p.codec.Load(); c != nil {
		q.Codec = *c
	}
	q.Sending = control.Sending{Codec: out.Codec, FrameMS: ms(out.Frame), Bitrate: out.Bitrate, Complexity: out.Complexity, FEC: out.FEC, Copies: out.Copies, Load: out.Load}
	q.Receiving = control.Receiving{Received: j.Received, Late: j.Late, Duplicate: j.Duplicate, Reordered: j.Reordered, Unreadable: j.Unreadable, Redundant: j.Redundant,
		Recovered: j.Recovered, ConcealedMS: ms(j.Concealed), ComfortMS: ms(j.Comfort), StretchedMS: ms(j.Stretched), SqueezedMS: ms(j.Squeezed), Restarts: j.Restarts,
		DelayMS: ms(j.Delay), JitterMS: ms(j.Jitter), DriftPPM: j.DriftPPM}
	// What we hold, the playback buffer, and what the other side holds: a block, a frame, and the encoder's look-ahead.
	lookAhead := 2500 * time.Microsecond // RFC 6716, section 2
	if out.FEC > 0 {
		lookAhead += 4 * time.Millisecond // of the speech mode
	}
	q.DelayMS = ms(j.Delay+s.Playback+s.Capture+lookAhead+out.Frame) + q.RoundTripMS/2
	return q
}
