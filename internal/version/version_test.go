package version

import (
	"os"
	"strings"
	"testing"
)

func TestThePackagesHaveTheSameVersion(t *testing.T) {
	b, err := os.ReadFile("../../debian/changelog")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(b), "intercom ("+Version+") ") {
		first, _, _ := strings.Cut(string(b), "\n")
		t.Errorf("debian/changelog begins with %q, and the version is %s", first, Version)
	}
}
