package hub

import (
	"encoding/json"
	"maps"
	"slices"

	"intercom/hub/cluster"
	"intercom/hub/presence"
	"intercom/internal/fault"
	"intercom/wire"
)

// This file is what a device says of itself, and what the hub says of it to those who watch.

// local gives [presence.Presence] the devices of this hub, and says to the other hubs what it wants said.
type local struct{ r *registrar }

var (
	_ presence.Local   = local{}
	_ presence.Hubs    = local{}
	_ presence.Watcher = watcher{}
)

// Devices are those of an account that are online here.
func (l local) Devices(account string) []wire.Device {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	var all []wire.Device
	for w, m := range l.r.sessions {
		if w.account == account && m.online() {
			all = append(all, l.r.describe(m))
		}
	}
	return all
}

// Device is one of them; offline when it is not there.
func (l local) Device(account, cuid string) wire.Device {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	if m := l.r.sessions[who{account, cuid}]; m != nil && m.online() {
		return l.r.describe(m)
	}
	return wire.Device{CUID: cuid, State: wire.Offline, Hub: l.r.hubs.Self()}
}

// Watching tells the other hubs that somebody here watches an account.
func (l local) Watching(account string) {
	if l.r.hubs.Peers() {
		l.r.hubs.Tell(cluster.Message{Kind: cluster.Watch, Account: account})
	}
}

// Report tells another hub of devices of this one.
func (l local) Report(hub, account string, devices []wire.Device) {
	if b, err := wire.Marshal(devices); err == nil {
		l.r.hubs.Send(hub, cluster.Message{Kind: cluster.Devices, Account: account, Text: string(b)})
	}
}

// reported is what another hub tells of its devices.
func (r *registrar) reported(s cluster.Message) {
	var devices []wire.Device
	if json.Unmarshal([]byte(s.Text), &devices) == nil {
		r.presence.Reported(s.Hub, s.Account, devices)
	}
}

// watcher is a device that watches its account.
type watcher struct {
	r *registrar
	m *session
}

func (w watcher) Device() (account, cuid string) { return w.m.account, w.m.cuid }

func (w watcher) Send(e wire.Envelope) { w.m.send(e) }

func (w watcher) Here() bool {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.sessions[w.m.who] == w.m
}

func (w watcher) Operator() bool { return w.r.operator(w.m) != "" }

// declare takes what a device says of itself.
func (r *registrar) declare(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.StateBody](e)
	if err != nil {
		return err
	}
	if err := b.Check(); err != nil {
		return err
	}
	r.mu.Lock()
	m.state = &b
	r.mu.Unlock()
	r.changed(m.who)
	r.offerSettings(m)
	return nil
}

// offerSettings gives a device settings that are later than those it took: once in a session, whatever it says of them.
// Those that it has refused are offered again only when it says that this is no longer so.
func (r *registrar) offerSettings(m *session) {
	s, ok := r.access.Settings(m.account, m.cuid)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !ok || m.state == nil || s.Version <= m.state.Settings:
	case s.Version == m.state.Refused:
		m.offered = 0
	case s.Version != m.offered:
		m.offered = s.Version
		m.send(wire.New(wire.Settings, "", s))
	}
}

// offerAllSettings does so for all who have said how they are.
func (r *registrar) offerAllSettings() {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.sessions))
	r.mu.Unlock()
	for _, m := range all {
		r.offerSettings(m)
	}
}

func (r *registrar) watch(m *session) { r.presence.Watch(watcher{r, m}) }

// describe says how a device that is online is. The lock is held.
func (r *registrar) describe(m *session) wire.Device {
	d := wire.Device{CUID: m.cuid, Name: m.name, State: wire.Idle, Agent: m.agent, Hub: r.hubs.Self(), Since: m.since}
	if m.state != nil {
		d.Health, d.Faults, d.Codes, d.Light = m.state.Health, m.state.Faults, m.state.Codes, m.state.Light
		d.Settings, d.Refused, d.Openers = m.state.Settings, m.state.Refused, m.state.Door
	}
	switch {
	case m.call.id != "" && m.ringing:
		d.State = wire.Rings
	case m.call.id != "":
		d.State = wire.Busy
	case m.state != nil && m.state.DND:
		d.State = wire.DoNotDisturb
	case m.state != nil && m.state.Health != "" && m.state.Health != "healthy":
		d.State = wire.Degraded
	}
	return d
}
