package presence

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"intercom/hub/access"
	"intercom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a hub with devices, and what it says to the others.
type site struct {
	mu      sync.Mutex
	devices map[string]wire.Device
	tape    []string
}

func (s *site) Devices(string) (all []wire.Device) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		all = append(all, d)
	}
	return all
}

func (s *site) Device(_, cuid string) wire.Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d, ok := s.devices[cuid]; ok {
		return d
	}
	return wire.Device{CUID: cuid, State: wire.Offline, Hub: "here"}
}

func (s *site) Watching(account string) { s.write("watching " + account) }

func (s *site) Report(hub, account string, devices []wire.Device) {
	s.write(fmt.Sprintf("%s: %d of %s", hub, len(devices), account))
}

func (s *site) write(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tape = append(s.tape, line)
}

func (s *site) comes(cuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[cuid] = wire.Device{CUID: cuid, State: wire.Idle, Hub: "here"}
}

func (s *site) leaves(cuid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.devices, cuid)
}

func (s *site) said(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.tape, want) {
		t.Errorf("said to other hubs %q, want %q", s.tape, want)
	}
	s.tape = nil
}

// console watches the account demo, and writes down what it is told.
type console struct {
	cuid string
	gone bool
	mu   sync.Mutex
	told []string // CUID state; * before the first of all
}

func (c *console) Device() (account, cuid string) { return "demo", c.cuid }
func (c *console) Here() bool                     { return !c.gone }
func (c *console) Operator() bool                 { return true }

func (c *console) Send(e wire.Envelope) {
	b, _ := wire.Body[wire.PresenceBody](e)
	line := fmt.Sprint(len(b.Devices), ":")
	if !e.Fits() {
		line = "too large: " + line
	}
	if b.Whole {
		line = "*" + line
	}
	for _, d := range b.Devices[:min(3, len(b.Devices))] {
		line += fmt.Sprintf(" %s %s", d.CUID, d.State)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, line)
}

func (c *console) expect(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(gather)
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.told, want) {
		t.Errorf("%s was told\n  %s\nwant\n  %s", c.cuid, strings.Join(c.told, "\n  "), strings.Join(want, "\n  "))
	}
	c.told = nil
}

// test has a hub where front_door is online, under rules of the account demo.
func test(t *testing.T, rules string, f func(t *testing.T, s *site, p *Presence)) {
	dir := t.TempDir()
	if err := os.WriteFile(access.File(dir, "demo"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := access.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := &site{devices: map[string]wire.Device{"front_door": {CUID: "front_door", State: wire.Idle, Hub: "here"}}}
		p := New(s, s, d)
		f(t, s, p)
		p.Close()
	})
}

func TestAWatcherIsToldAllAndThenChanges(t *testing.T) {
	test(t, "", func(t *testing.T, s *site, p *Presence) {
		c := &console{cuid: "desk"}
		p.Watch(c)
		s.said(t, "watching demo")
		c.expect(t, "*1: front_door idle")
		for range 50 { // together
			p.Changed("demo", "front_door")
		}
		s.leaves("front_door")
		c.expect(t, "1: front_door offline")
		p.Unwatch(c)
		p.Changed("demo", "front_door")
		c.expect(t)
		if p.Watches(c) {
			t.Error("it still watches")
		}
	})
}

func TestManyDevicesComeInParts(t *testing.T) {
	test(t, "", func(t *testing.T, s *site, p *Presence) {
		for i := range 2*devicesAt + 1 {
			cuid := fmt.Sprintf("station_%03d", i)
			s.devices[cuid] = wire.Device{CUID: cuid, State: wire.Idle}
		}
		c := &console{cuid: "desk"}
		p.Watch(c)
		c.expect(t, "*100: front_door idle station_000 idle station_001 idle",
			"100: station_099 idle station_100 idle station_101 idle", "2: station_199 idle station_200 idle")
	})
}

