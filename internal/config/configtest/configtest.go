// Package configtest checks that a section of a document is what the code says it is; with update, it writes the
// section. Tests of rooms that generate documentation import it.
package configtest

import (
	"os"
	"strings"
	"testing"
)

// Section compares the text between the markers <!-- begin NAME --> and <!-- end NAME --> of a page.
func Section(t testing.TB, page, name, want string, update bool) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
	head, rest, ok := strings.Cut(string(b), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no section %s", page, name)
	}
	want = "\n" + strings.TrimSpace(want) + "\n\n"
	if got == want {
		return
	}
	if !update {
		t.Errorf("%s, section %s, is not what the code says; run this test with -update", page, name)
		return
	}
	if err := os.WriteFile(page, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}
