package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/stage"
	"intercom/wire"
)

// Attacks of a device that is signed in on another of its account, by what the hub passes on or keeps for it.
var excessAttacks = []attack{
	{"call/long-message",
		"has the hub pass on messages of exactly as many bytes as it takes, of which its own numbers make more",
		longMessages},
	{"call/again-and-again",
		"calls a station and cancels twelve times a second, alone and with others, so that it has to answer each time",
		againAndAgain},
	{"settings/long",
		"gives a station settings that are within their limit as text, and more than a message as JSON", longSettings},
	{"call/rings-elsewhere",
		"rings in a new place again and again, so that the station that calls has to make each time a new media path",
		ringsElsewhere},
}

// called has a client call a station, and reports whether it rings.
func (t *trial) called(c *client, id, cuid string) bool {
	_, err := c.ask(wire.New(wire.Invite, id, wire.InviteBody{To: wire.Receivers{cuid}, Context: "Attack"}))
	t.must(err)
	_, err = c.await(most, wire.Ringing)
	return err == nil
}

// stays watches for a while that a station is signed in, which a new session also would be.
func (t *trial) stays(s *stage.Station, within time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); sleep(t.ctx, 20*time.Millisecond) {
		if st, err := s.Status(t.ctx); err != nil || !st.Hub.Online {
			t.through("the station was off the air: %+v %v", st.Hub, err)
			return
		}
	}
}

// longMessages would end the station's connection, and again whenever its session is resumed.
func longMessages(t *trial) {
	t.startHub("")
	desk := t.startStation(t.startSound("reception"), stage.Settings{CUID: "reception", To: "front_door"})
	for i, b := range []string{`{"candidate":"","x":"`, `{"candidate":"`, `{"sdp":"v=0","x":"`, `{"sdp":"`, `{"sdp":"","to":"`} {
		for j, fill := range []string{"A", "<", `\u0001`} {
			kind := wire.ICE
			if strings.Contains(b, "sdp") {
				kind = wire.SDP
			}
			id := fmt.Sprintf("%032x", 100*i+j)
			c := t.signIn(fmt.Sprintf("visitor_%d_%d", i, j))
			if !t.called(c, id, "reception") {
				t.through("the station does not ring any more, after %d messages", 3*i+j)
				return
			}
			text := fmt.Sprintf(`{"t":%q,"call":%q,"b":%s`, kind, id, b)
			text += strings.Repeat(fill, (wire.MaxMessage-len(text)-len(`"}}`))/len(fill)) + `"}}`
			text += strings.Repeat(" ", wire.MaxMessage-len(text))
			if err := c.Write(t.ctx, websocket.MessageText, []byte(text)); err != nil {
				t.must(err)
			}
			t.stays(desk, time.Second)
			_, _ = c.ask(wire.New(wire.Cancel, id, wire.CancelBody{Reason: "cancelled"}))
		}
	}
}

const offerSDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n" +
	"a=ice-ufrag:place%d\r\na=ice-pwd:0123456789012345678901234\r\na=fingerprint:sha-256 AA%s\r\n" +
	"a=setup:actpass\r\na=sendrecv\r\na=rtcp-mux\r\n"

// ringsElsewhere would have the station throw its visitor's call away, since it says more than the hub lets it.
func ringsElsewhere(t *trial) {
	t.startHub("")
	door := t.startStation(t.startSound("front_door"), stage.Settings{CUID: "front_door", To: "phone_1"})
	phone := t.signIn("phone_1")
	t.must(door.Press(t.ctx, "call"))
	in, err := phone.await(most, wire.Incoming)
	t.must(err)
	for i := range 200 {
		sdp := fmt.Sprintf(offerSDP, i, strings.Repeat(":AA", 31))
		if err := phone.say(wire.New(wire.Ringing, in.Call, wire.SDPBody{SDP: sdp})); err != nil {
			break // it says more than one may
		}
		sleep(t.ctx, 45*time.Millisecond)
		st, err := door.Status(t.ctx)
		if err != nil || !st.Hub.Online || i > 5 && st.Phase != "ringback" {
			t.through("after %d places the station is %q, signed in: %v, %v", i+1, st.Phase, st.Hub.Online, err)
			return
		}
	}
	if _, err := phone.ask(wire.Envelope{T: wire.Answer, Call: in.Call}); err != nil {
		t.through("the call could not be answered any more: %v", err)
	}
}

// againAndAgain would have the hub close the station for what it answers.
func againAndAgain(t *trial) {
	t.startHub("")
	desk := t.startStation(t.startSound("reception"), stage.Settings{CUID: "reception", To: "front_door"})
	for round, n := range []int{1, 20} {
		var work sync.WaitGroup
		for i := range n {
			c := t.signIn(fmt.Sprintf("crank_%d_%d", round, i))
			work.Go(func() {
				go func() { // which reads what it is told
					for _, err := c.await(most); err == nil; _, err = c.await(most) {
					}
				}()
				for k := range 100 {
					id := fmt.Sprintf("%032x", 1000*(10*round+i)+k)
					_ = c.request(wire.New(wire.Invite, id,
						wire.InviteBody{To: wire.Receivers{"reception"}, Context: "Attack"}))
					sleep(t.ctx, 42*time.Millisecond)
					_ = c.request(wire.New(wire.Cancel, id, wire.CancelBody{Reason: "cancelled"}))
					sleep(t.ctx, 42*time.Millisecond)
				}
			})
		}
		t.stays(desk, 10*time.Second)
		work.Wait()
	}
	sleep(t.ctx, time.Second)
	if !t.called(t.signIn("visitor"), fmt.Sprintf("%032x", 1<<20), "reception") {
		t.through("the station does not ring any more")
	}
}

// longSettings would never reach the station, and nobody would be told.
func longSettings(t *trial) {
	t.startHub("")
	key, file := t.path("settings.key"), t.path("long.toml")
	_, err := t.hubCommand("", "config", "key", "-out", key)
	t.must(err)
	text := "[call]\nto = \"front_door\" # " + strings.Repeat(`"\`, 16_330) + "\n"
	t.must(os.WriteFile(file, []byte(text), 0o600))
	said, err := t.hubCommand("", "config", "push", "-account", "demo", "-cuid", "reception", "-key", key,
		"-file", file)
	if err == nil {
		t.through("settings of %d bytes were taken: %s", len(text), said)
	} else if !strings.Contains(said+err.Error(), "JSON") {
		t.through("nobody is told why: %s %v", said, err)
	}
}
