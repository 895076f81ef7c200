package device

import (
	"context"
	"fmt"
	"strings"

	"intercom/wire"
)

// Settings are what a hub may give a station of its configuration.
type Settings interface {
	// Had is the version of the latest that was given, taken or not.
	Had() uint64
	// Take keeps later ones, if they are good, and reads the configuration again; it names the keys that wait for a restart.
	Take(context.Context, wire.SettingsBody) (waits []string, err error)
}

// takeSettings takes what the hub gives, and starts again for it when the station is idle.
func (d *Device) takeSettings(b wire.SettingsBody) {
	if d.settings == nil {
		return
	}
	d.errands.Go(func() {
		waits, err := d.settings.Take(d.life, b)
		if err != nil {
			d.Fault("configuration", fmt.Sprintf("settings %d of the hub are not used: %s", b.Version, strings.ReplaceAll(err.Error(), "\n", "; ")))
		} else if len(waits) > 0 && d.again != nil {
			_ = d.Restart(d.life, fmt.Sprintf("settings %d of the hub", b.Version)) // without it, what waits is said
		}
		_ = d.Ask(d.life, d.declare) // which version it has now
	})
}
