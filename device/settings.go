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
	// Take keeps later ones, if they are good, and reads the configuration again; it names the keys that wait for a restart.
	// Those that were taken or refused already change nothing.
	Take(context.Context, wire.SettingsBody) (waits []string, err error)
}

// settingsEvery is how often a hub may give settings, after the first few: what is refused is written to the card.
const settingsEvery = time.Minute

// offer is what the hub gives: the latest counts, and one is looked at after the other.
type offer struct {
	latest *wire.SettingsBody
	taking bool
	pace   *rate.Limiter
}

// takeSettings takes what the hub gives, and starts again for it when the station is idle.
func (d *Device) takeSettings(b wire.SettingsBody) {
	if d.settings == nil {
		return
	}
	if taken, refused := d.settings.Versions(); b.Version <= taken || b.Version == refused {
		return // nothing new; to say so would only have it offered again
	}
	d.offer.latest = &b
	if !d.offer.taking {
		d.offer.taking = true
		d.errands.Go(d.takeOffers)
	}
}

func (d *Device) takeOffers() {
	for d.offer.pace.Wait(d.life) == nil {
		var b *wire.SettingsBody
		err := d.Ask(d.life, func() {
			b, d.offer.latest = d.offer.latest, nil
			d.offer.taking = b != nil
		})
		if err != nil || b == nil {
			return
		}
		d.takeOne(*b)
	}
}

func (d *Device) takeOne(b wire.SettingsBody) {
	waits, err := d.settings.Take(d.life, b)
	if err != nil {
		d.Fault(control.Refused(b.Version, err.Error()))
	} else {
		d.Fault(control.Well(control.PartSettings))
		if len(waits) > 0 && d.again != nil {
			_ = d.Restart(d.life, fmt.Sprintf("settings %d of the hub", b.Version)) // without it, what waits is said
		}
	}
	_ = d.Ask(d.life, d.declare) // which version it has now
}
