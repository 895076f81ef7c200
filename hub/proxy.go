package hub

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the reverse proxies in front of the hub, and the header in which they say whose request it is.
type Proxies struct {
	Trusted []netip.Prefix
	Header  string // X-Forwarded-For or Forwarded
}

// Headers in which a proxy can say whose request it is.
const (
	XForwardedFor = "X-Forwarded-For"
	Forwarded     = "Forwarded" // RFC 7239
)

// ParseProxy reads an address or a prefix of a trusted proxy.
func ParseProxy(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not an IP address or prefix", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%q has bits set beyond its prefix; write %v", s, p.Masked())
	}
	return p, nil
}

func (p Proxies) trusts(a netip.Addr) bool {
	for _, t := range p.Trusted {
		if t.Contains(a) {
			return true
		}
	}
	return false
}

// client is the address that a request comes from. The header is read from the right, since each proxy adds the address
// that it saw: what is left of the first address that is no trusted proxy was written by the client, who may write
// anything.
func (p Proxies) client(peer netip.Addr, header http.Header) netip.Addr {
	if !p.trusts(peer) {
		return peer
	}
	hops := strings.Split(strings.Join(header.Values(p.Header), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(peer); i-- {
		hop := hops[i]
		if p.Header == Forwarded {
			hop = forwardedFor(hop)
		}
		a, ok := addressOf(strings.TrimSpace(hop))
		if !ok {
			break
		}
		peer = a
	}
	return peer
}

// forwardedFor is the value of for= of one element of a Forwarded header.
func forwardedFor(element string) string {
	for pair := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if strings.EqualFold(name, "for") {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// addressOf reads 192.0.2.1, 192.0.2.1:80, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:80.
func addressOf(s string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return a.Unmap().WithZone(""), err == nil
}

// subscriber is what counts as one address: a provider gives an IPv6 customer at least a /64 (RFC 6177).
func subscriber(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // the zero prefix for an address that is none
	return p
}
