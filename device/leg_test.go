package device_test

import (
	"testing"
	"testing/synctest"
	"time"

	"intercom/call"
	"intercom/device/setup"
	"intercom/internal/outcome"
	"intercom/wire"
	"intercom/wire/link"
)

// Two who call each other get one call: that of the peer, in every respect. It has its own servers and its own way of
// speaking, and the call that was given up has its own times on record.
func TestNothingOfACallIsTakenForAnother(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		began := time.Now()
		b.press(setup.ActAnnounce)
		ours := b.wire.Last.Call
		relay := func(name, host string) []wire.ICEServer {
			urls := []string{"turn:" + host + ":3478?transport=udp"}
			return []wire.ICEServer{{URLs: urls, Username: name, Credential: name}}
		}
		b.hub(wire.Servers, wire.ServersBody{ICEServers: relay("a", "192.0.2.1")})
		time.Sleep(3 * time.Second)
		b.Receive(link.Message{Envelope: wire.New(wire.Incoming, "d", wire.IncomingBody{
			From: "reception", Name: "Reception", Context: "Hello", ICEServers: relay("b", "192.0.2.2")})})
		s, err := b.Status(b.Context())
		if err != nil || s.Phase != call.Ringing || s.Call != "d" || s.PeerName != "Reception" || s.Context != "Hello" {
			t.Errorf("%+v %v", s, err)
		}
		if len(b.media.Servers) != 1 || b.media.Servers[0].Username != "b" || b.media.Voice != setup.Duplex {
			t.Errorf("its media path is made by %v, %s", b.media.Servers, b.media.Voice)
		}
		if r := s.LastCall; r == nil || r.Call != ours ||
			r.Outcome != outcome.Of(outcome.Cancelled, outcome.ByCaller) || r.Context == "Hello" ||
			!r.InvitedAt.Equal(began) {
			t.Errorf("the call that was given up is %+v", r)
		}
	})
}

// A media path that was closed has nothing to say any more, whatever call there is by then.
func TestThePathOfTheLastCallIsNotHeard(t *testing.T) {
	try(t, func(b *bench) {
		b.talk()
		late := b.media.News
		b.press(setup.ActHangUp)
		b.ended(outcome.Over, outcome.HangUp)
		b.talk()
		late.Candidate("late")
		late.Local("late", "")
		late.Event(func(id string) call.Event { return call.MediaFailed{ID: id} })
		synctest.Wait()
		b.expect()
		if s, _ := b.Status(b.Context()); s.Phase != call.Talking {
			t.Errorf("it is %s", s.Phase)
		}
	})
}
