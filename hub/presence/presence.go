// Package presence tells whoever watches an account which of its devices are online, and how they are: all that the
// watcher may see at first, and then each change.
//
// A hub knows its own devices ([Local]). Those of the other hubs it knows only while somebody here watches the account:
// it says so to them ([Hubs]), and they report. Changes are gathered for a moment and told together. All methods return
// at once; Close stops what would still be told. Only the hub imports it.
package presence

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/wire"
)

// Local are the devices of this hub.
type Local interface {
	// Devices are those of an account that are online.
	Devices(account string) []wire.Device
	// Device is one of them; offline when it is not there.
	Device(account, cuid string) wire.Device
}

// Hubs are the other hubs. What is said to them can be lost, and is said again.
type Hubs interface {
	// Watching tells all that somebody here watches an account.
	Watching(account string)
	// Report tells one of devices of this hub; none is a sign of life.
	Report(hub, account string, devices []wire.Device)
}

// Watcher is a device that watches its account. It is comparable.
type Watcher interface {
	Device() (account, cuid string)
	Here() bool     // still signed in
	Operator() bool // a person who signed in with a password
	Send(wire.Envelope)
}

// Times.
const (
	gather     = 250 * time.Millisecond // changes are told together
	WatchEvery = 5 * time.Second        // a hub with watchers says so to the others
	WatchEnds  = 12 * time.Second       // and is believed so long
)

// At most these in one message; one device is always within them.
const (
	devicesAt = 100
	bytesAt   = wire.MaxBody - 1<<10
)

// fitting is how many of the devices go into one message.
func fitting(devices []wire.Device) (n int) {
	for size := 0; n < min(len(devices), devicesAt); n++ {
		if size += wire.Size(devices[n]) + 1; size > bytesAt && n > 0 {
			break
		}
	}
	return n
}

// Presence is what this hub knows of the devices that somebody watches. Its lock is below that of [Local]: it asks
// nobody while it holds it.
type Presence struct {
	local Local
	hubs  Hubs
	rules *access.Directory

	mu      sync.Mutex
	watches map[string]*watch // by account
}

// watch is one account, as far as somebody watches it.
type watch struct {
	devices  map[string]wire.Device // by cuid
	watchers map[Watcher]bool       // here
	hubs     map[string]time.Time   // others that watch, and when they last said so
	heard    map[string]time.Time   // others, and when they last told us of theirs
	changed  map[string]bool        // cuids of this hub since the last flush
	untold   map[string]bool        // cuids that the watchers here have to be told of
	timer    *time.Timer
}

// New watches nothing yet. Renew has to be called every [WatchEvery].
func New(local Local, hubs Hubs, rules *access.Directory) *Presence {
	return &Presence{local: local, hubs: hubs, rules: rules, watches: map[string]*watch{}}
}

func (p *Presence) watch(account string) *watch {
	w := p.watches[account]
	if w == nil {
		w = &watch{
			devices: map[string]wire.Device{}, watchers: map[Watcher]bool{}, hubs: map[string]time.Time{},
			heard: map[string]time.Time{}, changed: map[string]bool{}, untold: map[string]bool{},
		}
		p.watches[account] = w
	}
	return w
}

// Changed notes that something about a device of this hub changed.
func (p *Presence) Changed(account, cuid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.watches[account]; w != nil { // else nobody watches
		w.changed[cuid] = true
		p.flushSoon(account, w)
	}
}

func (p *Presence) flushSoon(account string, w *watch) {
	if w.timer == nil {
		w.timer = time.AfterFunc(gather, func() { p.flush(account) })
	}
}

// Watch makes a device a watcher: it is told of all devices that it may see, and then of changes.
func (p *Presence) Watch(by Watcher) {
	account, _ := by.Device()
	p.mu.Lock()
	w := p.watch(account)
	first := len(w.watchers) == 0
	w.watchers[by] = true
	p.mu.Unlock()
	if !by.Here() { // it had to leave this moment
		p.Unwatch(by)
		return
	}
	own := p.local.Devices(account)
	p.mu.Lock()
	for _, d := range own {
		w.devices[d.CUID] = d
	}
	all := slices.Collect(maps.Values(w.devices))
	p.mu.Unlock()
	if first {
		p.hubs.Watching(account)
	}
	p.tell(by, all, true)
}

// Watches reports whether a device watches its account.
func (p *Presence) Watches(by Watcher) bool {
	account, _ := by.Device()
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.watches[account]
	return w != nil && w.watchers[by]
}

// Unwatch tells a device no more.
func (p *Presence) Unwatch(by Watcher) {
	account, _ := by.Device()
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.watches[account]; w != nil {
		delete(w.watchers, by)
	}
}

// tell gives a watcher devices that it may see; whole says that there are no others.
func (p *Presence) tell(by Watcher, devices []wire.Device, whole bool) {
	account, self := by.Device()
	acct, operator := p.rules.Account(account), by.Operator()
	devices = slices.DeleteFunc(slices.Clone(devices), func(d wire.Device) bool {
		return acct == nil || !acct.MaySee(self, d.CUID)
	})
	for i := range devices {
		d := &devices[i]
		d.Door = operator && d.State != wire.Offline && acct.MayOpen(self, d.CUID) && access.Listed(d.Openers, self)
		d.Openers = nil
	}
	slices.SortFunc(devices, func(a, b wire.Device) int { return strings.Compare(a.CUID, b.CUID) })
	for first := true; first && whole || len(devices) > 0; first = false {
		n := fitting(devices)
		part := append([]wire.Device{}, devices[:n]...)
		by.Send(wire.New(wire.Presence, "", wire.PresenceBody{Whole: first && whole, Devices: part}))
		devices = devices[n:]
	}
}

