package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"intercom/internal/config"
	"intercom/internal/stage"
	"intercom/wire"
)

// cluster is hubs of our own, each a process, on loopback: one alone, or several with their own servers inside.
type cluster struct {
	dir, program string
	hubs         []*node
	key          config.Secret
	tls          bool
}

type node struct {
	*stage.Process
	dir, addr, conf string
}

// newCluster writes the configuration of n hubs with one account, demo, and starts them. more is added to each file.
func newCluster(ctx context.Context, dir, program string, n int, withTLS bool, more string) (*cluster, error) {
	c := &cluster{dir: dir, program: program, tls: withTLS}
	free, err := stage.Ports(2 * n)
	if err != nil {
		return nil, err
	}
	base := fmt.Sprintf("accounts = %q\nsecret_file = %q\nlog_level = \"warn\"\n", filepath.Join(dir, "accounts"),
		filepath.Join(dir, "secret"))
	if withTLS {
		cert, key, err := stage.Certificate(dir)
		if err != nil {
			return nil, err
		}
		base += fmt.Sprintf("tls_cert = %q\ntls_key = %q\n", cert, key)
	}
	for i := range n {
		h := &node{dir: filepath.Join(dir, fmt.Sprint("hub", i+1)), addr: fmt.Sprint("127.0.0.1:", free[i])}
		h.conf = filepath.Join(h.dir, "hub.toml")
		text := base + fmt.Sprintf("name = \"hub%d\"\nlisten = %q\nstate_dir = %q\n%s\n", i+1, h.addr, h.dir, more)
		if n > 1 && !strings.Contains(more, "[nats]") {
			var routes []string
			for j := range n {
				if j != i {
					routes = append(routes, fmt.Sprintf("\"127.0.0.1:%d\"", free[n+j]))
				}
			}
			text += fmt.Sprintf("[nats]\nlisten = \"127.0.0.1:%d\"\nroutes = [%s]\n", free[n+i],
				strings.Join(routes, ", "))
		}
		if err := errors.Join(os.MkdirAll(h.dir, 0o700), os.WriteFile(h.conf, []byte(text), 0o600)); err != nil {
			return nil, err
		}
		c.hubs = append(c.hubs, h)
	}
	out, err := exec.CommandContext(ctx, program, "key", "new", "-config", c.hubs[0].conf, "-account", "demo").Output()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	keyFile := filepath.Join(dir, "key")
	if err := os.WriteFile(keyFile, out, 0o600); err != nil {
		return nil, err
	}
	if c.key, err = new(config.Report).ReadSecret(keyFile); err != nil {
		return nil, err
	}
	// The secret is made before several hubs want it.
	if err := exec.CommandContext(ctx, program, "token", "-config", c.hubs[0].conf, "-account",
		"demo").Run(); err != nil {
		return nil, fmt.Errorf("making the secret: %w", err)
	}
	// they wait for one another
	for _, start := range []func(*node) error{c.start, func(h *node) error { return c.await(ctx, h) }} {
		for _, h := range c.hubs {
			if err := start(h); err != nil {
				c.stop()
				return nil, err
			}
		}
	}
	return c, nil
}

func (c *cluster) start(h *node) (err error) {
	h.Process, err = stage.Start(h.dir, filepath.Base(h.dir), nil, c.program, "-config", h.conf)
	return err
}

// await waits until a hub serves.
func (c *cluster) await(ctx context.Context, h *node) error {
	t, err := c.target()
	if err != nil {
		return err
	}
	return h.Wait(ctx, "it was ready", func() bool { return h.probe(t) >= 0 })
}

// up starts a hub again.
func (c *cluster) up(ctx context.Context, h *node) error {
	if err := c.start(h); err != nil {
		return err
	}
	return c.await(ctx, h)
}

// probe is how many devices a hub says that it has; -1 when it is not ready.
func (h *node) probe(t target) int {
	client := &http.Client{Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: t.TLS, DisableKeepAlives: true}}
	scheme := "http://"
	if t.TLS != nil {
		scheme = "https://"
	}
	r, err := client.Get(scheme + h.addr + "/readyz")
	if err != nil {
		return -1
	}
	defer r.Body.Close()
	var state struct{ Devices int }
	if r.StatusCode != http.StatusOK || json.NewDecoder(r.Body).Decode(&state) != nil {
		return -1
	}
	return state.Devices
}

// devices waits until the hubs together have n devices.
func (c *cluster) devices(ctx context.Context, n int) error {
	t, err := c.target()
	if err != nil {
		return err
	}
	for {
		have := 0
		for _, h := range c.hubs {
			have += max(0, h.probe(t))
		}
		if have >= n {
			return nil
		}
		if sleep(ctx, 5*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%d of %d devices are there", have, n)
		}
	}
}

func (c *cluster) stop() {
	for _, h := range c.hubs {
		if h.Process != nil {
			_ = h.Stop(10 * time.Second)
		}
	}
}

// target is where stations sign in.
func (c *cluster) target() (target, error) {
	t := target{Account: "demo", APIKey: c.key}
	scheme, ca := "ws://", ""
	if c.tls {
		scheme, ca = "wss://", filepath.Join(c.dir, "cert.pem")
	}
	for _, h := range c.hubs {
		t.URLs = append(t.URLs, scheme+h.addr+wire.Path)
	}
	var err error
	t.TLS, err = trust(ca)
	return t, err
}

// rss is the resident memory of a hub in KiB.
func (h *node) rss() float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.PID()))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n
		}
	}
	return 0
}

// cpu is the processor time that a hub has used.
func (h *node) cpu() time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", h.PID()))
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / 100 // clock ticks
}
