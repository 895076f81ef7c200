package device

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"intercom/audio"
	"intercom/audio/codec"
	"intercom/audio/jitter"
	"intercom/audio/tone"
	"intercom/call"
	"intercom/call/rtc"
	"intercom/device/control"
	"intercom/wire"
)

// Voice is the real [Media] and [Sound] of a station: it joins microphone, codec and path, and path, jitter buffer and
// loudspeaker.
type Voice struct {
	audio  *audio.Audio
	engine *rtc.Engine
	tones  map[call.Tone]tone.Sound
	log    *slog.Logger
}

// NewVoice joins the sound devices to an engine for paths. The configuration was checked.
func NewVoice(cfg *Config, a *audio.Audio, log *slog.Logger) (*Voice, error) {
	var codecs []rtc.Codec
	for _, c := range codec.All() {
		codecs = append(codecs, rtc.Codec{Name: c.Name, Rate: c.Rate, Channels: c.Channels, Fmtp: c.Fmtp, Type: c.Type, Send: c.Send})
	}
	engine, err := rtc.New(rtc.Settings{Codecs: codecs, Interfaces: cfg.Media.Interfaces})
	if err != nil {
		return nil, err
	}
	v := &Voice{audio: a, engine: engine, log: log, tones: map[call.Tone]tone.Sound{
		call.RingTone: tone.Ring(), call.RingbackTone: tone.Ringback(), call.DeclinedTone: tone.Declined(), call.MissedTone: tone.Missed(), call.OfflineTone: tone.Offline(),
		call.LimitTone: tone.Limit(),
	}}
	for name, path := range cfg.Tones.files() {
		if path == "" {
			continue
		}
		t := call.Tone(name)
		if v.tones[t], err = tone.Load(path, v.tones[t].Loop); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// Play starts a tone in place of the one before.
func (v *Voice) Play(t call.Tone) { v.audio.Tone(tone.NewPlayer(v.tones[t])) }

// Silence stops the tone.
func (v *Voice) Silence() { v.audio.Tone(nil) }

// Status is how the sound devices are.
func (v *Voice) Status() control.SoundStatus {
	s := v.audio.Status()
	return control.SoundStatus{Sink: s.Sink, Source: s.Source, PlaybackMS: ms(s.Playback), CaptureMS: ms(s.Capture), MicOpen: s.MicOpen,
		MicDBFS: s.MicDBFS, SpkDBFS: s.SpkDBFS, Rebuilt: s.Rebuilt, Trouble: s.Trouble, MicTrouble: s.Deaf}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Path makes the voice path of one call. The capture stream is made at once, but corked: the answer then needs no time,
// and the microphone's light stays dark.
func (v *Voice) Path(servers []wire.ICEServer, offer bool, news News) Path {
	p := &path{v: v, news: news, jitter: jitter.New(), buf: make([]byte, codec.MaxSize)}
	p.peer = v.engine.Peer(servers, offer, ears{p})
	v.audio.Mic(audio.Armed, nil)
	return p
}

// path is one call's voice.
type path struct {
	v      *Voice
	news   News
	peer   *rtc.Peer
	open   atomic.Bool
	jitter *jitter.Buffer
	codec  atomic.Pointer[string] // that we receive

	// Of the microphone's goroutine alone.
	enc  codec.Encoder
	info codec.Info
	buf  []byte
	once sync.Once // for the log
}

func (p *path) Remote(sdp string)  { p.peer.Remote(sdp) }
func (p *path) Candidate(c string) { p.peer.Candidate(c) }

// OpenVoice opens loudspeaker and microphone.
func (p *path) OpenVoice() {
	p.open.Store(true)
	p.v.audio.Voice(p.jitter)
	p.v.audio.Mic(audio.Open, p.frame)
}

func (p *path) Close() {
	p.open.Store(false)
	p.v.audio.Mic(audio.Closed, nil)
	p.v.audio.Voice(nil)
	p.peer.Close()
}

// frame sends one frame of the microphone.
func (p *path) frame(pcm []int16) {
	name := p.peer.Sends()
	if name == "" || !p.open.Load() {
		return // not yet agreed, or over
	}
	if name != p.info.Name {
		enc, err := codec.NewEncoder(name)
		if err != nil {
			p.once.Do(func() { p.v.log.Error("there is no encoder", "err", err) })
			return
		}
		p.enc = enc
		p.info, _ = codec.Find(name)
	}
	n, err := p.enc.Encode(pcm, p.buf)
	if err != nil {
		p.once.Do(func() { p.v.log.Error("the encoder failed", "err", err) })
		return
	}
	p.peer.Send(p.buf[:n], p.info.Ticks)
}

// ears is the side of a path that rtc tells things, on goroutines of its own.
type ears struct{ p *path }

func (e ears) Local(sdp string)   { e.p.news.Local(sdp) }
func (e ears) Candidate(c string) { e.p.news.Candidate(c) }

// Packet takes a packet; before the answer none counts.
func (e ears) Packet(k rtc.Packet) {
	p := e.p
	if !p.open.Load() {
		return
	}
	if p.codec.Load() == nil {
		p.codec.Store(&k.Codec)
	}
	p.jitter.Put(k.Codec, k.Seq, k.Payload)
}

func (e ears) State(s rtc.State) {
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
	j, r, s := p.jitter.Stats(), p.peer.Stats(), p.v.audio.Status()
	q := control.Quality{Route: string(p.peer.Route()), RoundTripMS: ms(r.RoundTrip), Loss: r.Loss, JitterMS: ms(r.Jitter), Received: j.Received, Late: j.Late, Recovered: j.Recovered, Concealed: j.Concealed}
	if c := p.codec.Load(); c != nil {
		q.Codec = *c
	}
	// What we hold, the playback buffer, and what the other side holds: a block, a frame, and the encoder's look-ahead.
	const lookAhead = 6500 * time.Microsecond // RFC 6716, section 2: 2.5 ms, and 4 ms of the speech mode
	q.DelayMS = ms(j.Delay+s.Playback+s.Capture+lookAhead+20*time.Millisecond) + q.RoundTripMS/2
	return q
}
