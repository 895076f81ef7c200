package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// raw is a client by hand, which says what no library would.
type raw struct {
	*testing.T
	net.Conn
	way      string
	party    Party
	password string
	nonce    stun.Nonce
}

func (b *bench) raw(way string, p Party) *raw {
	b.Helper()
	network, server := "tcp", b.tcp
	switch way {
	case "udp":
		network, server = "udp", b.udp
	case "tls":
		server = b.Relay.tls
	}
	c, err := net.Dial(network, server.String())
	if err != nil {
		b.Fatal(err)
	}
	if way == "tls" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	b.Cleanup(func() { c.Close() })
	r := &raw{T: b.T, Conn: c, way: way, party: p}
	_, r.password = Credentials("s", p)
	m := r.exchange(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)))
	if err := r.nonce.GetFrom(m); err != nil {
		b.Fatal(err)
	}
	return r
}

// ask sends a request with the party's credentials, and gives the code of the answer; 0 for success.
func (r *raw) ask(method stun.Method, attrs ...stun.Setter) stun.ErrorCode {
	r.Helper()
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attrs...)
	all = append(all, stun.NewUsername(r.party.String()), stun.NewRealm(realm), r.nonce,
		stun.NewLongTermIntegrity(r.party.String(), realm, r.password))
	m := r.exchange(stun.MustBuild(all...))
	var code stun.ErrorCodeAttribute
	if m.Type.Class == stun.ClassErrorResponse && code.GetFrom(m) != nil {
		r.Fatal("an error without a code")
	}
	if (code.Code == 0 || code.Code == 403) && !m.Contains(stun.AttrMessageIntegrity) {
		r.Errorf("%v is answered without integrity", method)
	}
	return code.Code
}

func (r *raw) exchange(m *stun.Message) *stun.Message {
	r.Helper()
	if _, err := r.Write(m.Raw); err != nil {
		r.Fatal(err)
	}
	_ = r.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := &stun.Message{Raw: make([]byte, 1500)}
	n, err := r.Read(answer.Raw)
	if err != nil {
		r.Fatalf("%v over %s: %v", m.Type, r.way, err)
	}
	answer.Raw = answer.Raw[:n]
	if err := answer.Decode(); err != nil || answer.TransactionID != m.TransactionID {
		r.Fatal(err, answer)
	}
	return answer
}

func attr(t stun.AttrType, value ...byte) stun.Setter {
	return stun.RawAttribute{Type: t, Value: value}
}

type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	return stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

func xorPeer(s string) stun.Setter { return peerAddress(netip.MustParseAddrPort(s)) }

// A relay whose public address is of IPv6, and one of IPv4 that is reached over IPv6.
func TestIPv6(t *testing.T) {
	// asked for none, IPv4, IPv6
	for public, want := range map[string][3]stun.ErrorCode{"::1": {0, 440, 0}, "127.0.0.1": {0, 0, 440}} {
		b := newBench(t, func(c *Config) { c.Listen, c.Public = "[::1]:0", public })
		for i, family := range []byte{0, 1, 2} {
			attrs := []stun.Setter{attr(stun.AttrRequestedTransport, 17, 0, 0, 0)}
			if family != 0 {
				attrs = append(attrs, attr(stun.AttrRequestedAddressFamily, family, 0, 0, 0))
			}
			r := b.raw("udp", Party{"demo", "front_door", "c1"})
			if got := r.ask(stun.MethodAllocate, attrs...); got != want[i] {
				t.Errorf("public %s, family %d: %d, want %d", public, family, got, want[i])
			}
			if i == 0 && public == "::1" {
				for peer, want := range map[string]stun.ErrorCode{"[::1]:22": 403, "[2606:4700::1111]:53": 0,
					"[fe80::1]:5": 403, "[fd00:ec2::254]:80": 403, "[64:ff9b::7f00:1]:22": 403,
					"[2002:7f00:1::]:22": 403, "[::127.0.0.1]:22": 403, "8.8.8.8:53": 443} {
					if got := r.ask(stun.MethodChannelBind, attr(stun.AttrChannelNumber, 0x40, 1, 0, 0),
						xorPeer(peer)); got != want {
						t.Errorf("a channel to %s: %d, want %d", peer, got, want)
					}
				}
			}
		}
	}
}

