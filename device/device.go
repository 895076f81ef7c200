// Package device is one intercom station: an owner goroutine that turns buttons, the hub's messages, the media path's
// news and timers into events of a call, asks call.Next what follows, and does it.
//
// A [Device] is a part: Run owns the state, and returns when a call that was going on has its outcome. All other
// methods may be called from any goroutine; they tell the owner and do not touch the state. The device declares the
// interfaces it needs ([Wire], [Media], [Sound], [Lamp]); cmd/intercomd wires the real things to them. Glue only: the
// rules are in call, the protocol in wire; translate.go stands between the two.
package device

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/door"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/internal/tasks"
	"intercom/wire"
)

// Wire carries messages to the hub. Its methods must not block.
type Wire interface {
	Send(wire.Envelope) bool // false means that it cannot just now
	Check()                  // the connection may be dead
}

// Media makes the voice path of a call.
type Media interface {
	// Path makes a path ready; nothing is recorded or sent yet. What happens on it is told to news.
	Path(servers []wire.ICEServer, offer bool, voice setup.Mode, news News) Path
}

// Path is the voice of one call. Its methods return at once.
type Path interface {
	Remote(sdp, answers string)
	Candidate(string)
	OpenVoice()                  // microphone and loudspeaker, from now on
	Restart(by []wire.ICEServer) // of ICE, by an offer
	Moved() bool                 // the address or the route of this machine that it uses is another
	Close()
	Quality() control.Quality
}

// News is told what happens on a path, from any goroutine.
type News struct {
	Local     func(sdp, answers string)
	Candidate func(string)
	Event     func(func(call string) call.Event)
}

// Sound plays tones and tells how the sound devices are.
type Sound interface {
	Play(call.Tone)
	Silence()
	Mute(on bool)
	Volume(talk, ring int) // percent
	Test(context.Context) (control.SelfTest, error)
	Status() control.SoundStatus
}

// Parts are what a device works with. Wire is set later, by [Device.Connect]: the two need one another.
type Parts struct {
	Media  Media
	Sound  Sound
	Lamps  []Lamp                                            // one for each LED of the configuration, in its order
	Relay  Lamp                                              // of the door, where there is one
	Keeper *Keeper                                           // nil to remember nothing
	Counts func(button string) gpio.Counts                   // what was seen on the lines; nil for nothing
	Clock  func() time.Time                                  // the wall clock; nil for the system's
	Show   func() []byte                                     // the configuration for people, from any goroutine; nil where there is none
	Reload func(context.Context) (waits []string, err error) // reads the configuration again; nil where nobody does
	Given  Settings                                          // of the hub; nil where none are taken
	Again  func()                                            // ends the program, which is started again; nil where nobody would start it
}

// unreachableFor is how long the LED says that nobody could be reached, by profile.
var unreachableFor = map[string]time.Duration{setup.Standard: 3 * time.Second, setup.Accessible: 10 * time.Second}

// Device is a station.
type Device struct {
	cfg   *setup.Config
	log   *slog.Logger
	media Media
	sound Sound
	wire  Wire
	leds  []*led
	relay Lamp
	inbox *inbox
	gone  chan struct{} // closed when Run has ended
	began time.Time

	keeper *Keeper
	counts func(button string) gpio.Counts
	clock  func() time.Time
	again  func()
	show   func() []byte
	reread func(context.Context) (waits []string, err error)

	settings Settings
	offer    offer // of the owner, but for its pace
	errands  tasks.Group
	life     context.Context // ends when Run is asked to
	end      context.CancelFunc

	// Of the owner alone.
	state       call.State
	leg         *leg             // of the call that there is; an empty one for none
	servers     []wire.ICEServer // for each call
	owed        []wire.Envelope  // ends that the hub has not heard of
	registered  time.Time
	hubTrouble  string
	hubCode     fault.Code               // of the trouble, where it is an error with one
	faults      map[string]control.Fault // by part
	missed      bool
	unreachable *time.Timer
	identified  *time.Timer
	light       control.Light
	watchers    map[chan control.Event]bool
	ended       map[outcome.Outcome]int // calls, since the start
	recent      []control.Event         // the latest, the oldest first
	last        *outcome.Result

	soon    func()          // to be done when an event is dealt with
	fingers map[string]bool // buttons that are held, or may be pressed again, and can call
	memory  Memory
	telling string // id of the note that the hub is being told
	restart string // why the station is started again as soon as it is idle; empty when it is not

	door      door.Door
	doorTimer *time.Timer
	relayOn   bool
	tampered  bool // the case is open
	declared  *rate.Limiter
	declaring *time.Timer // says it soon
	refusals  *rate.Limiter
	remotely  *rate.Limiter // openings of the door outside a call
}

