package hub

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"intercom/hub/access"
	"intercom/hub/cluster"
	"intercom/internal/fault"
)

// devices counts the devices of each account, at this hub and at the others, so that no account has more than it may.
//
// At one hub the count is exact. The others say how many they have every few seconds, and at once when that grew by a
// hundredth of the limit; so hubs together may let in a hundredth more each, and what signs in at the same moment.
type devices struct {
	hubs   *cluster.Hubs
	access *access.Directory

	mu     sync.Mutex            // below the router's
	here   map[string]int        // by account
	coming map[string]int        // places for those who are signing in
	told   map[string]int        // what the other hubs know
	there  map[string]*hubCounts // by hub
}

// hubCounts are what another hub said of its devices.
type hubCounts struct {
	count map[string]int // by account
	heard time.Time
}

const (
	operatorPlaces = 100              // more, for operators alone: who fills an account must not keep them out
	fullAgain      = time.Minute      // until who found no place tries again
	countEnds      = 15 * time.Second // that the word of a hub is good
	countsAt       = 1000             // accounts in one message
)

func newDevices(hubs *cluster.Hubs, d *access.Directory) *devices {
	return &devices{hubs: hubs, access: d, here: map[string]int{}, coming: map[string]int{}, told: map[string]int{},
		there: map[string]*hubCounts{}}
}

// reservation is a place in an account, kept for a device while it signs in.
type reservation struct {
	account string
	kept    bool
}

// reserve keeps a place for a device that has none here.
func (d *devices) reserve(ctx context.Context, w who, h hello) (*reservation, *fault.Error) {
	acct := d.access.Account(w.account)
	if acct == nil {
		return nil, fault.New(fault.Credentials) // it was taken away this moment
	}
	most := acct.MaxDevices
	if h.grant.User != "" {
		most += operatorPlaces
	}
	if p := d.take(w.account, most); p != nil {
		return p, nil
	}
	if d.known(ctx, acct, w) {
		return d.take(w.account, -1), nil
	}
	err := fault.In(fault.NotAllowed, "account", "%d devices of the account are signed in, as many as it may have; "+
		"sign others out, or have max_devices raised in the account's file.", acct.MaxDevices)
	err.RetryAfterMS = fullAgain.Milliseconds()
	return nil, err
}

// take keeps a place if fewer than most are taken; always if most is negative.
func (d *devices) take(account string, most int) *reservation {
	d.mu.Lock()
	defer d.mu.Unlock()
	if most >= 0 && d.count(account) >= most {
		return nil
	}
	d.coming[account]++
	return &reservation{account, true}
}

// count is how many there are. The lock is held.
func (d *devices) count(account string) int {
	n := d.here[account] + d.coming[account]
	for _, other := range d.there {
		if time.Since(other.heard) < countEnds {
			n += other.count[account]
		}
	}
	return n
}

// known tells those who come in also when the account is full: whom its files name, and who has a place already, at
// another hub.
func (d *devices) known(ctx context.Context, acct *access.Account, w who) bool {
	if _, ok := d.access.Settings(w.account, w.cuid); ok || acct.Names(w.cuid) {
		return true
	}
	if !d.hubs.Peers() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.AskTime)
	defer cancel()
	hub, revision, err := d.hubs.Holder(ctx, cluster.DeviceClaim(w.account, w.cuid))
	return err != nil || revision != 0 && hub != d.hubs.Self() // who cannot be asked keeps nobody out
}

// free gives a place back that nobody took.
func (d *devices) free(p *reservation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(p)
}

func (d *devices) release(p *reservation) {
	if p != nil && p.kept {
		p.kept = false
		drop(d.coming, p.account)
	}
}

// seated counts a device that has its seat now, and left one that has it no more.
func (d *devices) seated(w who, p *reservation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.release(p)
	d.here[w.account]++
	acct := d.access.Account(w.account)
	if n := d.here[w.account]; acct != nil && n-d.told[w.account] > acct.MaxDevices/100 && d.hubs.Peers() {
		d.told[w.account] = n
		d.tell(map[string]int{w.account: n})
	}
}

func (d *devices) left(w who) {
	d.mu.Lock()
	defer d.mu.Unlock()
	drop(d.here, w.account)
}

func drop(of map[string]int, account string) {
	if of[account]--; of[account] <= 0 {
		delete(of, account)
	}
}

// round tells the other hubs how many there are here, and forgets hubs that are silent.
func (d *devices) round() {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.there, func(_ string, other *hubCounts) bool { return time.Since(other.heard) >= countEnds })
	if !d.hubs.Peers() {
		return
	}
	all := map[string]int{}
	for account := range d.told {
		all[account] = 0
	}
	maps.Copy(all, d.here)
	d.told = maps.Clone(d.here)
	for part := range slices.Chunk(slices.Collect(maps.Keys(all)), countsAt) {
		some := map[string]int{}
		for _, account := range part {
			some[account] = all[account]
		}
		d.tell(some)
	}
}

func (d *devices) tell(counts map[string]int) {
	if b, err := json.Marshal(counts); err == nil {
		d.hubs.Tell(cluster.Message{Kind: cluster.Counts, Text: string(b)}) // again in a moment
	}
}

// learned is what another hub tells.
func (d *devices) learned(hub, text string) {
	var counts map[string]int
	if json.Unmarshal([]byte(text), &counts) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	other := d.there[hub]
	if other == nil {
		other = &hubCounts{count: map[string]int{}}
		d.there[hub] = other
	}
	other.heard = time.Now()
	for account, n := range counts {
		if other.count[account] = n; n <= 0 {
			delete(other.count, account)
		}
	}
}
