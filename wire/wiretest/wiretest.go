// Package wiretest has frames that are strange, for the tests of whatever reads frames. Tests import it.
package wiretest

import (
	_ "embed"
	"strconv"
	"strings"
	"testing"
)

//go:embed weird.txt
var weird string

// Weird gives strange frames by what is strange in them. New ones go into weird.txt.
func Weird(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for line := range strings.Lines(weird) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, parts, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		frame := []byte{}
		for parts != "" {
			times := 1
			if n, rest, ok := strings.Cut(parts, "*"); ok && !strings.HasPrefix(parts, `"`) {
				var err error
				if times, err = strconv.Atoi(n); err != nil {
					t.Fatalf("weird.txt, %s: %v", name, err)
				}
				parts = rest
			}
			quoted, err := strconv.QuotedPrefix(parts)
			if err != nil {
				t.Fatalf("weird.txt, %s: %v", name, err)
			}
			text, _ := strconv.Unquote(quoted)
			frame = append(frame, strings.Repeat(text, times)...)
			parts = strings.TrimPrefix(parts[len(quoted):], " ")
		}
		all[name] = frame
	}
	return all
}
