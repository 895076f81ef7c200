package device_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

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

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a device on doubles, in simulated time.
type bench struct {
	*testing.T
	*device.Device
	tape  *devicetest.Tape
	wire  *devicetest.Wire
	media *devicetest.Media
	sound *devicetest.Sound
	lamp  *devicetest.Lamp
	relay *devicetest.Lamp
	given *given
	clock time.Time
	stop  context.CancelFunc
	done  chan error
}

// settings are those of a station that calls the reception.
func settings() *setup.Config {
	cfg := setup.Defaults()
	cfg.CUID, cfg.Call.To = "front_door", "reception"
	cfg.LED = []setup.LED{{Name: "status"}}
	return cfg
}

func try(t *testing.T, f func(b *bench)) { tryWith(t, func(*setup.Config) {}, f) }

func tryWith(t *testing.T, change func(*setup.Config), f func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings()
		change(cfg)
		tape := devicetest.NewTape()
		b := &bench{T: t, tape: tape, wire: &devicetest.Wire{Tape: tape}, media: &devicetest.Media{Tape: tape},
			sound: &devicetest.Sound{Tape: tape}, lamp: &devicetest.Lamp{Tape: tape},
			relay: &devicetest.Lamp{Tape: tape}, given: &given{}, done: make(chan error, 1), clock: time.Now()}
		b.Device = device.New(cfg, device.Parts{Media: b.media, Sound: b.sound, Lamps: []device.Lamp{b.lamp},
			Relay: b.relay, Clock: func() time.Time { return b.clock }, Given: b.given,
			Again: func() { tape.Addf("starts again") }}, slog.New(slog.DiscardHandler))
		b.Connect(b.wire)
		ctx, cancel := context.WithCancel(t.Context())
		b.stop = cancel
		go func() { b.done <- b.Device.Run(ctx) }()
		f(b)
		cancel()
		<-b.done
		synctest.Wait()
	})
}

func (b *bench) online() { b.Up(wire.WelcomeBody{}); synctest.Wait() }
func (b *bench) press(act string) {
	c := setup.Button{Name: act, Action: act}
	b.Gesture(c, gpio.Gesture{Kind: gpio.Down})
	b.Gesture(c, gpio.Gesture{Kind: gpio.Short})
	synctest.Wait()
}

// release is the end of a press.
func (b *bench) release(act string) {
	b.Gesture(setup.Button{Name: act, Action: act}, gpio.Gesture{Kind: gpio.Up})
	synctest.Wait()
}

// hub says something about the call that was sent last, or the call "c".
func (b *bench) hub(t wire.Type, body any) {
	id := "c"
	if b.wire.Last.Call != "" {
		id = b.wire.Last.Call
	}
	b.Receive(link.Message{Envelope: wire.New(t, id, body)})
	synctest.Wait()
}

func (b *bench) ended(s outcome.Status, r outcome.Reason) {
	res := outcome.Result{Call: b.wire.Last.Call, From: "front_door", To: "reception"}
	if res.Call == "" {
		res.Call, res.From, res.To = "c", "reception", "front_door"
	}
	res.Finish(outcome.Of(s, r), "hub", time.Now())
	b.hub(wire.Ended, wire.EndedBody{Result: res})
}

