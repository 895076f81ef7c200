package outcome

import (
	"encoding/json"
	"testing"
	"time"
)

func TestAReasonBelongsToItsStatus(t *testing.T) {
	if !Of(Over, HangUp).Valid() || Of(Over, Busy).Valid() || Of("gone", HangUp).Valid() {
		t.Fatal("the table of outcomes is not the contract's")
	}
}

func TestResultOnTheWire(t *testing.T) {
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 678912345, time.FixedZone("x", 3600))
	r := Result{Call: "c", From: "front_door", To: "reception", Context: "Hi", InvitedAt: At(t0),
		AnsweredAt: At(t0.Add(time.Second))}
	r.Finish(Of(Over, HangUp), "reception", t0.Add(3*time.Second))
	b, _ := json.Marshal(r)
	want :=
		`{"call":"c","status":"over","reason":"hangup","by":"reception","from":"front_door","to":"reception","context":"Hi",` +
			`"invited_at":"2026-01-02T02:04:05.678Z","ringing_at":null,"answered_at":"2026-01-02T02:04:06.678Z","ended_at":"2026-01-02T02:04:08.678Z","duration_ms":2000}`
	if string(b) != want {
		t.Fatalf("got  %s\nwant %s", b, want)
	}
}
