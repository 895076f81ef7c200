// Package fetch gets small files over HTTPS from hosts that are allowed, and from nowhere else: not from private addresses,
// which a name could be made to mean, and not from where a server sends us on to. The device's voice imports it.
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
		c = &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: MaxTime, Control: publicOnly}).DialContext, DisableKeepAlives: true}}
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

// publicOnly refuses an address that is not reached over the internet, when it is dialled: a name may mean another by then.
func publicOnly(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || carrier.Contains(ip) {
		return fmt.Errorf("%s is a private address", ip)
	}
	return nil
}

var carrier = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