func (b *bench) expect(lines ...string) {
	b.Helper()
	synctest.Wait()
	if got := b.tape.Take(); !slices.Equal(got, lines) {
		b.Errorf("tape\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(lines, "\n  "))
	}
}

func (b *bench) shows(want control.Light) {
	b.Helper()
	s, err := b.Status(b.Context())
	if err != nil || s.Light != want {
		b.Errorf("the light is %q (%v), want %q", s.Light, err, want)
	}
}

func TestACallFromTheDoor(t *testing.T) {
	try(t, func(b *bench) {
		b.shows(control.LightOffline)
		b.online()
		b.shows(control.LightIdle)
		b.press(setup.ActToggle)
		b.shows(control.LightCalling)
		b.expect("0s plays press", "0s sends call.invite")
		b.hub(wire.Ringing, wire.SDPBody{SDP: "offer"})
		b.expect("0s media waits for an offer", "0s plays ringback", "0s media gets offer")
		b.media.News.Local("answer", "")
		b.media.News.Candidate("here")
		b.expect("0s sends call.sdp", "0s sends call.ice")
		b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
		time.Sleep(2 * time.Second)
		b.hub(wire.Answered, nil)
		b.shows(control.LightTalking)
		b.expect("2s voice opens")
		b.press(setup.ActToggle)
		b.expect("2s media closes", "2s sends call.hangup")
		b.ended(outcome.Over, outcome.HangUp)
		b.shows(control.LightIdle)
		b.expect("2s sends note")
	})
}

// talk is a call that was answered.
func (b *bench) talk() {
	b.online()
	b.press(setup.ActToggle)
	b.hub(wire.Ringing, wire.SDPBody{SDP: "offer"})
	b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
	b.hub(wire.Answered, nil)
	b.tape.Take()
}

func TestMute(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.press(setup.ActMute) // there is nothing to mute
		b.expect()
		b.talk()
		b.press(setup.ActMute)
		b.press(setup.ActMute)
		b.expect("0s mute true", "0s mute false")
	})
}

func TestPushToTalk(t *testing.T) {
	tryWith(t, func(c *setup.Config) { c.Call.Voice = setup.PushToTalk }, func(b *bench) {
		b.talk()
		b.press(setup.ActTalk)
		time.Sleep(2 * time.Second)
		b.release(setup.ActTalk)
		b.expect("0s mute false", "2s mute true")
	})
	try(t, func(b *bench) { // where both talk, it means nothing
		b.talk()
		b.press(setup.ActTalk)
		b.release(setup.ActTalk)
		b.expect()
	})
}

func TestACallToTheDoor(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Name: "Reception", Context: "Hello",
			InitiatorImage: "https://example.org/a.png"})
		b.shows(control.LightRinging)
		b.Receive(link.Message{Envelope: wire.New(wire.Incoming, "d",
			wire.IncomingBody{From: "third", Name: "Third", Context: "Me too"})})
		if s, _ := b.Status(b.Context()); s.Peer != "reception" || s.PeerName != "Reception" || s.Context != "Hello" ||
			s.Image == "" {
			t.Errorf("%+v", s)
		}
		b.expect("0s plays ring", "0s media offers", "0s sends call.decline")
		b.wire.Last.Call = "c"
		b.media.News.Local("offer", "")
		b.expect("0s sends call.ringing")
		b.press(setup.ActToggle)
		b.expect("0s sends call.answer")
		b.hub(wire.Answered, nil)
		b.expect("0s voice opens")
		b.ended(outcome.Over, outcome.HangUp)
		b.expect("0s media closes", "0s sends note")
	})
}

func TestAMissedCallStaysVisibleUntilAPress(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello"})
		b.ended(outcome.Missed, outcome.NoAnswer)
		b.shows(control.LightMissed)
		time.Sleep(24 * time.Hour)
		b.shows(control.LightMissed)
		b.press(setup.ActHangUp)
		b.shows(control.LightIdle)
	})
}

func TestAPressWithoutTheHubGetsLightAndToneAtOnce(t *testing.T) {
	try(t, func(b *bench) {
		b.press(setup.ActToggle)
		b.shows(control.LightUnreachable)
		b.expect("0s plays press", "0s plays offline")
		time.Sleep(3*time.Second + 1)
		b.shows(control.LightOffline)
		s, _ := b.Status(b.Context())
		if s.LastCall == nil || s.LastCall.Outcome != outcome.Of(outcome.Failed, outcome.NetworkLost) ||
			s.LastCall.To != "reception" {
			t.Errorf("the last call is %+v", s.LastCall)
		}
	})
}

