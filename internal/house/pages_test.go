package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every page with commands ("$ " at the beginning of a line) is named by a test that runs them as they stand there.
func TestTheCommandsOfEveryPageAreRun(t *testing.T) {
	var tests strings.Builder
	files, err := filepath.Glob(root + "/images/*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(b)
	}
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, page := range append(pages, root+"/README.md", root+"/web/sdk/README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, page)
		if regexp.MustCompile(`(?m)^\$ `).Match(b) && !strings.Contains(tests.String(), `"../../`+name+`"`) {
			t.Errorf("%s has commands, but no test in images/ runs them", name)
		}
	}
}

// What a page has made is a target of the Makefile.
func TestWhatThePagesMakeIsThere(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := filepath.Glob(root + "/*.md")
	more, _ := filepath.Glob(root + "/docs/*.md")
	for _, page := range append(pages, more...) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:^|[`'$] ?)make ([a-z][a-z-]*)").FindAllStringSubmatch(string(b),
			-1) {
			if strings.HasSuffix(m[1], "-") { // of all of a kind
				continue
			}
			if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
				t.Errorf("%s has 'make %s', which the Makefile has not", page, m[1])
			}
		}
	}
}

// Each decision has a number of its own, the same in its name and its title, so that "decision 14" means one of them.
func TestEveryDecisionHasANumberOfItsOwn(t *testing.T) {
	pages, err := filepath.Glob(root + "/docs/decisions/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	seen := map[string]string{}
	for _, page := range pages {
		name := filepath.Base(page)
		number, _, _ := strings.Cut(name, "-")
		if other := seen[number]; other != "" {
			t.Errorf("%s and %s have the same number; give the later one the next that is free", other, name)
		}
		seen[number] = name
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if title := "# " + strings.TrimLeft(number, "0") + ". "; !strings.HasPrefix(string(b), title) {
			t.Errorf("the title of %s does not begin with %q", name, title)
		}
	}
}

// What CONTRIBUTING.md names as a place is there: in its map, and in backquotes.
func TestThePlacesThatContributorsReadOfAreThere(t *testing.T) {
	page, err := os.ReadFile(root + "/CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	rooms := map[string]bool{}
	for _, e := range top {
		rooms[e.Name()] = e.IsDir()
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("[`(/ \n]([a-z]+/[a-z0-9_./*-]*[a-z0-9/*])").FindAllStringSubmatch(
		string(page), -1) {
		if first, _, _ := strings.Cut(m[1], "/"); rooms[first] {
			named[m[1]] = true
		}
	}
	if len(named) < 50 {
		t.Errorf("only %d places are found in the page: %v", len(named), named)
	}
	for place := range named {
		if found, err := filepath.Glob(filepath.Join(root, place)); err != nil || len(found) == 0 {
			t.Errorf("CONTRIBUTING.md names %s, which is not there", place)
		}
	}
}
