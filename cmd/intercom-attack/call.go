package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/internal/stage"
	"intercom/wire"
)

// Attacks on a call that others have, and on its voices.
var callAttacks = []attack{
	{"call/stranger",
		"says everything that a party may say about a call of others, from their account and from another",
		strangerInACall},
	{"voice/before-the-answer", "looks for a microphone that records while a station only rings, or waits",
		microphoneBeforeTheAnswer},
	{"voice/other-fingerprint",
		"stands between station and hub and puts another certificate's fingerprint into the descriptions",
		otherFingerprint},
	{"voice/plain-rtp", "sends RTP that is not encrypted to every port of a station in a call", plainRTP},
}

// strangerInACall knows the id of a live call.
func strangerInACall(t *trial) {
	t.startHub("")
	if _, err := t.hubCommand("", "account", "new", "-account", "other"); err != nil {
		t.must(err)
	}
	key, err := t.hubCommand("", "key", "new", "-account", "other")
	t.must(err)
	caller, callee := t.signIn("front_door"), t.signIn("reception")
	const call = "00000000000000000000000000000abc"
	invite := wire.New(wire.Invite, call, wire.InviteBody{To: wire.Receivers{"reception"}, Context: "Ours"})
	_, err = caller.ask(invite)
	t.must(err)
	_, err = callee.await(most, wire.Incoming)
	t.must(err)
	neighbour := t.signIn("kitchen_1")
	t.until("the other account's key was known", func() bool {
		c, err := t.dial()
		t.must(err)
		h := t.identity("kitchen_2")
		h.Account, h.APIKey = "other", strings.TrimSpace(key)
		if _, err = c.hello(h); err == nil {
			t.sayEverything(c, call, "from another account")
		}
		return err == nil
	})
	t.sayEverything(neighbour, call, "from the same account")
	if _, err := neighbour.ask(wire.New(wire.Invite, call,
		wire.InviteBody{To: wire.Receivers{"reception"}, Context: "Mine"})); err == nil {
		t.through("an invite under the id of another's call was taken")
	}
	_, err = callee.ask(wire.Envelope{T: wire.Answer, Call: call})
	t.must(err)
	_, err = caller.await(most, wire.Answered)
	t.must(err)
	t.sayEverything(neighbour, call, "from the same account, after the answer")
	if _, err := caller.ask(wire.New(wire.HangUp, call, wire.HangUpBody{Reason: "hangup"})); err != nil {
		t.through("the call was not there any more: %v", err)
	}
}