// Connections that say nothing, or half a message, or drop by drop, or what is no message, do not stay. One with a
// relayed address does.
func TestConnectionsThatWantNothing(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.ListenTLS, c.TLS = "127.0.0.1:0", certificate(t)
	})
	c, a := b.relayed("front_door", "c1", "tcp")
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	var all sync.WaitGroup
	for name, say := range map[string]func(net.Conn){
		"nothing":       func(net.Conn) {},
		"half a header": func(c net.Conn) { _, _ = c.Write(request[:7]) },
		"half a message": func(c net.Conn) {
			_, _ = c.Write([]byte{0, 1, 0, 200})
			_, _ = c.Write(request[4:])
		},
		"a request, and then nothing": func(c net.Conn) { _, _ = c.Write(request) },
		"a byte at a time, for ever":  drip(append([]byte{0x40, 0, 5, 0}, make([]byte, 1280)...)),
		"one request after another":   repeat(request),
		"channel data":                repeat([]byte{0x40, 0, 0, 4, 1, 2, 3, 4}),
		"a message of 65,535 bytes": func(c net.Conn) {
			_, _ = c.Write([]byte{0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42})
			_, _ = c.Write(make([]byte, 70000))
		},
		"a size that overflows 16 bits": func(c net.Conn) {
			_, _ = c.Write(append([]byte{0, 1, 0xff, 0xec, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...))
		},
		"channel data that overflows it": func(c net.Conn) {
			_, _ = c.Write(append([]byte{0x40, 0, 0xff, 0xfd}, make([]byte, 12)...))
		},
		"HTTP": func(c net.Conn) { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n") },
	} {
		for _, server := range []net.Addr{b.tcp, b.Relay.tls} {
			all.Go(func() {
				c, err := net.Dial("tcp", server.String())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if server == b.Relay.tls && name != "nothing" && name != "HTTP" {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				}
				all.Go(func() { say(c) })
				_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
				if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s over %v: it stays", name, server)
				}
			})
		}
	}
	all.Wait()
	if err := c.CreatePermission(a.LocalAddr()); err != nil {
		t.Errorf("the one with a relayed address: %v", err)
	}
}

func drip(b []byte) func(net.Conn) {
	return func(c net.Conn) {
		for _, x := range b {
			if _, err := c.Write([]byte{x}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond) // that is the attack
		}
	}
}

func repeat(b []byte) func(net.Conn) {
	return func(c net.Conn) {
		for {
			if _, err := c.Write(b); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond) // that is the attack
		}
	}
}

// Who does not read what is relayed to it keeps nobody waiting.
func TestWhoDoesNotReadIsLetGo(t *testing.T) {
	b := newBench(t, nil)
	server, client := net.Pipe() // without a reader, nothing can be written
	defer client.Close()
	s := &stream{Conn: server, raw: server, relay: b.Relay}
	if err := server.SetWriteDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("it was written")
	}
	if _, err := client.Write(nil); err == nil {
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("the connection is still there")
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	b := newBench(t, nil)
	come := func(a netip.Addr) (net.Conn, bool) {
		ours, theirs := net.Pipe()
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		b.visitors.second = 0 // however fast they come
		b.mu.Lock()
		port := uint16(1 + len(b.streams))
		b.mu.Unlock()
		return theirs, b.admit(&stream{Conn: ours, raw: ours, relay: b.Relay,
			tuple: tuple{"tcp", netip.AddrPortFrom(a, port), netip.AddrPort{}}, lonely: time.Now()})
	}
	for i := range mostOfOne + 1 {
		if _, ok := come(netip.AddrFrom16([16]byte{0x20, 0x01, 15: byte(i)})); ok != (i < mostOfOne) {
			t.Fatalf("connection %d of one home: %v", i, ok)
		}
	}
	for i := range 2 * mostStreams {
		if _, ok := come(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)})); !ok {
			t.Fatalf("somebody else, %d", i)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.streams) != mostStreams {
		t.Errorf("%d connections, want %d", len(b.streams), mostStreams)
	}
}
