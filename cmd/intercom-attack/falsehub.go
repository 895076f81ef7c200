package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/outcome"
	"intercom/internal/stage"
	"intercom/wire"
)

// Attacks of whoever speaks as a hub, on a station where nobody presses.
var falseHubAttacks = []attack{
	{"falsehub/three-frames",
		"says that a call comes in, that it was answered, and that the door be opened, with privacy off and on",
		threeFrames},
	{"falsehub/any-frames", "says what it likes, in any order: no microphone, no door", anyFrames},
	{"falsehub/lent-name", "answers the press of a visitor with the name of somebody who may open the door", lentName},
	{"falsehub/flood", "floods a station with messages: its memory stays what it was, and it comes back", floodStation},
}

// falseHub is a WebSocket that lets a station in, and then says what it is told to.
type falseHub struct {
	t    *trial
	addr string
	in   chan wire.Envelope // what the station says, but for pings and its state

	mu  sync.Mutex
	ws  *websocket.Conn
	seq uint64
}

func (t *trial) falseHub() *falseHub {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	t.must(err)
	h := &falseHub{t: t, addr: l.Addr().String(), in: make(chan wire.Envelope, 4096)}
	server := &http.Server{Handler: http.HandlerFunc(h.serve)}
	go func() { _ = server.Serve(l) }()
	t.cleanup(func() { server.Close() })
	return h
}

func (h *falseHub) serve(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	h.mu.Lock()
	h.ws, h.seq = ws, 0
	h.mu.Unlock()
	_ = h.say(wire.New(wire.Challenge, "", wire.ChallengeBody{Nonce: strings.Repeat("0", 32),
		Version: wire.Subprotocol}))
	for {
		_, b, err := ws.Read(h.t.ctx)
		if err != nil {
			return
		}
		e, bad := wire.Decode(b, wire.MaxMessage)
		if bad != nil {
			continue
		}
		reply := wire.Reply(e, nil)
		switch e.T {
		case wire.Hello:
			reply = wire.New(wire.Welcome, "", wire.WelcomeBody{Session: "false"})
			reply.Re = e.ID
		case wire.Ping, wire.State:
		default:
			select {
			case h.in <- e:
			default:
			}
		}
		if e.ID != 0 {
			_ = h.say(reply)
		}
	}
}

func (h *falseHub) say(e wire.Envelope) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if wire.Numbered(e) {
		h.seq++
		e.Seq = h.seq
	}
	ctx, cancel := context.WithTimeout(h.t.ctx, 5*time.Second)
	defer cancel()
	return h.ws.Write(ctx, websocket.MessageText, wire.Encode(e))
}

// await waits for what the station says.
func (h *falseHub) await(what wire.Type, call string) wire.Envelope {
	for {
		select {
		case e := <-h.in:
			if e.T == what && (call == "" || e.Call == call) {
				return e
			}
		case <-h.t.ctx.Done():
			h.t.must(fmt.Errorf("the station did not say %s", what))
		}
	}
}

// heard waits until the station has dealt with all that was said: while one call rings, another gets busy.
func (h *falseHub) heard() {
	id := callID()
	h.t.must(h.say(wire.New(wire.Incoming, id, wire.IncomingBody{From: "another_one", Context: "Hello"})))
	h.await(wire.Decline, id)
}

func callID() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return hex.EncodeToString(b[:])
}

// doorWithLists is a station with a door whose list has everybody, and automatic answers for guard_1.
func (t *trial) doorWithLists(h *falseHub) (*stage.Station, *stage.Sound) {
	sound := t.startSound("front_door")
	s := t.newStation(&stage.Hub{Addr: h.addr, Key: "ik_none"}, sound,
		stage.Settings{CUID: "front_door", To: "reception", Call: "then = \"guard_1\"",
			Extra: "[door]\nline = \"relay\"\nallow = [\"reception\", \"guard_*\"]\n"})
	t.until("the station signed in", func() bool { st, err := s.Status(t.ctx); return err == nil && st.Hub.Online })
	return s, sound
}

