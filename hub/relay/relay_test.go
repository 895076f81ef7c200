package relay

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, change func(*Config)) *Relay {
	cfg := Config{Listen: "127.0.0.1:0", Public: "127.0.0.1", MinPort: 40000, MaxPort: 50000, AllowPrivate: true, MostOf: 2, Secret: "s"}
	if change != nil {
		change(&cfg)
	}
	r, err := Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// client is one that shows these credentials; it speaks UDP, or TCP.
func client(t *testing.T, r *Relay, username, password string, tcp bool) *turn.Client {
	var conn net.PacketConn
	var err error
	if tcp {
		c, derr := net.Dial("tcp", r.addr.String())
		if derr != nil {
			t.Fatal(derr)
		}
		conn = turn.NewSTUNConn(c)
	} else if conn, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	factory := logging.NewDefaultLoggerFactory()
	factory.DefaultLogLevel = logging.LogLevelDisabled
	c, err := turn.NewClient(&turn.ClientConfig{STUNServerAddr: r.addr.String(), TURNServerAddr: r.addr.String(), Conn: conn, Username: username, Password: password,
		Realm: realm, LoggerFactory: factory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); conn.Close() })
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTwoPartiesOfACallReachEachOther(t *testing.T) {
	r := open(t, nil)
	user, password := Credentials("s", "demo", "front_door", "c1", time.Now())
	a, err := client(t, r, user, password, false).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	user, password = Credentials("s", "demo", "reception", "c1", time.Now())
	b, err := client(t, r, user, password, true).Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.WriteTo([]byte("hello?"), a.LocalAddr()); err != nil { // opens the way back
		t.Fatal(err)
	}
	if _, err := a.WriteTo([]byte("hello"), b.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	_ = b.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, from, err := b.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" || from.String() != a.LocalAddr().String() {
		t.Errorf("%q from %v: %v", buf[:n], from, err)
	}
	if n := r.Allocations(); n != 2 {
		t.Errorf("%d allocations", n)
	}
	third, password := Credentials("s", "demo", "kiosk_1", "c2", time.Now())
	if _, err := client(t, r, third, password, false).Allocate(); err == nil || !strings.Contains(err.Error(), "486") {
		t.Errorf("a third allocation of an account that may have two: %v", err)
	}
	other, password := Credentials("s", "other", "kiosk_1", "c2", time.Now())
	c, err := client(t, r, other, password, false).Allocate()
	if err != nil {
		t.Fatalf("another account: %v", err)
	}
	c.Close()
}

func TestWhoHasNoRightIsRefused(t *testing.T) {
	r := open(t, nil)
	good, password := Credentials("s", "demo", "front_door", "c1", time.Now())
	old, oldPassword := Credentials("s", "demo", "front_door", "c1", time.Now().Add(-2*Life))
	forged, forgedPassword := Credentials("another secret", "demo", "front_door", "c1", time.Now())
	for name, c := range map[string][2]string{"a wrong password": {good, password + "x"}, "another's password": {strings.Replace(good, "demo", "dem0", 1), password},
		"one whose time is over": {old, oldPassword}, "one of another secret": {forged, forgedPassword}, "nonsense": {"x", "y"}} {
		if a, err := client(t, r, c[0], c[1], false).Allocate(); err == nil {
			a.Close()
			t.Errorf("%s is let in", name)
		}
	}
}

func TestNoWayIntoPrivateNetworks(t *testing.T) {
	closed := &Relay{cfg: Config{}}
	home := &Relay{cfg: Config{AllowPrivate: true}}
	for ip, want := range map[string][2]bool{ // closed, home
		"8.8.8.8": {true, true}, "2606:4700::1111": {true, true},
		"10.0.0.1": {false, true}, "192.168.1.1": {false, true}, "127.0.0.1": {false, true}, "::1": {false, true}, "fd00::1": {false, true}, "100.64.0.1": {false, true},
		"::ffff:10.0.0.1": {false, true}, "169.254.169.254": {false, false}, "fe80::1": {false, false}, "0.0.0.0": {false, false}, "224.0.0.1": {false, false},
		"255.255.255.255": {false, false}, "64:ff9b::a00:1": {false, false}, "2002:a00:1::": {false, false},
	} {
		if got := [2]bool{closed.reaches(nil, net.ParseIP(ip)), home.reaches(nil, net.ParseIP(ip))}; got != want {
			t.Errorf("%s: closed and home %v, want %v", ip, got, want)
		}
	}
	// And by the protocol: a permission for a private address is refused.
	r := open(t, func(c *Config) { c.AllowPrivate = false })
	user, password := Credentials("s", "demo", "front_door", "c1", time.Now())
	c := client(t, r, user, password, false)
	a, err := c.Allocate()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := c.CreatePermission(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}); err == nil {
		t.Error("the relay reaches into a private range")
	}
}

func TestSTUNTellsWhereOneIs(t *testing.T) {
	r := open(t, nil)
	c := client(t, r, "", "", false)
	if at, err := c.SendBindingRequest(); err != nil || !strings.HasPrefix(at.String(), "127.0.0.1:") {
		t.Errorf("%v %v", at, err)
	}
}
