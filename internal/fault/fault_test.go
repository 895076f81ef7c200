package fault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
		row := fmt.Sprintf("| `%s` | %s | %v | %d |", e.Code, e.Text, e.Retryable, e.Status)
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/errors.md lacks the line\n%s", row)
		}
	}
	if got := strings.Count(string(page), "\n| `"); got != len(seen) {
		t.Errorf("docs/errors.md has %d codes, the table %d", got, len(seen))
	}
}

// One who only knows HTTP can tell by the status who has to do something: the client (4xx), or whoever runs the machine
// (5xx).
func TestEveryCodeHasItsHTTPStatus(t *testing.T) {
	want := map[Code]int{
		MissingInit: http.StatusBadRequest, InvalidInit: http.StatusBadRequest, MissingAccount: http.StatusBadRequest,
		MissingAnalytics: http.StatusBadRequest, AnalyticsNotFound: http.StatusBadRequest,
		InvalidCall: http.StatusBadRequest,
		BadMessage:  http.StatusBadRequest, Version: http.StatusBadRequest, TooLarge: http.StatusRequestEntityTooLarge,
		Credentials: http.StatusUnauthorized, NotAllowed: http.StatusForbidden, Identity: http.StatusForbidden,
		ReceiverOffline: http.StatusNotFound, RateLimited: http.StatusTooManyRequests,
		AlreadySignedIn: http.StatusConflict, CallInProgress: http.StatusConflict, UserBusy: http.StatusConflict,
		NotParty: http.StatusConflict, Conflict: http.StatusConflict,
		InternetLost: http.StatusServiceUnavailable, NotConnected: http.StatusServiceUnavailable,
		MicUnavailable: http.StatusServiceUnavailable, HubDegraded: http.StatusServiceUnavailable,
		Internal: http.StatusInternalServerError,
	}
	for _, e := range Table() {
		if got := New(e.Code).Status(); got != want[e.Code] {
			t.Errorf("%s is %d over HTTP, not %d", e.Code, got, want[e.Code])
		}
		if e.Status >= 500 && !e.Retryable {
			t.Errorf("%s: %d says that the same request may succeed later, but it may not", e.Code, e.Status)
		}
	}
	if got := (&Error{Code: "ERR_OF_A_LATER_RELEASE"}).Status(); got != http.StatusInternalServerError {
		t.Errorf("a code that is not listed is %d", got)
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
