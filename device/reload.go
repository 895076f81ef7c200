package device

import (
	"context"
	"strings"

	"intercom/device/setup"
)

// Reload takes over what of a new, checked configuration can change while the station runs, and names the keys whose
// change waits for a restart. A call that there is goes on as it began.
func (d *Device) Reload(ctx context.Context, next *setup.Config) (waits []string, err error) {
	err = d.Ask(ctx, func() {
		c := d.cfg
		c.Context, c.Image, c.LogLevel, c.Trial = next.Context, next.Image, next.LogLevel, next.Trial
		c.Call, c.Auto, c.Schedule, c.Door.Allow, c.Door.Remote = next.Call, next.Auto, next.Schedule, next.Door.Allow, next.Door.Remote
		d.declare()
		d.tellCapabilities()
		waits = c.Differs(next)
		d.declare() // settings of the hub that were refused may be wanted now
		d.log.Info("the configuration was read again", "waits", strings.Join(waits, " "))
	})
	return waits, err
}
