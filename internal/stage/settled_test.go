package stage

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"intercom/internal/needs"
)

func TestSettled(t *testing.T) {
	needs.Programs(t, "ip")
	needs.Root(t)
	ns := fmt.Sprintf("settled%d", os.Getpid())
	t.Cleanup(func() { removeNamespaces(ns) })
	err := run("ip netns add "+ns, "ip -n "+ns+" link add one type veth peer name two", "ip -n "+ns+" link set one up")
	if err != nil {
		t.Fatal(err)
	}
	state := func() string {
		out, err := exec.Command("ip", "-n", ns, "-json", "addr").Output()
		if err != nil {
			t.Fatal(err)
		}
		moving, err := unsettled(out)
		if err != nil {
			t.Fatal(err)
		}
		return moving
	}
	if got := state(); got != "one has no carrier" {
		t.Errorf("a link whose other end is down: %q", got)
	}
	if err := run("ip -n " + ns + " link set two up"); err != nil {
		t.Fatal(err)
	}
	if got := state(); !strings.HasSuffix(got, "is tentative") {
		t.Errorf("a link that has just come up: %q", got)
	}
	if err := Settled("ip", "netns", "exec", ns); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != "" {
		t.Errorf("after Settled: %q", got)
	}
}
