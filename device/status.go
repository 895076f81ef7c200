package device

import (
	"cmp"

	"intercom/device/control"
)

// status is how the station is, but for the sound.
func (o *owner) status() control.Status {
	s := control.Status{CUID: o.cfg.CUID, Name: o.cfg.Name, Health: "healthy",
		Phase: o.state.Phase, Call: o.state.ID, Peer: o.state.Peer,
		PeerName: o.leg.caller.Name, Image: o.leg.caller.InitiatorImage, Context: o.leg.result.Context,
		Light: o.lights.now, Hub: o.hub.status(), Troubles: control.Troubles(o.faults, o.hub.status()),
		Door: o.doorway.status(), DND: o.state.DND, Privacy: o.memory.Privacy, Untold: len(o.memory.Notes),
		Buttons: o.buttons.seen(), Restart: o.restart, LastCall: o.last, StartedAt: o.began}
	if len(s.Troubles) > 0 {
		s.Health = "degraded"
	}
	if len(o.faults) > 0 {
		s.Faults = map[string]string{}
	}
	for part, f := range o.faults {
		s.Faults[part] = f.Text
	}
	if !o.hub.registered.IsZero() {
		s.RegisteredMS = control.Millis(o.hub.registered.Sub(o.began))
	}
	if h := o.schedule(); h != nil {
		s.Schedule = cmp.Or(h.Name, "without a name")
	}
	if o.leg.path != nil && o.state.Live() {
		q := o.leg.path.Quality()
		s.Quality = &q
	}
	return s
}
