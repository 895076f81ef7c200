package relay

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
	"intercom/internal/event"
)

// socket is one relayed address of one party. What it carries is checked packet by packet: permissions name addresses
// only, and which ports of this machine are the relay's own changes.
type socket struct {
	*net.UDPConn
	relay   *Relay
	party   Party
	port    uint16
	born    time.Time
	in, out *rate.Limiter
	account *shared
	unknown atomic.Int64 // since when its hub does not have the call, in nanoseconds; 0 when it does

	// Under the relay's lock.
	tuple    tuple
	peers    map[netip.Addr]bool     // that have permissions
	channels map[netip.AddrPort]bool // that have channels
}

// Limits of one relayed address: the candidates of one other party.
const (
	mostPeers    = 64
	mostChannels = 128
)

// generator makes relayed addresses for the library.
type generator struct{ relay *Relay }

var errOnlyUDP = errors.New("only UDP is relayed")

func (generator) Validate() error { return nil }

func (generator) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errOnlyUDP
}

func (generator) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) { return nil, errOnlyUDP }

func (g generator) AllocatePacketConn(c turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	p, ok := partyOf(c.UserID)
	if !ok || c.RequestedPort != 0 {
		return nil, nil, errors.New("no ports are reserved") // EVEN-PORT and RESERVATION-TOKEN (RFC 8656, section 7.2)
	}
	if v4 := g.relay.reach.public.Is4(); v4 != (c.Network == "udp4") {
		return nil, nil, fmt.Errorf("%s is not relayed", c.Network)
	}
	s, err := g.relay.bind(p, c.Network)
	if err != nil {
		g.relay.lines.refuse(err.Error(), event.Account(p.Account), event.CUID(p.CUID), event.Call(p.Call))
		return nil, nil, err
	}
	return s, &net.UDPAddr{IP: g.relay.reach.public.AsSlice(), Port: int(s.port)}, nil
}

// keys are what a party's relayed addresses are counted by.
func (p Party) keys() [3]string {
	return [3]string{p.Account, p.Account + ":" + p.Call, p.String()}
}

// full says which limit keeps a party from one more relayed address; "" for none. The lock is held.
func (r *Relay) full(p Party) string {
	k := p.keys()
	switch {
	case r.count[k[0]] >= r.cfg.MostOf:
		return fmt.Sprintf("the account has its %d relayed addresses; see turn.per_account", r.cfg.MostOf)
	case r.count[k[1]] >= mostOfCall:
		return fmt.Sprintf("the call has its %d relayed addresses", mostOfCall)
	case r.count[k[2]] >= mostOfParty:
		return fmt.Sprintf("the party has its %d relayed addresses", mostOfParty)
	}
	return ""
}

// bind makes a relayed address at a random port.
func (r *Relay) bind(p Party, network string) (*socket, error) {
	host, _, _ := net.SplitHostPort(r.cfg.Listen)
	ip, _ := netip.ParseAddr(host)
	if ip = ip.Unmap(); ip.Is4() != r.reach.public.Is4() || !ip.IsValid() {
		ip = netip.IPv4Unspecified()
		if !r.reach.public.Is4() {
			ip = netip.IPv6Unspecified()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if why := r.full(p); why != "" {
		return nil, errors.New(why)
	}
	for range 32 {
		port := r.cfg.MinPort + rand.IntN(r.cfg.MaxPort-r.cfg.MinPort+1)
		c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port))))
		if err != nil {
			continue
		}
		a := r.accounts[p.Account]
		if a == nil {
			a = &shared{limiter(r.cfg.AccountKbit), limiter(r.cfg.AccountKbit)}
			r.accounts[p.Account] = a
		}
		s := &socket{UDPConn: c, relay: r, party: p, port: uint16(port), born: time.Now(), account: a,
			in: limiter(r.cfg.AddressKbit), out: limiter(r.cfg.AddressKbit),
			peers: map[netip.Addr]bool{}, channels: map[netip.AddrPort]bool{}}
		r.sockets[s.port] = s
		for _, k := range p.keys() {
			r.count[k]++
		}
		return s, nil
	}
	return nil, errors.New("no port is free; see turn.min_port and turn.max_port")
}

// limiter lets so many kbit/s pass, counted in bytes, and twice as much for a second.
func limiter(kbit int) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(kbit*125), max(kbit*125, 1<<14))
}

