package device

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/invopop/jsonschema"

	"intercom/device/control"
	"intercom/internal/config/configtest"
)

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestEveryFaultIsDocumented(t *testing.T) {
	rows := "| code | severity | of | means | what to do |\n|---|---|---|---|---|\n"
	seen := map[control.Code]bool{}
	for _, e := range control.Table() {
		rows += fmt.Sprintf("| `%s` | %s | `%s` | %s | %s |\n", e.Code, e.Severity, e.Parts, e.Means, e.Do)
		if seen[e.Code] || e.Severity == "" || e.Do == "" {
			t.Errorf("the row of %s is there twice, or is not whole", e.Code)
		}
		seen[e.Code] = true
	}
	configtest.Section(t, "../docs/errors.md", "health", rows, *update)
	if e := control.Code("JOKES").Entry(); e.Code != control.PartBroken {
		t.Errorf("a code that is not listed is %s", e.Code)
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
