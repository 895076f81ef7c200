package wire

import (
	"math"
	"time"
)

// Millis is a length of time as the protocol writes it. One that no [time.Duration] holds is the longest there is, so
// that a number from outside is never taken for another one.
func Millis(n int64) time.Duration { return length(n, time.Millisecond) }

// Seconds is [Millis] for seconds.
func Seconds(n int64) time.Duration { return length(n, time.Second) }

func length(n int64, unit time.Duration) time.Duration {
	switch most := math.MaxInt64 / int64(unit); {
	case n > most:
		return math.MaxInt64
	case n < -most:
		return math.MinInt64
	}
	return time.Duration(n) * unit
}
