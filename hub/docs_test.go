package hub

import (
	"flag"
	"os"
	"strings"
	"testing"

	"intercom/internal/config"
	"intercom/internal/config/configtest"
)

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestTheDocumentsSayWhatTheCodeDoes(t *testing.T) {
	configtest.Section(t, "../docs/config.md", "intercom-hub", config.Doc(Defaults()), *update)
	b, err := os.ReadFile("../docs/intercom-hub.sample.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Parse("sample", b, Defaults()); err != nil {
		t.Error(err)
	}
}

func TestABadConfigurationNamesEveryProblem(t *testing.T) {
	err := config.Parse("f",
		[]byte("listen = '0.0.0.0:443'\ntls_cert = 'x'\nring_time = '1h'\naccounts = ''\nlog_level = 'loud'\n"),
		Defaults())
	for _, want := range []string{"f:2:1: tls_cert", "f:3:1: ring_time: is 1h; it must be 1s to 2m", "f:4:1: accounts",
		"f:5:1: log_level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in\n%v", want, err)
		}
	}
	for listen, ok := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true,
		"0.0.0.0:1": false, ":1": false, "nonsense": false} {
		c := Defaults()
		if err := config.Parse("f", []byte("listen = '"+listen+"'"), c); (err == nil) != ok {
			t.Errorf("%s without TLS: %v", listen, err)
		}
	}
}

func TestAddress(t *testing.T) {
	domain := ACMEConfig{Domains: []string{"hub.example.org"}}
	for want, c := range map[string]Config{
		"http://127.0.0.1:8443":        {Listen: "127.0.0.1:8443"},
		"http://[::1]":                 {Listen: "[::1]:80"},
		"https://10.0.0.1":             {Listen: "10.0.0.1:443", TLSCert: "x"},
		"https://hub.example.org":      {Listen: ":443", ACME: domain},
		"https://hub.example.org:8443": {Listen: ":8443", ACME: domain},
	} {
		if got := c.Address(""); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestWrongACME(t *testing.T) {
	err := config.Parse("f",
		[]byte("[acme]\ndomains = ['*.example.org', 'hub']\ndirectory = 'http://x'\nca_file = '/nowhere'\n"),
		Defaults())
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"acme.domains[0]", "acme.domains[1]", "acme.accept_terms", "acme.directory",
		"acme.ca_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
