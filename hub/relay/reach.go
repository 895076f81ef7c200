package relay

import (
	"net"
	"net/netip"
	"sync/atomic"
)

// reach knows which addresses the relay may carry to and from.
type reach struct {
	public  netip.Addr
	private bool // ranges that are not routed in the world are open too
	machine atomic.Pointer[machine]
}

// machine is what the interfaces of this machine have.
type machine struct {
	own       map[netip.Addr]bool
	broadcast map[netip.Addr]bool // of its IPv4 networks, all ones or all zeros
}

// kind is what an address is to the relay.
type kind int

const (
	never  kind = iota
	itself      // this machine: nothing but the relay's own ports
	open
)

// refresh reads the addresses of the interfaces. Where that fails, those of the last time hold.
func (r *reach) refresh() {
	addrs, err := net.InterfaceAddrs()
	if err != nil && r.machine.Load() != nil {
		return
	}
	m := &machine{own: map[netip.Addr]bool{r.public: true}, broadcast: map[netip.Addr]bool{}}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		m.own[ip] = true
		if ones, bits := n.Mask.Size(); ip.Is4() && bits-ones >= 2 {
			p := netip.PrefixFrom(ip, ones).Masked()
			low := p.Addr().As4()
			high := low
			for i := ones; i < 32; i++ {
				high[i/8] |= 0x80 >> (i % 8)
			}
			m.broadcast[netip.AddrFrom4(low)], m.broadcast[netip.AddrFrom4(high)] = true, true
		}
	}
	r.machine.Store(m)
}

// of says what an address is, however it is spelled.
func (r *reach) of(a netip.Addr) kind {
	if a.Zone() != "" {
		return never
	}
	a = a.Unmap()
	if nat64.Contains(a) { // an IPv4 address behind a translator (RFC 6052), which never leads into private ranges
		b := a.As16()
		if a4 := netip.AddrFrom4([4]byte(b[12:])); r.of(a4) != open || !public(a4) {
			return never
		}
		return open
	}
	m := r.machine.Load()
	switch {
	case a == r.public: // also on loopback, where it stands in for the world
		return itself
	case a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.IsLinkLocalUnicast() || within(a, metadata) ||
		m.broadcast[a]:
		return never
	case m.own[a]:
		return itself
	case public(a), r.private && within(a, private):
		return open
	}
	return never
}

var (
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// global is the part of IPv6 that is given out to the world (RFC 4291, section 2.4). What lies outside, like
	// IPv4-compatible addresses, is nobody's.
	global = netip.MustParsePrefix("2000::/3")

	private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")

	// special is not routed in the world (the registries of RFC 6890), or leads to other addresses: 6to4 (2002::/16)
	// and Teredo (2001::/32) hold one of IPv4.
	special = prefixes("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

	// metadata is where clouds tell a machine its secrets, beside the link-local addresses.
	metadata = prefixes("100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::254/128")
)

func prefixes(all ...string) (p []netip.Prefix) {
	for _, s := range all {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func within(a netip.Addr, all []netip.Prefix) bool {
	for _, p := range all {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// public reports whether an address is routed in the world.
func public(a netip.Addr) bool {
	return (a.Is4() || global.Contains(a)) && !within(a, special) && !within(a, private)
}
