// Package network tells when packets of this machine take another way: its addresses and routes, as the kernel reports
// them (rtnetlink(7)).
//
// [Watch] says that something changed, [Way] whether that matters to one connection. The device and its wiring (cmd)
// import it; only here is netlink known.
package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// settle is how long Watch gathers changes: one command makes several.
const settle = 20 * time.Millisecond

// Watch calls changed after each change of an address, a route, a routing rule or an interface, until ctx ends.
func Watch(ctx context.Context, changed func()) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return fmt.Errorf("addresses and routes cannot be watched: %w", err)
	}
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	defer s.Close()
	news := make(chan struct{}, 1)
	failed := make(chan error, 1)
	go func() {
		for {
			_, _, err := s.Receive()
			if err != nil && !errors.Is(err, syscall.ENOBUFS) { // more changed than the socket holds
				failed <- err
				return
			}
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	defer func() { s.Close(); <-failed }()
	for {
		select {
		case <-news:
		case err := <-failed:
			failed <- err
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("watching addresses and routes: %w", err)
		}
		t := time.NewTimer(settle)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
		select {
		case <-news:
		default:
		}
		changed()
	}
}

// Way watches how packets leave this machine from one address to another. moved reports whether they leave otherwise by
// now: from is gone, or another interface or router is the next hop. While there is no way at all it reports false: the
// old one may come back, and there is no better one. An invalid or unspecified from stands for the address that the
// kernel chooses.
func Way(from, to netip.Addr) (moved func() bool) {
	from, to = from.Unmap(), to.Unmap()
	before := hop(from, to)
	return func() bool {
		now := hop(from, to)
		return now != before && (now != "" || hop(netip.Addr{}, to) != "")
	}
}

// hop is how packets leave now; empty when they cannot.
func hop(from, to netip.Addr) string {
	var o netlink.RouteGetOptions
	if from.IsValid() && !from.IsUnspecified() {
		if !ours(from) {
			return ""
		}
		o.SrcAddr = from.AsSlice()
	}
	if to.Zone() != "" {
		o.Oif = to.Zone()
	}
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), &o)
	if err != nil || len(routes) == 0 {
		return ""
	}
	r := routes[0]
	if o.SrcAddr != nil {
		r.Src = nil // for IPv6 it is what the kernel would choose
	}
	return fmt.Sprintf("%d %v %v %v", r.LinkIndex, r.Gw, r.Via, r.Src)
}

// ours reports whether an address is one of this machine. For IPv6 the kernel's answer about a route does not say it.
func ours(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil && p.Addr().Unmap() == a.WithZone("") {
			return true
		}
	}
	return false
}
