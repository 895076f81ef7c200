package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// calls stands in for the hub: all parties are live, but for those that it is told of.
type calls struct {
	mu        sync.Mutex
	over      map[string]bool // by call
	elsewhere map[string]bool // this hub does not have it; whether another says that it lives
	cutOff    bool
}

func (c *calls) Live(_, _, call string) (live, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, moved := c.elsewhere[call]; moved {
		return false, false
	}
	return !c.over[call], true
}

func (c *calls) LiveElsewhere(_ context.Context, _, _, call string) (live, known bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cutOff {
		return false, false, errors.New("cut off")
	}
	return c.elsewhere[call], true, nil
}

func (c *calls) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// handshakes stands in for the hub: everybody may have one.
type handshakes struct{}

func (handshakes) Begin(c net.Conn) (net.Conn, func(), bool) { return c, func() {}, true }

// bench is a relay under test, on loopback, where its public address is.
type bench struct {
	*testing.T
	*Relay
	calls *calls
}

func newBench(t *testing.T, change func(*Config)) *bench {
	b := &bench{T: t, calls: &calls{over: map[string]bool{}, elsewhere: map[string]bool{}}}
	cfg := Config{Listen: "127.0.0.1:0", Public: "127.0.0.1", MinPort: 40000, MaxPort: 50000, AllowPrivate: true,
		MostOf: 50, AddressKbit: 10_000, AccountKbit: 100_000,
		Secret: "s", Calls: b.calls, Handshakes: handshakes{},
		times: times{ask: 100 * time.Millisecond, lonely: 2 * time.Second, write: 100 * time.Millisecond}}
	if change != nil {
		change(&cfg)
	}
	var err error
	for range 10 { // the port that is free for UDP may be taken for TCP
		if b.Relay, err = Open(cfg, slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// dial opens a connection to the relay, over udp, tcp or tls, and gives it as the library's client wants it.
func (b *bench) dial(way string) (conn net.PacketConn, server string) {
	b.Helper()
	if way == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		return c, b.udp.String()
	}
	server = b.tcp.String()
	if way == "tls" {
		server = b.tls.String()
	}
	c, err := net.Dial("tcp", server)
	if err != nil {
		b.Fatal(err)
	}
	if way == "tls" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return turn.NewSTUNConn(c), server
}

func (b *bench) as(username, password, way string) *turn.Client {
	b.Helper()
	conn, server := b.dial(way)
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	c, err := turn.NewClient(&turn.ClientConfig{STUNServerAddr: server, TURNServerAddr: server, Conn: conn,
		Username: username, Password: password, Realm: realm,
		RTO: 50 * time.Millisecond, LoggerFactory: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); conn.Close() })
	if err := c.Listen(); err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bench) client(cuid, call, way string) *turn.Client {
	b.Helper()
	user, password := Credentials("s", Party{"demo", cuid, call})
	return b.as(user, password, way)
}

// relayed is the relayed address of a party.
func (b *bench) relayed(cuid, call, way string) (*turn.Client, net.PacketConn) {
	b.Helper()
	c := b.client(cuid, call, way)
	a, err := c.Allocate()
	if err != nil {
		b.Fatalf("%s over %s: %v", cuid, way, err)
	}
	b.Cleanup(func() { a.Close() })
	return c, a
}

// hears reports whether something arrives, and nothing else before it but empty packets. What may not pass is followed
// by something that may, so that nothing has to be waited for.
func hears(t *testing.T, to net.PacketConn, want string) {
	t.Helper()
	buf := make([]byte, 64)
	_ = to.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, _, err := to.ReadFrom(buf)
	for err == nil && n == 0 { // it opened the way
		n, _, err = to.ReadFrom(buf)
	}
	if err != nil || string(buf[:n]) != want {
		t.Errorf("%q %v, want %q", buf[:n], err, want)
	}
}

func certificate(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// code is the error code of a TURN error.
func code(err error) stun.ErrorCode {
	var e *stun.TurnError
	if errors.As(err, &e) {
		return e.ErrorCodeAttr.Code
	}
	return 0
}

func TestTwoPartiesOfACallReachEachOther(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ListenTLS, c.TLS = "127.0.0.1:0", certificate(t) })
	for _, ways := range [][2]string{{"udp", "tcp"}, {"tls", "udp"}, {"tcp", "tls"}} {
		_, x := b.relayed("front_door", "c1", ways[0])
		_, y := b.relayed("reception", "c1", ways[1])
		for _, say := range []struct {
			from, to net.PacketConn
			what     string
		}{{y, x, ""}, {x, y, "hello"}, {y, x, "good day"}} { // the first one opens the way back
			if _, err := say.from.WriteTo([]byte(say.what), say.to.LocalAddr()); err != nil {
				t.Fatal(ways, err)
			}
			if say.what != "" {
				hears(t, say.to, say.what)
			}
		}
	}
	if n := b.Allocations(); n != 6 {
		t.Errorf("%d relayed addresses", n)
	}
}