// shut says what is open that nobody opened.
func (t *trial) shut(s *stage.Station, sound *stage.Sound, when string) {
	st, err := s.Status(t.ctx)
	t.must(err)
	if st.Lines["door"] {
		t.through("the door is open %s", when)
	}
	if st.Sound.MicOpen {
		t.through("the microphone is open %s", when)
	}
	if st.Phase == "talking" || st.Phase == "connecting" || st.Phase == "answering" || st.Phase == "calling" {
		t.through("the station is %s %s", st.Phase, when)
	}
	out, err := sound.Pactl("list", "source-outputs")
	t.must(err)
	if strings.Contains(out, "Corked: no") {
		t.through("the sound server records %s", when)
	}
}

func threeFrames(t *trial) {
	h := t.falseHub()
	s, sound := t.doorWithLists(h)
	for _, privacy := range []bool{false, true} {
		t.must(s.Do(t.ctx, "privacy", map[string]bool{"on": privacy}))
		id := callID()
		for _, e := range []wire.Envelope{
			wire.New(wire.Incoming, id, wire.IncomingBody{From: "reception", Context: "Hello", AutoAnswer: true}),
			wire.New(wire.Answered, id, wire.AnsweredBody{Peer: "reception", Ticket: "ticket"}),
			wire.New(wire.Door, id, wire.DoorBody{From: "reception"}),
			{T: wire.Answered, Call: id},
			wire.New(wire.Door, id, wire.DoorBody{From: "reception"}),
		} {
			t.must(h.say(e))
		}
		h.heard()
		t.shut(s, sound, fmt.Sprintf("after three frames, privacy %v", privacy))
		r := outcome.Result{Call: id, From: "reception", To: "front_door", Context: "Hello"}
		r.Finish(outcome.Of(outcome.Cancelled, outcome.ByCaller), "reception", time.Now())
		t.must(h.say(wire.New(wire.Ended, id, wire.EndedBody{Result: r})))
		t.until("the call was over", func() bool { return t.phase(s) == "idle" })
	}
}

