// Package mqtt shows a station at an MQTT 5 broker, and has it do what is written there. Home Assistant finds it by
// itself (its "MQTT discovery"). Topics, below PREFIX/CUID:
//
//	online   "online" or "offline", retained; the broker says the latter when the station is gone
//	state    how it is, a JSON object, retained (State)
//	event    what happens: a JSON object with event_type "press", "ring" or "missed"; not retained
//	do       written by others: answer, decline, hangup or open, as far as it is allowed
package mqtt

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/time/rate"

	"intercom/call"
	"intercom/device/control"
	"intercom/internal/outcome"
	"intercom/internal/version"
)

// Station is what is shown and told.
type Station interface {
	Follow(ctx context.Context) (<-chan control.Event, func(), error)
	Status(ctx context.Context) (control.Status, error)
	Command(ctx context.Context, what, who string) error
}

// Config is where the broker is, and what it may do.
type Config struct {
	URL            *url.URL // mqtt or mqtts
	TLS            *tls.Config
	User, Password string
	CUID, Name     string
	Prefix         string   // of all topics
	Discovery      string   // Home Assistant's; empty for none
	Commands       []string // that are done
}

// State is what is at PREFIX/CUID/state.
type State struct {
	Phase      call.Phase `json:"phase"`
	Ringing    bool       `json:"ringing"` // somebody waits for an answer, here or at the other side
	InCall     bool       `json:"in_call"`
	Peer       string     `json:"peer"`
	Door       bool       `json:"door"` // it stands open, or its relay is energised
	Healthy    bool       `json:"healthy"`
	Troubles   []string   `json:"troubles"` // CODE: text
	LastCaller string     `json:"last_caller"`
}

// Bridge joins a station and a broker.
type Bridge struct {
	cfg     Config
	station Station
	report  func(control.Fault)
	log     *slog.Logger
	caller  string // who called last
	seen    string // the call of the last ring

	floods     atomic.Int32  // connections that a broker lost by sending too much; it is called ever more seldom
	complaints *rate.Limiter // about commands that are not done
}

// New makes one. What is wrong with the broker is reported, and that it is well.
func New(cfg Config, s Station, report func(control.Fault), log *slog.Logger) *Bridge {
	if cfg.URL.Port() == "" { // those that IANA has for them
		whole := *cfg.URL
		whole.Host = net.JoinHostPort(cfg.URL.Hostname(),
			map[string]string{"mqtt": "1883", "mqtts": "8883"}[cfg.URL.Scheme])
		cfg.URL = &whole
	}
	return &Bridge{cfg: cfg, station: s, report: report, log: log,
		complaints: rate.NewLimiter(rate.Every(time.Minute), 5)}
}

func (b *Bridge) fault(text string) {
	b.report(control.Fault{Code: control.MQTTAway, Part: control.PartMQTT, Text: text})
}

func (b *Bridge) topic(name string) string { return b.cfg.Prefix + "/" + b.cfg.CUID + "/" + name }

// Waits between attempts to reach the broker, and for one message to be taken.
const (
	firstWait   = time.Second
	longestWait = time.Minute
	patience    = 5 * time.Second
)

