package hub

import (
	"net"
	"sync"
	"time"
)

// lobby is where connections wait until they are signed in. An address has a few places, so that one cannot fill it for
// the others, and each wrong key makes the next answer slower. A right key never waits.
type lobby struct {
	mu    sync.Mutex
	rooms map[string]*waitingRoom
}

type waitingRoom struct {
	here   int
	wrong  int
	latest time.Time // of the wrong ones
}

// Limits of the lobby.
const (
	lobbyPlaces  = 20 // connections of an address that are not signed in yet
	slowest      = 4 * time.Second
	wrongForgets = time.Minute
)

// enter gives a place, and says how to leave it. ok is false when the address has none left.
func (l *lobby) enter(address string) (room *waitingRoom, leave func(), ok bool) {
	host := host(address)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rooms == nil {
		l.rooms = map[string]*waitingRoom{}
	}
	room = l.rooms[host]
	if room == nil {
		room = &waitingRoom{}
		l.rooms[host] = room
	}
	if room.here >= lobbyPlaces {
		return nil, nil, false
	}
	room.here++
	return room, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		room.here--
		if room.here == 0 && (room.wrong == 0 || time.Since(room.latest) > wrongForgets) {
			delete(l.rooms, host)
		}
	}, true
}

func host(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// refuse notes a wrong key and says how long its answer has to wait.
func (l *lobby) refuse(room *waitingRoom) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(room.latest) > wrongForgets {
		room.wrong = 0
	}
	room.wrong++
	room.latest = time.Now()
	return min(slowest, 50*time.Millisecond<<min(room.wrong, 8))
}
