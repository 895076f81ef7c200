package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"intercom/internal/stage"
	"intercom/wire"
)

// Attacks on the relay (STUN and TURN) inside the hub, by somebody who has an account.
var relayAttacks = []attack{
	{"relay/credentials", "wants credentials without a call that rings, uses those of a call that is over, and keeps " +
		"what it had relayed", relayWithoutACall},
	{"relay/tcp", "wants TCP to be relayed (RFC 6062), over UDP and TCP, to a service of the hub's machine", relayTCP},
	{"relay/own-machine",
		"sends through the relay to services of the hub's machine, at all its addresses, and has them send back",
		relayToItself},
	{"relay/limits", "takes more relayed addresses, permissions and bandwidth than one call needs", relayTooMuch},
	{"relay/silent-connections",
		"opens connections that say nothing, half a message, a byte at a time, or a length that overflows",
		relaySilence},
	{"relay/flood", "sends binding requests and allocations without credentials as fast as it can, while others call",
		relayFlood},
}

const ourCall = "00000000000000000000000000000e1a"

// startRelay starts a hub whose relay is on loopback, with allow_private.
func (t *trial) startRelay() (address string) {
	free, err := stage.Ports(1)
	t.must(err)
	address = fmt.Sprint("127.0.0.1:", free[0])
	t.startHub(fmt.Sprintf("[turn]\nlisten = %q\npublic = \"127.0.0.1\"\nallow_private = true\n", address))
	return address
}

// turnServer is the TURN server of some ICE servers; "" for none.
func turnServer(all []wire.ICEServer) (s wire.ICEServer) {
	for _, one := range all {
		for _, u := range one.URLs {
			if strings.HasPrefix(u, "turn") {
				s = one
			}
		}
	}
	return s
}

// ringing makes a call that rings, and gives both parties' credentials.
func (t *trial) ringing(caller, callee *client, call string) (a, b wire.ICEServer) {
	_, err := caller.ask(wire.New(wire.Invite, call,
		wire.InviteBody{To: wire.Receivers{"reception"}, Context: "Hello"}))
	t.must(err)
	e, err := callee.await(most, wire.Incoming)
	t.must(err)
	in, ferr := wire.Body[wire.IncomingBody](e)
	if ferr != nil {
		t.must(ferr)
	}
	t.must(callee.say(wire.New(wire.Ringing, call, wire.SDPBody{SDP: "v=0\r\n"})))
	e, err = caller.await(most, wire.Servers)
	t.must(err)
	own, ferr := wire.Body[wire.ServersBody](e)
	if ferr != nil {
		t.must(ferr)
	}
	if a, b = turnServer(own.ICEServers), turnServer(in.ICEServers); a.Username == "" || b.Username == "" {
		t.must(errors.New("the parties of a call that rings were told no relay"))
	}
	return a, b
}

