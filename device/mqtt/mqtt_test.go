package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/internal/needs"
	"intercom/internal/outcome"
	"intercom/internal/stage"
)

// puppet is a fake station: it is as it is told, and writes down what it is told to do.
type puppet struct {
	mu     sync.Mutex
	status control.Status
	events chan control.Event
	told   chan string
}

func (p *puppet) Follow(context.Context) (<-chan control.Event, func(), error) {
	return p.events, func() {}, nil
}

func (p *puppet) Status(context.Context) (control.Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, nil
}

func (p *puppet) Command(_ context.Context, what, who string) error {
	p.told <- what + " by " + who
	return errors.New("there is nothing to do")
}

// becomes changes how it is, and says what happened.
func (p *puppet) becomes(e control.Event, change func(*control.Status)) {
	p.mu.Lock()
	change(&p.status)
	p.mu.Unlock()
	p.events <- e
}

// broker is a real mosquitto, which wants TLS and a password.
type broker struct {
	*testing.T
	*stage.Process
	dir, address string
	tls          *tls.Config
	ctx          context.Context
	listeners    int
	warned       atomic.Int32 // by the bridge
}

func startBroker(t *testing.T) *broker {
	needs.Programs(t, "mosquitto", "mosquitto_passwd", "mosquitto_pub")
	program, err := needs.Find("mosquitto")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	b := &broker{T: t, dir: t.TempDir(), ctx: ctx}
	cert, key, err := stage.Certificate(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	b.tls = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	ports, err := stage.Ports(1)
	if err != nil {
		t.Fatal(err)
	}
	b.address = fmt.Sprint("127.0.0.1:", ports[0])
	passwords := filepath.Join(b.dir, "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-c", "-b", passwords, "door",
		"right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	config := fmt.Sprintf("listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\npassword_file %s\n"+
		"user root\nallow_anonymous false\n", ports[0], cert, key, passwords)
	if err := os.WriteFile(filepath.Join(b.dir, "mosquitto.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	b.up(program)
	return b
}

func (b *broker) up(program string) {
	b.Helper()
	var err error
	if b.Process, err = stage.Start(b.dir, "mosquitto", nil, program, "-c",
		filepath.Join(b.dir, "mosquitto.conf")); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = b.Stop(5 * time.Second) })
	if err := b.Wait(b.ctx, "it listened", func() bool {
		c, err := tls.Dial("tcp", b.address, b.tls)
		if err == nil {
			c.Close()
		}
		return err == nil
	}); err != nil {
		b.Fatal(err)
	}
}

func (b *broker) url() *url.URL { return &url.URL{Scheme: "mqtts", Host: b.address} }

// message is one that the broker gave.
type message struct{ topic, text string }

// listener follows all topics, as Home Assistant would.
func (b *broker) listener() (*autopaho.ConnectionManager, <-chan message) {
	b.Helper()
	got := make(chan message, 100)
	b.listeners++
	c, err := autopaho.NewConnection(b.ctx, autopaho.ClientConfig{ServerUrls: []*url.URL{b.url()}, TlsCfg: b.tls,
		KeepAlive: 20, ConnectUsername: "door", ConnectPassword: []byte("right"),
		ReconnectBackoff: func(int) time.Duration { return 50 * time.Millisecond },
		OnConnectionUp: func(c *autopaho.ConnectionManager, _ *paho.Connack) {
			_, _ = c.Subscribe(b.ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "#", QoS: 1}}})
		},
		ClientConfig: paho.ClientConfig{ClientID: fmt.Sprint("listener-", b.listeners),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
				got <- message{r.Packet.Topic, string(r.Packet.Payload)}
				return true, nil
			}}}})
	if err == nil {
		err = c.AwaitConnection(b.ctx)
	}
	if err != nil {
		b.Fatal(err)
	}
	return c, got
}

// await waits for a message whose text has all of what is wanted.
func (b *broker) await(got <-chan message, topic string, has ...string) string {
	b.Helper()
	for {
		select {
		case m := <-got:
			fits := m.topic == topic
			for _, part := range has {
				fits = fits && strings.Contains(m.text, part)
			}
			if fits {
				return m.text
			}
		case <-b.ctx.Done():
			b.Fatalf("no message came on %s with %q\n%s", topic, has, b.Tail())
		}
	}
}

// warnings counts them: a bridge warns of each message that it does not obey.
type warnings struct {
	slog.Handler
	n *atomic.Int32
}