// Again tells all watchers everything anew: who may see whom, and open which door, may have changed.
func (p *Presence) Again() {
	p.mu.Lock()
	all := map[Watcher][]wire.Device{}
	for _, w := range p.watches {
		devices := slices.Collect(maps.Values(w.devices))
		for by := range w.watchers {
			all[by] = devices
		}
	}
	p.mu.Unlock()
	for by, devices := range all {
		p.tell(by, devices, true)
	}
}

// flush tells what changed.
func (p *Presence) flush(account string) {
	p.mu.Lock()
	w := p.watches[account]
	w.timer = nil
	changed := slices.Collect(maps.Keys(w.changed))
	clear(w.changed)
	p.mu.Unlock()

	var own []wire.Device
	for _, cuid := range changed {
		own = append(own, p.local.Device(account, cuid))
	}
	p.mu.Lock()
	for _, d := range own {
		w.note(d)
	}
	var untold []wire.Device
	for cuid := range w.untold {
		untold = append(untold, w.devices[cuid])
	}
	clear(w.untold)
	watchers := slices.Collect(maps.Keys(w.watchers))
	var hubs []string
	for hub, at := range w.hubs {
		if time.Since(at) < WatchEnds {
			hubs = append(hubs, hub)
		} else {
			delete(w.hubs, hub)
		}
	}
	p.mu.Unlock()
	for _, by := range watchers {
		p.tell(by, untold, false)
	}
	for _, hub := range hubs {
		p.report(hub, account, own)
	}
}

// note takes what is known of a device. One that moved to another hub is not offline because the old one says so.
func (w *watch) note(d wire.Device) {
	old, known := w.devices[d.CUID]
	if d.State == wire.Offline && known && old.Hub != d.Hub {
		return
	}
	if d.State == wire.Offline {
		d.Name, d.Agent, d.LastSeen = old.Name, old.Agent, time.Now().UTC().Truncate(time.Millisecond)
		if old.State == wire.Offline {
			d.LastSeen = old.LastSeen
		}
	}
	w.devices[d.CUID] = d
	w.untold[d.CUID] = true
}

// report tells another hub of devices of this one.
func (p *Presence) report(hub, account string, devices []wire.Device) {
	for first := true; first || len(devices) > 0; first = false {
		n := fitting(devices)
		p.hubs.Report(hub, account, devices[:n])
		devices = devices[n:]
	}
}

// WatchedBy notes that another hub watches an account: it is told of all devices here when it begins, and of changes
// from then on.
func (p *Presence) WatchedBy(hub, account string) {
	p.mu.Lock()
	w := p.watch(account)
	last, known := w.hubs[hub]
	w.hubs[hub] = time.Now()
	p.mu.Unlock()
	var all []wire.Device // none is a sign of life
	if !known || time.Since(last) > WatchEnds {
		all = p.local.Devices(account)
	}
	p.report(hub, account, all)
}

// Reported notes what another hub tells of its devices.
func (p *Presence) Reported(hub, account string, devices []wire.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.watches[account]
	if w == nil {
		return
	}
	w.heard[hub] = time.Now()
	for _, d := range devices {
		d.Hub = hub
		w.note(d)
	}
	if len(devices) > 0 {
		p.flushSoon(account, w)
	}
}

// Renew says to the other hubs what is watched here, and forgets what is old: the devices of silent hubs are offline.
func (p *Presence) Renew() {
	p.mu.Lock()
	var watched []string
	for account, w := range p.watches {
		if len(w.watchers) > 0 {
			watched = append(watched, account)
		}
		if w.forgetSilentHubs() {
			p.flushSoon(account, w)
		}
		if acct := p.rules.Account(account); acct != nil {
			w.limit(acct.MaxDevices)
		}
		if len(w.watchers) == 0 && len(w.hubs) == 0 && w.timer == nil {
			delete(p.watches, account)
		}
	}
	p.mu.Unlock()
	for _, account := range watched {
		p.hubs.Watching(account)
	}
}

// forgetSilentHubs notes that the devices of silent hubs are offline, and reports whether there are any.
func (w *watch) forgetSilentHubs() (any bool) {
	for hub, at := range w.heard {
		if time.Since(at) < WatchEnds+WatchEvery {
			continue
		}
		delete(w.heard, hub)
		for _, d := range w.devices {
			if d.Hub == hub && d.State != wire.Offline {
				w.note(wire.Device{CUID: d.CUID, State: wire.Offline, Hub: hub})
				any = true
			}
		}
	}
	return any
}

// limit forgets devices that are offline, the longest ones first, when an account has more than it may have at once:
// who comes under ever new names must not fill the lists of those who watch.
func (w *watch) limit(most int) {
	if len(w.devices) <= most {
		return
	}
	var offline []wire.Device
	for _, d := range w.devices {
		if d.State == wire.Offline {
			offline = append(offline, d)
		}
	}
	slices.SortFunc(offline, func(a, b wire.Device) int { return a.LastSeen.Compare(b.LastSeen) })
	for _, d := range offline[:min(len(offline), len(w.devices)-most)] {
		delete(w.devices, d.CUID)
		delete(w.untold, d.CUID)
	}
}

// Close stops what would still be told.
func (p *Presence) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.watches {
		if w.timer != nil {
			w.timer.Stop()
		}
	}
}
