package jitter

import "slices"

// spares remembers how long before its time each of the latest packets came: what is above the smallest of these is
// delay that nobody needs.
type spares struct {
	ring   [window]int32 // as if no sample had ever been put in or taken out
	count  int
	shift  int // samples put in, less those taken out
	sorted [window]int32
	stale  bool
}

const (
	window  = 200 // packets: 4 s of frames of 20 ms
	few     = 10  // packets, fewer than which say nothing
	outlier = 75  // of so many packets, the latest one does not count
)

func (s *spares) add(spare int) {
	s.ring[s.count%window] = int32(spare - s.shift)
	s.count++
	s.stale = true
}

// forget begins anew, as when the stream was away.
func (s *spares) forget() { s.count, s.shift, s.stale = 0, 0, true }

func (s *spares) all() []int32 {
	n := min(s.count, window)
	if s.stale {
		copy(s.sorted[:n], s.ring[:n])
		slices.Sort(s.sorted[:n])
		s.stale = false
	}
	return s.sorted[:n]
}

// least is the spare time of the packets that came late, but for outliers; middle that of an ordinary one.
func (s *spares) least() int {
	all := s.all()
	if len(all) == 0 {
		return 0
	}
	return int(all[len(all)/outlier]) + s.shift
}

func (s *spares) middle() int {
	all := s.all()
	if len(all) == 0 {
		return 0
	}
	return int(all[len(all)/2]) + s.shift
}

// spread is the jitter: from the late ones to the ordinary.
func (s *spares) spread() int { return s.middle() - s.least() }