func TestTheHubGoesWhileItRings(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.press(setup.ActCall)
		b.hub(wire.Ringing, wire.SDPBody{SDP: "offer"})
		b.tape.Take()
		b.wire.Cut = true
		b.Down(fault.New(fault.InternetLost))
		time.Sleep(call.LostLimit)
		b.expect("4s media closes", "4s plays offline")
		b.shows(control.LightUnreachable)
	})
}

func TestWithoutAMicrophoneACallIsDeclinedWithItsReason(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.sound.MicTrouble = "capture: gone"
		b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello"})
		b.tape.Take()
		b.press(setup.ActAnswer)
		b.expect("0s media closes", "0s sends call.decline")
		var d wire.DeclineBody
		_ = json.Unmarshal(b.wire.Last.B, &d)
		if d.Reason != outcome.MicUnavailable {
			t.Errorf("declined for %q", d.Reason)
		}
	})
}

func TestStoppingInACallSaysSoAndWaitsForTheOutcome(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello"})
		b.press(setup.ActAnswer)
		b.hub(wire.Answered, nil)
		b.tape.Take()
		b.stop()
		b.expect("0s media closes", "0s sends call.hangup")
		b.ended(outcome.Over, outcome.Shutdown)
		if err := <-b.done; err != nil {
			t.Error(err)
		}
		b.done <- nil
	})
}

func TestFaultsAreShownAndGo(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.Fault(control.Fault{Code: control.SoundServer, Part: control.PartAudio, Text: "no sound server"})
		b.shows(control.LightFault)
		s, _ := b.Status(b.Context())
		if s.Health != "degraded" || !strings.Contains(s.Sentence(), "broken: audio") {
			t.Errorf("%+v", s)
		}
		b.Fault(control.Fault{Code: control.KioskPort, Part: control.PartKiosk, Text: "the port is taken"})
		b.shows(control.LightFault)
		b.Fault(control.Well(control.PartAudio))
		b.shows(control.LightWarning)
		b.Fault(control.Well(control.PartKiosk))
		b.shows(control.LightIdle)
	})
}

// A code is told where the fault arises. The words of a text decide nothing: they may be a stranger's.
func TestTheWordsOfAFaultDecideNothing(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		for _, f := range []control.Fault{
			{Code: control.ConfigInvalid, Part: control.PartConfiguration,
				Text: "x.toml:1: a key that waits for a restart; the one before is kept"},
			{Code: control.SoundPlayback, Part: control.PartAudio,
				Text: `the loudspeaker "is used capture: server: " cannot be opened`},
			{Code: control.LineMissing, Part: control.PartDoorInput("exit"), Text: "busy"},
		} {
			b.Fault(f)
			time.Sleep(time.Second) // the hub is not told each at once
			synctest.Wait()
			var told wire.StateBody
			_ = b.Ask(b.Context(), func() { _ = json.Unmarshal(b.wire.State.B, &told) })
			s, _ := b.Status(b.Context())
			if want := f.Trouble(); !slices.Contains(s.Troubles, want) || s.Faults[f.Part] != f.Text ||
				told.Codes[f.Part] != string(f.Code) {
				t.Errorf("%+v: the status has %+v, the hub is told %v", f, s.Troubles, told.Codes)
			}
			b.Fault(control.Well(f.Part))
		}
		for _, c := range []struct {
			err  error
			code fault.Code
		}{
			{fmt.Errorf("signing in: %w", fault.New(fault.Credentials)), fault.Credentials},
			{&fault.Error{Code: "\x1b[2J", Message: "of a false hub"}, fault.Internal},
			{errors.New("the hub closed the connection: ERR_INVALID_CREDENTIALS"), ""},
		} {
			b.Down(c.err)
			if s, _ := b.Status(b.Context()); s.Hub.Code != c.code || s.Hub.Trouble == "" {
				t.Errorf("%v: %+v", c.err, s.Hub)
			}
		}
		b.online()
		if s, _ := b.Status(b.Context()); s.Hub.Code != "" || s.Hub.Trouble != "" {
			t.Errorf("%+v", s.Hub)
		}
	})
}

