package tasks

import (
	"sync"
	"sync/atomic"
	"testing"
)

// Tasks begin from everywhere while the group is waited for; none runs after that. (The race detector is the judge of
// the rest.)
func TestNoneBeginsWhileTheLastIsWaitedFor(t *testing.T) {
	for range 200 {
		var g Group
		var running atomic.Int64
		var starters sync.WaitGroup
		for range 4 {
			starters.Go(func() {
				for range 10 {
					g.Go(func() { running.Add(1); running.Add(-1) })
				}
			})
		}
		g.Wait()
		if n := running.Load(); n != 0 {
			t.Fatalf("%d tasks ran after the wait", n)
		}
		starters.Wait()
		if g.Enter() || running.Load() != 0 {
			t.Fatal("a task began in a closed group")
		}
	}
}
