// Package device is one intercom station: an owner goroutine that turns buttons, the hub's messages, the media path's
// news and timers into events of a call, asks call.Next what follows, and does it.
//
// A [Device] is a part: Run owns the state, and returns when a call that was going on has its outcome. All other
// methods may be called from any goroutine; they tell the owner, or ask it, and do not touch the state. The device
// declares the interfaces it needs ([Wire], [Media], [Sound], [Lamp]); cmd/intercomd wires the real things to them.
// Glue only: the rules are in call, the protocol in wire.
//
// # Where things are
//
// device.go is what others may call, inbox.go how they tell the owner, owner.go the owner: an event goes in, the
// actions of the rules come out. leg.go is what belongs to one call; calls.go begins and ends calls, autoanswer.go
// answers some. signalling.go speaks with the hub and messages.go takes what it says. buttons.go, doorway.go and
// lights.go are what people press, open and see; events.go and status.go what programs are told, api.go, kiosk.go and
// metrics.go how they ask. notes.go and memory.go keep what must not be lost, settings.go takes configuration of the
// hub.
package device

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"intercom/call"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/fault"
	"intercom/internal/tasks"
	"intercom/wire"
	"intercom/wire/link"
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
	Lamps  []Lamp                          // one for each LED of the configuration, in its order
	Relay  Lamp                            // of the door, where there is one
	Keeper *Keeper                         // nil to remember nothing
	Counts func(button string) gpio.Counts // what was seen on the lines; nil for nothing
	Clock  func() time.Time                // the wall clock; nil for the system's
	Given  Settings                        // of the hub; nil where none are taken

	// Show is the configuration for people, from any goroutine; nil where there is none.
	Show func() []byte
	// Reload reads the configuration again; nil where nobody does.
	Reload func(context.Context) (waits []string, err error)
	// Again ends the program, which is started again; nil where nobody would start it.
	Again func()
}

// Device is a station.
type Device struct {
	cfg     *setup.Config
	parts   Parts
	inbox   *inbox
	owner   *owner // of Run's goroutine alone
	errands tasks.Group
	end     context.CancelFunc // of the errands
	gone    chan struct{}      // closed when Run has ended
}

// New makes a device that is not signed in. The configuration was checked.
func New(cfg *setup.Config, p Parts, log *slog.Logger) *Device {
	d := &Device{cfg: cfg, parts: p, inbox: newInbox(), gone: make(chan struct{})}
	life, end := context.WithCancel(context.Background())
	d.end = end
	d.owner = newOwner(cfg, p, log)
	d.owner.tell = d.inbox.tell
	d.owner.errand = func(f func(context.Context)) { d.errands.Go(func() { f(life) }) }
	return d
}

// Connect gives the device its wire. It must be called before Run.
func (d *Device) Connect(w Wire) { d.owner.wire = w }

// Run owns the station until ctx has ended and the current call, if any, has its outcome.
func (d *Device) Run(ctx context.Context) error {
	defer close(d.gone)
	defer d.inbox.close()
	defer d.errands.Wait()
	defer d.end()
	o := d.owner
	o.restore()
	for f := d.inbox.next(ctx); f != nil; f = d.inbox.next(ctx) {
		f()
	}
	o.handle(call.Quit{})
	for o.state.Phase != call.Idle { // at most call.EndLimit
		d.inbox.next(context.WithoutCancel(ctx))()
	}
	o.events.close()
	return nil
}

