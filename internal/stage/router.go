package stage

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Router joins machines that can move: each is a network namespace with two links to it, eth0 and eth1, of which only
// the first is used at the beginning. A packet that comes from an address of the other link is dropped, as by a
// provider (BCP 38). It needs root, iproute2 and nftables.
type Router struct{ name string }

// RouterIP and RouterIP6 are addresses of the router that are neighbours of nobody.
const (
	RouterIP  = "10.90.0.1"
	RouterIP6 = "fd90::1"
)

// NewRouter makes one.
func NewRouter(name string) (*Router, error) {
	r := &Router{fmt.Sprintf("%s%d", name, os.Getpid())}
	ns := r.ns("router")
	return r, run(
		"ip netns add "+ns, "ip -n "+ns+" link set lo up", "ip -n "+ns+" addr add "+RouterIP+"/32 dev lo",
		"ip -n "+ns+" addr add "+RouterIP6+"/128 dev lo",
		"ip netns exec "+ns+" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "+
			"net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
		"ip netns exec "+ns+" nft add table ip bcp38",
		"ip netns exec "+ns+" nft add chain ip bcp38 in { type filter hook prerouting priority 0 ; }",
	)
}

// Machine adds machine number n, 2 to 9. On link 0 it is 10.N.0.2, by which it reaches the rest; it has no address on
// link 1 and none of IPv6 yet. The router is 10.N.L.1 and fd0N:L::1 on link L.
func (r *Router) Machine(n int) error {
	ns, router := r.ns(fmt.Sprint("m", n)), r.ns("router")
	commands := []string{"ip netns add " + ns, "ip -n " + ns + " link set lo up"}
	for l := range 2 {
		far := fmt.Sprintf("m%dl%d", n, l)
		commands = append(commands,
			fmt.Sprintf("ip -n %s link add eth%d type veth peer name %s netns %s", ns, l, far, router),
			fmt.Sprintf("ip -n %s addr add 10.%d.%d.1/24 dev %s", router, n, l, far),
			fmt.Sprintf("ip -n %s addr add fd%02d:%d::1/64 dev %s nodad", router, n, l, far),
			fmt.Sprintf("ip -n %s link set %s up", router, far),
			fmt.Sprintf("ip netns exec %s nft add rule ip bcp38 in iifname %s ip saddr 10.%d.%d.0/24 drop", router,
				far, n, 1-l),
			fmt.Sprintf("ip -n %s link set eth%d up", ns, l))
	}
	return run(append(commands,
		fmt.Sprintf("ip -n %s addr add 10.%d.0.2/24 dev eth0", ns, n),
		fmt.Sprintf("ip -n %s route add default via 10.%d.0.1 metric 600", ns, n))...)
}

// OnlyIPv6 has a machine reach the rest as fd0N:0::2 on link 0, and no longer by IPv4.
func (r *Router) OnlyIPv6(n int) error {
	return r.IP(n, Numbered(n, []string{"addr del 10.N.0.2/24 dev eth0", "addr add fd0N:0::2/64 dev eth0 nodad",
		"-6 route add default via fd0N:0::1 metric 600"})...)
}

// IP runs commands of ip(8) at a machine.
func (r *Router) IP(n int, commands ...string) error {
	for _, c := range commands {
		if err := run("ip -n " + r.ns(fmt.Sprint("m", n)) + " " + c); err != nil {
			return err
		}
	}
	return nil
}

// Numbered puts the number of a machine where commands have an N.
func Numbered(n int, commands []string) (all []string) {
	for _, c := range commands {
		all = append(all, strings.ReplaceAll(c, "N", fmt.Sprint(n)))
	}
	return all
}

// At and In give the command that runs another at the router, or in a machine.
func (r *Router) At() []string { return []string{"ip", "netns", "exec", r.ns("router")} }
func (r *Router) In(n int) []string {
	return []string{"ip", "netns", "exec", r.ns(fmt.Sprint("m", n))}
}

// Remove takes all away.
func (r *Router) Remove() { removeNamespaces(r.name + "-") }

func (r *Router) ns(part string) string { return r.name + "-" + part }

func removeNamespaces(prefix string) {
	out, _ := exec.Command("ip", "netns", "list").Output()
	for line := range strings.Lines(string(out)) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, prefix) {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
}
