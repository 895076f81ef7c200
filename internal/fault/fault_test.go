package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestEveryCodeIsDocumentedWithItsText(t *testing.T) {
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	page, _, _ = bytes.Cut(page, []byte("\n## ")) // what follows has other tables
	seen := map[Code]bool{}
	for _, e := range Table() {
		if seen[e.Code] {
			t.Errorf("%s is listed twice", e.Code)
		}
		seen[e.Code] = true
		row := fmt.Sprintf("| `%s` | %s | %v |", e.Code, e.Text, e.Retryable)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/errors.md lacks the line\n%s", row)
		}
	}
	if got := strings.Count(string(page), "\n| `"); got != len(seen) {
		t.Errorf("docs/errors.md has %d codes, the table %d", got, len(seen))
	}
}

func TestAStrangerNeverReadsAnInnerError(t *testing.T) {
	e := Of(errors.New("open /secret/path: permission denied"))
	if e.Code != Internal || strings.Contains(e.Message, "secret") {
		t.Fatalf("%+v", e)
	}
	wrapped := fmt.Errorf("signing in: %w", New(Credentials))
	if !Is(wrapped, Credentials) || Of(wrapped).Code != Credentials {
		t.Fatal("a wrapped error lost its code")
	}
}

func TestTheShapeOnTheWire(t *testing.T) {
	b, _ := json.Marshal(&Error{Code: RateLimited, Message: "m", Field: "to", Retryable: true, RetryAfterMS: 1500})
	want := `{"code":"ERR_RATE_LIMITED","message":"m","field":"to","retryable":true,"retry_after_ms":1500}`
	if string(b) != want {
		t.Fatalf("got %s", b)
	}
}