// turnClient is a TURN client over udp or tcp.
func (t *trial) turnClient(address string, s wire.ICEServer, network string) *turn.Client {
	var conn net.PacketConn
	var err error
	if network == "udp" {
		conn, err = net.ListenPacket("udp4", "127.0.0.1:0")
		t.must(err)
	} else {
		c, err := net.Dial("tcp", address)
		t.must(err)
		conn = turn.NewSTUNConn(c)
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	c, err := turn.NewClient(&turn.ClientConfig{STUNServerAddr: address, TURNServerAddr: address, Conn: conn,
		Username: s.Username, Password: s.Credential, LoggerFactory: quiet})
	t.must(err)
	t.cleanup(func() { c.Close(); conn.Close() })
	t.must(c.Listen())
	return c
}

func relayWithoutACall(t *trial) {
	address := t.startRelay()
	caller, err := t.dial()
	t.must(err)
	w, err := caller.hello(t.identity("front_door"))
	t.must(err)
	if s := turnServer(w.ICEServers); s.Username != "" {
		t.through("welcome has credentials: %+v", s)
	}
	callee := t.signIn("reception")
	// A call to nobody.
	reply, err := caller.ask(wire.New(wire.Invite, ourCall[:31]+"0",
		wire.InviteBody{To: wire.Receivers{"no_such_station"}, Context: "Hello"}))
	t.must(err)
	for e := reply; e.T != wire.Ended; {
		if strings.Contains(string(e.B), "turn:") {
			t.through("a call to nobody brings credentials: %s", e.B)
		}
		e, err = caller.await(most)
		t.must(err)
	}
	_, err = caller.ask(wire.New(wire.Servers, ourCall[:31]+"0", nil))
	if err == nil {
		for e, err := caller.await(time.Second, wire.Servers); err == nil; e, err = caller.await(time.Second,
			wire.Servers) {
			t.through("asking for them after a call to nobody brings credentials: %s", e.B)
		}
	}
	// Made up.
	s := wire.ICEServer{Username: "demo:front_door:" + ourCall, Credential: "c2VjcmV0"}
	if a, err := t.turnClient(address, s, "udp").Allocate(); err == nil {
		a.Close()
		t.through("made-up credentials are taken")
	}
	// A call that is over.
	ours, theirs := t.ringing(caller, callee, ourCall)
	before := []*turn.Client{t.turnClient(address, ours, "udp"), t.turnClient(address, theirs, "tcp")}
	for _, c := range before {
		_, err := c.Allocate()
		t.must(err)
	}
	_, err = caller.ask(wire.New(wire.Cancel, ourCall, wire.CancelBody{Reason: "cancelled"}))
	t.must(err)
	for _, s := range []wire.ICEServer{ours, theirs} {
		if a, err := t.turnClient(address, s, "udp").Allocate(); err == nil {
			a.Close()
			t.through("the credentials of a call that is over are taken")
		}
	}
	time.Sleep(3 * time.Second) // the relay looks once a second
	for _, c := range before {
		if err := c.CreatePermission(&net.UDPAddr{IP: net.IPv4(8, 8, 8, 8), Port: 53}); err == nil {
			t.through("3 s after the end of the call, what it relayed is still there")
		}
	}
}

func relayTCP(t *trial) {
	address := t.startRelay()
	ours, _ := t.ringing(t.signIn("front_door"), t.signIn("reception"), ourCall)
	service, err := net.Listen("tcp", "127.0.0.1:0")
	t.must(err)
	defer service.Close()
	go func() {
		for {
			c, err := service.Accept()
			if err != nil {
				return
			}
			c.Close()
			t.through("a service of the hub's machine has a connection from %v", c.RemoteAddr())
		}
	}()
	for _, network := range []string{"udp", "tcp"} {
		if a, err := t.turnClient(address, ours, network).AllocateTCP(); err == nil {
			t.through("a TCP allocation over %s at %v", network, a.Addr())
		}
		r := t.byHand(network, address, ours)
		for _, transport := range []byte{6, 0, 33, 132} {
			if code, err := r.ask(stun.MethodAllocate, stun.RawAttribute{Type: stun.AttrRequestedTransport,
				Value: []byte{transport, 0, 0, 0}}); err == nil && code != 442 {
				t.through("transport %d over %s: %d", transport, network, code)
			}
		}
		code, err := r.ask(stun.MethodAllocate, stun.RawAttribute{Type: stun.AttrRequestedTransport,
			Value: []byte{17, 0, 0, 0}})
		if err != nil || code != 0 {
			t.must(fmt.Errorf("an allocation of UDP: %d %w", code, err))
		}
		for _, m := range []stun.Method{stun.MethodConnect, stun.MethodConnectionBind} {
			code, err := r.ask(m, xorPeer(service.Addr().String()),
				stun.RawAttribute{Type: stun.AttrConnectionID, Value: []byte{0, 0, 0, 1}})
			if err == nil && code != 403 {
				t.through("%v over %s: %d", m, network, code)
			}
		}
	}
}

func relayToItself(t *trial) {
	address := t.startRelay()
	ours, theirs := t.ringing(t.signIn("front_door"), t.signIn("reception"), ourCall)
	x, y := t.turnClient(address, ours, "udp"), t.turnClient(address, theirs, "tcp")
	ax, err := x.Allocate()
	t.must(err)
	ay, err := y.Allocate()
	t.must(err)
	addrs, err := net.InterfaceAddrs()
	t.must(err)
	hosts := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2"),
		netip.MustParseAddr("127.255.255.254"), netip.MustParseAddr("0.0.0.0")}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.(*net.IPNet).IP); ok && ip.Unmap().Is4() {
			hosts = append(hosts, ip.Unmap())
		}
	}
	service, err := net.ListenPacket("udp4", "0.0.0.0:0")
	t.must(err)
	defer service.Close()
	port := service.LocalAddr().(*net.UDPAddr).Port
	hand := t.byHand("udp", address, ours)
	_, err = hand.ask(stun.MethodAllocate, stun.RawAttribute{Type: stun.AttrRequestedTransport,
		Value: []byte{17, 0, 0, 0}})
	t.must(err)
	for i, h := range hosts {
		// refused, or lost
		_, _ = ax.WriteTo([]byte("let me in"), net.UDPAddrFromAddrPort(netip.AddrPortFrom(h, uint16(port))))
		code, err := hand.ask(stun.MethodChannelBind,
			stun.RawAttribute{Type: stun.AttrChannelNumber, Value: []byte{0x40, byte(i), 0, 0}},
			xorPeer(netip.AddrPortFrom(h, uint16(port)).String()))
		if err == nil && code == 0 {
			t.through("a channel to %v, a service of the hub's machine", h)
		}
	}
	for spelling, code := range map[string]stun.ErrorCode{"169.254.169.254:80": 403, "100.100.100.200:80": 403,
		"224.0.0.1:5353": 403, "255.255.255.255:9": 403} {
		if got, err := hand.ask(stun.MethodCreatePermission, xorPeer(spelling)); err == nil && got != code {
			t.through("a permission for %s: %d", spelling, got)
		}
	}
	// What does arrive comes after what must not.
	t.must(errors.Join(second(ax.WriteTo([]byte("hello"), ay.LocalAddr())),
		second(ay.WriteTo([]byte("hello"), ax.LocalAddr()))))
	_, err = service.WriteTo([]byte("let me out"), ax.LocalAddr())
	t.must(err)
	t.must(second(ay.WriteTo([]byte("good day"), ax.LocalAddr())))
	t.hears(ax, "good day", "let me out")
	own, err := net.ListenPacket("udp4", "127.0.0.1:0")
	t.must(err)
	defer own.Close()
	_, err = own.WriteTo([]byte("the end"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	t.must(err)
	t.hears(service, "the end", "let me in")
}

func second[T any](_ T, err error) error { return err }

// hears waits for something, and notes what must not come before it.
func (t *trial) hears(c net.PacketConn, what, never string) {
	buf := make([]byte, 1500)
	t.must(c.SetReadDeadline(time.Now().Add(30 * time.Second)))
	for {
		n, from, err := c.ReadFrom(buf)
		t.must(err)
		switch string(buf[:n]) {
		case what:
			return
		case never:
			t.through("%q arrived from %v", never, from)
		}
	}
}

func relayTooMuch(t *trial) {
	address := t.startRelay()
	ours, theirs := t.ringing(t.signIn("front_door"), t.signIn("reception"), ourCall)
	x, y := t.turnClient(address, ours, "udp"), t.turnClient(address, theirs, "udp")
	ax, err := x.Allocate()
	t.must(err)
	ay, err := y.Allocate()
	t.must(err)
	t.must(errors.Join(second(ay.WriteTo([]byte("x"), ax.LocalAddr())),
		second(ax.WriteTo([]byte("x"), ay.LocalAddr()))))
	// 250 kbit/s are 31,250 bytes a second, and a second's worth more at the beginning.
	var heard atomic.Int64
	go func() {
		buf := make([]byte, 1500)
		for {
			n, _, err := ay.ReadFrom(buf)
			if err != nil {
				return
			}
			heard.Add(int64(n))
		}
	}()
	began, sent := time.Now(), 0
	for time.Since(began) < 4*time.Second {
		_, _ = ax.WriteTo(make([]byte, 1000), ay.LocalAddr())
		sent += 1000
	}
	seconds := time.Since(began).Seconds()
	t.figure("sent_kbit_s", float64(sent)/125/seconds)
	t.figure("relayed_kbit_s", float64(heard.Load())/125/seconds)
	if most := 31_250*(seconds+1) + 10_000; float64(heard.Load()) > most {
		t.through("%d bytes were relayed in %.1f s", heard.Load(), seconds)
	}
	got := 1
	for range 40 {
		if _, err := t.turnClient(address, ours, "udp").Allocate(); err == nil {
			got++
		}
	}
	if got > 24 {
		t.through("one party has %d relayed addresses", got)
	}
	hand := t.byHand("udp", address, theirs)
	_, err = hand.ask(stun.MethodAllocate, stun.RawAttribute{Type: stun.AttrRequestedTransport,
		Value: []byte{17, 0, 0, 0}})
	t.must(err)
	permissions := 0
	for i := range 3 {
		for j := range 50 {
			peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, 8, byte(i), byte(j)}), 9).String()
			if code, err := hand.ask(stun.MethodCreatePermission, xorPeer(peer)); err == nil && code == 0 {
				permissions++
			}
		}
		time.Sleep(time.Second) // 200 requests a second are heard
	}
	if permissions > 64 {
		t.through("one relayed address has %d permissions", permissions)
	}
}