// New makes a device that is not signed in. The configuration was checked.
func New(cfg *setup.Config, p Parts, log *slog.Logger) *Device {
	d := &Device{cfg: cfg, log: log, media: p.Media, sound: p.Sound, relay: p.Relay, keeper: p.Keeper, counts: p.Counts, clock: p.Clock, again: p.Again, reread: p.Reload, settings: p.Given, show: p.Show, ended: map[outcome.Outcome]int{},
		inbox: newInbox(), gone: make(chan struct{}), began: time.Now(),
		state: call.Start(), leg: &leg{}, faults: map[string]control.Fault{}, watchers: map[chan control.Event]bool{},
		fingers: map[string]bool{}, hubTrouble: "not signed in yet", declared: rate.NewLimiter(rate.Every(declareEvery), 10), refusals: rate.NewLimiter(rate.Every(time.Minute), 10), remotely: rate.NewLimiter(1, 3), offer: offer{pace: rate.NewLimiter(rate.Every(settingsEvery), 5)},
		door: door.Door{Settings: door.Settings{Pulse: cfg.Door.Pulse.Std(), TooLong: cfg.Door.TooLong.Std()}}}
	if d.clock == nil {
		d.clock = time.Now
	}
	d.life, d.end = context.WithCancel(context.Background())
	for i, l := range p.Lamps {
		d.leds = append(d.leds, newLED(cfg.LED[i], l, cfg.Profile))
	}
	if d.keeper != nil {
		d.memory = d.keeper.Load()
		d.door.Lock(0, d.memory.Tampered)
	}
	return d
}

// Connect gives the device its wire. It must be called before Run.
func (d *Device) Connect(w Wire) { d.wire = w }

// Run owns the station until ctx ends and the call that there is, if any, has its outcome.
func (d *Device) Run(ctx context.Context) error {
	defer close(d.gone)
	defer d.inbox.close()
	defer d.errands.Wait()
	defer d.errands.Close()
	defer d.end()
	d.wake()
	for f := d.inbox.next(ctx); f != nil; f = d.inbox.next(ctx) {
		f()
	}
	d.handle(call.Quit{})
	for d.state.Phase != call.Idle { // at most call.EndLimit
		d.inbox.next(context.WithoutCancel(ctx))()
	}
	for w := range d.watchers {
		close(w)
	}
	d.watchers = map[chan control.Event]bool{}
	return nil
}

// wake makes the station what it was when it was stopped.
func (d *Device) wake() {
	if d.memory.Talk > 0 || d.memory.Ring > 0 {
		s := d.sound.Status()
		d.sound.Volume(cmp.Or(d.memory.Talk, s.TalkVolume), cmp.Or(d.memory.Ring, s.RingVolume))
	}
	if d.memory.broken != "" {
		d.fault(d.memory.fault())
	}
	d.handle(call.DoNotDisturb{On: d.memory.DND})
	d.doorChanged()
}

// tell gives the owner something to do; nothing, once it has ended. It never waits.
func (d *Device) tell(f func()) { d.inbox.tell(f) }