func TestWhoHasNoRightIsRefused(t *testing.T) {
	b := newBench(t, nil)
	b.calls.set(func() { b.calls.over["over"] = true })
	good, password := Credentials("s", Party{"demo", "front_door", "c1"})
	over, overPassword := Credentials("s", Party{"demo", "front_door", "over"})
	shared, sharedPassword := Shared("s", Party{"demo", "front_door", "c1"}, time.Now())
	forged, forgedPassword := Credentials("another secret", Party{"demo", "front_door", "c1"})
	for name, c := range map[string]struct {
		user, password string
		want           stun.ErrorCode
	}{
		"a wrong password":       {good, password + "x", 401},
		"another's password":     {strings.Replace(good, "demo", "dem0", 1), password, 401},
		"another call's":         {strings.Replace(good, "c1", "c2", 1), password, 401},
		"one of another secret":  {forged, forgedPassword, 401},
		"a server's elsewhere":   {shared, sharedPassword, 401},
		"nonsense":               {"x", "y", 401},
		"one whose call is over": {over, overPassword, 403},
	} {
		if a, err := b.as(c.user, c.password, "udp").Allocate(); err == nil {
			a.Close()
			t.Errorf("%s is let in", name)
		} else if code(err) != c.want {
			t.Errorf("%s: %v, want %d", name, err, c.want)
		}
	}
}

func TestOnlyUDPIsRelayed(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ListenTLS, c.TLS = "127.0.0.1:0", certificate(t) })
	for _, way := range []string{"udp", "tcp", "tls"} {
		if _, err := b.client("front_door", "c1", way).AllocateTCP(); code(err) != 442 {
			t.Errorf("a TCP allocation over %s: %v", way, err)
		}
		// By hand: also on an allocation of the usual kind, and with the other methods of RFC 6062.
		r := b.raw(way, Party{"demo", "front_door", "c2"})
		for _, transport := range []byte{6, 0, 1, 132, 255} {
			if got := r.ask(stun.MethodAllocate, attr(stun.AttrRequestedTransport, transport, 0, 0, 0)); got != 442 {
				t.Errorf("transport %d over %s: %d", transport, way, got)
			}
		}
		if got := r.ask(stun.MethodAllocate, attr(stun.AttrRequestedTransport, 17, 0, 0, 0)); got != 0 {
			t.Fatalf("%s: %d", way, got)
		}
		peer := xorPeer("127.0.0.1:22")
		for _, m := range []stun.Method{stun.MethodConnect, stun.MethodConnectionBind} {
			if got := r.ask(m, peer, attr(stun.AttrConnectionID, 0, 0, 0, 1)); got != 403 {
				t.Errorf("%v over %s: %d", m, way, got)
			}
		}
	}
	// The second door: what the library would make for it.
	if _, _, err := (generator{b.Relay}).AllocateListener(turn.AllocateListenerConfig{}); err == nil {
		t.Error("a listener is made")
	}
	if _, err := (generator{b.Relay}).AllocateConn(turn.AllocateConnConfig{}); err == nil {
		t.Error("a connection is made")
	}
}