func relaySilence(t *trial) {
	address := t.startRelay()
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw
	head := []byte{0x21, 0x12, 0xa4, 0x42}
	all := map[string]func(net.Conn){
		"nothing":        func(net.Conn) {},
		"half a header":  func(c net.Conn) { _, _ = c.Write(request[:9]) },
		"half a message": func(c net.Conn) { _, _ = c.Write(append([]byte{0, 1, 1, 0}, request[4:]...)) },
		"one request":    func(c net.Conn) { _, _ = c.Write(request) },
		"a byte at a time": func(c net.Conn) {
			for _, b := range append([]byte{0x40, 0, 5, 0}, make([]byte, 1280)...) {
				if second(c.Write([]byte{b})) != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
		"a length that overflows": func(c net.Conn) {
			_, _ = c.Write(append(append([]byte{0, 1, 0xff, 0xec}, head...), make([]byte, 12)...))
		},
		"channel data that overflows": func(c net.Conn) {
			_, _ = c.Write(append([]byte{0x40, 0, 0xff, 0xfd}, make([]byte, 12)...))
		},
	}
	var done sync.WaitGroup
	for name, say := range all {
		for range 10 {
			c, err := net.Dial("tcp", address)
			t.must(err)
			done.Go(func() {
				defer c.Close()
				go say(c)
				_ = c.SetReadDeadline(time.Now().Add(40 * time.Second))
				buf := make([]byte, 1500)
				for {
					_, err := c.Read(buf)
					if errors.Is(err, os.ErrDeadlineExceeded) {
						t.through("a connection that says %s stays for 40 s", name)
					}
					if err != nil {
						return
					}
				}
			})
		}
	}
	before := t.processor()
	done.Wait()
	used := t.processor() - before
	t.figure("processor_s", used.Seconds())
	if used > 5*time.Second {
		t.through("the hub used %v of the processor for them", used)
	}
}

// processor is how much of the processor the hub has used.
func (t *trial) processor() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.hub.Process.PID()))
	t.must(err)
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, err := strconv.Atoi(f[11])
	t.must(err)
	system, err := strconv.Atoi(f[12])
	t.must(err)
	return time.Duration(user+system) * time.Second / 100
}

