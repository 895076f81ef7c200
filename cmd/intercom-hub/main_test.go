package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"intercom/cmd/internal/script"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"intercom-hub": main})
}

func TestAsAUserTypesIt(t *testing.T) { script.Run(t, nil) }

// Manual page and completion know every command.
func TestEveryCommandIsDocumented(t *testing.T) {
	for _, file := range []string{"../../docs/man/intercom-hub.8.md", "completion.bash"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commands() {
			for word := range strings.FieldsSeq(c.name) {
				if !regexp.MustCompile(`\b` + word + `\b`).Match(b) {
					t.Errorf("%s does not know %s", file, c.name)
				}
			}
		}
	}
}