// sayEverything says each message of a party about a call that is not the client's own.
func (t *trial) sayEverything(c *client, call, who string) {
	sdp := wire.SDPBody{SDP: "v=0\r\n", To: "reception"}
	for _, e := range []wire.Envelope{
		{T: wire.Answer, Call: call}, wire.New(wire.Decline, call, wire.DeclineBody{Reason: "declined"}),
		wire.New(wire.Cancel, call, wire.CancelBody{Reason: "cancelled"}),
		wire.New(wire.HangUp, call, wire.HangUpBody{Reason: "hangup"}), wire.New(wire.Ringing, call, sdp),
		wire.New(wire.SDP, call, sdp),
		wire.New(wire.ICE, call, wire.ICEBody{Candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host"}),
		wire.New(wire.Door, call, wire.DoorBody{From: "reception"}),
		wire.New(wire.DoorDone, call, wire.DoorBody{Result: "opened"}),
	} {
		_, err := c.ask(e)
		var refused *fault.Error
		if !errors.As(err, &refused) {
			t.through("%s, %s: not refused (%v)", e.T, who, err)
		}
	}
}

// microphoneBeforeTheAnswer asks the sound server who records.
func microphoneBeforeTheAnswer(t *trial) {
	sound := t.startSound("front_door", "reception")
	t.startHub("")
	desk := t.startStation(sound, stage.Settings{CUID: "reception", To: "front_door"})
	door := t.startStation(sound, stage.Settings{CUID: "front_door", To: "reception"})
	recording := func(when string) {
		out, err := sound.Pactl("list", "source-outputs")
		t.must(err)
		for _, stream := range strings.Split(out, "Source Output #") {
			if strings.Contains(stream, "Corked: no") {
				t.through("a microphone records %s: %s", when, firstLine(stream))
			}
		}
	}
	recording("while the stations wait")
	t.must(door.Press(t.ctx, "call"))
	t.until("reception rang and the caller heard it", func() bool {
		return t.phase(desk) == "ringing" && t.phase(door) == "ringback"
	})
	recording("while it rings")
	t.must(desk.Press(t.ctx, "answer"))
	t.until("both talked", func() bool { return t.phase(door) == "talking" && t.phase(desk) == "talking" })
	t.until("a microphone recorded", func() bool { // or the question above finds nothing
		out, err := sound.Pactl("list", "source-outputs")
		return err == nil && strings.Contains(out, "Corked: no")
	})
}

func firstLine(s string) string { s, _, _ = strings.Cut(strings.TrimSpace(s), "\n"); return s }

// otherFingerprint is in the place of a hub that wants to listen.
func otherFingerprint(t *trial) {
	sound := t.startSound("front_door", "reception")
	t.startHub("")
	var changed atomic.Int32
	between := t.relay(t.hub.Addr, func(frame []byte) []byte {
		return fingerprint.ReplaceAllFunc(frame, func(line []byte) []byte {
			changed.Add(1)
			return append(line[:len(line)-2], "00"...)
		})
	})
	desk := t.newStation(&stage.Hub{Addr: between, Key: t.hub.Key}, sound,
		stage.Settings{CUID: "reception", To: "front_door"})
	door := t.startStation(sound, stage.Settings{CUID: "front_door", To: "reception"})
	t.must(desk.Wait(t.ctx, "it was registered", func() bool {
		s, err := desk.Status(t.ctx)
		return err == nil && s.Hub.Online
	}))
	ends, err := door.Follow(t.ctx)
	t.must(err)
	defer ends.Close()
	t.must(door.Press(t.ctx, "call"))
	t.until("reception rang", func() bool { return t.phase(desk) == "ringing" })
	t.must(desk.Press(t.ctx, "answer"))
	end, err := ends.Next(t.ctx, "the end of the call, or talk", func(e stage.Event) bool {
		return e.Event == "ended" || e.Phase == "talking"
	})
	t.must(err)
	if changed.Load() == 0 {
		t.must(errors.New("no description passed"))
	}
	if end.Event != "ended" {
		t.through("the stations talk under a fingerprint that is not theirs")
	}
}

var fingerprint = regexp.MustCompile(`fingerprint:sha-256 [0-9A-F:]{95}`)

// relay is a WebSocket between a client and the hub that changes what passes; it gives its address.
func (t *trial) relay(hub string, change func([]byte) []byte) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	t.must(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		options := []string{wire.Subprotocol}
		here, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: options})
		if err != nil {
			return
		}
		defer here.CloseNow()
		there, _, err := websocket.Dial(r.Context(), "ws://"+hub+wire.Path,
			&websocket.DialOptions{Subprotocols: options})
		if err != nil {
			return
		}
		defer there.CloseNow()
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		pass := func(from, to *websocket.Conn) {
			defer cancel()
			for {
				kind, b, err := from.Read(ctx)
				if err != nil || to.Write(ctx, kind, change(b)) != nil {
					return
				}
			}
		}
		here.SetReadLimit(-1)
		there.SetReadLimit(-1)
		go pass(there, here)
		pass(here, there)
	})}
	go func() { _ = server.Serve(l) }()
	t.cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// plainRTP sends packets as a station would hear them if it did not insist on SRTP.
func plainRTP(t *trial) {
	door, desk := t.talk()
	ports, err := udpPorts(desk.PID())
	t.must(err)
	if len(ports) == 0 {
		t.must(errors.New("the station has no UDP port in a call"))
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	t.must(err)
	defer conn.Close()
	before, err := desk.Status(t.ctx)
	t.must(err)
	packet := append([]byte{0x80, 0x6f, 0, 1, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef}, bytes.Repeat([]byte{0x5a}, 60)...)
	for i := range 500 {
		packet[2], packet[3] = byte(i>>8), byte(i)
		for _, p := range ports {
			_, _ = conn.WriteTo(packet, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p})
		}
		time.Sleep(2 * time.Millisecond)
	}
	after, err := desk.Status(t.ctx)
	t.must(err)
	if after.Phase != "talking" || t.phase(door) != "talking" {
		t.through("the call ended: %s and %s", t.phase(door), after.Phase)
		return
	}
	if before.Quality != nil && after.Quality != nil {
		own := 500*2*time.Millisecond/(20*time.Millisecond) + 300 // what the other station sends meanwhile, generously
		if got := after.Quality.Receiving.Received - before.Quality.Receiving.Received; got > int(own) {
			t.through("%d packets were taken, more than the other station sent", got)
		}
	}
}

// udpPorts are the UDP ports of 127.0.0.1, or of all addresses, that a process listens on.
func udpPorts(pid int) (ports []int, err error) {
	mine := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if name, err := os.Readlink(l); err == nil && strings.HasPrefix(name, "socket:[") {
			mine[strings.Trim(name, "socket:[]")] = true
		}
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/udp", pid))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(table)) {
		words := strings.Fields(line)
		if len(words) < 10 || !mine[words[9]] {
			continue
		}
		var port int
		if _, at, ok := strings.Cut(words[1], ":"); ok {
			if _, err := fmt.Sscanf(at, "%x", &port); err == nil {
				ports = append(ports, port)
			}
		}
	}
	return ports, nil
}
