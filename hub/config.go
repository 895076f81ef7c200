package hub

import (
	"net"
	"time"

	"intercom/internal/config"
)

// Config is the hub's configuration file; docs/config.md is made from it.
type Config struct {
	Listen     string          `toml:"listen" doc:"address and port to serve on; without TLS only a loopback address"`
	AllowPlain bool            `toml:"allow_plain" doc:"serve without TLS on other addresses too, for a proxy in front that has the certificate"`
	TLSCert    string          `toml:"tls_cert" doc:"file with the certificate chain (PEM)"`
	TLSKey     string          `toml:"tls_key" doc:"file with the certificate's key (PEM)"`
	Accounts   string          `toml:"accounts" doc:"file with the accounts and their hashed keys; made by intercom-hub key new"`
	Records    string          `toml:"records" doc:"file that gets one JSON line for each call"`
	RingTime   config.Duration `toml:"ring_time" doc:"how long a station rings before the call is missed, 1s to 2m"`
	LogLevel   string          `toml:"log_level" doc:"debug, info, warn or error"`
}

// Defaults is the configuration of a hub whose file is empty.
func Defaults() *Config {
	return &Config{
		Listen:   "127.0.0.1:8443",
		Accounts: "/etc/intercom-hub/accounts.toml",
		Records:  "/var/lib/intercom-hub/calls.jsonl",
		RingTime: config.Duration(30 * time.Second),
		LogLevel: "info",
	}
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
	if c.Accounts == "" {
		r.Addf("accounts", "is missing; name the file with the accounts")
	}
	if c.Records == "" {
		r.Addf("records", "is missing; name the file for the call records")
	}
	if d := c.RingTime.Std(); d < time.Second || d > 2*time.Minute {
		r.Addf("ring_time", "is %v; it must be 1s to 2m", c.RingTime)
	}
	config.CheckLevel(r, "log_level", c.LogLevel)
}
