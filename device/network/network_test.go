package network

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"intercom/internal/needs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inside is set for the test that is in a network namespace of its own.
const inside = "INTERCOM_INSIDE"

// elsewhere runs the test once more in a namespace, and reports whether this is it.
func elsewhere(t *testing.T) bool {
	if os.Getenv(inside) != "" {
		return true
	}
	needs.Programs(t, "unshare", "ip")
	args := []string{"--net", os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v"}
	if os.Getuid() != 0 {
		args = append([]string{"--map-root-user"}, args...)
	}
	c := exec.CommandContext(t.Context(), "unshare", args...)
	c.Env = append(os.Environ(), inside+"=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", c, err, out)
		}
	}
}

func TestAWay(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	// Two uplinks, of which eth0 is the default, in both families.
	ip(t, "link set lo up", "link add eth0 type veth peer name r0", "link add eth1 type veth peer name r1",
		"link set r0 up", "link set r1 up", "addr add 10.1.0.2/24 dev eth0", "addr add 10.2.0.2/24 dev eth1",
		"addr add fd01::2/64 dev eth0 nodad", "addr add fd02::2/64 dev eth1 nodad", "link set eth0 up",
		"link set eth1 up",
		"route add default via 10.1.0.1 metric 100", "-6 route add default via fd01::1 metric 100")
	for _, c := range []struct {
		name         string
		from, to     string
		change, undo []string
		moved        bool
	}{
		{"nothing", "10.1.0.2", "192.0.2.1", nil, nil, false},
		{"its address goes, and there is another way", "10.1.0.2", "192.0.2.1",
			[]string{"addr del 10.1.0.2/24 dev eth0", "addr add 10.1.0.7/24 dev eth0",
				"route replace default via 10.1.0.1 metric 100"},
			[]string{"addr del 10.1.0.7/24 dev eth0", "addr add 10.1.0.2/24 dev eth0",
				"route replace default via 10.1.0.1 metric 100"}, true},
		{"its address goes, and nothing else is there", "10.1.0.2", "192.0.2.1",
			[]string{"addr del 10.1.0.2/24 dev eth0"},
			[]string{"addr add 10.1.0.2/24 dev eth0", "route add default via 10.1.0.1 metric 100"}, false},
		{"the default route goes to another interface", "10.1.0.2", "192.0.2.1",
			[]string{"route add default via 10.2.0.1 metric 50"}, []string{"route del default metric 50"}, true},
		{"the default route goes to another router", "10.1.0.2", "192.0.2.1",
			[]string{"route add default via 10.1.0.9 metric 50"}, []string{"route del default metric 50"}, true},
		{"a worse default route comes", "10.1.0.2", "192.0.2.1", []string{"route add default via 10.2.0.1 metric 500"},
			[]string{"route del default metric 500"}, false},
		{"the default route changes, but it is a neighbour", "10.1.0.2", "10.1.0.5",
			[]string{"route add default via 10.2.0.1 metric 50"}, []string{"route del default metric 50"}, false},
		{"a container's bridge comes", "10.1.0.2", "192.0.2.1",
			[]string{"link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up"},
			[]string{"link del docker0"}, false},
		{"a VPN that has the other side", "10.1.0.2", "192.0.2.1",
			[]string{"link add vpn type veth peer name far", "addr add 10.8.0.2/24 dev vpn", "link set vpn up",
				"route add 192.0.2.0/24 dev vpn"}, []string{"link del vpn"}, true},
		{"its interface goes down, and there is another", "10.1.0.2", "192.0.2.1",
			[]string{"route add default via 10.2.0.1 metric 200", "link set eth0 down"},
			[]string{"link set eth0 up", "route del default metric 200",
				"route replace default via 10.1.0.1 metric 100", "-6 addr replace fd01::2/64 dev eth0 nodad",
				"-6 route replace default via fd01::1 metric 100"}, true},
		{"an address that the kernel chose", "0.0.0.0", "192.0.2.1",
			[]string{"route add default via 10.2.0.1 metric 50"}, []string{"route del default metric 50"}, true},
		{"a temporary IPv6 address follows, and the old one is still valid", "fd01::2", "2001:db8::1",
			[]string{"addr add fd01::77/64 dev eth0 nodad",
				"addr change fd01::2/64 dev eth0 preferred_lft 0 valid_lft 3600"},
			[]string{"addr del fd01::77/64 dev eth0",
				"addr change fd01::2/64 dev eth0 preferred_lft forever valid_lft forever"}, false},
		{"the old IPv6 address goes", "fd01::2", "2001:db8::1",
			[]string{"addr add fd01::77/64 dev eth0 nodad", "addr del fd01::2/64 dev eth0"},
			[]string{"addr add fd01::2/64 dev eth0 nodad", "addr del fd01::77/64 dev eth0"}, true},
		{"another IPv6 router", "fd01::2", "2001:db8::1", []string{"-6 route add default via fd02::1 metric 50"},
			[]string{"-6 route del default via fd02::1 metric 50"}, true},
	} {
		from, to := netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)
		moved := Way(from, to)
		if hop(from, to) == "" {
			t.Fatalf("%s: there is no way before", c.name)
		}
		ip(t, c.change...)
		if moved() != c.moved {
			t.Errorf("%s: moved is %v: %q", c.name, !c.moved, hop(from, to))
		}
		ip(t, c.undo...)
		if moved() {
			t.Errorf("%s: not undone: %q", c.name, hop(from, to))
		}
	}
}

func TestWatch(t *testing.T) {
	if !elsewhere(t) {
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan struct{}, 99)
	done := make(chan error, 1)
	ip(t, "link add eth0 type veth peer name r0", "link set r0 up", "link set eth0 up")
	go func() { done <- Watch(ctx, func() { changes <- struct{}{} }) }()
	see := func(what string, commands ...string) {
		t.Helper()
		for end := time.After(20 * time.Second); ; {
			select {
			case <-changes: // of before
				continue
			default:
			}
			ip(t, commands...)
			select {
			case <-changes:
			case <-end:
				t.Fatalf("nobody was told of %s", what)
			}
			return
		}
	}
	for !listening(t) { // it has subscribed
		time.Sleep(time.Millisecond)
	}
	see("an address", "addr add 10.1.0.2/24 dev eth0")
	see("an IPv6 address", "addr add fd01::2/64 dev eth0 nodad")
	see("a route", "route add default via 10.1.0.1")
	see("an IPv6 route", "-6 route add default via fd01::1")
	see("a rule", "rule add from 10.9.0.0/16 table 9")
	see("an interface that goes down", "link set eth0 down")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// listening reports whether this process has a socket in the kernel's groups.
func listening(t *testing.T) bool {
	b, err := os.ReadFile("/proc/self/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == "0" && strings.Trim(f[3], "0") != "" {
			return true
		}
	}
	return false
}

// The station's unit takes sockets away; the one that Watch needs must be left.
func TestTheUnitPermitsNetlink(t *testing.T) {
	unit, err := os.ReadFile("../../systemd/intercomd.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(unit)) {
		if families, ok := strings.CutPrefix(line, "RestrictAddressFamilies="); ok &&
			!strings.Contains(families, "AF_NETLINK") {
			t.Errorf("intercomd.service has %s", line)
		}
	}
}
