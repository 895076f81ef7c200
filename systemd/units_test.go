package systemd

import (
	"os/exec"
	"testing"

	"intercom/internal/needs"
)

// systemd's own measure of what a broken daemon could still reach: 0 is nothing, 10 everything; 20 is 2.0.
func TestTheUnitsAreShut(t *testing.T) {
	needs.Programs(t, "systemd-analyze")
	for _, unit := range []string{"intercomd.service", "intercom-hub.service"} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=20",
			"--no-pager", unit).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
