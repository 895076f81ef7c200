package stage

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Town is a small internet of network namespaces: a public place, and houses whose only way out is an address
// translator (NAT). It needs root, iproute2 and nftables.
type Town struct{ name string }

// Addresses of the town. Its public network looks like one that is routed in the world, and is reached from nowhere.
const (
	PublicIP = "11.9.0.1"
	houseIP  = "11.9.0.%d"
)

// NewTown makes the public place.
func NewTown(name string) (*Town, error) {
	t := &Town{fmt.Sprintf("%s%d", name, os.Getpid())}
	pub := t.ns("pub")
	return t, run(
		"ip netns add "+pub, "ip -n "+pub+" link set lo up",
		"ip -n "+pub+" link add br0 type bridge", "ip -n "+pub+" addr add "+PublicIP+"/24 dev br0",
		"ip -n "+pub+" link set br0 up",
	)
}

// House adds house number n, 2 or more, behind a translator that keeps ports where it can, or gives each connection a
// random one. Inside is 10.N.0.2.
func (t *Town) House(n int, random bool) error {
	gate, in, pub := t.ns(fmt.Sprint("gate", n)), t.ns(fmt.Sprint("house", n)), t.ns("pub")
	how := "masquerade"
	if random {
		how = "masquerade fully-random"
	}
	err := run(
		"ip netns add "+gate, "ip netns add "+in, "ip -n "+gate+" link set lo up", "ip -n "+in+" link set lo up",
		fmt.Sprintf("ip -n %s link add out type veth peer name h%d netns %s", gate, n, pub),
		fmt.Sprintf("ip -n %s link set h%d master br0 up", pub, n),
		fmt.Sprintf("ip -n %s addr add "+houseIP+"/24 dev out", gate, n), "ip -n "+gate+" link set out up",
		fmt.Sprintf("ip -n %s link add in type veth peer name eth0 netns %s", gate, in),
		fmt.Sprintf("ip -n %s addr add 10.%d.0.1/24 dev in", gate, n), "ip -n "+gate+" link set in up",
		fmt.Sprintf("ip -n %s addr add 10.%d.0.2/24 dev eth0", in, n), "ip -n "+in+" link set eth0 up",
		fmt.Sprintf("ip -n %s route add default via 10.%d.0.1", in, n),
		"ip netns exec "+gate+" sysctl -qw net.ipv4.ip_forward=1",
	)
	if err != nil {
		return err
	}
	// What comes from outside unasked is dropped, as by a translator at home.
	rules := fmt.Sprintf(`
table ip nat {
	chain post {
		type nat hook postrouting priority 100
		oifname "out" %s
	}
}
table ip filter {
	chain input {
		type filter hook input priority 0; policy drop
		iifname "in" accept
		ct state established,related accept
	}
	chain forward {
		type filter hook forward priority 0; policy drop
		iifname "in" accept
		ct state established,related accept
	}
}
`, how)
	nft := exec.Command("ip", "netns", "exec", gate, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if out, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}

// IP runs commands of ip(8) in house n, and Gate at its translator, whose interfaces are in and out.
func (t *Town) IP(n int, commands ...string) error   { return t.ip(fmt.Sprint("house", n), commands) }
func (t *Town) Gate(n int, commands ...string) error { return t.ip(fmt.Sprint("gate", n), commands) }

func (t *Town) ip(part string, commands []string) error {
	for _, c := range commands {
		if err := run("ip -n " + t.ns(part) + " " + c); err != nil {
			return err
		}
	}
	return nil
}

// Public and Inside give the command that runs another in the public place, or in a house.
func (t *Town) Public() []string { return []string{"ip", "netns", "exec", t.ns("pub")} }
func (t *Town) Inside(n int) []string {
	return []string{"ip", "netns", "exec", t.ns(fmt.Sprint("house", n))}
}

// Raze takes the town away.
func (t *Town) Raze() { removeNamespaces(t.name + "-") }

func (t *Town) ns(part string) string { return t.name + "-" + part }
