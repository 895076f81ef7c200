// Package fetch gets small files over HTTPS from hosts that are allowed, and from nowhere else: not from private
// addresses, which a name could be made to mean, and not from where a server sends us on to. The device's voice imports
// it.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Limits of a file.
const (
	MaxSize = 1 << 20 // bytes
	MaxTime = 5 * time.Second
)

// Check says what is wrong with an address.
func Check(address string, hosts []string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil:
		return fmt.Errorf("%q is not an https address", address)
	case !slices.Contains(hosts, u.Hostname()):
		return fmt.Errorf("%s is not among the hosts that are allowed; add it to tones.hosts", u.Hostname())
	}
	return nil
}

// Fetcher gets files.
type Fetcher struct {
	Hosts []string // that are allowed
	Types []string // of content, like audio/; beginnings of them

	// Client is for tests: it replaces the one that refuses private addresses.
	Client *http.Client
}

// Get fetches a file.
func (f Fetcher) Get(ctx context.Context, address string) ([]byte, error) {
	if err := Check(address, f.Hosts); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, MaxTime)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	c := f.Client
	if c == nil {
		c = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: MaxTime,
			Control: publicOnly}).DialContext, DisableKeepAlives: true}}
	}
	strict := *c
	strict.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r, err := strict.Do(q)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", r.Status)
	}
	kind := r.Header.Get("Content-Type")
	if !slices.ContainsFunc(f.Types, func(t string) bool { return strings.HasPrefix(kind, t) }) {
		return nil, fmt.Errorf("the server sends %q, not %s", kind, strings.Join(f.Types, " or "))
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, MaxSize+1))
	if err == nil && len(b) > MaxSize {
		err = errors.New("it has more than 1 MiB")
	}
	return b, err
}

// publicOnly refuses an address that is not reached over the internet, when it is dialled: a name may mean another by
// then.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || slices.ContainsFunc(inward, func(p netip.Prefix) bool {
		return p.Contains(ip)
	}) {
		return fmt.Errorf("%s is a private address", ip)
	}
	return nil
}

// inward lead into a private network, too, or can.
var inward = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"),  // RFC 6598: of a provider
	netip.MustParsePrefix("0.0.0.0/8"),      // RFC 6890: this host
	netip.MustParsePrefix("198.18.0.0/15"),  // RFC 2544: of laboratories
	netip.MustParsePrefix("240.0.0.0/4"),    // RFC 1112: reserved
	netip.MustParsePrefix("::/96"),          // RFC 4291, section 2.5.5.1: IPv4 in IPv6, as it was once written
	netip.MustParsePrefix("64:ff9b::/96"),   // RFC 6052: an IPv4 address behind a translator
	netip.MustParsePrefix("64:ff9b:1::/48"), // RFC 8215: the same, of a network's own
	netip.MustParsePrefix("2001::/32"),      // RFC 4380: Teredo
	netip.MustParsePrefix("2002::/16"),      // RFC 3056: 6to4, which has an IPv4 address in it
}
