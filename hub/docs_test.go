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
	err := config.Parse("f", []byte("listen = '0.0.0.0:443'\ntls_cert = 'x'\nring_time = '1h'\naccounts = ''\nlog_level = 'loud'\n"), Defaults())
	for _, want := range []string{"f:2:1: tls_cert", "f:3:1: ring_time: is 1h; it must be 1s to 2m", "f:4:1: accounts", "f:5:1: log_level"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in\n%v", want, err)
		}
	}
	for listen, ok := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "0.0.0.0:1": false, ":1": false, "nonsense": false} {
		c := Defaults()
		if err := config.Parse("f", []byte("listen = '"+listen+"'"), c); (err == nil) != ok {
			t.Errorf("%s without TLS: %v", listen, err)
		}
	}
}