func relayFlood(t *trial) {
	address := t.startRelay()
	var sent, answered, bytes atomic.Int64
	t.served(50, func(ctx context.Context) {
		var done sync.WaitGroup
		for _, m := range [][]byte{stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw,
			stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)).Raw} {
			c, err := net.Dial("udp", address)
			if err != nil {
				t.failed(err)
				return
			}
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			done.Go(func() {
				for ctx.Err() == nil {
					if _, err := c.Write(m); err == nil {
						sent.Add(1)
					}
				}
			})
			done.Go(func() {
				buf := make([]byte, 1500)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					answered.Add(1)
					bytes.Add(int64(n))
				}
			})
		}
		began := time.Now()
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
		seconds := time.Since(began).Seconds()
		t.figure("requests_s", float64(sent.Load())/seconds)
		t.figure("answers_s", float64(answered.Load())/seconds)
		t.figure("answered_kbit_s", float64(bytes.Load())/125/seconds)
		if most := 200 * (seconds + 2); float64(answered.Load()) > most {
			t.through("%d answers to one address in %.1f s", answered.Load(), seconds)
		}
		<-ctx.Done()
		done.Wait()
	})
}

// byHand is a TURN client that says what no library would.
type byHand struct {
	net.Conn
	nonce stun.Nonce
	realm stun.Realm
	as    wire.ICEServer
}

func (t *trial) byHand(network, address string, as wire.ICEServer) *byHand {
	c, err := net.Dial(network, address)
	t.must(err)
	t.cleanup(func() { c.Close() })
	h := &byHand{Conn: c, as: as}
	m, err := h.exchange(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest)))
	t.must(err)
	t.must(errors.Join(h.nonce.GetFrom(m), h.realm.GetFrom(m)))
	return h
}

// ask sends a request with the credentials, and gives the code of the answer, 0 for success. An error says that there
// was no answer, which is one, too.
func (h *byHand) ask(method stun.Method, attrs ...stun.Setter) (stun.ErrorCode, error) {
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, attrs...)
	m, err := h.exchange(stun.MustBuild(append(all, stun.NewUsername(h.as.Username), h.realm, h.nonce,
		stun.NewLongTermIntegrity(h.as.Username, h.realm.String(), h.as.Credential))...))
	var code stun.ErrorCodeAttribute
	if err == nil && m.Type.Class == stun.ClassErrorResponse {
		err = code.GetFrom(m)
	}
	return code.Code, err
}

func (h *byHand) exchange(m *stun.Message) (*stun.Message, error) {
	if _, err := h.Write(m.Raw); err != nil {
		return nil, err
	}
	_ = h.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer := &stun.Message{Raw: make([]byte, 1500)}
	n, err := h.Read(answer.Raw)
	if err != nil {
		return nil, err
	}
	answer.Raw = answer.Raw[:n]
	if err := answer.Decode(); err != nil {
		return nil, err
	}
	return answer, nil
}

type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *stun.Message) error {
	a := netip.AddrPort(p)
	return stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}.AddToAs(m, stun.AttrXORPeerAddress)
}

func xorPeer(s string) stun.Setter { return peerAddress(netip.MustParseAddrPort(s)) }
