package device

import (
	"time"

	"intercom/call"
	"intercom/device/setup"
	"intercom/internal/event"
)

// autoAnswer begins to answer a caller who is on the station's list, where the hub's rules allow it too: a tone and an
// LED come first.
func (o *owner) autoAnswer(hubAllows bool) {
	l := o.leg
	if o.state.Phase != call.Ringing || l.auto != nil || !setup.Listed(o.cfg.Auto.Callers, o.state.Peer) {
		return
	}
	attrs := []any{event.Call(l.id), event.Peer(o.state.Peer)}
	if why := o.noAutoAnswer(hubAllows); why != "" {
		o.log.Info("not answered automatically: "+why, attrs...)
		return
	}
	o.log.Info(event.AnsweringAutomatically, append(attrs, "wait", o.cfg.Auto.After.Std())...)
	o.Sound.Play(call.AutoTone)
	l.auto = time.AfterFunc(o.cfg.Auto.After.Std(), func() {
		o.tell(func() {
			switch {
			case l.auto == nil: // taken back in the meantime
			case o.noAutoAnswer(hubAllows) != "": // since
				l.noAuto()
				o.lights.update()
			default:
				o.pick()
			}
		})
	})
	o.lights.update()
}

// noAutoAnswer is why the caller is not answered automatically; empty when it is.
func (o *owner) noAutoAnswer(hubAllows bool) string {
	switch {
	case !hubAllows:
		return "the rule may_be_answered_automatically of the hub's account does not have it"
	case o.memory.Privacy:
		return "privacy mode is on"
	case !setup.Listed(o.cfg.Auto.Callers, o.state.Peer):
		return "auto_answer.callers does not have the caller"
	case o.Sound.Status().Sink == "":
		return "without a loudspeaker nobody would hear the warning"
	}
	return ""
}
