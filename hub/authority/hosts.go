package authority

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/net/publicsuffix"
)

// MaxHosts is how many an authority vouches for.
const MaxHosts = 16

// noName stands for no name at all: nobody can have one below it (RFC 2606).
const noName = "invalid"

type hosts struct {
	names     []string
	addresses []netip.Addr
}

var hostName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// parse reads hosts as somebody types them, and says of each what is wrong with it.
func parse(all []string) (h hosts, err error) {
	if len(all) == 0 || len(all) > MaxHosts {
		return h, fmt.Errorf("name 1 to %d hosts by which the hub is reached, like intercom.lan,192.168.1.20", MaxHosts)
	}
	for _, one := range all {
		err = errors.Join(err, h.add(one))
	}
	return h, err
}

func (h *hosts) add(text string) error {
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap()
		if a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("%q is not an address of one machine", text)
		}
		if !slices.Contains(h.addresses, a) {
			h.addresses = append(h.addresses, a)
		}
		return nil
	}
	name := strings.ToLower(text)
	switch suffix, known := publicsuffix.PublicSuffix(name); {
	case len(name) > 253 || !hostName.MatchString(name) || strings.Trim(name, "0123456789.") == "":
		return fmt.Errorf("%q is not a name or an IP address; write it without scheme, port or *, like intercom.lan "+
			"or 192.168.1.20", text)
	case name == suffix && known, name == noName, name == "localdomain":
		return fmt.Errorf(
			"%q is not one machine: the authority could vouch for all names below it; write the name in full", text)
	}
	if !slices.Contains(h.names, name) {
		h.names = append(h.names, name)
	}
	return nil
}

// constrain lets an authority vouch for these hosts alone (RFC 5280, section 4.2.1.10). A kind of which none is allowed
// has to be ruled out by name, or all of it would be allowed.
func (h *hosts) constrain(t *x509.Certificate) {
	t.PermittedDNSDomainsCritical = true
	if t.PermittedDNSDomains = h.names; len(h.names) == 0 {
		t.PermittedDNSDomains = []string{noName}
	}
	for _, a := range h.addresses {
		t.PermittedIPRanges = append(t.PermittedIPRanges,
			&net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())})
	}
	if len(h.addresses) == 0 {
		for _, all := range []string{"0.0.0.0/0", "::/0"} {
			_, n, _ := net.ParseCIDR(all)
			t.ExcludedIPRanges = append(t.ExcludedIPRanges, n)
		}
	}
}

// own gives a new folder, where root made it, to whoever has the one above: the hub's user.
func own(dir string) error {
	st, err := os.Stat(filepath.Dir(dir))
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	if owner, ok := st.Sys().(*syscall.Stat_t); ok {
		return os.Chown(dir, int(owner.Uid), int(owner.Gid))
	}
	return nil
}
