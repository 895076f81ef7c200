//go:build card

package card_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Every cuid makes a host name that is one.
func TestHostname(t *testing.T) {
	for cuid, want := range map[string]string{
		"": "intercom", "front_door": "front-door", "Door1": "Door1", "_abcd": "abcd", "abcd_": "abcd",
		"a__bc":      "a--bc",
		"8899555123": "intercom-8899555123", "_12345_": "intercom-12345", "12__34": "12--34",
		strings.Repeat("x", 50): strings.Repeat("x", 50),
		strings.Repeat("1", 50): "intercom-" + strings.Repeat("1", 50),
	} {
		out, err := exec.Command("files/usr/lib/intercom-card/hostname-of", cuid).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want || len(got) > 63 {
			t.Errorf("%q: got %q, %v, want %q", cuid, got, err, want)
		}
	}
}
