package wire

import (
	"math"
	"testing"
	"time"
)

func TestLengthsOfTimeNeverWrapAround(t *testing.T) {
	for n, want := range map[int64]time.Duration{
		0: 0, 1500: 1500 * time.Millisecond, -1: -time.Millisecond, 9223372036854: 9223372036854 * time.Millisecond,
		9223372036855: math.MaxInt64, math.MaxInt64: math.MaxInt64, -9223372036855: math.MinInt64,
		math.MinInt64: math.MinInt64, 1<<62 + 1: math.MaxInt64, // which would be taken for something else
	} {
		if got := Millis(n); got != want {
			t.Errorf("%d ms: %d", n, got)
		}
	}
	for n, want := range map[int64]time.Duration{60: time.Minute, 9223372036: 9223372036 * time.Second,
		9223372037: math.MaxInt64, 18446744074: math.MaxInt64, -9223372037: math.MinInt64} {
		if got := Seconds(n); got != want {
			t.Errorf("%d s: %d", n, got)
		}
	}
}