func anyFrames(t *trial) {
	h := t.falseHub()
	s, sound := t.doorWithLists(h)
	events, err := s.Follow(t.ctx)
	t.must(err)
	defer events.Close()
	ids := []string{callID(), callID(), ""}
	one := func(all ...string) string { return all[rand.IntN(len(all))] }
	pace := time.NewTicker(time.Second / 60)
	defer pace.Stop()
	for i := range 600 {
		<-pace.C
		id, who := ids[rand.IntN(len(ids))], one("reception", "guard_1", "front_door", "stranger", "")
		r := outcome.Result{Call: id, From: one(who, "front_door"), To: one("front_door", "reception"),
			Context: "Hello"}
		r.Outcome = []outcome.Outcome{outcome.Of(outcome.Missed, outcome.NoAnswer),
			outcome.Of(outcome.Failed, outcome.NetworkLost), outcome.Of(outcome.Over, outcome.HangUp)}[rand.IntN(3)]
		all := []wire.Envelope{
			wire.New(wire.Incoming, id, wire.IncomingBody{From: who, Context: "Hello", AutoAnswer: true,
				RingMS: rand.Int64() - rand.Int64()}),
			wire.New(wire.Incoming, id, wire.IncomingBody{From: "reception", Context: "Hello", AutoAnswer: true}),
			wire.New(wire.Answered, id, wire.AnsweredBody{Peer: who, Ticket: "ticket", LimitMS: rand.Int64()}),
			wire.New(wire.Door, id, wire.DoorBody{From: who}),
			wire.New(wire.DoorDone, id, wire.DoorBody{From: who, Result: "opened"}),
			wire.New(wire.Ringing, id, wire.SDPBody{SDP: one("", "v=0"), From: who}),
			wire.New(wire.SDP, id, wire.SDPBody{SDP: "v=0"}),
			wire.New(wire.ICE, id, wire.ICEBody{Candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host"}),
			wire.New(wire.Ended, id, wire.EndedBody{Result: r}),
			wire.New(wire.Settings, "", wire.SettingsBody{Version: rand.Uint64(),
				Text: "[door]\nallow = [\"*\"]\n[auto_answer]\ncallers = [\"*\"]\n"}),
			wire.New(wire.Identify, "", wire.IdentifyBody{}),
			wire.New(wire.Warning, id, wire.WarningBody{LeftMS: -1}),
			{T: wire.OK, Re: rand.Uint64N(20), Call: id, B: json.RawMessage(`{"caller_ms":9007199254740991}`)},
			{T: wire.Fail, Re: rand.Uint64N(20), Call: id,
				B: json.RawMessage(`{"code":"ERR_NOT_PARTY","message":"no"}`)},
			{T: wire.Type(one("call.pick", "welcome", "call.answer", "call.invite")), Call: id,
				B: json.RawMessage(one("{}", "null", "[]"))},
		}
		t.must(h.say(all[rand.IntN(len(all))]))
		if i%50 == 0 {
			t.shut(s, sound, "after any frames")
		}
	}
	// the station is there; and its word ends what is followed here
	t.must(s.Do(t.ctx, "volume", map[string]int{"talk": 90}))
	for {
		ctx, cancel := context.WithTimeout(t.ctx, 200*time.Millisecond)
		e, err := events.Next(ctx, "anything", func(stage.Event) bool { return true })
		cancel()
		if err != nil {
			break
		}
		switch {
		case e.Event == "door" && e.Done == "opened" && e.Call == "":
			t.through("the door was opened")
		case e.Phase == "answering", e.Phase == "connecting", e.Phase == "talking", e.Phase == "calling":
			t.through("the station was %s", e.Phase)
		}
	}
	t.shut(s, sound, "at the end")
}

func lentName(t *trial) {
	h := t.falseHub()
	sound := t.startSound("front_door")
	s := t.newStation(&stage.Hub{Addr: h.addr, Key: "ik_none"}, sound, stage.Settings{CUID: "front_door",
		To: "office_1", Extra: "[door]\nline = \"relay\"\nallow = [\"reception\"]\n"})
	t.until("the station signed in", func() bool { st, err := s.Status(t.ctx); return err == nil && st.Hub.Online })
	t.must(s.Press(t.ctx, "call")) // a visitor
	invite := h.await(wire.Invite, "")
	t.must(h.say(wire.New(wire.Answered, invite.Call, wire.AnsweredBody{Peer: "reception", Ticket: "ticket"})))
	for range 3 {
		t.must(h.say(wire.New(wire.Door, invite.Call, wire.DoorBody{From: "reception"})))
		done := h.await(wire.DoorDone, invite.Call)
		if b, _ := wire.Body[wire.DoorBody](done); b.Result != "refused" {
			t.through("the door is %s for a name that the hub lent", b.Result)
		}
	}
	if st, err := s.Status(t.ctx); err != nil || st.Lines["door"] {
		t.through("the door is open (%v)", err)
	}
}

func floodStation(t *trial) {
	h := t.falseHub()
	s, _ := t.doorWithLists(h)
	before := resident(t, s.PID())
	large := strings.Repeat("x", 60<<10)
	end := time.Now().Add(10 * time.Second)
	for n := 0; time.Now().Before(end) && t.ctx.Err() == nil; n++ {
		id := callID()
		var err error
		for _, e := range []wire.Envelope{
			wire.New(wire.Incoming, id, wire.IncomingBody{From: "reception", Context: "Hello"}),
			wire.New(wire.SDP, id, wire.SDPBody{SDP: large}),
			wire.New(wire.ICE, id, wire.ICEBody{Candidate: large}),
			wire.New(wire.Settings, "", wire.SettingsBody{Version: rand.Uint64(), Text: large[:30<<10]}),
			wire.New(wire.Door, id, wire.DoorBody{From: large}),
		} {
			if err = h.say(e); err != nil {
				break
			}
		}
		if err != nil { // it has left; it comes back
			t.until("the station came back", func() bool {
				st, err := s.Status(t.ctx)
				return err == nil && st.Hub.Online
			})
		}
	}
	after := resident(t, s.PID())
	t.figure("MB before", before)
	t.figure("MB after", after)
	if after > before+40 {
		t.through("the station grew from %.0f to %.0f MB", before, after)
	}
	t.until("the station is registered", func() bool { st, err := s.Status(t.ctx); return err == nil && st.Hub.Online })
}
