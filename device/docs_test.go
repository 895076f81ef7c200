package device

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"intercom/device/control"
	"intercom/internal/config/configtest"
)

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestEveryTroubleIsDocumented(t *testing.T) {
	rows := "| code | severity | of | means | what to do |\n|---|---|---|---|---|\n"
	for _, c := range control.Codes {
		of := strings.TrimSpace(c.Part + ": " + c.Text)
		if c.Text == "" {
			of = strings.TrimSpace(strings.TrimSpace(c.Part) + " …")
		}
		rows += fmt.Sprintf("| `%s` | %s | `%s` | %s | %s |\n", c.Code, c.Severity, of, c.Means, c.Do)
	}
	configtest.Section(t, "../docs/errors.md", "health", rows, *update)
	for part, want := range map[string]string{"audio/server: none": "SOUND_SERVER", "audio/microphone: \"usb\" is not there; \"x\" is used": "SOUND_DEVICE", "audio/playback: gone": "SOUND_PLAYBACK",
		"button bell/busy": "LINE", "stuck button bell/held": "BUTTON_STUCK", "door exit/busy": "LINE", "door/forced": "DOOR", "kiosk/busy": "KIOSK", "jokes/none": "PART",
		"configuration/a.toml:1: x; the one before is kept": "CONFIG_INVALID", "configuration/what changed in hub waits for a restart: intercomctl restart": "CONFIG_WAITS"} {
		part, text, _ := strings.Cut(part, "/")
		if got := control.About(part, text); got.Code != want || got.Do == "" {
			t.Errorf("%s: %s is %s, not %s", part, text, got.Code, want)
		}
	}
}

// What "intercomctl -json status" prints, for programs that read it.
func TestTheSchemaOfTheStatus(t *testing.T) {
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true} // more may come
	schema := r.Reflect(&control.Status{})
	schema.Title = "The status of an intercom station"
	want, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	const file = "../docs/status.schema.json"
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code says (%v); run this test with -update", file, err)
	}
}
