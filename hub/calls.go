package hub

import (
	"maps"
	"slices"
	"sync"

	"intercom/hub/cluster"
)

// calls are those that this hub owns: live, and those that ended within the last minute. Its lock is taken last.
type calls struct {
	mu sync.Mutex
	of map[callKey]*ownedCall
}

func (t *calls) find(key callKey) *ownedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of[key]
}

// add reports whether there was none with this key.
func (t *calls) add(c *ownedCall) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[c.key] != nil {
		return false
	}
	if t.of == nil {
		t.of = map[callKey]*ownedCall{}
	}
	t.of[c.key] = c
	return true
}

func (t *calls) remove(c *ownedCall) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[c.key] == c {
		delete(t.of, c.key)
	}
}

func (t *calls) all() []*ownedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.of))
}

// takeAll takes all out.
func (t *calls) takeAll() []*ownedCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.Collect(maps.Values(t.of))
	t.of = nil
	return all
}

func (r *router) find(account, id string) *ownedCall { return r.owned.find(callKey{account, id}) }

// forget lets an ended call go, for which nobody comes any more.
func (r *router) forget(c *ownedCall) {
	r.owned.remove(c)
	if c.claim != 0 {
		r.background(func() { r.claims.release(cluster.CallClaim(c.key.account, c.key.id), c.claim) })
	}
}