func TestPortsCannotBeReserved(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("udp", Party{"demo", "front_door", "c1"})
	udp := attr(stun.AttrRequestedTransport, 17, 0, 0, 0)
	if got := r.ask(stun.MethodAllocate, udp, attr(stun.AttrEvenPort, 0x80)); got != 508 {
		t.Errorf("EVEN-PORT: %d", got)
	}
	if got := r.ask(stun.MethodAllocate, udp, attr(stun.AttrReservationToken, 1, 2, 3, 4, 5, 6, 7, 8)); got != 508 {
		t.Errorf("RESERVATION-TOKEN: %d", got)
	}
	if got := r.ask(stun.MethodAllocate, udp, attr(stun.AttrRequestedAddressFamily, 2, 0, 0, 0)); got != 440 {
		t.Errorf("IPv6: %d", got)
	}
	if n := b.Allocations(); n != 0 {
		t.Errorf("%d relayed addresses", n)
	}
}

// spellings are addresses and what they are to a relay whose allow_private is off, and on.
func TestWhereTheRelayReaches(t *testing.T) {
	for ip, want := range map[string][2]kind{
		"11.9.0.1": {itself, itself}, "::ffff:11.9.0.1": {itself, itself}, // its public address
		// the same, behind translators
		"64:ff9b::b09:1": {never, never}, "2002:b09:1::1": {never, never}, "::b09:1": {never, never},
		"8.8.8.8": {open, open}, "2606:4700::1111": {open, open}, "::ffff:8.8.8.8": {open, open},
		"64:ff9b::808:808": {open, open},
		"10.0.0.1":         {never, open}, "192.168.1.1": {never, open}, "172.31.255.1": {never, open},
		"fd00::1": {never, open}, "100.64.0.1": {never, open}, "::ffff:10.0.0.1": {never, open},
		"127.0.0.1": {never, never}, "127.9.9.9": {never, never}, "::1": {never, never},
		"::ffff:127.0.0.1": {never, never}, "::127.0.0.1": {never, never},
		"64:ff9b::7f00:1": {never, never}, "2002:7f00:1::": {never, never}, "64:ff9b:1::7f00:1": {never, never},
		"64:ff9b::a00:1":  {never, never},
		"169.254.169.254": {never, never}, "::ffff:169.254.169.254": {never, never},
		"64:ff9b::a9fe:a9fe": {never, never}, "fd00:ec2::254": {never, never},
		"fd20:ce::254": {never, never}, "100.100.100.200": {never, never}, "168.63.129.16": {never, never},
		"192.0.0.192": {never, never}, "64:ff9b::6464:64c8": {never, never},
		"fe80::1": {never, never}, "fe80::1%eth0": {never, never}, "fec0::1": {never, never}, "0.0.0.0": {never, never},
		"0.0.0.1": {never, never}, "::": {never, never},
		"::ffff:0.0.0.0": {never, never}, "64:ff9b::": {never, never}, "224.0.0.1": {never, never},
		"ff02::1": {never, never}, "64:ff9b::e000:1": {never, never},
		"255.255.255.255": {never, never}, "240.0.0.1": {never, never},
		"2001:0:53aa:64c:0:5efe:808:808": {never, never}, "2001:db8::1": {never, never},
		"198.18.0.1": {never, never}, "192.88.99.1": {never, never}, "4000::1": {never, never},
		// of its interfaces
		"10.7.0.9": {itself, itself}, "10.7.0.255": {never, never}, "10.7.0.0": {never, never},
		"10.7.0.8": {never, open}, "2a00::9": {itself, itself},
	} {
		for i := range want {
			r := reach{public: netip.MustParseAddr("11.9.0.1"), private: i == 1}
			r.refresh()
			m := r.machine.Load()
			m.own[netip.MustParseAddr("10.7.0.9")], m.own[netip.MustParseAddr("2a00::9")] = true, true
			m.broadcast[netip.MustParseAddr("10.7.0.255")], m.broadcast[netip.MustParseAddr("10.7.0.0")] = true, true
			if got := r.of(netip.MustParseAddr(ip)); got != want[i] {
				t.Errorf("%s with allow_private %v: %v, want %v", ip, i == 1, got, want[i])
			}
		}
	}
}

