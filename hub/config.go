package hub

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"intercom/internal/config"
	"intercom/wire"
)

// Config is the hub's configuration file; docs/config.md is made from it.
type Config struct {
	Name        string          `toml:"name" doc:"of this hub, one of its own in a cluster; empty for the machine's"`
	Listen      string          `toml:"listen" doc:"address and port to serve on; without TLS only a loopback address"`
	AllowPlain  bool            `toml:"allow_plain" doc:"serve without TLS on other addresses too, for a proxy in front that has the certificate"`
	TLSCert     string          `toml:"tls_cert" doc:"file with the certificate chain (PEM)"`
	TLSKey      string          `toml:"tls_key" doc:"file with the certificate's key (PEM)"`
	TLSPrivate  bool            `toml:"tls_private" doc:"serve with a certificate of the hub's own authority, made by 'intercom-hub tls new' and renewed by the hub; see docs/tls.md"`
	CAListen    string          `toml:"ca_listen" doc:"address and port, like \":80\", where browsers get the certificate of that authority without TLS, and nothing else; empty for none"`
	Accounts    string          `toml:"accounts" doc:"folder with a file for each account; read again on SIGHUP, and by itself within 5 s of a change"`
	StateDir    string          `toml:"state_dir" doc:"folder for what the hub keeps: call records, its secret, the files of the NATS server inside"`
	SecretFile  string          `toml:"secret_file" doc:"file with the secret that hubs of a cluster share; empty for one in state_dir, made at the first start"`
	RingTime    config.Duration `toml:"ring_time" doc:"how long a station rings before the call is missed, 1s to 2m"`
	CallerTime  config.Duration `toml:"caller_time" doc:"how long a caller waits for a result, 1s to 3m; a sequence of stations may take longer"`
	AckTime     config.Duration `toml:"ack_time" doc:"how long an answer to a request may take, and a station that is there may take to ring, 1s to 30s"`
	Origins     []string        `toml:"origins" doc:"other sites whose pages may sign in here, like https://crm.example.org; those of the hub itself may always"`
	Trusted     []string        `toml:"trusted_proxies" doc:"addresses or prefixes of reverse proxies in front of the hub, like \"127.0.0.1\" or \"10.0.0.0/24\", whose word about a client's address is believed; see hub.md"`
	ProxyHeader string          `toml:"proxy_header" doc:"the header in which they say it: X-Forwarded-For, or Forwarded (RFC 7239)"`
	Metrics     string          `toml:"metrics" doc:"loopback address and port for /metrics (Prometheus); empty for none"`
	KeepRecords config.Duration `toml:"keep_records" doc:"how long call records are kept; 0s for ever"`
	LogLevel    string          `toml:"log_level" doc:"debug, info, warn or error"`

	ACME ACMEConfig `toml:"acme" doc:"A certificate from an authority that speaks ACME, like Let's Encrypt, instead of tls_cert and tls_key. It must reach the hub at port 443."`
	TURN TURNConfig `toml:"turn" doc:"STUN and TURN, for stations that networks keep apart: inside the hub, or a server elsewhere."`
	NATS NATSConfig `toml:"nats" doc:"What joins several hubs; without it the hub is alone. See docs/hub.md."`
}

// ACMEConfig says where the hub's certificate comes from.
type ACMEConfig struct {
	Domains     []string `toml:"domains" doc:"names of the hub, like \"hub.example.org\"; empty for none"`
	AcceptTerms bool     `toml:"accept_terms" doc:"you agree to the terms of the authority"`
	Email       string   `toml:"email" doc:"for the authority's warnings"`
	Directory   string   `toml:"directory" doc:"address of the authority"`
	CAFile      string   `toml:"ca_file" doc:"file with the certificate (PEM) of an authority of your own; empty for those of the system"`
}

func (a *ACMEConfig) check(r *config.Report) {
	if len(a.Domains) == 0 {
		return
	}
	for i, d := range a.Domains {
		if !domain.MatchString(d) {
			r.Addf(fmt.Sprintf("acme.domains[%d]", i),
				"%q is not a name for a certificate; write it in full, like \"hub.example.org\"", d)
		}
	}
	if !a.AcceptTerms {
		r.Addf("acme.accept_terms", "is false; read the terms of %s, and set it", a.Directory)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		r.Addf("acme.directory", "%q is not an https address", a.Directory)
	}
	if a.CAFile != "" {
		if _, err := os.ReadFile(a.CAFile); err != nil {
			r.Addf("acme.ca_file", "%v", err)
		}
	}
}

