package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type marked struct {
	Name string `toml:"name"`
}

func (*marked) Check(*Report) {}

// Editors of other systems begin files with a byte order mark and end lines with CR and LF.
func TestAFileOfAnotherEditor(t *testing.T) {
	var got marked
	if err := Parse("f", []byte("\ufeffname = \"a\"\r\n"), &got); err != nil || got.Name != "a" {
		t.Error(got, err)
	}
	err := Parse("f", []byte("\xff\xfen\x00"), &got)
	if err == nil || !strings.Contains(err.Error(), "f: is written as UTF-16; save it as UTF-8") {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("\ufeffik_x\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := new(Report).ReadSecret(file); err != nil || s.Reveal() != "ik_x" {
		t.Error(s.Reveal(), err)
	}
}