func TestTheMachinesOwnAddressesAreKnown(t *testing.T) {
	r := reach{public: netip.MustParseAddr("11.9.0.1"), private: true}
	r.refresh()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		ip, _ := netip.AddrFromSlice(a.(*net.IPNet).IP)
		if got := r.of(ip); got == open {
			t.Errorf("%v is open", ip)
		}
	}
}

// Permissions name addresses only. The address of this machine is also that of its ssh, so each packet's port counts.
func TestOfThisMachineOnlyThePortsOfTheSameCallAreReached(t *testing.T) {
	b := newBench(t, nil)
	other := packetConn(t)
	cx, x := b.relayed("front_door", "c1", "udp")
	cy, y := b.relayed("reception", "c1", "udp")
	cz, z := b.relayed("kiosk_1", "c2", "udp")
	for _, c := range []*turn.Client{cx, cy, cz} {
		if err := c.CreatePermission(&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}); err != nil {
			t.Fatal(err)
		}
	}
	// a service, the relay itself, another call
	for _, to := range []net.Addr{other.LocalAddr(), b.udp, z.LocalAddr()} {
		if _, err := x.WriteTo([]byte("not for you"), to); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []net.PacketConn{x, z} { // and into it
		if _, err := other.WriteTo([]byte("not for you"), to.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.WriteTo([]byte("hello"), y.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	hears(t, y, "hello")
	if _, err := y.WriteTo([]byte("good day"), x.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	hears(t, x, "good day")
	if _, err := packetConn(t).WriteTo([]byte("last"), other.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	hears(t, other, "last")
	_ = z.SetReadDeadline(time.Now())
	if n, from, err := z.ReadFrom(make([]byte, 64)); err == nil {
		t.Errorf("another call hears %d bytes of %v", n, from)
	}
	// A channel names a port, so it is refused at once; so is one that another call has, or had.
	r := b.raw("udp", Party{"demo", "front_door", "c1"})
	if got := r.ask(stun.MethodAllocate, attr(stun.AttrRequestedTransport, 17, 0, 0, 0)); got != 0 {
		t.Fatal(got)
	}
	for peer, want := range map[string]stun.ErrorCode{"127.0.0.1:22": 403, other.LocalAddr().String(): 403,
		b.udp.String(): 403, z.LocalAddr().String(): 403,
		"127.0.0.2:22": 403, "169.254.169.254:80": 403, "0.0.0.0:22": 403, y.LocalAddr().String(): 0} {
		if got := r.ask(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 1, 0, 0),
			xorPeer(peer)); got != want {
			t.Errorf("a channel to %s: %d, want %d", peer, got, want)
		}
	}
	for peer, want := range map[string]stun.ErrorCode{"127.0.0.2:22": 403, "169.254.169.254:80": 403, "0.0.0.0:22": 403,
		"10.0.0.1:5": 0} {
		if got := r.ask(stun.MethodCreatePermission, xorPeer("8.8.8.8:1"), xorPeer(peer)); got != want {
			t.Errorf("a permission for %s: %d, want %d", peer, got, want)
		}
	}
}

func packetConn(t *testing.T) net.PacketConn {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// What a client may ask of a relayed address: of its own only. The library would not answer at all.
func TestARelayedAddressIsItsPartys(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("udp", Party{"demo", "front_door", "c1"})
	for _, m := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
		if got := r.ask(m, xorPeer("8.8.8.8:1")); got != 437 {
			t.Errorf("%v without a relayed address: %d", m, got)
		}
	}
	if got := r.ask(stun.MethodAllocate, attr(stun.AttrRequestedTransport, 17, 0, 0, 0)); got != 0 {
		t.Fatal(got)
	}
	for range 3 { // a long call
		if got := r.ask(stun.MethodRefresh); got != 0 {
			t.Errorf("a refresh: %d", got)
		}
	}
	for _, p := range []Party{{"demo", "reception", "c1"}, {"demo", "front_door", "c2"},
		{"other", "front_door", "c1"}} {
		r.party = p
		_, r.password = Credentials("s", p)
		for _, m := range []stun.Method{stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind} {
			if got := r.ask(m, xorPeer("8.8.8.8:1"), attr(stun.AttrLifetime, 0, 0, 0, 0)); got != 441 {
				t.Errorf("%v by %v: %d", m, p, got)
			}
		}
	}
	if n := b.Allocations(); n != 1 {
		t.Errorf("%d relayed addresses", n)
	}
}

// Whatever comes, the relay goes on: over UDP, where it is screened, and in what the library gets of it.
func FuzzMessages(f *testing.F) {
	p := Party{"demo", "front_door", "c1"}
	user, password := Credentials("s", p)
	integrity := stun.NewLongTermIntegrity(user, realm, password)
	for _, m := range []stun.Method{stun.MethodBinding, stun.MethodAllocate, stun.MethodRefresh, stun.MethodSend,
		stun.MethodCreatePermission, stun.MethodChannelBind, stun.MethodConnect} {
		f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(m, stun.ClassRequest)).Raw)
		f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(m, stun.ClassRequest), stun.NewUsername(user),
			stun.NewRealm(realm), xorPeer("8.8.8.8:1"), integrity).Raw)
		f.Add(stun.MustBuild(stun.TransactionID, stun.NewType(m, stun.ClassIndication), xorPeer("8.8.8.8:1")).Raw)
	}
	f.Add([]byte{0x40, 0, 0, 4, 1, 2, 3, 4})
	f.Add([]byte{0x40, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &calls{over: map[string]bool{}, elsewhere: map[string]bool{}}
		r := &Relay{cfg: Config{Secret: "s", Calls: c, MostOf: 1}, sockets: map[uint16]*socket{},
			tuples: map[tuple]*socket{}, count: map[string]int{}}
		r.reach.public, r.lines.log = netip.MustParseAddr("11.9.0.1"), slog.New(slog.DiscardHandler)
		r.reach.refresh()
		from := tuple{"udp", netip.MustParseAddrPort("192.0.2.1:5"), netip.MustParseAddrPort("11.9.0.1:3478")}
		for range 2 {
			if pass, answer := r.screen(from, b); pass && answer != nil {
				t.Error("both passed and answered")
			}
			r.tuples[from] = &socket{relay: r, party: p, peers: map[netip.Addr]bool{},
				channels: map[netip.AddrPort]bool{}}
		}
	})
}