func TestGarbageFromTheHubIsSurvived(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		for _, k := range []wire.Type{wire.Incoming, wire.Ringing, wire.SDP, wire.ICE, wire.Ended, wire.Fail,
			wire.Answered, wire.OK, "nonsense"} {
			b.Receive(link.Message{Envelope: wire.Envelope{T: k, Call: "c",
				B: []byte(`{"from":5,"sdp":[],"candidate":{},"status":7}`)}})
		}
		b.shows(control.LightIdle)
	})
}

func TestControl(t *testing.T) {
	try(t, func(b *bench) {
		h := b.Handler(nil)
		post := func(path, body string) (int, string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
			return w.Code, w.Body.String()
		}
		for _, c := range []struct {
			path, body string
			status     int
			has        string
		}{
			{"/v1/call", `{"to":"front_door"}`, 400, `"field":"to"`},
			{"/v1/call", `{"to":"reception","context":"` + strings.Repeat("x", 65) + `"}`, 400, `"field":"context"`},
			{"/v1/call", `{"nonsense":1}`, 400, "ERR_BAD_MESSAGE"},
			{"/v1/call", `{}`, 503, "ERR_INTERNET_LOST"},
			{"/v1/answer", `{}`, 409, "There is no call to answer"},
			{"/v1/press", `{"button":"call","hold_ms":5}`, 403, "gpio.driver"},
		} {
			if status, body := post(c.path, c.body); status != c.status || !strings.Contains(body, c.has) {
				t.Errorf("%s %s: %d %s", c.path, c.body, status, body)
			}
		}
		b.online()
		if status, body := post("/v1/call", `{}`); status != 200 || !strings.Contains(body, `"call":"`) {
			t.Errorf("%d %s", status, body)
		}
		if status, body := post("/v1/call", `{}`); status != 409 ||
			!strings.Contains(body, "ERR_OUTGOING_CALL_IN_PROGRESS") {
			t.Errorf("%d %s", status, body)
		}
		if status, _ := post("/v1/hangup", `{}`); status != 200 {
			t.Errorf("%d", status)
		}
	})
}

