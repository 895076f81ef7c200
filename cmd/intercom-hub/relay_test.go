package main

import (
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"intercom/hub"
	"intercom/hub/access"
	"intercom/internal/config"
	"intercom/internal/stage"
	"intercom/wire"
)

// urls are the addresses of servers, in order, and whether all that have TURN have credentials, and no others.
func urls(all []wire.ICEServer) (u []string, right bool) {
	right = true
	for _, s := range all {
		u = append(u, s.URLs...)
		right = right && strings.HasPrefix(s.URLs[0], "turn") == (s.Username != "" && s.Credential != "")
	}
	return u, right
}

func TestWhichServersAPartyIsTold(t *testing.T) {
	secret := access.NewSecret()
	inside := []string{"stun:203.0.113.5:3478", "turn:203.0.113.5:3478?transport=udp",
		"turn:203.0.113.5:3478?transport=tcp"}
	for name, c := range map[string]struct {
		change func(*hub.Config)
		want   []string
	}{
		"none":   {func(*hub.Config) {}, nil},
		"inside": {func(c *hub.Config) { c.TURN.Listen = "0.0.0.0:3478" }, inside},
		"over TLS": {func(c *hub.Config) { c.TURN.Listen, c.TURN.ListenTLS = "0.0.0.0:3478", ":5349" },
			append(slices.Clone(inside), "turns:203.0.113.5:5349?transport=tcp")},
		"with a name": {func(c *hub.Config) {
			c.TURN.Listen, c.TURN.ListenTLS, c.TURN.TLSName = "0.0.0.0:3478", ":443", "relay.example.org"
		}, append(slices.Clone(inside), "turns:relay.example.org:443?transport=tcp")},
		"ACME's": {func(c *hub.Config) {
			c.TURN.Listen, c.TURN.ListenTLS, c.ACME.Domains = "0.0.0.0:3478", ":5349", []string{"hub.example.org"}
		}, append(slices.Clone(inside), "turns:hub.example.org:5349?transport=tcp")},
		"elsewhere": {func(c *hub.Config) {
			c.TURN.URLs = []string{"turns:turn.example.org",
				"stun:stun.example.org"}
		}, []string{"stun:stun.example.org", "turns:turn.example.org"}},
		"of both kinds": {func(c *hub.Config) {
			c.TURN.Listen, c.TURN.URLs = "0.0.0.0:3478", []string{"turn:turn.example.org"}
		}, append(slices.Clone(inside), "turn:turn.example.org")},
	} {
		cfg := hub.Defaults()
		cfg.TURN.Public = "203.0.113.5"
		c.change(cfg)
		tell := iceServers(cfg, secret)
		if got, right := urls(tell("demo", "front_door", "c1")); !slices.Equal(got, c.want) || !right {
			t.Errorf("%s: %v, credentials right %v; want %v", name, got, right, c.want)
		}
		got, right := urls(tell("demo", "front_door", ""))
		if slices.ContainsFunc(got, func(u string) bool { return strings.HasPrefix(u, "turn") }) || !right {
			t.Errorf("%s: without a call %v", name, got)
		}
	}
}

// Over TLS, the relay shows the hub's certificate, also once it was renewed.
func TestTheRelayOverTLS(t *testing.T) {
	dir := t.TempDir()
	free, err := stage.Ports(2)
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := begin(t, func(cfg *hub.Config) {
		if cfg.TLSCert, cfg.TLSKey, err = stage.Certificate(dir); err != nil {
			t.Fatal(err)
		}
		cfg.TURN.Listen, cfg.TURN.ListenTLS, cfg.TURN.Public = fmt.Sprint("127.0.0.1:",
			free[0]), fmt.Sprint("127.0.0.1:", free[1]), "127.0.0.1"
	})
	shown := func() []byte {
		c, err := knock(t, cfg.TURN.ListenTLS, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"stun.turn"}})
		if err != nil {
			t.Fatal(err)
		}
		// A binding request (RFC 8489, section 5), and its answer.
		request, _ := hex.DecodeString("000100002112a442" + "000102030405060708090a0b")
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		answer := make([]byte, 20)
		if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 1 || answer[1] != 1 ||
			!slices.Equal(answer[4:], request[4:]) {
			t.Fatalf("%x %v", answer, err)
		}
		return c.ConnectionState().PeerCertificates[0].Raw
	}
	before := shown()
	cert, key, err := stage.Certificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	for from, to := range map[string]string{cert: cfg.TLSCert, key: cfg.TLSKey} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(to, later, later); err != nil {
			t.Fatal(err)
		}
	}
	if after := shown(); slices.Equal(before, after) {
		t.Error("the new certificate is not shown")
	}
	if _, err := net.Dial("tcp", cfg.TURN.Listen); err != nil {
		t.Error(err)
	}
}

func TestTURNIsChecked(t *testing.T) {
	const inside = "listen = \"0.0.0.0:3478\"\npublic = \"203.0.113.5\"\n"
	for text, want := range map[string]string{
		`listen_tls = "0.0.0.0:5349"`:                     "needs turn.listen",
		inside + `listen_tls = "0.0.0.0:5349"`:            "needs the hub's certificate",
		inside + `listen_tls = "5349"`:                    "is not an address with a port",
		inside + `tls_name = "https://hub.example.org"`:   "write it without scheme and port",
		inside + `address_kbit = 10`:                      "is 10; a voice needs 100",
		inside + "address_kbit = 500\naccount_kbit = 400": "it must be at least address_kbit",
		inside: "",
	} {
		file := filepath.Join(t.TempDir(), "hub.toml")
		if err := os.WriteFile(file, []byte("[turn]\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := config.Load(file, hub.Defaults()); want == "" && err != nil ||
			want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v\nwant %q", text, err, want)
		}
	}
}
