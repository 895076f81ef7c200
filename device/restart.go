package device

import (
	"context"

	"intercom/call"
	"intercom/internal/fault"
)

// Restart has the station started again as soon as nobody talks, rings or stands at an open door. The reason is shown in its
// status until then.
func (d *Device) Restart(ctx context.Context, why string) error {
	if d.again == nil {
		return fault.In(fault.NotAllowed, "", "This station has nobody who would start it again; run it as a unit of systemd.")
	}
	return d.Ask(ctx, func() {
		d.restart = why
		d.log.Info("the station starts again when it is idle", "why", why)
		d.restartWhenIdle()
	})
}

func (d *Device) restartWhenIdle() {
	if d.restart == "" || d.state.Phase != call.Idle || d.relayOn {
		return
	}
	d.log.Info("the station starts again", "why", d.restart)
	d.again()
}
