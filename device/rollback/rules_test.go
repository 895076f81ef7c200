package rollback

import (
	"testing"

	"pgregory.net/rapid"
)

func TestAChangedConfigurationProvesItselfOrIsGivenUp(t *testing.T) {
	var s State
	expect := func(written string, valid bool, want Choice) Choice {
		t.Helper()
		got := s.Choose(written, valid)
		if got != want {
			t.Fatalf("%q is %v, not %v: %+v", written, got, want, s)
		}
		return got
	}
	expect("broken", false, Hopeless)
	if !s.Proved(expect("a", true, Written), "a") || s.Proved(expect("a", true, Written), "a") {
		t.Fatal("the first one is kept, once")
	}
	expect("broken", false, Mended)
	// A change that does not work: the good one, which does.
	s.Failed(expect("b", true, OnTrial), "b", "not registered")
	if s.Proved(expect("b", true, GivenUp), "a") || s.Why == "" {
		t.Fatal("that the good one works is nothing new")
	}
	expect("b", true, GivenUp) // after a power cut too
	expect("a", true, Written)
	// Asked to, it is tried once more; another one at once.
	s.Again()
	s.Failed(expect("b", true, OnTrial), "b", "not registered")
	s.Proved(expect("c", true, OnTrial), "c")
	expect("c", true, Written)
	expect("b", true, OnTrial)
	// Neither works: it was not the configuration.
	s.Failed(expect("d", true, OnTrial), "d", "not registered")
	s.Failed(expect("d", true, GivenUp), "d", "not registered")
	expect("d", true, Written)
	s.Proved(expect("d", true, Written), "d")
	if s != (State{Good: "d"}) {
		t.Fatalf("%+v", s)
	}
}

// However it goes, a station whose hub is away ends at what is written, and does not swap for ever.
func TestItComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := State{Good: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "good"),
			Bad:     rapid.SampledFrom([]string{"", Sum("a"), Sum("b")}).Draw(t, "bad"),
			Excused: rapid.SampledFrom([]string{"", Sum("a"), Sum("b")}).Draw(t, "excused")}
		for range 3 {
			switch c := s.Choose("b", true); c {
			case Written:
				return
			case OnTrial, GivenUp:
				s.Failed(c, "b", "away")
			default:
				t.Fatal(c)
			}
		}
		t.Fatalf("it swaps for ever: %+v", s)
	})
}
