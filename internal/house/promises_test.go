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

// Every row of docs/security.md names what tries to break it: an attack (theme/what, cmd/intercom-attack), a Go test, or a
// file of browser tests. What it names is there.
func TestEveryPromiseOfSecurityIsTried(t *testing.T) {
	tests, attacks := trials(t)
	page, err := os.ReadFile(root + "/docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| of |") {
			continue
		}
		rows++
		if len(cells) != 4 {
			t.Errorf("%d cells, not of, against, by, tried by: %s", len(cells), line)
			continue
		}
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 {
			t.Errorf("nothing tries to break this: %s", line)
		}
		for _, m := range names {
			if !tests[m[1]] && !attacks[m[1]] {
				t.Errorf("there is no test or attack %s: %s", m[1], line)
			}
		}
	}
	if rows < 10 {
		t.Errorf("%d rows found; is the table of docs/security.md another?", rows)
	}
}

// So does every row of the rules in docs/config.md (rule, refuses, tried by).
func TestEveryRuleOfTheConfigurationIsTried(t *testing.T) {
	tests, attacks := trials(t)
	page, err := os.ReadFile(root + "/docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| rule | refuses | tried by |")
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		names := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 3 || len(names) == 0 {
			t.Errorf("nothing tries that this refuses: %s", line)
		}
		for _, m := range names {
			if !tests[m[1]] && !attacks[m[1]] {
				t.Errorf("there is no test or attack %s: %s", m[1], line)
			}
		}
	}
	if rows < 15 {
		t.Errorf("%d rows found; is the table of docs/config.md another?", rows)
	}
}

// trials are the names of all Go tests and files of browser tests, and of all attacks.
func trials(t *testing.T) (tests, attacks map[string]bool) {
	tests, attacks = map[string]bool{}, map[string]bool{}
	test, attack := regexp.MustCompile(`(?m)^func (Test\w+)\(`), regexp.MustCompile(`(?m)^\t\{"([a-z]+/[a-z0-9-]+)", "`)
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
