package wire

import (
	"testing"

	"pgregory.net/rapid"
)

// Two sides talk over connections that break at any moment: nothing is lost, doubled or reordered, as long as no more
// is missed than is kept; and when it is, both know.
func TestNothingIsLostOverConnectionsThatBreak(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out Outbox
		var in Inbox
		var said, heard uint64
		var pipe []Envelope // on its way
		hear := func(n int) {
			for _, e := range pipe[:n] {
				if in.Fresh(e) {
					heard++
					if e.ID != heard {
						t.Fatalf("message %d came as number %d", e.ID, heard)
					}
				}
			}
			pipe = pipe[n:]
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				said++
				pipe = append(pipe, out.Push(Envelope{T: ICE, ID: said}))
			case 1:
				hear(rapid.IntRange(0, len(pipe)).Draw(t, "heard"))
			case 2:
				out.Acked(in.Last())
			case 3: // it breaks, and is resumed
				missed, ok := out.After(in.Last())
				if want := said-heard <= KeptMessages; ok != want {
					t.Fatalf("%d missed: resumed %v", said-heard, ok)
				}
				if !ok {
					return
				}
				pipe = append([]Envelope(nil), missed...)
				if len(pipe) > 0 && rapid.Bool().Draw(t, "again") { // the resumption breaks too: part of it comes twice
					pipe = append(pipe[:1:1], pipe...)
				}
			}
		}
		if missed, ok := out.After(in.Last()); ok {
			pipe = missed
			hear(len(pipe))
			if heard != said {
				t.Fatalf("%d of %d heard", heard, said)
			}
		}
	})
}

func TestASessionThatSaysItHeardWhatWasNeverSaid(t *testing.T) {
	var o Outbox
	o.Push(Envelope{T: ICE})
	if _, ok := o.After(2); ok {
		t.Error("resumed")
	}
}
