package device

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"intercom/internal/config"
	"intercom/wire"
)

// Settings are what a hub may give a station of its configuration.
type Settings interface {
	// Had is the version of the latest that was given, taken or not.
	Had() uint64
	// Take keeps later ones, if they are good, and reads the configuration again; it names the keys that wait for a restart.
	Take(context.Context, wire.SettingsBody) (waits []string, err error)
}

// own are tables and keys that a hub does not set: what the station needs to reach it, and what is its machine's.
var own = []string{"cuid", "state_dir", "control", "trial", "hub", "kiosk", "metrics", "mqtt"}

// CheckSettings names every problem of settings that a hub is to give, as far as it can be seen without the station's own files.
func CheckSettings(file string, text []byte) error {
	c := Defaults()
	if err := config.Part(file, text, c); err != nil {
		return err
	}
	if len(text) > wire.MaxSettings {
		return fmt.Errorf("%s has %d bytes; settings have at most %d", file, len(text), wire.MaxSettings)
	}
	if keys := differences(*c, *Defaults()); slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(own, k) }) {
		return fmt.Errorf("%s: %s can be set on the station only", file, strings.Join(slices.DeleteFunc(keys, func(k string) bool { return !slices.Contains(own, k) }), ", "))
	}
	return nil
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
