package hub

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/internal/fault"
	"intercom/wire"
)

// presence is what this hub knows of who is there: its own devices, and, while somebody here watches an account, those
// of the other hubs. Changes are gathered for a moment and told together.
type presence struct {
	r *router

	mu       sync.Mutex // below the router's and the members'
	accounts map[string]*scene
}

// scene is one account, as far as somebody watches it.
type scene struct {
	devices  map[string]wire.Device // by cuid
	watchers map[*member]bool       // here
	hubs     map[string]time.Time   // others that watch, and when they last said so
	heard    map[string]time.Time   // others, and when they last told us of theirs
	changed  map[string]bool        // cuids of this hub since the last flush
	news     map[string]bool        // cuids for the watchers here since then
	timer    *time.Timer
}

// Times of the presence.
const (
	gather     = 250 * time.Millisecond // changes are told together
	watchAgain = 5 * time.Second        // a hub with watchers says so to the others
	watchEnds  = 12 * time.Second       // and is believed so long
	devicesAt  = 100                    // devices in one message
)

func newPresence(r *router) *presence { return &presence{r: r, accounts: map[string]*scene{}} }

func (p *presence) scene(account string) *scene {
	s := p.accounts[account]
	if s == nil {
		s = &scene{devices: map[string]wire.Device{}, watchers: map[*member]bool{}, hubs: map[string]time.Time{}, heard: map[string]time.Time{}, changed: map[string]bool{}, news: map[string]bool{}}
		p.accounts[account] = s
	}
	return s
}

// touch notes that something about a device of this hub changed. It returns at once.
func (p *presence) touch(w who) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.accounts[w.account]; s != nil { // else nobody watches
		s.changed[w.cuid] = true
		p.soon(w.account, s)
	}
}

func (p *presence) soon(account string, s *scene) {
	if s.timer == nil {
		s.timer = time.AfterFunc(gather, func() { p.flush(account) })
	}
}

// describe says how a device of this hub is.
func (r *router) describe(w who) wire.Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.members[w]
	if m == nil || !m.online() {
		return wire.Device{CUID: w.cuid, State: wire.Offline, Hub: r.name}
	}
	return r.deviceOf(m)
}

// deviceOf is the same with the router's lock held, for one that is online.
func (r *router) deviceOf(m *member) wire.Device {
	d := wire.Device{CUID: m.cuid, Name: m.name, State: wire.Idle, Agent: m.agent, Hub: r.name, Since: m.since}
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

// here lists the devices of an account at this hub.
func (r *router) here(account string) []wire.Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []wire.Device
	for w, m := range r.members {
		if w.account == account && m.online() {
			all = append(all, r.deviceOf(m))
		}
	}
	return all
}

// watch makes a device a watcher of its account: it is told of all devices that it may see, and then of changes.
func (p *presence) watch(m *member) {
	p.mu.Lock()
	s := p.scene(m.account)
	first := len(s.watchers) == 0
	s.watchers[m] = true
	p.mu.Unlock()
	p.r.mu.Lock()
	gone := p.r.members[m.who] != m
	p.r.mu.Unlock()
	if gone { // it had to leave this moment
		p.unwatch(m)
		return
	}
	for _, d := range p.r.here(m.account) {
		p.mu.Lock()
		s.devices[d.CUID] = d
		p.mu.Unlock()
	}
	if first {
		p.announce(m.account)
	}
	p.mu.Lock()
	all := slices.Collect(maps.Values(s.devices))
	p.mu.Unlock()
	p.tell(m, all, true)
}

func (p *presence) unwatch(m *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.accounts[m.account]; s != nil {
		delete(s.watchers, m)
	}
}

// tell gives a watcher devices that it may see; whole says that there are no others.
func (p *presence) tell(m *member, devices []wire.Device, whole bool) {
	acct := p.r.access.Account(m.account)
	p.r.mu.Lock()
	operator := m.grant.User != ""
	p.r.mu.Unlock()
	devices = slices.DeleteFunc(slices.Clone(devices), func(d wire.Device) bool { return acct == nil || !acct.MaySee(m.cuid, d.CUID) })
	for i := range devices {
		d := &devices[i]
		d.Door = operator && d.State != wire.Offline && acct.MayOpen(m.cuid, d.CUID) && access.Listed(d.Openers, m.cuid)
		d.Openers = nil
	}
	slices.SortFunc(devices, func(a, b wire.Device) int {
		if a.CUID < b.CUID {
			return -1
		}
		return 1
	})
	for first := true; first && whole || len(devices) > 0; first = false {
		n := min(len(devices), devicesAt)
		m.send(wire.New(wire.Presence, "", wire.PresenceBody{Whole: first && whole, Devices: append([]wire.Device{}, devices[:n]...)}))
		devices = devices[n:]
	}
}

// again tells all who watch everything anew: who may see whom, and open which door, may have changed.
func (p *presence) again() {
	p.mu.Lock()
	all := map[*member][]wire.Device{}
	for _, s := range p.accounts {
		devices := slices.Collect(maps.Values(s.devices))
		for m := range s.watchers {
			all[m] = devices
		}
	}
	p.mu.Unlock()
	for m, devices := range all {
		p.tell(m, devices, true)
	}
}

// announce tells the other hubs that somebody here watches an account.
func (p *presence) announce(account string) {
	if p.r.bus.Peers() {
		_ = p.r.bus.Tell(slip{Kind: kWatch, Hub: p.r.name, Account: account}.bytes()) // again in a moment
	}
}