// A device can say much of its faults: a list of many such is no message that ends the connection of who watches.
func TestDevicesThatSayMuchComeInMoreParts(t *testing.T) {
	test(t, "", func(t *testing.T, s *site, p *Presence) {
		said := wire.StateBody{Faults: map[string]string{}}
		for i := range 32 {
			said.Faults[fmt.Sprint("part", i)] = strings.Repeat("<", 500)
		}
		if err := said.Check(); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			cuid := fmt.Sprintf("station_%d", i)
			s.devices[cuid] = wire.Device{CUID: cuid, State: wire.Idle, Faults: said.Faults}
		}
		c := &console{cuid: "desk"}
		p.Watch(c)
		c.expect(t, "*4: front_door idle station_0 idle station_1 idle",
			"3: station_3 idle station_4 idle station_5 idle")
	})
}

func TestNobodyIsToldOfWhomItMayNotSee(t *testing.T) {
	test(t, "[[may_see]]\nfrom = ['chief']\nto = ['*']\n", func(t *testing.T, s *site, p *Presence) {
		c, chief := &console{cuid: "desk"}, &console{cuid: "chief"}
		p.Watch(c)
		p.Watch(chief)
		p.Changed("demo", "front_door")
		c.expect(t, "*0:")
		chief.expect(t, "*1: front_door idle", "1: front_door idle")
	})
}

// One that leaves while it begins to watch is not kept as a watcher.
func TestOneThatLeavesAtThatMomentDoesNotWatch(t *testing.T) {
	test(t, "", func(t *testing.T, _ *site, p *Presence) {
		c := &console{cuid: "desk", gone: true}
		p.Watch(c)
		c.expect(t)
		if p.Watches(c) {
			t.Error("it watches")
		}
	})
}

func TestHubsTellOneAnother(t *testing.T) {
	test(t, "", func(t *testing.T, s *site, p *Presence) {
		p.WatchedBy("there", "demo")
		s.said(t, "there: 1 of demo") // all of them
		p.WatchedBy("there", "demo")
		s.said(t, "there: 0 of demo") // a sign of life
		p.Changed("demo", "front_door")
		time.Sleep(gather)
		s.said(t, "there: 1 of demo")
		time.Sleep(WatchEnds)
		p.Changed("demo", "front_door")
		time.Sleep(gather)
		s.said(t) // it did not say again that it watches

		c := &console{cuid: "desk"}
		p.Watch(c)
		c.expect(t, "*1: front_door idle")
		p.Reported("there", "demo", []wire.Device{{CUID: "garage_1", State: wire.Idle}})
		c.expect(t, "1: garage_1 idle")
		p.Reported("elsewhere", "demo", []wire.Device{{CUID: "garage_1", State: wire.Busy}}) // it moved
		c.expect(t, "1: garage_1 busy")
		p.Reported("there", "demo", []wire.Device{{CUID: "garage_1", State: wire.Offline}}) // says the hub that it left
		c.expect(t)
		time.Sleep(WatchEnds + WatchEvery)
		p.Renew() // elsewhere says nothing any more
		c.expect(t, "1: garage_1 offline")
	})
}

// Who comes under ever new names does not fill the lists of those who watch.
func TestOfflineDevicesAreForgotten(t *testing.T) {
	test(t, "max_devices = 10\n", func(t *testing.T, s *site, p *Presence) {
		p.Watch(&console{cuid: "desk"})
		for i := range 30 {
			cuid := fmt.Sprint("passing_", i)
			s.comes(cuid)
			p.Changed("demo", cuid)
			time.Sleep(2 * gather)
			s.leaves(cuid)
			p.Changed("demo", cuid)
			time.Sleep(2 * gather)
		}
		p.Renew()
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		devices := p.watches["demo"].devices
		if len(devices) != 10 || devices["front_door"].CUID == "" || devices["passing_29"].CUID == "" ||
			devices["passing_2"].CUID != "" {
			t.Errorf("%d are remembered: %v", len(devices), devices)
		}
	})
}