// A page gets how it is, and then what happens, as server-sent events.
// Who follows the events is not cut off by the time that a request, or its answer, may take.
func TestEventsGoOnForAsLongAsTheyAreRead(t *testing.T) {
	tape := devicetest.NewTape()
	sound := &devicetest.Sound{Tape: tape}
	d := device.New(settings(), device.Parts{Media: &devicetest.Media{Tape: tape}, Sound: sound,
		Lamps: []device.Lamp{&devicetest.Lamp{Tape: tape}}}, slog.New(slog.DiscardHandler))
	d.Connect(&devicetest.Wire{Tape: tape})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	defer func() { cancel(); <-done }()
	s := httptest.NewUnstartedServer(d.Handler(nil))
	s.Config.ReadTimeout, s.Config.WriteTimeout = 50*time.Millisecond, 100*time.Millisecond
	s.Start()
	defer s.Close()
	r, err := http.Get(s.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for range 3 { // another request has had its whole time
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST /v1/call HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
		c.Close()
		d.Fault(control.Fault{Code: control.SoundServer, Part: control.PartAudio, Text: time.Now().String()})
		if !lines.Scan() {
			t.Fatal("the events have ended: ", lines.Err())
		}
	}
}

func TestTheKioskTellsWhatHappens(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-long-random-word"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := setup.Defaults()
	cfg.CUID, cfg.Kiosk.Listen, cfg.Kiosk.TokenFile = "front_door", "127.0.0.1:0", token
	cfg.Check(new(config.Report)) // which reads the token
	tape := devicetest.NewTape()
	d := device.New(cfg, device.Parts{Media: &devicetest.Media{Tape: tape}, Sound: &devicetest.Sound{Tape: tape}},
		slog.New(slog.DiscardHandler))
	d.Connect(&devicetest.Wire{Tape: tape})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	page := httptest.NewServer(d.Kiosk(d.Handler(nil)))
	defer func() { cancel(); <-done; page.Close() }()
	do := func(method, path, body string) *http.Response {
		req, err := http.NewRequestWithContext(ctx, method, page.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer a-long-random-word")
		resp, err := page.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	events := do("GET", "/v1/events", "")
	defer events.Body.Close()
	if kind := events.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatal(kind)
	}
	in := bufio.NewScanner(events.Body)
	next := func() string {
		for in.Scan() {
			if in.Text() != "" {
				return in.Text()
			}
		}
		t.Fatal("the stream ended: ", in.Err())
		return ""
	}
	if first, data := next(), next(); first != "event: status" || !strings.Contains(data, `"cuid":"front_door"`) {
		t.Errorf("%s %s", first, data)
	}
	if resp := do("POST", "/v1/privacy", `{"on":true}`); resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
	for next() != "event: mode" {
	}
	if data := next(); !strings.Contains(data, `"mode":"privacy"`) || !strings.Contains(data, `"on":true`) {
		t.Error(data)
	}
}

func TestMetrics(t *testing.T) {
	try(t, func(b *bench) {
		b.Fault(control.Fault{Code: control.KioskPort, Part: control.PartKiosk, Text: "busy"})
		synctest.Wait()
		scrape := func() string {
			w := httptest.NewRecorder()
			b.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
			return w.Body.String()
		}
		b.has(scrape(), "intercom_station_registered 0\n",
			`intercom_station_trouble{code="HUB_AWAY",severity="error",part="hub"} 1`,
			`intercom_station_trouble{code="KIOSK",severity="warning",part="kiosk"} 1`,
			`intercom_station_info{cuid="front_door",name=""} 1`)
		b.talk()
		b.has(scrape(), "intercom_station_registered 1\n", "intercom_station_in_call 1\n",
			"intercom_station_call_loss_ratio 0\n")
		b.ended(outcome.Over, outcome.HangUp)
		b.has(scrape(), `intercom_station_calls_ended_total{status="over",reason="hangup"} 1`,
			"intercom_station_in_call 0\n")
	})
}

func (b *bench) has(text string, all ...string) {
	b.Helper()
	for _, want := range all {
		if !strings.Contains(text, want) {
			b.Errorf("there is no %s in\n%s", want, text)
		}
	}
}

func TestItStartsAgainWhenItIsIdle(t *testing.T) {
	try(t, func(b *bench) {
		b.talk()
		b.tape.Take()
		if err := b.Restart(b.Context(), "an upgrade"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s, _ := b.Status(b.Context()); s.Restart != "an upgrade" || s.Phase != call.Talking {
			t.Errorf("%s, restart %q", s.Phase, s.Restart)
		}
		b.ended(outcome.Over, outcome.HangUp)
		if tape := strings.Join(b.tape.Take(), "\n"); !strings.Contains(tape, "starts again") {
			t.Error(tape)
		}
	})
	try(t, func(b *bench) {
		if err := b.Restart(b.Context(), "an upgrade"); err != nil {
			t.Fatal(err)
		}
		b.expect("0s starts again")
	})
}

// given is a fake store of settings: it takes what is signed "good", and one key waits for a restart.
type given struct{ taken, refused, asked atomic.Uint64 }

func (g *given) Versions() (taken, refused uint64) { return g.taken.Load(), g.refused.Load() }

func (g *given) Take(_ context.Context, b wire.SettingsBody) ([]string, error) {
	if g.asked.Add(1); b.Signature != "good" {
		g.refused.Store(b.Version)
		return nil, errors.New("not signed")
	}
	g.taken.Store(b.Version)
	g.refused.Store(0)
	return []string{"button"}, nil
}

// What was refused is said once, and not looked at again; a flood of new ones is looked at slowly, the latest first.
func TestSettingsThatAreRefused(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		said := func() (s wire.StateBody) {
			synctest.Wait()
			_ = b.Ask(b.Context(), func() { _ = json.Unmarshal(b.wire.State.B, &s) })
			return s
		}
		b.hub(wire.Settings, wire.SettingsBody{Version: 7})
		if s := said(); s.Refused != 7 || s.Settings != 0 || s.Codes["settings"] != "SETTINGS_REFUSED" ||
			!strings.Contains(s.Faults["settings"], "settings 7 of the hub are not used: not signed") {
			t.Fatalf("the hub is told %+v", s)
		}
		_ = b.Ask(b.Context(), func() { b.wire.State = wire.Envelope{} })
		for range 100 {
			b.hub(wire.Settings, wire.SettingsBody{Version: 7})
		}
		if s := said(); s.Health != "" || b.given.asked.Load() != 1 {
			t.Errorf("it answers what it has refused already; asked %d times", b.given.asked.Load())
		}
		for v := range uint64(1000) {
			b.hub(wire.Settings, wire.SettingsBody{Version: 8 + v})
		}
		if time.Sleep(settingsTime); b.given.asked.Load() > 9 || said().Refused != 1007 {
			t.Errorf("of a flood %d are looked at, the last is %d", b.given.asked.Load(), said().Refused)
		}
		b.hub(wire.Settings, wire.SettingsBody{Version: 9, Signature: "good"})
		if time.Sleep(settingsTime); said().Settings != 9 || said().Refused != 0 || len(said().Faults) > 0 {
			t.Errorf("after a good one %+v", said())
		}
	})
}

// A station that changes all the time, as with a loose wire or a hand on its button, does not tell its hub more than
// that takes; the last word is how it is.
func TestAStationThatChangesAllTheTime(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		time.Sleep(time.Minute)
		synctest.Wait()
		before := b.wire.States()
		for i := range 1000 {
			b.Fault(control.Fault{Code: control.SoundServer, Part: control.PartAudio,
				Text: fmt.Sprint("server: gone ", i)})
			time.Sleep(10 * time.Millisecond)
		}
		b.Fault(control.Well(control.PartAudio))
		time.Sleep(time.Second)
		synctest.Wait()
		if n := b.wire.States() - before; n > 40 || n < 20 {
			t.Errorf("in ten seconds the hub is told %d times", n)
		}
		var said wire.StateBody
		_ = b.Ask(b.Context(), func() { _ = json.Unmarshal(b.wire.State.B, &said) })
		if said.Health != "healthy" {
			t.Errorf("at the end it is told %+v", said)
		}
	})
}

