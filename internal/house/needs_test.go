package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A test that 'go test ./...' runs says which programs it needs, by package needs: what is missing gets a message that
// says what to do, and 'make quick' leaves the test out.
func TestTestsSayWhatTheyNeed(t *testing.T) {
	runs := regexp.MustCompile(`exec\.Command(?:\(|Context\([\w.()]+, )"([^"]+)"`)
	says := regexp.MustCompile(`needs\.Programs\(t((?:, "[^"]+")+)\)`)
	for _, p := range packages(t) {
		texts := map[string]string{}
		said := map[string]bool{}
		for _, f := range append(p.TestGoFiles, p.XTestGoFiles...) {
			b, err := os.ReadFile(filepath.Join(p.Dir, f))
			if err != nil {
				t.Fatal(err)
			}
			texts[f] = string(b)
			for _, m := range says.FindAllStringSubmatch(texts[f], -1) {
				for name := range strings.SplitSeq(m[1], ",") {
					said[strings.Trim(name, ` "`)] = true
				}
			}
		}
		for f, text := range texts {
			if p.ImportPath == "intercom/cmd/demo" {
				continue // all of it is left out of a quick run
			}
			for _, m := range runs.FindAllStringSubmatch(text, -1) {
				if name := filepath.Base(m[1]); name != "go" && !said[name] {
					t.Errorf("%s/%s runs %s without needs.Programs(t, %q)", p.ImportPath, f, name, name)
				}
			}
		}
	}
}