func (w warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (w warnings) Handle(context.Context, slog.Record) error    { w.n.Add(1); return nil }

// bridge runs one between a puppet and the broker.
func (b *broker) bridge(password string) (p *puppet, faults <-chan string, end func()) {
	p = &puppet{events: make(chan control.Event, 10), told: make(chan string, 10),
		status: control.Status{CUID: "front_door", Phase: call.Idle, Door: &control.Door{}}}
	said := make(chan string, 10)
	bridge := New(Config{URL: b.url(), TLS: b.tls, User: "door", Password: password, CUID: "front_door",
		Name: "Front door", Prefix: "home", Discovery: "homeassistant",
		Commands: []string{"answer", "open"}}, p, func(f control.Fault) { said <- f.Text },
		slog.New(warnings{slog.DiscardHandler, &b.warned}))
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- bridge.Run(ctx) }()
	end = func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	return p, said, end
}

func TestAStationAtABroker(t *testing.T) {
	b := startBroker(t)
	other, got := b.listener()
	p, faults, end := b.bridge("right")

	// Home Assistant finds it.
	for topic, has := range map[string][]string{
		"homeassistant/binary_sensor/intercom_front_door/ringing/config": {`"state_topic":"home/front_door/state"`,
			`"availability_topic":"home/front_door/online"`, `"name":"Front door"`},
		"homeassistant/button/intercom_front_door/open/config": {`"payload_press":"open"`,
			`"command_topic":"home/front_door/do"`},
		"homeassistant/event/intercom_front_door/bell/config": {`"event_types":["press","ring","missed"]`},
	} {
		one, had := b.listener()
		text := b.await(had, topic, has...)
		if !json.Valid([]byte(text)) {
			t.Error(text)
		}
		_ = one.Disconnect(b.ctx)
	}
	b.await(got, "home/front_door/online", "online")
	if fault := <-faults; fault != "" {
		t.Error(fault)
	}
	b.await(got, "home/front_door/state", `"phase":"idle","ringing":false`, `"healthy":true`)

	// What happens is told.
	p.becomes(control.Event{Event: "state", Phase: call.Ringing, Call: "1", Peer: "gate", Name: "Garden gate",
		Context: "Parcel"}, func(s *control.Status) { s.Phase, s.Peer = call.Ringing, "gate" })
	b.await(got, "home/front_door/event", `"event_type":"ring"`, `"from":"gate"`, `"context":"Parcel"`)
	b.await(got, "home/front_door/state", `"ringing":true`, `"last_caller":"Garden gate"`)
	p.becomes(control.Event{Event: "press", Button: "bell", Press: "short"},
		func(s *control.Status) { s.Door.Ajar = true })
	b.await(got, "home/front_door/event", `"event_type":"press"`, `"button":"bell"`)
	b.await(got, "home/front_door/state", `"door":true`)
	p.becomes(control.Event{Event: "ended", Result: &outcome.Result{Outcome: outcome.Outcome{Status: outcome.Missed},
		From: "gate"}}, func(s *control.Status) {
		s.Phase, s.Troubles = call.Idle, []control.Trouble{{Code: "SOUND_CAPTURE", Text: "none"}}
	})
	b.await(got, "home/front_door/event", `"event_type":"missed"`)
	b.await(got, "home/front_door/state", `"healthy":false,"troubles":["SOUND_CAPTURE: none"]`)

	// What is written there is done, where it is allowed, and not when it was left lying about.
	say := func(what string, retain bool) {
		t.Helper()
		if _, err := other.Publish(b.ctx, &paho.Publish{Topic: "home/front_door/do", QoS: 1, Retain: retain,
			Payload: []byte(what)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"hangup", strings.Repeat("x", maxPacket), "open"} {
		say(what, false)
	}
	if told := <-p.told; told != "open by mqtt" {
		t.Error("it was told to", told)
	}
	end()
	b.await(got, "home/front_door/online", "offline")
	say("open", true)
	p, _, end = b.bridge("right")
	b.await(got, "home/front_door/online", "online")
	say("answer", false)
	if told := <-p.told; told != "answer by mqtt" {
		t.Error("after its start it was told to", told)
	}
	end()
}

// A broker that goes away and comes back is told anew.
func TestABrokerThatComesBack(t *testing.T) {
	b := startBroker(t)
	_, faults, end := b.bridge("right")
	if fault := <-faults; fault != "" {
		t.Error(fault)
	}
	program, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", b.PID()))
	_ = b.Stop(5 * time.Second)
	if fault := <-faults; !strings.Contains(fault, "connection refused") {
		t.Errorf("%q", fault)
	}
	b.up(program)
	_, got := b.listener()
	b.await(got, "home/front_door/online", "online")
	b.await(got, "home/front_door/state", `"phase":"idle"`)
	end()
}

func TestAWrongPassword(t *testing.T) {
	b := startBroker(t)
	_, faults, end := b.bridge("wrong")
	if fault := <-faults; !strings.Contains(fault, "refuses the user") {
		t.Errorf("%q", fault)
	}
	end()
}

// Messages of 20 MB do not reach the station, which stays connected: the broker drops them for it, as it was told in
// CONNECT.
func TestMessagesThatAreTooLarge(t *testing.T) {
	b := startBroker(t)
	_, got := b.listener()
	p, _, end := b.bridge("right")
	b.await(got, "home/front_door/state", `"phase":"idle"`)
	port := b.address[strings.LastIndexByte(b.address, ':')+1:]
	pub := func(args ...string) {
		t.Helper()
		args = append([]string{"-h", "127.0.0.1", "-p", port, "--cafile", filepath.Join(b.dir, "cert.pem"), "-V", "5",
			"-u", "door", "-P", "right", "-t", "home/front_door/do"}, args...)
		if out, err := exec.CommandContext(b.ctx, "mosquitto_pub", args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	large := filepath.Join(b.dir, "large")
	if err := os.WriteFile(large, make([]byte, 20<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, qos := range []string{"0", "1", "2"} {
		pub("-f", large, "-q", qos)
	}
	pub("-m", "open", "-q", "1")
	select {
	case told := <-p.told:
		if told != "open by mqtt" {
			t.Error("it was told to", told)
		}
	case <-b.ctx.Done():
		t.Error("a command does not get through any more")
	}
	for len(got) > 0 {
		if m := <-got; m.topic == "home/front_door/online" && m.text == "offline" {
			t.Error("it was away for a while")
		}
	}
	end()
	if n := b.warned.Load(); n != 1 { // about the command, since the puppet does nothing
		t.Errorf("%d messages came to it that are too large", n-1)
	}
}

// false broker is one that takes no notice of what it is told. It gives what a connection of it sends after CONNACK,
// and reports how many bytes the station has taken.
func falseBroker(t *testing.T, says func(net.Conn) error) (address string, dials <-chan error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan error, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			buf := make([]byte, 4096)
			_, err = c.Read(buf) // CONNECT
			if err == nil {
				_, err = c.Write([]byte{0x20, 3, 0, 0, 0}) // CONNACK: come in
			}
			if err == nil {
				err = says(c)
			}
			said <- err
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), said
}

// A broker that sends more than it was told to loses the connection before the station has taken much of it, and is
// tried again; the fault says why.
func TestABrokerThatSendsTooMuch(t *testing.T) {
	for name, header := range map[string][]byte{
		"256 MB":               {0x30, 0xff, 0xff, 0xff, 0x7f},
		"a length without end": {0x30, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a little too much":    {0x30, 0x81, 0x20}, // 4,097 bytes
		"and not in a PUBLISH": {0xd0, 0xff, 0xff, 0xff, 0x7f},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			took := make(chan int, 10)
			address, dials := falseBroker(t, func(c net.Conn) error {
				n, err := c.Write(header)
				for block := make([]byte, 64<<10); err == nil; {
					var more int
					more, err = c.Write(block)
					n += more
				}
				select {
				case took <- n:
				default: // nobody looks any more
				}
				return nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			p := &puppet{events: make(chan control.Event, 10), told: make(chan string, 10),
				status: control.Status{CUID: "front_door", Phase: call.Idle}}
			faults := make(chan string, 100)
			bridge := New(Config{URL: &url.URL{Scheme: "mqtt", Host: address}, CUID: "front_door", Prefix: "home",
				Commands: []string{"open"}}, p, func(f control.Fault) { faults <- f.Text },
				slog.New(slog.DiscardHandler))
			ended := make(chan error, 1)
			go func() { ended <- bridge.Run(ctx) }()
			for range 2 { // and comes back by itself
				select {
				case err := <-dials:
					if err != nil {
						t.Fatal(err)
					}
				case <-ctx.Done():
					t.Fatal("it keeps the connection")
				}
				if n := <-took; n > 16<<20 { // what the kernel holds on both sides
					t.Fatalf("it has taken %d bytes", n)
				}
			}
			for text := ""; !strings.Contains(text, "more than it was told to"); {
				select {
				case text = <-faults:
				case <-ctx.Done():
					t.Fatal("no fault says why")
				}
			}
			cancel()
			<-ended
		})
	}
}

// What comes in comes no faster than it may, whoever sends it.
func TestPacketsHaveAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := net.Pipe()
		closed, stop := context.WithCancel(t.Context())
		l := &limited{Conn: out, pace: rate.NewLimiter(perSecond, burst), closed: closed, stop: stop}
		go func() {
			for {
				if _, err := in.Write([]byte{0x30, 4, 0, 1, 'a', 'x'}); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		const n = burst + 10*perSecond
		for range n {
			if _, err := packets.ReadPacket(l); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 9*time.Second {
			t.Errorf("%d packets came in %v", n, took)
		}
		go func() { time.Sleep(time.Millisecond); l.Close() }()
		for { // whoever waits for the next is let go
			if _, err := packets.ReadPacket(l); err != nil {
				break
			}
		}
		in.Close()
	})
}
