package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"intercom/cmd/internal/script"
	"intercom/hub"
	"intercom/hub/access"
	"intercom/internal/durable"
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

// A typo in the file of one account keeps no other account off the air, also not at the start.
func TestAHubStartsWithoutABrokenAccount(t *testing.T) {
	file := ""
	cfg, key := begin(t, func(cfg *hub.Config) {
		file = access.File(cfg.Accounts, "other")
		if err := access.NewAccount(cfg.Accounts, "other"); err != nil {
			t.Fatal(err)
		}
		if err := durable.Write(file, []byte("colour = 'red'\n")); err != nil {
			t.Fatal(err)
		}
	})
	ask := func(account string) int {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+cfg.Listen+"/v1/token",
			strings.NewReader(`{"account":"`+account+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", "Bearer "+key)
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			return 0 // it is starting
		}
		r.Body.Close()
		return r.StatusCode
	}
	for ask("demo") != http.StatusOK {
		if t.Context().Err() != nil {
			t.Fatal("the account demo is not served")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := ask("other"); got != http.StatusUnauthorized {
		t.Errorf("the broken account: %d", got)
	}
	other, err := access.Load(access.File(cfg.Accounts, "demo")) // the same key
	if err != nil {
		t.Fatal(err)
	}
	mended := fmt.Sprintf("[[key]]\nid = 'a'\nsha256 = %q\n", other.Keys[0].SHA256)
	if err := durable.Write(file, []byte(mended)); err != nil {
		t.Fatal(err)
	}
	for ask("other") != http.StatusOK {
		time.Sleep(50 * time.Millisecond)
	}
}
