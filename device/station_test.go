package device_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"intercom/call"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/devicetest"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/internal/config"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/link"
)

// calledBy is a call that comes in.
func (b *bench) calledBy(cuid string) {
	b.hub(wire.Incoming, wire.IncomingBody{From: cuid, Context: "Hello", AutoAnswer: true})
}

// ackNote is the hub's word that it has written a note down; it gives the note.
func (b *bench) ackNote() (n wire.NoteBody) {
	b.Helper()
	if b.wire.Last.T != wire.Note || json.Unmarshal(b.wire.Last.B, &n) != nil || n.Check() != nil {
		b.Fatalf("the hub was told %s %s, and no note", b.wire.Last.T, b.wire.Last.B)
	}
	b.wire.Last = wire.Envelope{}
	b.Receive(link.Message{Envelope: wire.Envelope{T: wire.OK}, To: wire.Note})
	synctest.Wait()
	return n
}

func TestPressesByKind(t *testing.T) {
	c := setup.Button{Name: "bell", Action: setup.ActCall, Long: setup.ActDND, Double: setup.ActPrivacy}
	try(t, func(b *bench) {
		b.online()
		b.Gesture(c, gpio.Gesture{Kind: gpio.Down})
		b.shows(control.LightPressed) // at once, whatever it will mean
		b.expect("0s plays press")
		b.Gesture(c, gpio.Gesture{Kind: gpio.Long})
		b.shows(control.LightDND)
		b.Gesture(c, gpio.Gesture{Kind: gpio.Up})
		b.Gesture(c, gpio.Gesture{Kind: gpio.Down})
		b.Gesture(c, gpio.Gesture{Kind: gpio.Double})
		s, _ := b.Status(b.Context())
		if !s.DND || !s.Privacy {
			t.Errorf("%+v", s)
		}
		b.Gesture(c, gpio.Gesture{Kind: gpio.Stuck, Held: time.Minute})
		if s, _ := b.Status(b.Context()); s.Faults["stuck button bell"] == "" {
			t.Error("a stuck button is no fault")
		}
		b.Gesture(c, gpio.Gesture{Kind: gpio.Up, Held: time.Hour})
		if s, _ := b.Status(b.Context()); len(s.Faults) > 0 {
			t.Errorf("%v", s.Faults)
		}
	})
}

func TestTheSecondToBeCalled(t *testing.T) {
	tryWith(t, func(c *setup.Config) { c.Call.To, c.Call.Then = "reception, guard_1", "night_guard" }, func(b *bench) {
		b.online()
		b.press(setup.ActCall)
		var inv wire.InviteBody
		_ = json.Unmarshal(b.wire.Last.B, &inv)
		if inv.To.String() != "reception,guard_1" {
			t.Errorf("%v are called", inv.To)
		}
		b.tape.Take()
		b.ended(outcome.Missed, outcome.NoAnswer)
		b.expect("0s plays missed", "0s sends call.invite")
		_ = json.Unmarshal(b.wire.Last.B, &inv)
		if inv.To.String() != "night_guard" {
			t.Errorf("then %v is called", inv.To)
		}
		b.ended(outcome.Missed, outcome.NoAnswer)
		b.expect("0s plays missed")
		b.press(setup.ActCall)
		b.press(setup.ActHangUp)
		b.tape.Take()
		b.ended(outcome.Cancelled, outcome.ByCaller)
		b.expect() // who gave up by hand wants nobody else
	})
}

