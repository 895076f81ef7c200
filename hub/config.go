package hub

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"intercom/internal/config"
)

// Config is the hub's configuration file; docs/config.md is made from it.
type Config struct {
	Name        string          `toml:"name" doc:"of this hub, one of its own in a cluster; empty for the machine's"`
	Listen      string          `toml:"listen" doc:"address and port to serve on; without TLS only a loopback address"`
	AllowPlain  bool            `toml:"allow_plain" doc:"serve without TLS on other addresses too, for a proxy in front that has the certificate"`
	TLSCert     string          `toml:"tls_cert" doc:"file with the certificate chain (PEM)"`
	TLSKey      string          `toml:"tls_key" doc:"file with the certificate's key (PEM)"`
	Accounts    string          `toml:"accounts" doc:"folder with a file for each account; read again on SIGHUP, and by itself within 2 s of a change"`
	StateDir    string          `toml:"state_dir" doc:"folder for what the hub keeps: call records, its secret, the files of the NATS server inside"`
	SecretFile  string          `toml:"secret_file" doc:"file with the secret that hubs of a cluster share; empty for one in state_dir, made at the first start"`
	RingTime    config.Duration `toml:"ring_time" doc:"how long a station rings before the call is missed, 1s to 2m"`
	KeepRecords config.Duration `toml:"keep_records" doc:"how long call records are kept; 0s for ever"`
	LogLevel    string          `toml:"log_level" doc:"debug, info, warn or error"`

	NATS NATSConfig `toml:"nats" doc:"What joins several hubs; without it the hub is alone. See docs/operate.md."`
}

// NATSConfig says how hubs are joined.
type NATSConfig struct {
	URL         string   `toml:"url" doc:"address of a NATS cluster elsewhere, like nats://nats1:4222,nats://nats2:4222; empty for a server inside the hub"`
	Credentials string   `toml:"credentials" doc:"credentials file for the cluster elsewhere"`
	Listen      string   `toml:"listen" doc:"address and port for the servers inside the other hubs; empty for a hub that is alone"`
	Routes      []string `toml:"routes" doc:"addresses and ports of the other hubs, their nats.listen"`
	Replicas    int      `toml:"replicas" doc:"on how many NATS servers claims and records are kept, 1, 3 or 5; 0 for 3 where there are as many"`
}

// Defaults is the configuration of a hub whose file is empty.
func Defaults() *Config {
	return &Config{
		Listen:      "127.0.0.1:8443",
		Accounts:    "/etc/intercom-hub/accounts",
		StateDir:    "/var/lib/intercom-hub",
		RingTime:    config.Duration(30 * time.Second),
		KeepRecords: config.Duration(365 * 24 * time.Hour),
		LogLevel:    "info",
	}
}

// Records is the folder of the call records.
func (c *Config) Records() string { return filepath.Join(c.StateDir, "calls") }

// Secret is the file of the hub's secret.
func (c *Config) Secret() string {
	if c.SecretFile != "" {
		return c.SecretFile
	}
	return filepath.Join(c.StateDir, "secret")
}

// Check names every problem of the file.
func (c *Config) Check(r *config.Report) {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		r.Addf("listen", "%q is not an address with a port; write it like \"127.0.0.1:8443\"", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		r.Addf("tls_cert", "and tls_key belong together; set both or none")
	}
	if err == nil && c.TLSCert == "" && !c.AllowPlain && !config.Loopback(host) {
		r.Addf("listen", "%q can be reached from elsewhere, so it needs tls_cert and tls_key; a loopback address does not, nor does a hub with allow_plain = true", c.Listen)
	}
	if c.Name == "" {
		c.Name = machine()
	}
	if strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || len(c.Name) > 50 {
		r.Addf("name", "%q is not a name for a hub; it has up to 50 letters, digits, - and _", c.Name)
	}
	for key, value := range map[string]string{"accounts": c.Accounts, "state_dir": c.StateDir} {
		if value == "" {
			r.Addf(key, "is missing; name a folder")
		}
	}
	if d := c.RingTime.Std(); d < time.Second || d > MaxRing {
		r.Addf("ring_time", "is %v; it must be 1s to 2m", c.RingTime)
	}
	config.CheckLevel(r, "log_level", c.LogLevel)
	c.NATS.check(r)
}

func (n *NATSConfig) check(r *config.Report) {
	if n.URL != "" && (n.Listen != "" || len(n.Routes) > 0) {
		r.Addf("nats.url", "and nats.listen exclude each other: either the hubs meet at a NATS cluster elsewhere, or their own servers form one")
	}
	if len(n.Routes) > 0 && n.Listen == "" {
		r.Addf("nats.routes", "needs nats.listen, where the other hubs reach this one")
	}
	addresses := map[string]string{}
	if n.Listen != "" {
		addresses["nats.listen"] = n.Listen
	}
	for i, a := range n.Routes {
		addresses[fmt.Sprintf("nats.routes[%d]", i)] = a
	}
	for key, a := range addresses {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" || port == "0" {
			r.Addf(key, "%q is not an address with a port; write it like \"10.0.0.1:6222\"", a)
		}
	}
	switch n.Replicas {
	case 0, 1, 3, 5:
	default:
		r.Addf("nats.replicas", "is %d; it must be 0, 1, 3 or 5", n.Replicas)
	}
}

// machine is the machine's name with what a hub's name may have.
func machine() string {
	name, _ := os.Hostname()
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, name)
	if name = name[:min(len(name), 50)]; name == "" {
		return "hub"
	}
	return name
}