// Ask runs f in the owner and waits for it, or for ctx. It is also the proof that the owner makes progress.
func (d *Device) Ask(ctx context.Context, f func()) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	done := make(chan struct{})
	d.inbox.tell(func() { f(); close(done) })
	select {
	case <-done:
		return nil
	case <-d.gone:
		return fault.New(fault.NotConnected)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask gives what f returns in the owner.
func ask[T any](ctx context.Context, d *Device, f func(o *owner) (T, error)) (v T, err error) {
	var none T
	if late := d.Ask(ctx, func() { v, err = f(d.owner) }); late != nil {
		return none, late
	}
	return v, err
}

// tell has the owner do something, and does not wait for it.
func (d *Device) tell(f func(o *owner)) { d.inbox.tell(func() { f(d.owner) }) }

// Fault notes what is wrong with a part, or that it is well.
func (d *Device) Fault(f control.Fault) { d.tell(func(o *owner) { o.fault(f) }) }

// SoundChanged is told that the sound's status is another: the microphone's LED follows it.
func (d *Device) SoundChanged() { d.tell((*owner).soundChanged) }

// NetworkChanged is told that an address or a route of this machine is another. A media path that went by it is
// restarted; the link, which is told before, says by itself when it is down and up again.
func (d *Device) NetworkChanged() { d.tell((*owner).networkChanged) }

// Gesture is told by a button what is done with it.
func (d *Device) Gesture(b setup.Button, g gpio.Gesture) {
	d.tell(func(o *owner) { o.buttons.gesture(b, g) })
}

// DoorInput is told by the lines at the door: contact, exit or tamper is active, or no longer.
func (d *Device) DoorInput(name string, active bool) {
	d.tell(func(o *owner) { o.doorway.input(name, active) })
}

// Up, Down, Receive and Calls make the device the handler of its link.

// Up says that the station is signed in.
func (d *Device) Up(w wire.WelcomeBody) { d.tell(func(o *owner) { o.hub.up(w) }) }

// Down says that the station is not signed in, and why.
func (d *Device) Down(err error) { d.tell(func(o *owner) { o.hub.down(err) }) }

// Receive takes a message of the hub, and returns when it is dealt with: a hub that says more than a station can take
// waits, and does not fill its memory.
func (d *Device) Receive(m link.Message) {
	_ = d.Ask(context.Background(), func() { d.owner.hub.receive(m) })
}

// Calls are those that the hub is asked about at the sign-in. It is called by the link.
func (d *Device) Calls() []wire.CallRef {
	calls, _ := ask(context.Background(), d, func(o *owner) ([]wire.CallRef, error) { return o.hub.calls(), nil })
	return calls
}

// Status asks the owner how it is.
func (d *Device) Status(ctx context.Context) (control.Status, error) {
	s, err := ask(ctx, d, func(o *owner) (control.Status, error) { return o.status(), nil })
	s.Sound = d.parts.Sound.Status()
	return s, err
}

// Follow gives what happens from now on, until leave is called or whoever follows does not keep up; then it is closed.
func (d *Device) Follow(ctx context.Context) (events <-chan control.Event, leave func(), err error) {
	c := make(chan control.Event, 256)
	err = d.Ask(ctx, func() { d.owner.events.follow(c) })
	return c, func() { d.tell(func(o *owner) { o.events.leave(c) }) }, err
}

// Command has the station do what a person could: answer, decline, hangup, or open (the door). who is in the door's
// records.
func (d *Device) Command(ctx context.Context, what, who string) error {
	_, err := ask(ctx, d, func(o *owner) (string, error) {
		if what == "open" {
			return o.doorway.command(what, who)
		}
		return o.command(what)
	})
	return err
}

// Reload takes over what of a new, checked configuration can change while the station runs, and names the keys whose
// change waits for a restart. A current call goes on as it began.
func (d *Device) Reload(ctx context.Context, next *setup.Config) (waits []string, err error) {
	return ask(ctx, d, func(o *owner) ([]string, error) {
		waits := o.reload(next)
		o.log.Info("the configuration was read again", "waits", strings.Join(waits, " "))
		return waits, nil
	})
}

// Restart has the station started again as soon as nobody talks, rings or stands at an open door. The reason is shown
// in its status until then.
func (d *Device) Restart(ctx context.Context, why string) error {
	if d.parts.Again == nil {
		return fault.In(fault.NotAllowed, "",
			"This station has nobody who would start it again; run it as a unit of systemd.")
	}
	return d.Ask(ctx, func() { d.owner.restartSoon(why) })
}
