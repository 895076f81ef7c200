package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestEveryAttackHasANameOfItsOwnAndSaysWhatItDoes(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range attacks() {
		if !regexp.MustCompile(`^[a-z]+/[a-z0-9-]+$`).MatchString(a.name) || seen[a.name] {
			t.Errorf("%q is not a name of its own like theme/what", a.name)
		}
		if seen[a.name] = true; len(a.does) < 20 || a.try == nil {
			t.Errorf("%s does not say what it does, or does nothing", a.name)
		}
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]int{"-list": 0, "-h": 0, "-run nothing/like-this": exUsage, "-run [": exUsage,
		"-nonsense": exUsage, "more": exUsage} {
		var out, complaint bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &out, &complaint); got != want ||
			want == exUsage && complaint.Len() == 0 {
			t.Errorf("intercom-attack %s: status %d, want %d: %s%s", args, got, want, out.String(), complaint.String())
		}
	}
}

// What got through and what could not be tried both count as failed.
func TestAnAttackThatGotThroughIsSaid(t *testing.T) {
	for name, try := range map[string]func(*trial){
		"GOT THROUGH: the door": func(t *trial) { t.through("the door") },
		"not tried: no hub":     func(t *trial) { t.must(errGone); t.through("never reached") },
		"held":                  func(*trial) {},
	} {
		r := perform(t.Context(), attack{name: "a/b", try: try}, "")
		if name == "not tried: no hub" {
			name = "not tried: " + errGone.Error()
		}
		if r.String() != name {
			t.Errorf("%q, want %q", r, name)
		}
	}
}
