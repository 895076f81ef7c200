package device

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"intercom/device/control"
	"intercom/wire"
)

// Settings are what a hub may give a station of its configuration.
type Settings interface {
	// Versions are that of the latest that were taken, and of later ones that were refused; 0 for none.
	Versions() (taken, refused uint64)
	// Take keeps later ones, if they are good, and reads the configuration again; it names the keys that wait for a
	// restart. Those that were taken or refused already change nothing.
	Take(context.Context, wire.SettingsBody) (waits []string, err error)
}

// settingsEvery is how often a hub may give settings, after the first few: what is refused is written to the card.
const settingsEvery = time.Minute

// offers are what the hub gives: the latest counts, and one is looked at after the other.
type offers struct {
	o      *owner
	latest *wire.SettingsBody
	busy   bool // with one, or until it may be with the next
	pace   *rate.Limiter
}

// take takes what the hub gives, and starts again for it when the station is idle.
func (s *offers) take(b wire.SettingsBody) {
	if s.o.Given == nil {
		return
	}
	if taken, refused := s.o.Given.Versions(); b.Version <= taken || b.Version == refused {
		return // nothing new; to say so would only have it offered again
	}
	s.latest = &b
	if !s.busy {
		s.busy = true
		s.wait()
	}
}

// wait looks at the next one as soon as it may.
func (s *offers) wait() {
	s.o.errand(func(life context.Context) {
		if s.pace.Wait(life) == nil {
			s.o.tell(s.next)
		}
	})
}

// next looks at the latest, if there is one.
func (s *offers) next() {
	b := s.latest
	if s.latest = nil; b == nil {
		s.busy = false
		return
	}
	s.o.errand(func(life context.Context) {
		waits, err := s.o.Given.Take(life, *b)
		s.o.tell(func() { s.taken(b.Version, waits, err) })
	})
}

// taken is told what became of one.
func (s *offers) taken(version uint64, waits []string, err error) {
	if err != nil {
		s.o.fault(control.Refused(version, err.Error()))
	} else {
		s.o.fault(control.Well(control.PartSettings))
		if len(waits) > 0 && s.o.Again != nil { // without it, the status says what waits
			s.o.restartSoon(fmt.Sprintf("settings %d of the hub", version))
		}
	}
	s.o.hub.declare() // which version it has now
	s.wait()
}
