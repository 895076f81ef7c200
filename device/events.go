package device

import (
	"slices"
	"time"

	"intercom/device/control"
)

// keptEvents is how many events a station remembers for a report.
const keptEvents = 200

// events are what happens at the station, for those who follow it, and the latest of it for a report.
type events struct {
	watchers map[chan control.Event]bool
	recent   []control.Event // the oldest first
}

// emit tells the watchers. One that does not read is dropped, and its channel closed.
func (all *events) emit(e control.Event) {
	e.At = time.Now()
	if all.recent = append(all.recent, e); len(all.recent) > keptEvents {
		all.recent = slices.Delete(all.recent, 0, len(all.recent)-keptEvents)
	}
	for w := range all.watchers {
		select {
		case w <- e:
		default:
			all.leave(w)
		}
	}
}

func (all *events) follow(w chan control.Event) { all.watchers[w] = true }

// leave closes the channel of a watcher, once.
func (all *events) leave(w chan control.Event) {
	if all.watchers[w] {
		delete(all.watchers, w)
		close(w)
	}
}

// close ends all that is followed.
func (all *events) close() {
	for w := range all.watchers {
		all.leave(w)
	}
}
