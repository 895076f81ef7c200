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
	sized []map[netip.Prefix]bool   // the addresses that have so many: to find the one that has most needs no search
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
	c.add(g)
	if c.grace > 0 && len(c.of[address]) > c.each {
		time.AfterFunc(c.grace, func() { c.trim(address) })
	}
	out := c.excess(address)
	if c.all > 0 && c.count > c.all {
		most := c.fullest()[0]
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
	for all := c.of[address]; c.each > 0 && len(all) > c.each &&
		time.Since(all[0].since) >= c.grace; all = c.of[address] {
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

// fullest are those of an address that has most.
func (c *crowd) fullest() []*guest {
	for address := range c.sized[len(c.sized)-1] {
		return c.of[address]
	}
	return nil
}

// resized notes how many an address has now.
func (c *crowd) resized(address netip.Prefix, from, to int) {
	for len(c.sized) <= to {
		c.sized = append(c.sized, map[netip.Prefix]bool{})
	}
	delete(c.sized[from], address)
	if to > 0 {
		c.sized[to][address] = true
	}
	for len(c.sized) > 1 && len(c.sized[len(c.sized)-1]) == 0 {
		c.sized = c.sized[:len(c.sized)-1]
	}
}

func (c *crowd) add(g *guest) {
	n := len(c.of[g.address])
	c.of[g.address] = append(c.of[g.address], g)
	c.count++
	c.resized(g.address, n, n+1)
}

func (c *crowd) remove(g *guest) bool {
	all := c.of[g.address]
	i := slices.Index(all, g)
	if i < 0 {
		return false
	}
	c.count--
	c.resized(g.address, len(all), len(all)-1)
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

// renew makes one the newest of its address, also one that had proved who it is: on a connection of a proxy, the next
// request may be somebody else's.
func (g *guest) renew() {
	g.crowd.mu.Lock()
	defer g.crowd.mu.Unlock()
	g.crowd.remove(g)
	g.since = time.Now()
	g.crowd.add(g)
}