var domain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$`)

const hostLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"

// TURNConfig says which STUN and TURN servers stations are told of.
type TURNConfig struct {
	Listen       string   `toml:"listen" doc:"address and port of the server inside, for UDP and TCP, like \"0.0.0.0:3478\"; empty for none"`
	ListenTLS    string   `toml:"listen_tls" doc:"address and port of the server inside for TLS, with the hub's certificate, like \"0.0.0.0:5349\"; empty for none"`
	TLSName      string   `toml:"tls_name" doc:"name in the hub's certificate at which stations reach listen_tls; empty for the first of acme.domains, or else for public"`
	Public       string   `toml:"public" doc:"IP address at which stations reach the server inside"`
	MinPort      int      `toml:"min_port" doc:"lowest port of relayed addresses"`
	MaxPort      int      `toml:"max_port" doc:"highest port of relayed addresses"`
	AllowPrivate bool     `toml:"allow_private" doc:"relay to private addresses too, when all stations are in one private network; never to loopback or link-local ones"`
	PerAccount   int      `toml:"per_account" doc:"relayed addresses of one account at once; each party of a call takes one each over UDP, TCP and TLS, also when it needs none in the end"`
	AddressKbit  int      `toml:"address_kbit" doc:"kbit/s that one relayed address carries, each way; a voice needs less than 100"`
	AccountKbit  int      `toml:"account_kbit" doc:"kbit/s that the relayed addresses of one account carry together, each way"`
	URLs         []string `toml:"urls" doc:"servers elsewhere, like \"stun:stun.example.org\", \"turn:turn.example.org?transport=udp\""`
	SecretFile   string   `toml:"secret_file" doc:"file with the secret that the servers elsewhere share with the hub (coturn: static-auth-secret)"`

	secret config.Secret
}

// Secret is what the servers elsewhere share with the hub, read by Check.
func (t *TURNConfig) Secret() config.Secret { return t.secret }

func (t *TURNConfig) check(r *config.Report, tls bool) {
	if t.ListenTLS != "" {
		if _, port, err := net.SplitHostPort(t.ListenTLS); err != nil || port == "0" || port == "" {
			r.Addf("turn.listen_tls", "%q is not an address with a port; write it like \"0.0.0.0:5349\"", t.ListenTLS)
		} else if t.Listen == "" {
			r.Addf("turn.listen_tls", "needs turn.listen, the same server for UDP and TCP")
		} else if !tls {
			r.Addf("turn.listen_tls",
				"needs the hub's certificate; set tls_cert and tls_key, acme.domains or tls_private")
		}
	}
	if t.TLSName != "" && strings.Trim(t.TLSName, hostLetters) != "" {
		r.Addf("turn.tls_name", "%q is not a host; write it without scheme and port, like \"hub.example.org\"",
			t.TLSName)
	}
	if t.Listen != "" {
		if _, port, err := net.SplitHostPort(t.Listen); err != nil || port == "0" || port == "" {
			r.Addf("turn.listen", "%q is not an address with a port; write it like \"0.0.0.0:3478\"", t.Listen)
		}
		if a, err := netip.ParseAddr(t.Public); err != nil || a.IsUnspecified() {
			r.Addf("turn.public", "%q is not an IP address; name the one at which stations reach this machine",
				t.Public)
		}
	}
	if t.MinPort < 1024 || t.MaxPort > 65535 || t.MinPort > t.MaxPort {
		r.Addf("turn.min_port", "and max_port must be 1024 to 65535, the lower first")
	}
	if t.PerAccount < 1 {
		r.Addf("turn.per_account", "is %d; it must be at least 1", t.PerAccount)
	}
	if t.AddressKbit < 100 {
		r.Addf("turn.address_kbit", "is %d; a voice needs 100", t.AddressKbit)
	}
	if t.AccountKbit < t.AddressKbit {
		r.Addf("turn.account_kbit", "is %d; it must be at least address_kbit, which is %d", t.AccountKbit,
			t.AddressKbit)
	}
	relays := false
	for i, u := range t.URLs {
		scheme, rest, _ := strings.Cut(u, ":")
		if !slices.Contains([]string{"stun", "stuns", "turn", "turns"}, scheme) || rest == "" {
			r.Addf(fmt.Sprintf("turn.urls[%d]", i), "%q is not a server; write it like "+
				"\"stun:stun.example.org:3478\" or \"turn:turn.example.org?transport=udp\"", u)
		}
		relays = relays || strings.HasPrefix(scheme, "turn")
	}
	if relays && t.SecretFile == "" {
		r.Addf("turn.secret_file", "is missing; turn servers elsewhere share a secret with the hub")
	} else if t.SecretFile != "" {
		var err error
		if t.secret, err = r.ReadSecret(t.SecretFile); err != nil {
			r.Addf("turn.secret_file", "%v", err)
		}
	}
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
		RingTime:    config.Duration(wire.RingTime),
		CallerTime:  config.Duration(wire.CallerLimit),
		AckTime:     config.Duration(wire.AckTime),
		KeepRecords: config.Duration(365 * 24 * time.Hour),
		LogLevel:    "info",
		ProxyHeader: XForwardedFor,
		ACME:        ACMEConfig{Directory: "https://acme-v02.api.letsencrypt.org/directory"},
		TURN:        TURNConfig{MinPort: 49152, MaxPort: 65535, PerAccount: 300, AddressKbit: 250, AccountKbit: 20_000},
	}
}

// TLS reports whether the hub serves with TLS.
func (c *Config) TLS() bool { return c.TLSCert != "" || len(c.ACME.Domains) > 0 || c.TLSPrivate }

// Authority is the folder of the hub's own certificate authority.
func (c *Config) Authority() string { return filepath.Join(c.StateDir, "tls") }

// Address is where a browser finds the hub, as far as it can know: at this host, where its certificate names one.
func (c *Config) Address(named string) string {
	scheme, standard := "http", "80"
	if c.TLS() {
		scheme, standard = "https", "443"
	}
	host, port, _ := net.SplitHostPort(c.Listen)
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = machine()
	}
	if len(c.ACME.Domains) > 0 {
		host = c.ACME.Domains[0]
	}
	host = cmp.Or(named, host)
	u := url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}
	if port == standard {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u.String()
}

// Records is the folder of the call records.
func (c *Config) Records() string { return filepath.Join(c.StateDir, "calls") }

// Ended is where the hub keeps which sessions of operators were ended.
func (c *Config) Ended() string { return filepath.Join(c.StateDir, "signed-out") }

// Control is the socket for the commands of this machine.
func (c *Config) Control() string { return filepath.Join(c.StateDir, "control.sock") }

// Secret is the file of the hub's secret.
func (c *Config) Secret() string {
	if c.SecretFile != "" {
		return c.SecretFile
	}
	return filepath.Join(c.StateDir, "secret")
}

// Proxies are those in front of the hub, as far as they are right; see Check.
func (c *Config) Proxies() Proxies {
	p := Proxies{Header: c.ProxyHeader}
	for _, s := range c.Trusted {
		if t, err := ParseProxy(s); err == nil {
			p.Trusted = append(p.Trusted, t)
		}
	}
	return p
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
	if c.TLSCert != "" && len(c.ACME.Domains) > 0 {
		r.Addf("acme.domains", "and tls_cert exclude each other; set one of them")
	}
	if c.TLSPrivate && (c.TLSCert != "" || len(c.ACME.Domains) > 0) {
		r.Addf("tls_private", "excludes tls_cert and acme.domains; set one of the three")
	}
	if c.CAListen != "" {
		if _, port, err := net.SplitHostPort(c.CAListen); err != nil || port == "" || port == "0" {
			r.Addf("ca_listen", "%q is not an address with a port; write it like \":80\"", c.CAListen)
		} else if c.CAListen == c.Listen {
			r.Addf("ca_listen",
				"is the same as listen, where the hub serves with TLS; it needs a port of its own, like \":80\"")
		} else if !c.TLSPrivate {
			r.Addf("ca_listen", "gives away the certificate of tls_private, which is not set")
		}
	}
	if err == nil && !c.TLS() && !c.AllowPlain && !config.Loopback(host) {
		r.Addf("listen", "%q can be reached from elsewhere, so it needs tls_cert and tls_key, acme.domains, or "+
			"tls_private where there is no public name; a loopback address does not, nor does a hub with "+
			"allow_plain = true", c.Listen)
	}
	if c.Name == "" {
		c.Name = machine()
	}
	if strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" ||
		len(c.Name) > 50 {
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
	if d := c.CallerTime.Std(); d < time.Second || d > 3*time.Minute {
		r.Addf("caller_time", "is %v; it must be 1s to 3m", c.CallerTime)
	}
	if d := c.AckTime.Std(); d < time.Second || d > 30*time.Second {
		r.Addf("ack_time", "is %v; it must be 1s to 30s", c.AckTime)
	}
	for i, o := range c.Origins {
		if u, err := url.Parse(o); err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" ||
			u.Path != "" || strings.ContainsAny(o, "*?[\\") {
			r.Addf(fmt.Sprintf("origins[%d]", i), "%q is no origin; write it like https://crm.example.org", o)
		}
	}
	for i, s := range c.Trusted {
		if p, err := ParseProxy(s); err != nil {
			r.Addf(fmt.Sprintf("trusted_proxies[%d]", i), "%v", err)
		} else if p.Bits() == 0 {
			r.Addf(fmt.Sprintf("trusted_proxies[%d]", i),
				"%q are all addresses, so that everybody could say to be another; name the proxy's", s)
		}
	}
	if c.ProxyHeader != XForwardedFor && c.ProxyHeader != Forwarded {
		r.Addf("proxy_header", "%q is not a header that is known; it must be %s or %s", c.ProxyHeader, XForwardedFor,
			Forwarded)
	}
	if c.Metrics != "" {
		if host, _, err := net.SplitHostPort(c.Metrics); err != nil || !config.Loopback(host) {
			r.Addf("metrics", "%q is not a loopback address with a port; write it like \"127.0.0.1:9464\"", c.Metrics)
		}
	}
	config.CheckLevel(r, "log_level", c.LogLevel)
	c.ACME.check(r)
	c.TURN.check(r, c.TLS())
	c.NATS.check(r)
}

func (n *NATSConfig) check(r *config.Report) {
	if n.URL != "" && (n.Listen != "" || len(n.Routes) > 0) {
		r.Addf("nats.url", "and nats.listen exclude each other: either the hubs meet at a NATS cluster elsewhere, or "+
			"their own servers form one")
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