// flush tells what changed.
func (p *presence) flush(account string) {
	p.mu.Lock()
	s := p.accounts[account]
	s.timer = nil
	changed := slices.Collect(maps.Keys(s.changed))
	clear(s.changed)
	p.mu.Unlock()

	var own []wire.Device
	for _, cuid := range changed {
		own = append(own, p.r.describe(who{account, cuid}))
	}
	p.mu.Lock()
	for _, d := range own {
		p.note(s, d)
	}
	var news []wire.Device
	for cuid := range s.news {
		news = append(news, s.devices[cuid])
	}
	clear(s.news)
	watchers := slices.Collect(maps.Keys(s.watchers))
	var hubs []string
	for hub, at := range s.hubs {
		if time.Since(at) < watchEnds {
			hubs = append(hubs, hub)
		} else {
			delete(s.hubs, hub)
		}
	}
	p.mu.Unlock()
	for _, m := range watchers {
		p.tell(m, news, false)
	}
	for _, hub := range hubs {
		p.report(hub, account, own)
	}
}

// note takes what is known of a device into the scene. One that moved to another hub is not offline because the old one
// says so.
func (p *presence) note(s *scene, d wire.Device) {
	old, known := s.devices[d.CUID]
	if d.State == wire.Offline && known && old.Hub != d.Hub {
		return
	}
	if d.State == wire.Offline {
		d.Name, d.Agent, d.LastSeen = old.Name, old.Agent, time.Now().UTC().Truncate(time.Millisecond)
		if old.State == wire.Offline {
			d.LastSeen = old.LastSeen
		}
	}
	s.devices[d.CUID] = d
	s.news[d.CUID] = true
}

// report tells another hub of devices of this one.
func (p *presence) report(hub, account string, devices []wire.Device) {
	for first := true; first || len(devices) > 0; first = false {
		n := min(len(devices), devicesAt)
		b, err := json.Marshal(devices[:n])
		if err != nil {
			return
		}
		p.r.send(hub, slip{Kind: kDevices, Account: account, Text: string(b)})
		devices = devices[n:]
	}
}

// watched is another hub's word that it watches an account: it is told of all devices here when it begins, and of
// changes from then on.
func (p *presence) watched(hub, account string) {
	p.mu.Lock()
	s := p.scene(account)
	last, known := s.hubs[hub]
	s.hubs[hub] = time.Now()
	p.mu.Unlock()
	var all []wire.Device // none is a sign of life
	if !known || time.Since(last) > watchEnds {
		all = p.r.here(account)
	}
	p.report(hub, account, all)
}

// learned is what another hub tells of its devices.
func (p *presence) learned(hub, account, text string) {
	var devices []wire.Device
	if json.Unmarshal([]byte(text), &devices) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.accounts[account]
	if s == nil {
		return
	}
	s.heard[hub] = time.Now()
	for _, d := range devices {
		d.Hub = hub
		p.note(s, d)
	}
	if len(devices) > 0 {
		p.soon(account, s)
	}
}

// round is done again and again: hubs with watchers say so, and the devices of hubs that are silent are offline.
func (p *presence) round() {
	p.mu.Lock()
	var watched []string
	for account, s := range p.accounts {
		if len(s.watchers) > 0 {
			watched = append(watched, account)
		}
		for hub, at := range s.heard {
			if time.Since(at) < watchEnds+watchAgain {
				continue
			}
			delete(s.heard, hub)
			for _, d := range s.devices {
				if d.Hub == hub && d.State != wire.Offline {
					p.note(s, wire.Device{CUID: d.CUID, State: wire.Offline, Hub: hub})
					p.soon(account, s)
				}
			}
		}
		if acct := p.r.access.Account(account); acct != nil {
			s.limit(acct.MaxDevices)
		}
		if len(s.watchers) == 0 && len(s.hubs) == 0 && s.timer == nil {
			delete(p.accounts, account)
		}
	}
	p.mu.Unlock()
	for _, account := range watched {
		p.announce(account)
	}
}

// end stops what would still be told.
func (p *presence) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.accounts {
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// identify has a station blink and sound, wherever it is signed in. Operators may ask for that.
func (r *router) identify(m *member, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.IdentifyBody](e)
	if err != nil {
		return err
	}
	r.mu.Lock()
	operator := m.grant.User != ""
	r.mu.Unlock()
	if acct := r.access.Account(m.account); !operator || acct == nil || !acct.MaySee(m.cuid, b.CUID) {
		return fault.New(fault.NotAllowed)
	}
	return r.pass(who{m.account, b.CUID}, wire.New(wire.Identify, "", wire.IdentifyBody{}))
}

// declare takes what a device says of itself.
func (r *router) declare(m *member, e wire.Envelope) *fault.Error {
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
	r.presence.touch(m.who)
	r.offer(m)
	return nil
}

// offer gives a device settings that are later than those it took: once in a session, whatever it says of them. Those that
// it has refused are offered again only when it says that this is no longer so.
func (r *router) offer(m *member) {
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

// offerAll does so for all who have said how they are.
func (r *router) offerAll() {
	r.mu.Lock()
	all := slices.Collect(maps.Values(r.members))
	r.mu.Unlock()
	for _, m := range all {
		r.offer(m)
	}
}
