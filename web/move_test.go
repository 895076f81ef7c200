//go:build browser

package web

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A call between a station and a browser outlives what happens to the network of either: another address, another
// interface, another default route. The laboratory makes it, in machines of their own, and fails when a voice does not
// come back; how long that takes is for the benchmark.
func TestInBrowsersThatMove(t *testing.T) {
	t.Parallel() // its networks are its own
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../cmd/intercomd", "../cmd/intercom-hub",
		"../cmd/intercom-lab").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	figures := filepath.Join(bin, "figures.json")
	c := exec.CommandContext(t.Context(), bin+"/intercom-lab", "-bin", bin, "-only", "webmove", "-calls", "1",
		"-json", figures)
	c.Dir = ".."
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(figures)
	var got map[string]float64
	if err == nil {
		err = json.Unmarshal(b, &got)
	}
	if err != nil {
		t.Fatal(err)
	}
	moves := 0
	for name := range got {
		if !strings.HasSuffix(name, "_longest_ms") {
			moves++
		}
	}
	if moves != 12 {
		t.Errorf("not all moves were made: %s", out)
	}
}