func TestNoWayIntoPrivateNetworks(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AllowPrivate = false })
	c, _ := b.relayed("front_door", "c1", "udp")
	if err := c.CreatePermission(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 9}); code(err) != 403 {
		t.Error(err)
	}
}

func TestWhatIsRelayedEndsWithTheCall(t *testing.T) {
	b := newBench(t, nil)
	for _, way := range []string{"udp", "tcp"} {
		b.relayed("front_door", "c1", way)
		b.relayed("reception", "c1", way)
	}
	c, a := b.relayed("kiosk_1", "c2", "udp")
	b.calls.set(func() { b.calls.over["c1"] = true })
	b.eventually("the relayed addresses are closed", func() bool {
		return b.Allocations() == 1 && b.server.AllocationCount() == 1
	})
	if _, err := b.client("front_door", "c1", "udp").Allocate(); code(err) != 403 {
		t.Errorf("a new one: %v", err)
	}
	if err := c.CreatePermission(a.LocalAddr()); err != nil {
		t.Errorf("another call: %v", err)
	}
}

// A call that moved to another hub goes on over the relay of the old one, and may make new ways there; it ends with the
// call all the same. A hub that is cut off ends none.
func TestACallThatMovedKeepsItsRelay(t *testing.T) {
	b := newBench(t, nil)
	b.relayed("front_door", "c1", "udp")
	b.calls.set(func() { b.calls.elsewhere["c1"], b.calls.elsewhere["c2"], b.calls.cutOff = true, true, true })
	if _, err := b.client("front_door", "c2", "udp").Allocate(); code(err) != 403 {
		t.Errorf("a call of which this relay has nothing: %v", err)
	}
	s := b.all()[0]
	b.eventually("the call is missed", func() bool { return s.unknown.Load() != 0 })
	missed := s.unknown.Load()
	b.calls.set(func() { b.calls.cutOff = false })
	b.eventually("another hub says that it lives", func() bool { return s.unknown.Load() > missed })
	b.relayed("reception", "c1", "udp")
	b.calls.set(func() { b.calls.elsewhere["c1"] = false })
	b.eventually("it is closed when another hub says that it is over", func() bool { return b.Allocations() == 0 })
}

