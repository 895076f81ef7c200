package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"intercom/internal/fault"
	"intercom/internal/stage"
	"intercom/wire"
)

// Attacks on a door that may be opened outside a call, and on a hub with an authority of its own.
var doorAttacks = []attack{
	{"door/outside-a-call", "asks for a door outside a call with the key, as other operators, under other names, and " +
		"as if the station had answered", doorOutsideACall},
	{"tls/without", "asks the port without TLS for everything but the certificate", withoutTLS},
	{"tls/taken-authority",
		"takes the key of the hub's authority, and speaks as another hub to a station that trusts it", takenAuthority},
}

const wish = "000102030405060708090a0b0c0d0e0f"

func doorOutsideACall(t *trial) {
	t.startHub("")
	t.must(t.hub.AddRules("[[may_open_door]]\nfrom = [\"desk_*\", \"anywhere\"]\nto = [\"front_door\"]\n"))
	sound := t.startSound("front_door")
	door := t.startStation(sound, stage.Settings{CUID: "front_door", To: "reception",
		Extra: "[door]\nline = \"relay\"\nallow = [\"reception\"]\nremote = [\"desk_1\"]\n"})
	shut := func(by string) {
		s, err := door.Status(t.ctx)
		t.must(err)
		if s.Door == nil {
			t.must(errors.New("the station has no door"))
		}
		if s.Door.Open {
			t.through("the door is open by %s", by)
		}
	}
	ask := func(c *client, b wire.OpenDoorBody) (wire.OpenDoorBody, error) {
		if _, err := c.ask(wire.New(wire.OpenDoor, "", b)); err != nil {
			return b, err
		}
		e, err := c.await(most, wire.OpenDone)
		if err != nil {
			return b, err
		}
		done, ferr := wire.Body[wire.OpenDoorBody](e)
		if ferr != nil {
			return b, ferr
		}
		return done, nil
	}
	refused := func(by string, c *client, b wire.OpenDoorBody) {
		done, err := ask(c, b)
		if err == nil && done.Result != wire.DoorRefused {
			t.through("%s is told %q", by, done.Result)
		}
		shut(by)
	}
	b := wire.OpenDoorBody{ID: wish, CUID: "front_door"}
	byKey := t.signIn("desk_1")
	refused("who has the key, and a name that is on the lists", byKey, b)
	t.must(byKey.say(wire.Envelope{T: wire.Bye}))
	t.until("the name was free", byKey.gone)
	_, token := t.operator("Anna", "operator")
	forged := b
	forged.From, forged.By, forged.Result = "desk_1", "chief", wire.DoorOpened
	for _, cuid := range []string{"desk_2", "anywhere", "reception", "desk_1_"} {
		c := t.enter(cuid, token)
		refused("an operator as "+cuid, c, b)
		refused("an operator as "+cuid+" who says that it is desk_1", c, forged)
		for _, e := range []wire.Envelope{wire.New(wire.Door, "", wire.DoorBody{From: "desk_1"}),
			wire.New(wire.Door, wish, wire.DoorBody{From: "desk_1"}),
			wire.New(wire.OpenDone, "", wire.OpenDoorBody{ID: wish, CUID: "front_door", From: "desk_1",
				Result: wire.DoorOpened})} {
			_, _ = c.ask(e)
			shut("a " + string(e.T) + " of " + cuid)
		}
	}
	// Who is meant can.
	t.until("the operator whom all allow opened the door", func() bool {
		done, err := ask(t.enter("desk_1", token), b)
		var f *fault.Error
		if errors.As(err, &f) && f.Code == fault.NotAllowed {
			t.must(err)
		}
		return err == nil && done.Result == wire.DoorOpened
	})
}

// house is a hub with an authority of its own.
func (t *trial) house(extra string) *stage.Hub {
	h, err := stage.StartHub(t.ctx, t.dir, t.bin, stage.HubSettings{Ring: 30 * time.Second,
		TLS: []string{"intercom.lan", "127.0.0.1"}, Extra: extra})
	if h != nil && h.Process != nil {
		t.processes = append(t.processes, h.Process)
	}
	t.must(err)
	return h
}

func withoutTLS(t *trial) {
	free, err := stage.Ports(1)
	t.must(err)
	at := fmt.Sprint("127.0.0.1:", free[0])
	h := t.house(fmt.Sprintf("ca_listen = %q", at))
	t.hub = &stage.Hub{Addr: at}
	t.until("the certificate is there", func() bool {
		return t.request(http.MethodGet, "/ca.pem", "") == http.StatusOK
	})
	for _, path := range []string{"/v1/session", "/v1/calls", "/v1/account", "/v1/token", "/v1/setup", "/v1/ws",
		"/healthz", "/setup", "/ca.key", "/hub.pem", "/tls/ca.key", "/ca.pem/../ca.key",
		"/console/../../ca.key", "/console/%2e%2e/ca.key", "/console/app.js", "/sdk/intercom.js", "//ca.key"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if status := t.request(method, path, `{"account":"demo"}`, "Authorization", "Bearer "+h.Key); status == 0 ||
				status < 300 {
				t.through("%s %s: %d", method, path, status)
			}
		}
	}
	r, err := http.Get("http://" + at + "/ca.pem")
	t.must(err)
	defer r.Body.Close()
	var text strings.Builder
	t.must(r.Write(&text))
	if strings.Contains(text.String(), "PRIVATE") || strings.Count(text.String(), "BEGIN") != 1 {
		t.through("ca.pem has more than a certificate")
	}
	t.hub = h
	if status := t.request(http.MethodGet, "/healthz", ""); status == http.StatusOK {
		t.through("the hub's own port answers without TLS")
	}
}

func takenAuthority(t *trial) {
	h := t.house("")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(h.CA), name))
		t.must(err)
		block, _ := pem.Decode(b)
		return block.Bytes
	}
	taken, err := x509.ParsePKCS8PrivateKey(read("ca.key"))
	t.must(err)
	ca, err := x509.ParseCertificate(read("ca.pem"))
	t.must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	t.must(err)
	forged := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 2)}}
	der, err := x509.CreateCertificate(rand.Reader, forged, ca, key.Public(), taken)
	t.must(err)
	l, err := tls.Listen("tcp", "127.0.0.2:0", &tls.Config{MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	t.must(err)
	var came, heard atomic.Int32
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard.Add(1) }),
		ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				came.Add(1)
			}
		}}
	go func() { _ = s.Serve(l) }()
	t.cleanup(func() { _ = s.Close() })
	t.newStation(&stage.Hub{Addr: l.Addr().String(), Key: h.Key, CA: h.CA}, t.startSound("front_door"),
		stage.Settings{CUID: "front_door", To: "reception"})
	t.until("the station tried twice", func() bool { return came.Load() >= 2 })
	if heard.Load() > 0 {
		t.through("a station speaks to another hub that has a certificate of the taken authority")
	}
	// The hub itself is trusted.
	t.must(func() error {
		sound := filepath.Join(t.dir, "own")
		if err := os.Mkdir(sound, 0o750); err != nil {
			return err
		}
		s, err := stage.NewStation(sound, t.bin, h,
			stage.Settings{CUID: "back_door", Name: "Back door", Context: "A call", To: "reception"})
		if err != nil {
			return err
		}
		err = s.Up(t.ctx)
		if s.Process != nil {
			t.processes = append(t.processes, s.Process)
		}
		if err != nil {
			return err
		}
		return s.Wait(t.ctx, "it was registered", func() bool {
			st, err := s.Status(t.ctx)
			return err == nil && st.Hub.Online
		})
	}())
}