// settingsTime is longer than a station takes to look at settings.
const settingsTime = 3 * time.Minute

func TestSettingsOfTheHubAreUsedWhenItIsIdle(t *testing.T) {
	try(t, func(b *bench) {
		b.talk()
		b.tape.Take()
		b.hub(wire.Settings, wire.SettingsBody{Version: 7, Signature: "good"})
		var said wire.StateBody
		if err := json.Unmarshal(b.wire.State.B, &said); err != nil || said.Settings != 7 {
			t.Errorf("%v: the hub is told of settings %d", err, said.Settings)
		}
		time.Sleep(time.Minute) // of simulated time
		if s, _ := b.Status(b.Context()); s.Restart != "settings 7 of the hub" || s.Phase != call.Talking {
			t.Errorf("%s, restart %q", s.Phase, s.Restart)
		}
		b.ended(outcome.Over, outcome.HangUp)
		if tape := strings.Join(b.tape.Take(), "\n"); !strings.Contains(tape, "starts again") {
			t.Error(tape)
		}
	})
}

func TestReload(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		next := settings()
		next.Call.To, next.Context, next.Door.Allow = "office_1", "Delivery", []string{"guard_*"}
		next.Name, next.Audio.Talk = "Another", 50
		waits, err := b.Reload(b.Context(), next)
		if err != nil || !slices.Equal(waits, []string{"name", "audio"}) {
			t.Errorf("%q waits for a restart; %v", waits, err)
		}
		b.press(setup.ActCall)
		invite, bad := wire.Body[wire.InviteBody](b.wire.Last)
		if bad != nil || invite.To.String() != "office_1" || invite.Context != "Delivery" {
			t.Errorf("it calls %s: %s", invite.To, invite.Context)
		}
	})
}