// Run keeps the broker told until ctx ends, and comes back for ever.
func (b *Bridge) Run(ctx context.Context) error {
	events, leave, err := b.station.Follow(ctx)
	if err != nil {
		return err
	}
	defer leave()
	up := make(chan struct{}, 1)
	commands := make(chan string, 8)
	connection, err := autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{b.cfg.URL},
		KeepAlive:                     20,
		CleanStartOnInitialConnection: true,
		ConnectTimeout:                patience,
		ReconnectBackoff: func(n int) time.Duration {
			return min(firstWait<<min(n+int(b.floods.Load()), 6), longestWait)
		},
		ConnectUsername: b.cfg.User,
		ConnectPassword: []byte(b.cfg.Password),
		AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
			return dial(ctx, u, b.cfg.TLS)
		},
		ConnectPacketBuilder: func(c *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			size, number := uint32(maxPacket), uint16(maxInFlight)
			c.Properties = &paho.ConnectProperties{MaximumPacketSize: &size, ReceiveMaximum: &number,
				RequestProblemInfo: true}
			return c, nil
		},
		WillMessage: &paho.WillMessage{Topic: b.topic("online"), Payload: []byte("offline"), QoS: 1, Retain: true},
		OnConnectionUp: func(*autopaho.ConnectionManager, *paho.Connack) {
			select {
			case up <- struct{}{}:
			default:
			}
		},
		// The broker says that it is offline (MQTT 5, section 3.14.2.1: disconnect with will message).
		DisconnectPacketBuilder: func() *paho.Disconnect {
			return &paho.Disconnect{ReasonCode: packets.DisconnectDisconnectWithWillMessage}
		},
		OnConnectError: func(err error) { b.fault(why(err)) },
		ClientConfig: paho.ClientConfig{
			ClientID: "intercom-" + b.cfg.CUID,
			OnClientError: func(err error) {
				if errors.Is(err, errTooLarge) {
					b.floods.Add(1)
					b.fault(err.Error())
				}
			},
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(r paho.PublishReceived) (bool, error) {
				if r.Packet.Retain { // said to whoever was here before: a door does not open for what lies about
					return true, nil
				}
				select {
				case commands <- string(r.Packet.Payload):
				default: // so many at once mean nothing
				}
				return true, nil
			}},
		},
	})
	if err != nil {
		return err
	}
	said := ""
	for {
		select {
		case <-ctx.Done():
			<-connection.Done() // the library says goodbye
			return nil
		case <-connection.Done():
			return nil
		case what := <-commands:
			b.obey(ctx, what)
		case <-up:
			said = ""
			if err := b.greet(ctx, connection); err != nil {
				b.fault(err.Error())
				continue
			}
			b.fault("")
		case e, ok := <-events:
			if !ok {
				return fmt.Errorf("the station's events were not read in time")
			}
			b.happened(ctx, connection, e)
		}
		for len(events) > 0 { // how it is now is said once for all of them
			b.happened(ctx, connection, <-events)
		}
		if said, err = b.tell(ctx, connection, said); err != nil && ctx.Err() == nil {
			b.log.Debug("the broker was not told", "err", err)
		}
	}
}

// why is what kept the broker from being reached, for people.
func why(err error) string {
	refused := (*autopaho.ConnackError)(nil)
	if !errors.As(err, &refused) {
		return err.Error()
	}
	switch refused.ReasonCode {
	case packets.ConnackBadUsernameOrPassword, packets.ConnackNotAuthorized:
		return "the broker refuses the user, or the password"
	}
	return fmt.Sprintf("the broker refuses the connection: reason %d of MQTT 5, section 3.2.2.2", refused.ReasonCode)
}

func (b *Bridge) publish(ctx context.Context, c *autopaho.ConnectionManager, topic string, retain bool,
	payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Retain: retain, Payload: payload})
	return err
}

// greet says who is there, and listens.
func (b *Bridge) greet(ctx context.Context, c *autopaho.ConnectionManager) error {
	s, err := b.station.Status(ctx)
	if err != nil {
		return err
	}
	if l := s.LastCall; b.caller == "" && l != nil && l.From != b.cfg.CUID {
		b.caller = l.From
	}
	if len(b.cfg.Commands) > 0 {
		limited, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		do := paho.SubscribeOptions{Topic: b.topic("do"), QoS: 1, RetainHandling: 2}
		if _, err := c.Subscribe(limited, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{do}}); err != nil {
			return fmt.Errorf("the broker does not let it read %s: %w", b.topic("do"), err)
		}
	}
	if b.cfg.Discovery != "" {
		for topic, entity := range b.entities(s.Door != nil) {
			var payload []byte // nothing takes an entity away
			if entity != nil {
				payload, _ = json.Marshal(entity)
			}
			if err := b.publish(ctx, c, topic, true, payload); err != nil {
				return err
			}
		}
	}
	return b.publish(ctx, c, b.topic("online"), true, []byte("online"))
}

// tell says how it is, where that is something else than was said.
func (b *Bridge) tell(ctx context.Context, c *autopaho.ConnectionManager, said string) (string, error) {
	s, err := b.station.Status(ctx)
	if err != nil {
		return said, err
	}
	ringing := slices.Contains([]call.Phase{call.Ringing, call.Calling, call.Ringback}, s.Phase)
	inCall := s.Phase == call.Talking || s.Phase == call.Reconnecting
	state := State{Phase: s.Phase, Ringing: ringing, InCall: inCall, Peer: s.Peer, Healthy: len(s.Troubles) == 0,
		Troubles: []string{}, LastCaller: b.caller}
	if s.Door != nil {
		state.Door = s.Door.Open || s.Door.Ajar
	}
	for _, t := range s.Troubles {
		state.Troubles = append(state.Troubles, string(t.Code)+": "+t.Text)
	}
	text, err := json.Marshal(state)
	if err != nil || string(text) == said {
		return said, err
	}
	if err := b.publish(ctx, c, b.topic("state"), true, text); err != nil {
		return "", err
	}
	return string(text), nil
}