func (b *bench) eventually(what string, so func() bool) {
	b.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("not so: " + what)
		}
	}
}

func TestLimitsOfAccountsCallsAndParties(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MostOf = 3 })
	for range 3 {
		b.relayed("front_door", "c1", "udp")
	}
	if _, err := b.client("reception", "c2", "udp").Allocate(); code(err) != 486 {
		t.Errorf("a fourth of an account that may have three: %v", err)
	}
	user, password := Credentials("s", Party{"other", "kiosk_1", "c2"})
	a, err := b.as(user, password, "udp").Allocate()
	if err != nil {
		t.Fatalf("another account: %v", err)
	}
	a.Close()
	b = newBench(t, func(c *Config) { c.MostOf = 1000 })
	for range mostOfParty {
		b.relayed("front_door", "c1", "udp")
	}
	if _, err := b.client("front_door", "c1", "udp").Allocate(); code(err) != 486 {
		t.Errorf("one more of a party: %v", err)
	}
	b.relayed("reception", "c1", "udp")
	b.mu.Lock()
	defer b.mu.Unlock()
	if got := b.full(Party{"demo", "reception", "c1"}); got != "" {
		t.Error(got)
	}
	b.count["demo:c1"] = mostOfCall
	if got := b.full(Party{"demo", "kiosk_1", "c1"}); !strings.Contains(got, "the call") {
		t.Errorf("one more of a call: %q", got)
	}
}

func TestLimitsOfPermissionsAndChannels(t *testing.T) {
	b := newBench(t, nil)
	r := b.raw("udp", Party{"demo", "front_door", "c1"})
	r.ask(stun.MethodAllocate, attr(stun.AttrRequestedTransport, 17, 0, 0, 0))
	peer := func(i int) stun.Setter {
		return xorPeer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, byte(i >> 8), byte(i)}), 9).String())
	}
	for i := range mostPeers {
		if got := r.ask(stun.MethodCreatePermission, peer(i)); got != 0 {
			t.Fatal(i, got)
		}
	}
	if got := r.ask(stun.MethodCreatePermission, peer(mostPeers)); got != 508 {
		t.Errorf("one permission more: %d", got)
	}
	if got := r.ask(stun.MethodCreatePermission, peer(0)); got != 0 {
		t.Errorf("one of them again: %d", got)
	}
	channel := func(i int) stun.ErrorCode {
		return r.ask(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, byte(i), 0, 0),
			xorPeer(netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, 0, 0}), uint16(1000+i)).String()))
	}
	for i := range mostChannels {
		if got := channel(i); got != 0 {
			t.Fatal(i, got)
		}
	}
	if got := channel(mostChannels); got != 508 {
		t.Errorf("one channel more: %d", got)
	}
	if got := channel(0); got != 0 {
		t.Errorf("one of them again: %d", got)
	}
}

