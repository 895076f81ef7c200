package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every row of docs/security.md, and every rule in docs/config.md, names what tries to break it: an attack (theme/what,
// of cmd/intercom-attack), a Go test, or a file of browser tests. What is named is there, and each attack has its row.
func TestEveryPromiseIsTried(t *testing.T) {
	tests, attacks := trials(t)
	named := map[string]bool{}
	for page, header := range map[string]string{
		"docs/security.md": "| of | against | by | tried by |",
		"docs/config.md":   "| rule | refuses | tried by |",
	} {
		b, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		_, table, ok := strings.Cut(string(b), header+"\n")
		if !ok {
			t.Errorf("%s has no table %s", page, header)
		}
		for line := range strings.Lines(table) {
			if strings.HasPrefix(line, "|---") {
				continue
			} else if !strings.HasPrefix(line, "|") {
				break
			}
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			if len(cells) != strings.Count(header, "|")-1 {
				t.Errorf("%s has a row with %d cells: %s", page, len(cells), line)
				continue
			}
			names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
			if len(names) == 0 {
				t.Errorf("%s: nothing tries to break this: %s", page, line)
			}
			for _, m := range names {
				if named[m[1]] = true; !tests[m[1]] && !attacks[m[1]] {
					t.Errorf("%s: there is no test or attack %s: %s", page, m[1], line)
				}
			}
		}
	}
	for a := range attacks {
		if !named[a] {
			t.Errorf("the attack %s stands behind no row of docs/security.md", a)
		}
	}
}

// trials are the names of all Go tests and files of browser tests, and of all attacks.
func trials(t *testing.T) (tests, attacks map[string]bool) {
	tests, attacks = map[string]bool{}, map[string]bool{}
	test, attack := regexp.MustCompile(`(?m)^func (Test\w+)\(`),
		regexp.MustCompile(`(?m)^\t\{"([a-z]+/[a-z0-9-]+)",\s+"`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "bin", "out", "node_modules"}, d.Name()) {
			return filepath.SkipDir
		}
		switch {
		case strings.HasSuffix(path, ".test.js"):
			tests[d.Name()] = true
		case strings.HasSuffix(path, ".go"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			into, what := attacks, attack
			if strings.HasSuffix(path, "_test.go") {
				into, what = tests, test
			} else if !strings.Contains(path, "cmd/intercom-attack/") {
				return nil
			}
			for _, m := range what.FindAllSubmatch(b, -1) {
				into[string(m[1])] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, attacks
}