// Close gives the port back. The library calls it at the end of an allocation; when we do, it ends the allocation.
func (s *socket) Close() error {
	r := s.relay
	r.mu.Lock()
	if r.sockets[s.port] == s {
		delete(r.sockets, s.port)
		if r.tuples[s.tuple] == s {
			delete(r.tuples, s.tuple)
		}
		for _, k := range s.party.keys() {
			if r.count[k]--; r.count[k] <= 0 {
				delete(r.count, k)
			}
		}
		if r.count[s.party.Account] == 0 {
			delete(r.accounts, s.party.Account)
		}
	}
	r.mu.Unlock()
	if err := s.UDPConn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func (s *socket) end(why string) {
	s.relay.log.Debug("a relayed address was closed", "why", why, event.Account(s.party.Account),
		event.CUID(s.party.CUID),
		event.Call(s.party.Call))
	_ = s.Close()
}

// carries reports whether packets may go to an address, or come from it. Of this machine, that is a relayed address of
// the same call.
func (s *socket) carries(peer netip.AddrPort) bool {
	switch s.relay.reach.of(peer.Addr()) {
	case open:
		return peer.Port() != 0
	case itself:
		s.relay.mu.Lock()
		defer s.relay.mu.Unlock()
		other := s.relay.sockets[peer.Port()]
		return other != nil && other.party.Account == s.party.Account && other.party.Call == s.party.Call
	}
	return false
}

// permitted reports whether the party wants to hear of an address. The library asks too; asked first, others cannot use
// up what the party may receive.
func (s *socket) permitted(a netip.Addr) bool {
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	return s.peers[a]
}

// ReadFrom gives the next packet that may pass to the party.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.ReadFromUDPAddrPort(b)
		if err != nil {
			return n, nil, err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if s.permitted(from.Addr()) && s.carries(from) && s.within(s.in, s.account.in, n) {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
	}
}

// WriteTo sends a packet of the party, or loses it where it may not go.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return len(b), nil
	}
	peer := netip.AddrPortFrom(u.AddrPort().Addr().Unmap(), u.AddrPort().Port())
	switch {
	case !s.carries(peer):
		s.relay.lines.line(slog.LevelInfo, notReached, "address", peer.String(), event.Account(s.party.Account),
			event.CUID(s.party.CUID), event.Call(s.party.Call))
	case s.within(s.out, s.account.out, len(b)):
		return s.WriteToUDPAddrPort(b, peer)
	}
	return len(b), nil
}

func (s *socket) within(own, account *rate.Limiter, n int) bool {
	now := time.Now()
	if own.AllowN(now, n) && account.AllowN(now, n) {
		return true
	}
	s.relay.lines.refuse("packets faster than turn.address_kbit or turn.account_kbit",
		event.Account(s.party.Account), event.CUID(s.party.CUID), event.Call(s.party.Call))
	return false
}

// events keep track of what the library grants.
func (r *Relay) events() turn.EventHandler {
	at := func(relayed net.Addr, f func(*socket)) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if u, ok := relayed.(*net.UDPAddr); ok && r.sockets[uint16(u.Port)] != nil {
			f(r.sockets[uint16(u.Port)])
		}
	}
	ip := func(a net.IP) netip.Addr { n, _ := netip.AddrFromSlice(a); return n.Unmap() }
	addr := func(a net.Addr) netip.AddrPort { return tupleOf(a, a).from }
	return turn.EventHandler{
		OnAllocationCreated: func(from, to net.Addr, _, _, _ string, relayed net.Addr, _ int) {
			at(relayed, func(s *socket) {
				s.tuple = tupleOf(from, to)
				r.tuples[s.tuple] = s
			})
		},
		OnPermissionCreated: func(_, _ net.Addr, _, _, _ string, relayed net.Addr, peer net.IP) {
			at(relayed, func(s *socket) { s.peers[ip(peer)] = true })
		},
		OnPermissionDeleted: func(_, _ net.Addr, _, _, _ string, relayed net.Addr, peer net.IP) {
			at(relayed, func(s *socket) { delete(s.peers, ip(peer)) })
		},
		OnChannelCreated: func(_, _ net.Addr, _, _, _ string, relayed, peer net.Addr, _ uint16) {
			at(relayed, func(s *socket) { s.channels[addr(peer)] = true })
		},
		OnChannelDeleted: func(_, _ net.Addr, _, _, _ string, relayed, peer net.Addr, _ uint16) {
			at(relayed, func(s *socket) { delete(s.channels, addr(peer)) })
		},
	}
}

// tupleOf is the tuple of two addresses as the library has them.
func tupleOf(from, to net.Addr) tuple {
	port := func(a net.Addr) (p netip.AddrPort) {
		switch a := a.(type) {
		case *net.UDPAddr:
			p = a.AddrPort()
		case *net.TCPAddr:
			p = a.AddrPort()
		}
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return tuple{from.Network(), port(from), port(to)}
}