func TestSchedules(t *testing.T) {
	night := setup.Schedule{Name: "night", From: "22:00", Until: "06:00", To: "night_guard", Quiet: true}
	tryWith(t, func(c *setup.Config) {
		c.Schedule = []setup.Schedule{night}
		c.Check(new(config.Report)) // which reads the hours
	}, func(b *bench) {
		b.online()
		to := func() string {
			b.press(setup.ActCall)
			var inv wire.InviteBody
			_ = json.Unmarshal(b.wire.Last.B, &inv)
			b.ended(outcome.Cancelled, outcome.ByCaller)
			return inv.To.String()
		}
		for at, want := range map[string]string{"2026-11-23T23:00:00Z": "night_guard",
			"2026-11-23T12:00:00Z": "reception", "1970-01-01T23:00:00Z": "reception"} {
			b.clock, _ = time.Parse(time.RFC3339, at)
			if got := to(); got != want {
				t.Errorf("at %s %s is called", at, got)
			}
		}
		b.clock, _ = time.Parse(time.RFC3339, "2026-11-23T23:00:00Z")
		b.wire.Last.Call = ""
		b.tape.Take()
		b.calledBy("reception")
		b.shows(control.LightRinging)
		b.expect("0s media offers") // and no ringing is heard
		if s, _ := b.Status(b.Context()); s.Schedule != "night" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAutomaticAnswer(t *testing.T) {
	list := func(c *setup.Config) { c.Auto.Callers = []string{"guard_*"} }
	tryWith(t, list, func(b *bench) {
		b.online()
		b.calledBy("guard_1")
		b.shows(control.LightAuto)
		b.expect("0s plays ring", "0s media offers", "0s plays auto")
		time.Sleep(2 * time.Second)
		b.expect("2s sends call.answer")
	})
	tryWith(t, list, func(b *bench) {
		b.online()
		b.calledBy("reception")
		time.Sleep(10 * time.Second)
		b.expect("0s plays ring", "0s media offers")
	})
	for name, refuse := range map[string]func(*bench){
		"the hub's rules do not have it": func(b *bench) {
			b.hub(wire.Incoming, wire.IncomingBody{From: "guard_1", Context: "Hello"})
		},
		"nobody would hear the warning": func(b *bench) {
			_ = b.Ask(b.Context(), func() { b.sound.NoSpeaker = true })
			b.calledBy("guard_1")
		},
		"privacy": func(b *bench) { b.press(setup.ActPrivacy); b.calledBy("guard_1") },
		"the loudspeaker goes while it warns": func(b *bench) {
			b.calledBy("guard_1")
			_ = b.Ask(b.Context(), func() { b.sound.NoSpeaker = true })
		},
		"the list is another while it warns": func(b *bench) {
			b.calledBy("guard_1")
			_, _ = b.Reload(b.Context(), settings())
		},
		"said twice, and only then with a yes": func(b *bench) {
			b.hub(wire.Incoming, wire.IncomingBody{From: "guard_1", Context: "Hello"})
			b.calledBy("guard_1")
		},
	} {
		tryWith(t, list, func(b *bench) {
			b.online()
			refuse(b)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if s, _ := b.Status(b.Context()); s.Phase != call.Ringing {
				t.Errorf("%s: %s", name, s.Phase)
			}
		})
	}
	tryWith(t, list, func(b *bench) { // privacy takes back what has begun, too
		b.online()
		b.calledBy("guard_1")
		time.Sleep(time.Second)
		b.press(setup.ActPrivacy)
		b.shows(control.LightRinging)
		time.Sleep(10 * time.Second)
		b.expect("0s plays ring", "0s media offers", "0s plays auto", "1s plays ring")
		b.ended(outcome.Cancelled, outcome.ByCaller)
		b.calledBy("guard_1")
		b.shows(control.LightRinging)
	})
}

func TestDoNotDisturb(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.press(setup.ActDND)
		var s wire.StateBody
		if _ = json.Unmarshal(b.wire.State.B, &s); !s.DND {
			t.Errorf("the hub is told %s", b.wire.State.B)
		}
		b.calledBy("reception")
		b.expect("0s sends call.decline")
		b.shows(control.LightDND)
	})
}

// A station that starts again declines from its first moment on.
func TestDoNotDisturbIsRemembered(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "station.json"), []byte(`{"do_not_disturb":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tape := devicetest.NewTape()
	w := &devicetest.Wire{Tape: tape}
	d := device.New(settings(), device.Parts{Media: &devicetest.Media{Tape: tape},
		Sound: &devicetest.Sound{Tape: tape}, Lamps: []device.Lamp{&devicetest.Lamp{}},
		Keeper: device.NewKeeper(dir)}, slog.New(slog.DiscardHandler))
	d.Connect(w)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	d.Up(wire.WelcomeBody{})
	d.Receive(link.Message{Envelope: wire.New(wire.Incoming, "c",
		wire.IncomingBody{From: "reception", Context: "Hello"})})
	s, err := d.Status(ctx)
	if err != nil || !s.DND || s.Light != control.LightDND || s.Phase != call.Idle {
		t.Errorf("%+v %v", s, err)
	}
	stop()
	<-ended
	if w.Last.T != wire.Decline || w.Last.Call != "c" {
		t.Errorf("%+v", w.Last)
	}
}

func TestAnnounce(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.press(setup.ActAnnounce)
		b.hub(wire.Ringing, wire.SDPBody{SDP: "offer"})
		if b.media.Voice != setup.Announce {
			t.Errorf("the voice goes %s", b.media.Voice)
		}
	})
}

func TestAVisitWithoutTheHubIsToldWhenItIsBack(t *testing.T) {
	try(t, func(b *bench) {
		b.press(setup.ActCall)
		b.release(setup.ActCall)
		time.Sleep(time.Hour)
		b.press(setup.ActCall)
		b.tape.Take()
		b.online()
		b.expect("1h0m0s sends note")
		n := b.ackNote()
		if n.Kind != wire.Visit || n.To != "reception" || n.Why != "Someone is at the door" {
			t.Errorf("%+v", n)
		}
		b.expect("1h0m0s sends note")
		b.Down(fault.New(fault.InternetLost))
		b.online() // before it was acknowledged: it is said again
		b.expect("1h0m0s sends note")
		if again := b.ackNote(); again.ID == n.ID {
			t.Error("two visits are one")
		}
		b.expect()
		if s, _ := b.Status(b.Context()); s.Untold != 0 {
			t.Errorf("%d are untold", s.Untold)
		}
	})
}

// A note that the hub cannot take yet is told again when the hub said so, also when nothing else happens.
func TestANoteIsToldAgainAfterTheHubsWait(t *testing.T) {
	try(t, func(b *bench) {
		b.press(setup.ActCall)
		b.release(setup.ActCall)
		time.Sleep(time.Hour)
		b.tape.Take()
		b.online()
		b.expect("1h0m0s sends note")
		first := b.wire.Last
		busy := fault.New(fault.RateLimited)
		busy.RetryAfterMS = 2000
		b.Receive(link.Message{Envelope: wire.New(wire.Fail, "", busy), To: wire.Note})
		synctest.Wait()
		b.expect()
		time.Sleep(3 * time.Second)
		b.expect("1h0m2s sends note")
		if string(b.wire.Last.B) != string(first.B) {
			t.Error("another note is told")
		}
		b.ackNote()
	})
}

// withDoor has a relay, and reception on the list.
func withDoor(c *setup.Config) {
	c.Door.Line, c.Door.Allow = "GPIO5", []string{"reception"}
	c.Door.Contact.Line, c.Door.Tamper.Line = "GPIO6", "GPIO7"
}

func (b *bench) energised() bool {
	b.Helper()
	synctest.Wait()
	s, _ := b.Status(b.Context())
	lit := len(b.relay.Now()) > 0 && b.relay.Now()[0].On
	if s.Door == nil || s.Door.Open != lit {
		b.Errorf("the status says %+v, the relay %v", s.Door, lit)
	}
	return lit
}

func TestTheDoorOpensForAPartyOnTheListOnly(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		asks := func(call, from string) {
			b.Receive(link.Message{Envelope: wire.New(wire.Door, call, wire.DoorBody{From: from})})
			synctest.Wait()
		}
		b.talk()
		id := b.wire.Last.Call
		asks("another", "reception")
		asks(id, "stranger")
		if b.energised() {
			t.Fatal("the door is open")
		}
		asks(id, "reception")
		if !b.energised() {
			t.Error("the door is shut")
		}
		b.shows(control.LightDoor)
		time.Sleep(3*time.Second + 2*time.Millisecond)
		if b.energised() {
			t.Error("the door stays open")
		}
		b.shows(control.LightTalking)
	})
	tryWith(t, func(c *setup.Config) { withDoor(c); c.Door.Allow = nil }, func(b *bench) {
		b.talk()
		b.Receive(link.Message{Envelope: wire.New(wire.Door, b.wire.Last.Call, wire.DoorBody{From: "reception"})})
		if b.energised() {
			t.Error("the door opens for nobody's list")
		}
	})
	tryWith(t, withDoor, func(b *bench) { // while it only rings
		b.online()
		b.press(setup.ActCall)
		b.Receive(link.Message{Envelope: wire.New(wire.Door, b.wire.Last.Call, wire.DoorBody{From: "reception"})})
		if b.energised() {
			t.Error("the door opens before the call is answered")
		}
	})
}

// Outside a call a door opens for who is on the station's own list of its own, and for nobody where that is empty.
func TestTheDoorOpensOutsideACallForItsOwnListOnly(t *testing.T) {
	const id = "000102030405060708090a0b0c0d0e0f"
	asks := func(b *bench, from string) wire.OpenDoorBody {
		t.Helper()
		b.wire.Sent = nil
		b.Receive(link.Message{Envelope: wire.New(wire.OpenDoor, "",
			wire.OpenDoorBody{ID: id, From: from, By: "Anna"})})
		synctest.Wait()
		for _, e := range b.wire.Sent {
			if e.T == wire.Note {
				b.wire.Last = e // for ackNote
			}
			if e.T == wire.OpenDone {
				done, err := wire.Body[wire.OpenDoorBody](e)
				if err != nil || done.ID != id || done.CUID != from {
					t.Errorf("%+v, %v", done, err)
				}
				return done
			}
		}
		t.Fatalf("%s is not answered", from)
		return wire.OpenDoorBody{}
	}
	tryWith(t, withDoor, func(b *bench) { // whom door.allow has may not outside a call
		b.online()
		if done := asks(b, "reception"); b.energised() || done.Result != wire.DoorRefused ||
			done.Reason != wire.DoorNotAllowed {
			t.Errorf("%+v; the door is open: %v", done, b.energised())
		}
		if n := b.ackNote(); n.Who != "reception (Anna)" || n.Why != "not on the list door.remote" ||
			n.Result != "refused" {
			t.Errorf("%+v", n)
		}
	})
	remote := func(c *setup.Config) { withDoor(c); c.Door.Remote = []string{"console_*"} }
	tryWith(t, remote, func(b *bench) {
		b.online()
		if done := asks(b, "reception"); b.energised() || done.Reason != wire.DoorNotAllowed {
			t.Errorf("%+v; the door is open: %v", done, b.energised())
		}
		b.ackNote()
		if done := asks(b, "console_anna"); !b.energised() || done.Result != wire.DoorOpened {
			t.Errorf("%+v; the door is open: %v", done, b.energised())
		}
		if n := b.ackNote(); n.Who != "console_anna (Anna)" || n.Why != "asked by an operator, outside a call" ||
			n.Result != "opened" || n.Call != "" {
			t.Errorf("%+v", n)
		}
		time.Sleep(10 * time.Second)
		last := wire.OpenDoorBody{}
		for range 10 {
			last = asks(b, "console_anna")
		}
		if last.Reason != wire.DoorTooOften {
			t.Errorf("ten at once: %+v", last)
		}
		time.Sleep(10 * time.Second)
		b.DoorInput("tamper", true)
		if done := asks(b, "console_anna"); b.energised() || done.Reason != wire.DoorLocked {
			t.Errorf("with the case open: %+v", done)
		}
		b.Receive(link.Message{Envelope: wire.New(wire.OpenDoor, "", wire.OpenDoorBody{ID: "x", From: "console_anna"})})
		b.Receive(link.Message{Envelope: wire.Envelope{T: wire.OpenDoor}})
	})
	tryWith(t, func(c *setup.Config) { c.Door.Remote = []string{"*"} }, func(b *bench) {
		b.online()
		if done := asks(b, "console_anna"); done.Reason != wire.DoorNone {
			t.Errorf("a station without a door: %+v", done)
		}
	})
}

// The other side of a call hears that there is a door that it may open, when that is so and only then.
func TestTheOtherSideIsToldWhatItMayDo(t *testing.T) {
	said := func(b *bench) (all []bool) {
		t.Helper()
		synctest.Wait()
		for _, e := range b.wire.Sent {
			if e.T == wire.Capabilities {
				c, err := wire.Body[wire.CapabilitiesBody](e)
				if err != nil {
					t.Error(err)
				}
				all = append(all, c.Door)
			}
		}
		b.wire.Sent = nil
		return all
	}
	tryWith(t, withDoor, func(b *bench) {
		b.talk()
		if got := said(b); !slices.Equal(got, []bool{true}) {
			t.Errorf("in a call: %v", got)
		}
		b.Up(wire.WelcomeBody{}) // a new session: the hub may have lost it
		if got := said(b); !slices.Equal(got, []bool{true}) {
			t.Errorf("in a new session: %v", got)
		}
		next := settings()
		withDoor(next)
		next.Door.Allow = nil
		if _, err := b.Reload(b.Context(), next); err != nil {
			t.Fatal(err)
		}
		if got := said(b); !slices.Equal(got, []bool{false}) {
			t.Errorf("when it may no longer: %v", got)
		}
		b.press(setup.ActHangUp)
		if got := said(b); len(got) != 0 {
			t.Errorf("after the call: %v", got)
		}
	})
	for name, set := range map[string]func(*setup.Config){
		"without a door":       func(*setup.Config) {},
		"who is not on a list": func(c *setup.Config) { withDoor(c); c.Door.Allow = []string{"guard_1"} },
	} {
		tryWith(t, set, func(b *bench) {
			b.talk()
			if got := said(b); len(got) != 0 {
				t.Errorf("%s: %v", name, got)
			}
		})
	}
}

// A station without a door asks the other side of its call, and hears what became of it.
func TestTheOtherSidesDoor(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.press(setup.ActDoor)
		b.wire.Last = wire.Envelope{}
		b.talk()
		b.press(setup.ActDoor)
		b.expect("0s sends call.door")
		b.hub(wire.DoorDone, wire.DoorBody{From: "reception", Result: "opened"})
		b.expect("0s plays door")
		b.hub(wire.DoorDone, wire.DoorBody{From: "reception", Result: "refused"})
		b.expect()
	})
}

func TestEveryOpeningIsOnRecord(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		b.online()
		b.press(setup.ActDoor)
		if n := b.ackNote(); n.Kind != wire.DoorNote || n.Result != "opened" || n.Who != "button door" {
			t.Errorf("%+v", n)
		}
		time.Sleep(time.Minute)
		b.DoorInput("contact", true)
		synctest.Wait()
		if n := b.ackNote(); n.Result != "forced" {
			t.Errorf("%+v", n)
		}
		if s, _ := b.Status(b.Context()); s.Faults["door"] == "" || !s.Door.Ajar {
			t.Errorf("%+v", s)
		}
		b.DoorInput("contact", false)
		synctest.Wait()
		if s, _ := b.Status(b.Context()); len(s.Faults) > 0 {
			t.Errorf("%+v", s.Faults)
		}
	})
}

func TestADoorThatStandsOpen(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		b.online()
		b.press(setup.ActDoor)
		b.DoorInput("contact", true)
		synctest.Wait()
		b.ackNote()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := b.ackNote(); n.Result != "open_too_long" {
			t.Errorf("%+v", n)
		}
	})
}

func TestTamperingLocksTheRelay(t *testing.T) {
	tryWith(t, withDoor, func(b *bench) {
		b.online()
		b.press(setup.ActDoor)
		b.DoorInput("tamper", true)
		if b.energised() {
			t.Error("a relay that is tampered with stays energised")
		}
		b.press(setup.ActDoor)
		b.DoorInput("tamper", false)
		b.press(setup.ActDoor)
		if b.energised() {
			t.Error("a relay that was tampered with is energised")
		}
	})
}

// The microphone's light comes before the microphone, and then follows the stream, not the call.
func TestAnLEDForTheMicrophone(t *testing.T) {
	tryWith(t, func(c *setup.Config) { c.LED = []setup.LED{{Name: "mic", Shows: setup.ShowsMic}} }, func(b *bench) {
		before := false
		b.media.Opens = func() { before = len(b.lamp.Now()) > 0 }
		b.talk()
		lit := func() bool {
			synctest.Wait()
			_, _ = b.Status(b.Context())
			return len(b.lamp.Now()) > 0
		}
		if !before {
			t.Error("the microphone opens before its light")
		}
		b.sound.MicOpen = true
		if b.SoundChanged(); !lit() {
			t.Error("it is dark while the microphone records")
		}
		b.sound.MicOpen = false
		if b.SoundChanged(); lit() {
			t.Error("it is lit after the microphone was closed")
		}
	})
}

// Each of the four that a person must tell apart has a light and a tone of its own.
func TestTheAccessibleProfile(t *testing.T) {
	tryWith(t, func(c *setup.Config) { c.Profile = setup.Accessible; withDoor(c) }, func(b *bench) {
		b.online()
		seen := map[string]control.Light{}
		look := func(l control.Light) {
			b.Helper()
			b.shows(l)
			p, _ := json.Marshal(b.lamp.Now())
			if other, there := seen[string(p)]; there && other != l {
				t.Errorf("%s and %s look the same", l, other)
			}
			seen[string(p)] = l
		}
		b.press(setup.ActCall)
		look(control.LightCalling)
		b.expect("0s plays press", "0s sends call.invite")
		b.hub(wire.Ringing, wire.SDPBody{SDP: "offer"})
		b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
		b.tape.Take()
		b.hub(wire.Answered, nil)
		look(control.LightTalking)
		b.expect("0s plays speak", "0s voice opens", "0s sends call.capabilities")
		b.press(setup.ActDoor)
		look(control.LightDoor)
		if lines := b.tape.Take(); len(lines) == 0 || lines[0] != "0s plays door" {
			t.Errorf("%q", lines)
		}
		time.Sleep(time.Minute)
		b.press(setup.ActHangUp)
		b.wire.Last.Call = ""
		b.Down(fault.New(fault.InternetLost))
		synctest.Wait()
	})
}
