package relay

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun/v4"

	"intercom/internal/event"
)

// Limits of what a client may send.
const (
	mostRequests = 200 // a second from one address, an IPv6 network of 64 bits being one
	// addresses in one second: with forged ones, what the relay says to strangers stays small too
	mostVisitors = 1 << 14
	maxMessage   = 1590 // bytes; the library reads 1,600
)

const udp = 17 // REQUESTED-TRANSPORT, the only one that is relayed (RFC 8656, section 18.7)

// screen looks at a message before the library does. It says whether the library gets it, and what to answer instead.
func (r *Relay) screen(from tuple, b []byte) (pass bool, answer []byte) {
	if len(b) < 4 {
		return false, nil
	}
	if b[0] >= 0x40 && b[0] <= 0x4f { // ChannelData (RFC 8656, section 12.4)
		return r.at(from) != nil, nil
	}
	if !stun.IsMessage(b) {
		return false, nil
	}
	var kind stun.MessageType
	kind.ReadValue(binary.BigEndian.Uint16(b))
	switch {
	case kind == stun.NewType(stun.MethodSend, stun.ClassIndication):
		return r.at(from) != nil, nil
	case kind.Class != stun.ClassRequest:
		return false, nil
	case !r.visitors.welcome(from.from.Addr(), time.Now()): // before anything that takes longer
		r.lines.refuse("more requests of one address than it may have", "address", from.from.Addr().String())
		return false, nil
	}
	m := &stun.Message{Raw: bytes.Clone(b)}
	if m.Decode() != nil {
		return false, nil
	}
	switch m.Type.Method {
	case stun.MethodBinding:
		return true, nil
	case stun.MethodAllocate, stun.MethodRefresh, stun.MethodCreatePermission, stun.MethodChannelBind,
		stun.MethodConnect, stun.MethodConnectionBind:
	default:
		return false, nil
	}
	var name stun.Username
	if name.GetFrom(m) != nil || !m.Contains(stun.AttrMessageIntegrity) {
		return true, nil // the library asks for credentials: 401
	}
	p, ok := partyOf(name.String())
	key := stun.MessageIntegrity(keyOf(r.cfg.Secret, p))
	if !ok || key.Check(m) != nil {
		r.lines.refuse("credentials that are wrong", "address", from.from.Addr().String())
		return true, nil // 401 again
	}
	code, why := r.refuses(from, m, p)
	if code == 0 {
		return true, nil
	}
	level := slog.LevelWarn
	if why == notLive || why == notReached {
		// who hangs up says goodbye to the relay, too; and ICE tries all addresses that there are
		level = slog.LevelInfo
	}
	r.lines.line(level, why, "stun_code", int(code), event.Account(p.Account), event.CUID(p.CUID), event.Call(p.Call))
	reply, err := stun.Build(&stun.Message{TransactionID: m.TransactionID},
		stun.NewType(m.Type.Method, stun.ClassErrorResponse),
		&stun.ErrorCodeAttribute{Code: code, Reason: []byte(why)}, key)
	if err != nil {
		return false, nil
	}
	return false, reply.Raw
}

const (
	notLive    = "credentials of a call that does not live, or of one who has no part in it now"
	notReached = "an address or port that is not relayed to"
)

// refuses says with which code a request of a known party is refused, and why; 0 for one that the library may have.
func (r *Relay) refuses(from tuple, m *stun.Message, p Party) (stun.ErrorCode, string) {
	if m.Type.Method == stun.MethodConnect || m.Type.Method == stun.MethodConnectionBind { // RFC 6062
		return stun.CodeForbidden, "only UDP is relayed"
	}
	if !r.lives(p) {
		return stun.CodeForbidden, notLive
	}
	s, allocate := r.at(from), m.Type.Method == stun.MethodAllocate
	switch {
	case allocate && s == nil:
		return r.refusesAddress(m, p)
	case allocate: // said again; the library knows what it answered
		return 0, ""
	case s == nil:
		return stun.CodeAllocMismatch, "this client has no relayed address"
	case s.party != p:
		return stun.CodeWrongCredentials, "the relayed address of another party"
	case m.Type.Method == stun.MethodRefresh:
		return 0, ""
	}
	return s.refusesPeers(m)
}

func (r *Relay) refusesAddress(m *stun.Message, p Party) (stun.ErrorCode, string) {
	if t, err := m.Get(stun.AttrRequestedTransport); err == nil && len(t) == 4 && t[0] != udp {
		return stun.CodeUnsupportedTransProto, "only UDP is relayed"
	}
	if f, err := m.Get(stun.AttrRequestedAddressFamily); err == nil && len(f) == 4 &&
		(f[0] == 1) != r.reach.public.Is4() {
		return stun.CodeAddrFamilyNotSupported, "the relay has no address of this family"
	}
	r.mu.Lock()
	why := r.full(p)
	r.mu.Unlock()
	if why != "" {
		return stun.CodeAllocQuotaReached, why
	}
	return 0, ""
}

// refusesPeers looks at the addresses of a CreatePermission or a ChannelBind request.
func (s *socket) refusesPeers(m *stun.Message) (code stun.ErrorCode, why string) {
	var peers []netip.AddrPort
	if m.ForEach(stun.AttrXORPeerAddress, func(m *stun.Message) error {
		var x stun.XORMappedAddress
		if err := x.GetFromAs(m, stun.AttrXORPeerAddress); err != nil {
			return err
		}
		a, _ := netip.AddrFromSlice(x.IP)
		peers = append(peers, netip.AddrPortFrom(a.Unmap(), uint16(x.Port)))
		return nil
	}) != nil {
		return 0, "" // the library finds the same: 400
	}
	channel := m.Type.Method == stun.MethodChannelBind
	for _, p := range peers {
		if s.relay.reach.of(p.Addr()) == never {
			return stun.CodeForbidden, notReached
		}
		if channel && !s.carries(p) {
			return stun.CodeForbidden, notReached
		}
	}
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	fresh := map[netip.Addr]bool{}
	for _, p := range peers {
		if !s.peers[p.Addr()] {
			fresh[p.Addr()] = true
		}
		if channel && !s.channels[p] && len(s.channels) >= mostChannels {
			return stun.CodeInsufficientCapacity, "more channels than one relayed address may have"
		}
	}
	if len(fresh) > 0 && len(s.peers)+len(fresh) > mostPeers {
		return stun.CodeInsufficientCapacity, "more permissions than one relayed address may have"
	}
	return 0, ""
}

// at is the relayed address of a client; nil for none.
func (r *Relay) at(from tuple) *socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tuples[from]
}

// visitors counts the requests of addresses in the current second.
type visitors struct {
	mu     sync.Mutex
	second int64
	seen   map[netip.Addr]int
}

// welcome counts a request, and reports whether its address may have it.
func (v *visitors) welcome(a netip.Addr, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := now.Unix(); now != v.second {
		v.second, v.seen = now, map[netip.Addr]int{}
	}
	a = network(a)
	n := v.seen[a]
	if n >= mostRequests || n == 0 && len(v.seen) >= mostVisitors {
		return false
	}
	v.seen[a] = n + 1
	return true
}

// network is what counts as one address: who has one of IPv6 has 64 bits of it.
func network(a netip.Addr) netip.Addr {
	if a = a.Unmap(); a.Is6() {
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}