// happened says what is over in a moment: a press, a ring, a missed call.
func (b *Bridge) happened(ctx context.Context, c *autopaho.ConnectionManager, e control.Event) {
	var what map[string]string
	switch {
	case e.Event == "press" && slices.Contains([]string{"short", "long", "double"}, e.Press):
		what = map[string]string{"event_type": "press", "button": e.Button, "kind": e.Press}
	case e.Event == "state" && e.Phase == call.Ringing && e.Call != b.seen:
		b.seen, b.caller = e.Call, e.Peer
		if e.Name != "" {
			b.caller = e.Name
		}
		what = map[string]string{"event_type": "ring", "from": e.Peer, "name": e.Name, "context": e.Context}
	case e.Event == "ended" && e.Result != nil && e.Result.Status == outcome.Missed:
		what = map[string]string{"event_type": "missed", "from": e.Result.From, "to": e.Result.To}
	default:
		return
	}
	text, _ := json.Marshal(what)
	_ = b.publish(ctx, c, b.topic("event"), false, text) // without a broker nobody hears it
}

// obey does what was written, as far as it is allowed.
func (b *Bridge) obey(ctx context.Context, what string) {
	what = strings.TrimSpace(what)
	err := fmt.Errorf("mqtt.commands does not have it")
	if slices.Contains(b.cfg.Commands, what) {
		err = b.station.Command(ctx, what, "mqtt")
	}
	if err != nil && b.complaints.Allow() {
		b.log.Warn("not done, though the broker said so", "command", fmt.Sprintf("%.40q", what), "err", err)
	}
}

// entities are Home Assistant's, by the topic of their configuration; nil for those that this station has not.
func (b *Bridge) entities(door bool) map[string]map[string]any {
	device := map[string]any{"identifiers": []string{"intercom_" + b.cfg.CUID}, "name": b.cfg.Name,
		"model": "Intercom station", "manufacturer": "intercomd", "sw_version": version.Version}
	all := map[string]map[string]any{}
	add := func(kind, id, name string, there bool, more map[string]any) {
		topic := fmt.Sprintf("%s/%s/intercom_%s/%s/config", b.cfg.Discovery, kind, b.cfg.CUID, id)
		if !there {
			all[topic] = nil
			return
		}
		e := map[string]any{"name": name, "unique_id": "intercom_" + b.cfg.CUID + "_" + id,
			"object_id": b.cfg.CUID + "_" + id, "availability_topic": b.topic("online"), "device": device}
		for k, v := range more {
			e[k] = v
		}
		all[topic] = e
	}
	onOff := func(is, class string) map[string]any {
		e := map[string]any{"state_topic": b.topic("state"), "value_template": "{{ 'ON' if " + is + " else 'OFF' }}"}
		if class != "" {
			e["device_class"] = class
		}
		return e
	}
	add("binary_sensor", "ringing", "Ringing", true, onOff("value_json.ringing", "sound"))
	add("binary_sensor", "in_call", "In call", true, onOff("value_json.in_call", ""))
	add("binary_sensor", "door", "Door", door, onOff("value_json.door", "door"))
	health := onOff("not value_json.healthy", "problem")
	health["json_attributes_topic"] = b.topic("state")
	health["json_attributes_template"] = "{{ {'troubles': value_json.troubles} | tojson }}"
	health["entity_category"] = "diagnostic"
	add("binary_sensor", "health", "Health", true, health)
	add("sensor", "last_caller", "Last caller", true,
		map[string]any{"state_topic": b.topic("state"), "value_template": "{{ value_json.last_caller }}",
			"icon": "mdi:account-voice"})
	add("event", "bell", "Bell", true, map[string]any{"state_topic": b.topic("event"),
		"event_types": []string{"press", "ring", "missed"}, "device_class": "doorbell"})
	for _, one := range []struct{ do, name, icon string }{{"answer", "Answer", "mdi:phone"},
		{"decline", "Decline", "mdi:phone-remove"}, {"hangup", "Hang up", "mdi:phone-hangup"},
		{"open", "Open the door", "mdi:door-open"}} {
		add("button", one.do, one.name, slices.Contains(b.cfg.Commands, one.do),
			map[string]any{"command_topic": b.topic("do"), "payload_press": one.do, "icon": one.icon})
	}
	return all
}