// Ask runs f in the owner and waits for it, or for ctx. It is also the proof that the owner makes progress.
func (d *Device) Ask(ctx context.Context, f func()) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	done := make(chan struct{})
	d.tell(func() { f(); close(done) })
	select {
	case <-done:
		return nil
	case <-d.gone:
		return fault.New(fault.NotConnected)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handle has the rules deal with an event.
func (d *Device) handle(e call.Event) { d.step(e, nil) }

// begin has them deal with the event by which a leg's call begins, and reports whether it has begun.
func (d *Device) begin(l *leg, e call.Event) bool {
	d.step(e, l)
	return d.leg == l
}

// step is the one place where the state changes, and the leg with it. coming is the leg of the call that the event may
// begin; nil for none.
func (d *Device) step(e call.Event, coming *leg) {
	before := d.state
	next, acts := call.Next(d.state, e)
	d.state = next
	if before.Phase == call.Idle && coming != nil {
		d.leg = coming // also where its call ends at once
	}
	if next.Phase != call.Ringing {
		d.leg.noAuto()
	}
	after := &leg{} // the one whose call is reported
	if coming != nil && coming.id == next.ID {
		after, d.missed = coming, false
		coming.reached(next)
	} else if next.Phase != before.Phase && next.Phase != call.Idle {
		d.leg.reached(next)
	}
	for _, a := range acts {
		d.do(a)
		if _, over := a.(call.Report); over {
			d.leg = after
		}
	}
	if next.Phase == call.Idle {
		d.leg = &leg{}
	}
	d.shine()
	d.tellCapabilities()
	if before.Phase != next.Phase || before.ID != next.ID || before.Online != next.Online {
		about := []any{"phase", string(next.Phase), "online", next.Online}
		if next.ID != "" {
			about = append(about, "call", next.ID, "peer", next.Peer)
		}
		d.log.Info("state", about...)
		d.emit(control.Event{Event: "state", Phase: next.Phase, Call: next.ID, Peer: next.Peer, Online: &next.Online,
			Name: d.leg.caller.Name, Context: d.leg.caller.Context, Image: d.leg.caller.InitiatorImage})
	}
	if soon := d.soon; soon != nil {
		d.soon = nil
		soon()
	}
	d.restartWhenIdle()
}

// report gives a call its one result: the hub's where it said one, else our own.
func (d *Device) report(a call.Report) {
	r := d.leg.result
	r.InvitedAt = cmp.Or(r.InvitedAt, outcome.At(time.Now())) // a call that never began
	mine := r.From == d.cfg.CUID                              // as it was here, whatever the hub says
	if d.leg.final != nil {
		r = *d.leg.final
	} else {
		r.Finish(a.Outcome, d.cfg.CUID, time.Now())
		d.owe(r)
	}
	d.last = &r
	d.missed = !mine && (r.Status == outcome.Missed || r.Status == outcome.Cancelled)
	if mine && r.Status != outcome.Over && r.Status != outcome.Cancelled {
		d.unreachableNow()
	}
	if mine {
		d.afterwards(r)
	}
	about := []any{"call", r.Call, "peer", d.peerOf(r), "status", string(r.Status), "reason", string(r.Reason)}
	ev := control.Event{Event: "ended", Call: r.Call, Peer: d.peerOf(r), Result: &r}
	if a.Code != "" {
		about = append(about, "code", string(a.Code))
		ev.Error = fault.New(a.Code)
	}
	d.log.Info("call ended", about...)
	d.ended[r.Outcome]++
	d.emit(ev)
	d.noteQuality(r)
}

func (d *Device) peerOf(r outcome.Result) string {
	if r.From == d.cfg.CUID {
		return r.To
	}
	return r.From
}

func (d *Device) unreachableNow() {
	if d.unreachable != nil {
		d.unreachable.Stop()
	}
	var t *time.Timer
	t = time.AfterFunc(unreachableFor[d.cfg.Profile], func() {
		d.tell(func() {
			if d.unreachable == t {
				d.unreachable = nil
				d.shine()
			}
		})
	})
	d.unreachable = t
}

// identifyFor is how long a station shows which one it is.
const identifyFor = 6 * time.Second

// identify shows, and where nobody is disturbed, sounds, which one this is.
func (d *Device) identify() {
	if d.identified != nil {
		d.identified.Stop()
	}
	again := d.identified != nil
	d.identified = time.AfterFunc(identifyFor, func() { d.tell(func() { d.identified = nil; d.shine() }) })
	if d.state.Phase == call.Idle && !again {
		d.sound.Play(call.SpeakTone)
	}
	d.log.Info("an operator asks which station this is")
	d.shine()
}

// Fault notes what is wrong with a part, or that it is well.
func (d *Device) Fault(f control.Fault) { d.tell(func() { d.fault(f) }) }

func (d *Device) fault(f control.Fault) {
	if before := d.faults[f.Part]; f == before || f.Text == "" && before.Text == "" {
		return
	}
	if f.Text == "" {
		delete(d.faults, f.Part)
		d.log.Info("a part is well again", "part", f.Part)
	} else {
		d.faults[f.Part] = f
		t := f.Trouble()
		d.log.Warn("a part is not well", "part", t.Part, "code", string(t.Code), "severity", string(t.Severity), "why", t.Text, "do", t.Do)
	}
	d.emit(control.Event{Event: "health", Part: f.Part, Trouble: f.Text})
	d.declare()
	d.shine()
}

// SoundChanged is told that the sound's status is another: the microphone's light follows it.
func (d *Device) SoundChanged() {
	d.tell(func() {
		if s := d.sound.Status(); s.MicOpen || s.Muted || s.MicTrouble != "" {
			d.leg.opening = false
		}
		d.shine()
	})
}

// newID is 128 random bits, so that an invite is idempotent by the call's id.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