// A media path that is restarted answers as one that talks, and how the call was heard is noted when it is over.
func TestARestartOfTheMediaPath(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello"})
		b.media.News.Local("offer", "")
		b.press(setup.ActAnswer)
		b.hub(wire.Answered, wire.AnsweredBody{Peer: "reception"})
		b.tape.Take()
		b.hub(wire.SDP, wire.SDPBody{SDP: "offer again"})
		b.media.News.Local("answer", "")
		b.expect("0s media gets offer again", "0s sends call.sdp")
		b.ended(outcome.Over, outcome.HangUp)
		if n := b.ackNote(); n.Kind != wire.CallNote || n.Call != "c" || n.Quality == nil {
			t.Errorf("%+v", n)
		}
	})
}

// A station whose address or route is another restarts its media path, at once, or when the hub is back.
func TestTheNetworkChangesInACall(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.hub(wire.Incoming, wire.IncomingBody{From: "reception", Context: "Hello"})
		b.media.News.Local("offer", "")
		b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
		b.press(setup.ActAnswer)
		b.hub(wire.Answered, wire.AnsweredBody{Peer: "reception"})
		b.tape.Take()
		b.NetworkChanged() // elsewhere on this machine
		b.expect()
		b.media.Moved = true
		b.NetworkChanged()
		b.expect("0s media restarts")
		time.Sleep(call.RestartTime)
		b.expect("3s media restarts") // nobody answered
		b.media.News.Local("offer again", "")
		b.expect("3s sends call.sdp")
		b.media.News.Event(func(id string) call.Event { return call.MediaUp{ID: id} })
		b.shows(control.LightTalking)
		time.Sleep(time.Minute)
		b.expect()
		b.Down(errors.New("gone"))
		b.NetworkChanged()
		b.expect()
		b.Up(wire.WelcomeBody{Resumed: true})
		b.expect("1m3s media restarts", "1m3s sends call.servers") // another hub may have the call
	})
}

// Who rings in another place has another media path, for which ours is made anew.
func TestOneWhoRingsInAnotherPlace(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.press(setup.ActCall)
		b.hub(wire.Ringing, wire.SDPBody{SDP: "a=ice-ufrag:one\r\n", From: "reception"})
		b.tape.Take()
		b.hub(wire.Ringing, wire.SDPBody{SDP: "a=ice-ufrag:one\r\n", From: "reception"})
		b.expect("0s media gets a=ice-ufrag:one\r\n")
		b.hub(wire.Ringing, wire.SDPBody{SDP: "a=ice-ufrag:two\r\n", From: "reception"})
		b.expect("0s media closes", "0s media waits for an offer", "0s media gets a=ice-ufrag:two\r\n")
	})
}

func TestIdentify(t *testing.T) {
	try(t, func(b *bench) {
		b.online()
		b.hub(wire.Identify, nil)
		b.shows(control.LightIdentify)
		b.expect("0s plays speak")
		time.Sleep(7 * time.Second)
		synctest.Wait()
		b.shows(control.LightIdle)
		var s wire.StateBody
		if _ = json.Unmarshal(b.wire.State.B, &s); s.Light != string(control.LightIdle) {
			t.Errorf("the hub is told %s", b.wire.State.B)
		}
	})
}