// 80 kbit/s are 10,000 bytes a second; the first second has as much again, but at least 16,384.
func TestBandwidth(t *testing.T) {
	for name, change := range map[string]func(*Config){"of an address": func(c *Config) { c.AddressKbit = 80 },
		"of an account": func(c *Config) { c.AccountKbit = 80 }} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, change)
			b.relayed("front_door", "c1", "udp")
			b.relayed("reception", "c1", "udp")
			all, began, passed := b.all(), time.Now(), 0
			for range 1000 {
				if all[0].within(all[0].out, all[0].account.out, 1000) {
					passed++
				}
			}
			if most := 16 + int(10*time.Since(began).Seconds()) + 1; passed > most || passed < 16 {
				t.Errorf("%d packets of 1,000 bytes passed, want 16 to %d", passed, most)
			}
			if name == "of an account" && all[1].within(all[1].out, all[1].account.out, 1000) {
				t.Error("the other address of the account has more")
			}
			if !all[1].within(all[1].in, all[1].account.in, 1000) {
				t.Error("the other direction has its own")
			}
		})
	}
}

// What strangers send to a relayed address does not use up what its party may receive.
func TestStrangersDoNotUseUpTheBandwidth(t *testing.T) {
	b := newBench(t, nil)
	p := Party{"demo", "front_door", "c1"}
	s, err := b.bind(p, "udp4")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stranger := packetConn(t)
	b.sockets[uint16(stranger.LocalAddr().(*net.UDPAddr).Port)] = &socket{party: p} // whom the address may reach
	before := s.in.Tokens()
	flood := func() error {
		for range 20 {
			if _, err := stranger.WriteTo(make([]byte, 1000),
				&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(s.port)}); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _, err := s.ReadFrom(make([]byte, 1500))
		return err
	}
	if err := flood(); !errors.Is(err, os.ErrDeadlineExceeded) || s.in.Tokens() < before {
		t.Errorf("%v; %v of %v are left", err, s.in.Tokens(), before)
	}
	s.peers[netip.MustParseAddr("127.0.0.1")] = true // with its permission
	if err := flood(); err != nil || s.in.Tokens() >= before {
		t.Errorf("%v; %v of %v are left", err, s.in.Tokens(), before)
	}
}

func TestSTUNTellsWhereOneIs(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ListenTLS, c.TLS = "127.0.0.1:0", certificate(t) })
	for _, way := range []string{"udp", "tcp", "tls"} {
		if at, err := b.as("", "", way).SendBindingRequest(); err != nil ||
			!strings.HasPrefix(at.String(), "127.0.0.1:") {
			t.Errorf("%s: %v %v", way, at, err)
		}
	}
}

func TestRequestsOfOneAddressAreLimited(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, byte(i >> 16), byte(i >> 8), byte(i)}) }
	home := func(i int) netip.Addr { // one of a home's IPv6 addresses
		return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)})
	}
	var v visitors
	for range 2 {
		for i := range 2 * mostRequests {
			if got := v.welcome(address(0), now); got != (i < mostRequests) {
				t.Fatalf("request %d of one address: %v", i, got)
			}
			if got := v.welcome(home(i), now); got != (i < mostRequests) {
				t.Fatalf("request %d of one IPv6 network: %v", i, got)
			}
		}
		now = now.Add(time.Second)
	}
	for i := range 2 * mostVisitors { // forged ones
		if got := v.welcome(address(i), now); got != (i < mostVisitors) {
			t.Fatalf("address %d: %v", i, got)
		}
	}
	if !v.welcome(address(0), now) || len(v.seen) != mostVisitors {
		t.Error("one that was there before has to stay")
	}
}
