package backoff

import (
	"slices"
	"testing"
	"time"
)

func TestWaitsGrowToTheCapAndResetAfterHealth(t *testing.T) {
	b := Backoff{First: time.Second, Base: time.Second, Cap: 15 * time.Second, Health: time.Minute,
		Rand: func() float64 { return 1 }}
	var got []int
	for range 7 {
		got = append(got, int(b.Next(0)/time.Second))
	}
	if want := []int{1, 1, 2, 4, 8, 15, 15}; !slices.Equal(got, want) {
		t.Fatalf("waits %v, want %v", got, want)
	}
	if b.Next(59*time.Second) != 15*time.Second {
		t.Fatal("a short life reset the backoff")
	}
	if b.Next(time.Minute) != time.Second || b.Tries() != 1 {
		t.Fatal("a minute of health did not reset it")
	}
	for range 100 {
		b.Next(0) // must not overflow
	}
}
