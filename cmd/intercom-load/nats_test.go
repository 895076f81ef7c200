package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"intercom/internal/needs"
	"intercom/internal/stage"
)

// natsCluster is three servers of their own, built from the module that the hub uses.
type natsCluster struct {
	dir     string
	program string
	ports   []int // for clients, then for one another
	servers [3]*stage.Process
}

func newNATS(ctx context.Context, t *testing.T) *natsCluster {
	n := &natsCluster{dir: t.TempDir()}
	n.program = filepath.Join(n.dir, "nats-server")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", n.program,
		"github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var err error
	if n.ports, err = stage.Ports(6); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	n.start(t)
	return n
}

func (n *natsCluster) start(t *testing.T) {
	var routes []string
	for _, p := range n.ports[3:] {
		routes = append(routes, fmt.Sprint("nats://127.0.0.1:", p))
	}
	for i := range n.servers {
		name := fmt.Sprint("nats", i+1)
		var err error
		n.servers[i], err = stage.Start(n.dir, name, nil, n.program, "-a", "127.0.0.1", "-p", fmt.Sprint(n.ports[i]),
			"-n", name, "-js", "-sd", filepath.Join(n.dir, name),
			"-cluster_name", "town", "-cluster", fmt.Sprint("nats://127.0.0.1:", n.ports[3+i]), "-routes",
			strings.Join(routes, ","))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (n *natsCluster) stop() {
	for _, s := range n.servers {
		if s != nil {
			_ = s.Signal(syscall.SIGKILL)
			<-s.Ended()
		}
	}
}

func (n *natsCluster) url() string {
	var all []string
	for _, p := range n.ports[:3] {
		all = append(all, fmt.Sprint("nats://127.0.0.1:", p))
	}
	return strings.Join(all, ",")
}

// Hubs on a NATS cluster elsewhere: calls across them; a server of it dies, and nothing happens; all of it is gone for
// a minute: calls within a hub go on, across hubs there is a clear end within two seconds, and it comes back by itself.
func TestHubsOnANATSClusterElsewhere(t *testing.T) {
	needs.Time(t)
	ctx, cancel := context.WithTimeout(t.Context(), 170*time.Second)
	t.Cleanup(cancel)
	n := newNATS(ctx, t)
	c, err := newCluster(ctx, t.TempDir(), program, 2, false, fmt.Sprintf("[nats]\nurl = %q\n", n.url()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	target, err := c.target()
	if err != nil {
		t.Fatal(err)
	}
	a, b := muster(ctx, target, "near", 4, target.at(0)), muster(ctx, target, "far", 2, target.at(1))
	t.Cleanup(a.dismiss)
	t.Cleanup(b.dismiss)
	if err := a.await(ctx, 4); err != nil {
		t.Fatal(err)
	}
	if err := b.await(ctx, 2); err != nil {
		t.Fatal(err)
	}
	within := func(what, want string) {
		t.Helper()
		if got := a.stations[0].call(ctx, a.stations[1].cuid).result.String(); got != want {
			t.Errorf("%s: a call within a hub ended %s", what, got)
		}
	}
	across := func() (string, time.Duration) {
		began := time.Now()
		return a.stations[2].call(ctx, b.stations[0].cuid).result.String(), time.Since(began)
	}
	within("all is well", "over/hangup")
	if got, _ := across(); got != "over/hangup" {
		t.Errorf("a call across hubs ended %s", got)
	}
	_ = n.servers[0].Signal(syscall.SIGKILL)
	<-n.servers[0].Ended()
	within("a server died", "over/hangup")
	again := func(what string) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); ; {
			got, _ := across()
			if got == "over/hangup" {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s: calls across hubs end %s", what, got)
			}
		}
	}
	again("a server died")
	n.stop()
	for gone := time.Now(); time.Since(gone) < time.Minute; {
		within("NATS is gone", "over/hangup")
		if got, took := across(); got != "failed/network_lost" && got != "missed/offline" || took > 2*time.Second {
			t.Errorf("without NATS a call across hubs ended %s after %v", got, took)
		}
		time.Sleep(time.Second) // the minute is the fault
	}
	n.start(t)
	again("NATS is back")
	within("NATS is back", "over/hangup")
}
