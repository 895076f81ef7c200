package hub

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// crowd is what clients hold before they have proved who they are: connections, requests, sockets. A newcomer is never
// refused: when an address has too many, its oldest makes room, and when there are too many of all, the oldest of the
// address that has most. So nobody can keep others out by holding on.
type crowd struct {
	each, all int           // at most; 0 for no limit
	grace     time.Duration // that everybody has, so that nobody can keep others out by coming again and again

	mu    sync.Mutex
	count int
	of    map[netip.Prefix][]*guest // the oldest first
}

// guest is one of a crowd.
type guest struct {
	crowd   *crowd
	address netip.Prefix
	evict   func() // must return at once
	since   time.Time
}

// enter adds one that can be told to go.
func (c *crowd) enter(address netip.Prefix, evict func()) *guest {
	g := &guest{c, address, evict, time.Now()}
	c.mu.Lock()
	if c.of == nil {
		c.of = map[netip.Prefix][]*guest{}
	}
	c.of[address] = append(c.of[address], g)
	c.count++
	if c.grace > 0 && len(c.of[address]) > c.each {
		time.AfterFunc(c.grace, func() { c.trim(address) })
	}
	out := c.excess(address)
	if c.all > 0 && c.count > c.all {
		most := c.of[c.fullest()][0]
		c.remove(most)
		out = append(out, most)
	}
	c.mu.Unlock()
	for _, g := range out {
		g.evict()
	}
	return g
}

// excess takes those out of whom an address has too many.
func (c *crowd) excess(address netip.Prefix) (out []*guest) {
	for all := c.of[address]; c.each > 0 && len(all) > c.each && time.Since(all[0].since) >= c.grace; all = c.of[address] {
		out = append(out, all[0])
		c.remove(all[0])
	}
	return out
}

func (c *crowd) trim(address netip.Prefix) {
	c.mu.Lock()
	out := c.excess(address)
	c.mu.Unlock()
	for _, g := range out {
		g.evict()
	}
}

func (c *crowd) fullest() (address netip.Prefix) {
	most := 0
	for a, all := range c.of {
		if len(all) > most {
			address, most = a, len(all)
		}
	}
	return address
}

func (c *crowd) remove(g *guest) bool {
	all := c.of[g.address]
	i := slices.Index(all, g)
	if i < 0 {
		return false
	}
	c.count--
	if len(all) == 1 {
		delete(c.of, g.address)
	} else {
		c.of[g.address] = slices.Delete(all, i, i+1)
	}
	return true
}

// leave takes one out that has gone by itself or has proved who it is. It may be called twice.
func (g *guest) leave() {
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.crowd.remove(g)
}

// renew makes one the newest of its address.
func (g *guest) renew() {
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	if g.crowd.remove(g) {
		g.since = time.Now()
		g.crowd.of[g.address] = append(g.crowd.of[g.address], g)
		g.crowd.count++
	}
}
