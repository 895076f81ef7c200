package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// movers is a call between the door (machine 2) and the reception (machine 3), in which both talk all the time.
type movers struct {
	*stagePlay
	router *stage.Router
}

// Tones that are unlike any that a station makes, and unlike each other.
const (
	doorHz = 1700
	deskHz = 2300
)

// move brings the call about, over IPv4 or IPv6.
func move(t *testing.T, ipv6 bool) *movers {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	m := &movers{stagePlay: &stagePlay{T: t, ctx: ctx, dir: t.TempDir(), scene: &scene{}}}
	var err error
	m.router, err = stage.NewRouter("icm")
	t.Cleanup(m.router.Remove)
	if err := errors.Join(err, m.router.Machine(2), m.router.Machine(3)); err != nil {
		t.Fatalf("%v; this needs root, and what 'make deps-test' installs", err)
	}
	listen := stage.RouterIP + ":8080"
	if ipv6 {
		listen = "[" + stage.RouterIP6 + "]:8080"
		m.must(errors.Join(m.router.OnlyIPv6(2), m.router.OnlyIPv6(3)))
	}
	m.sound, err = stage.StartSound(ctx, m.dir, "door_mic", "door_spk", "reception_mic", "reception_spk")
	m.must(err)
	t.Cleanup(func() { _ = m.close() })
	m.hub, err = stage.StartHub(ctx, m.dir, programs,
		stage.HubSettings{Ring: 30 * time.Second, Listen: listen, Within: m.router.At(), Extra: "allow_plain = true"})
	m.must(err)
	station := func(cuid, prefix, to string, machine int) *stage.Station {
		s, err := stage.NewStation(m.dir, programs, m.hub,
			stage.Settings{CUID: cuid, Name: cuid, Context: "Test", To: to,
				Server: m.sound.Server, Sink: prefix + "_spk", Source: prefix + "_mic.monitor",
				Interfaces: []string{"eth0", "eth1", "docker0"}, Within: m.router.In(machine)})
		m.must(err)
		m.must(s.Up(ctx))
		m.until(s, "it was registered, with sound", func(st stage.Status) bool {
			return st.Hub.Online && st.Sound.Sink != ""
		})
		return s
	}
	m.scene.door = station("front_door", "door", "reception", 2)
	m.scene.reception = station("reception", "reception", "front_door", 3)
	for sink, hz := range map[string]float64{"door_mic": doorHz, "reception_mic": deskHz} {
		p, err := ear.Play(m.sound.Server, sink, ear.Steady(hz, 3*time.Minute))
		m.must(err)
		t.Cleanup(p.Stop)
	}
	m.must(m.scene.door.Press(ctx, "call"))
	m.until(m.scene.reception, "it rang", func(s stage.Status) bool { return s.Phase == "ringing" })
	m.must(m.scene.reception.Press(ctx, "answer"))
	m.heard()
	return m
}

// heard waits until both talk, are signed in, and hear each other, from now on.
func (m *movers) heard() {
	m.Helper()
	for sink, hz := range map[string]float64{"door_spk": deskHz, "reception_spk": doorHz} {
		r, err := ear.Record(m.sound.Server, sink+".monitor")
		m.must(err)
		defer r.Stop()
		for began := time.Now(); ear.Onset(r, hz, began) < 0; time.Sleep(50 * time.Millisecond) {
			if m.ctx.Err() != nil {
				m.Fatalf("nothing is heard at %s\n%s\n%s", sink, m.scene.door.Tail(), m.scene.reception.Tail())
			}
		}
	}
	for _, s := range []*stage.Station{m.scene.door, m.scene.reception} {
		m.until(s, "it talked, and was signed in", func(s stage.Status) bool {
			return s.Phase == "talking" && s.Hub.Online
		})
	}
}

// machine is that of a station.
func (m *movers) machine(s *stage.Station) int {
	if s == m.scene.door {
		return 2
	}
	return 3
}

// Whatever happens to the address or the route of one, the call goes on and both are heard again.
func TestAStationMovesInACall(t *testing.T) {
	for _, c := range []struct {
		name string
		ipv6 bool
		do   []string // at the machine that moves; N is its number
	}{
		{"another address", false, []string{"addr del 10.N.0.2/24 dev eth0", "addr add 10.N.0.7/24 dev eth0",
			"route replace default via 10.N.0.1 metric 600"}},
		{"Wi-Fi to Ethernet, and the old address is gone", false, []string{"addr add 10.N.1.2/24 dev eth1",
			"route add default via 10.N.1.1 metric 100", "link set eth0 down"}},
		{"the Ethernet cable is plugged in too", false,
			[]string{"addr add 10.N.1.2/24 dev eth1", "route add default via 10.N.1.1 metric 100"}},
		{"another IPv6 address", true, []string{"addr add fd0N:0::7/64 dev eth0 nodad",
			"addr del fd0N:0::2/64 dev eth0"}},
		{"another IPv6 router, and its prefix", true, []string{"addr add fd0N:1::2/64 dev eth1 nodad",
			"-6 route add default via fd0N:1::1 metric 100", "link set eth0 down"}},
	} {
		for _, who := range []string{"the caller", "the callee"} {
			t.Run(who+": "+c.name, func(t *testing.T) {
				m := move(t, c.ipv6)
				mover := m.scene.door
				if who == "the callee" {
					mover = m.scene.reception
				}
				n := m.machine(mover)
				m.must(m.router.IP(n, stage.Numbered(n, c.do)...))
				m.heard()
				if out := mover.Tail(); !strings.Contains(out, "address or its route") {
					t.Errorf("the station did not notice that it moved:\n%s", out)
				}
				m.must(m.scene.door.Press(m.ctx, "hangup"))
				m.until(m.scene.reception, "the call was over", func(s stage.Status) bool { return s.Phase == "idle" })
				m.recorded("over/hangup")
			})
		}
	}
}

// What does not concern the call is nothing to it.
func TestWhatDoesNotConcernACall(t *testing.T) {
	for _, c := range []struct {
		name     string
		ipv6     bool
		do, undo []string
	}{
		{"interfaces, addresses and routes come and go", false,
			[]string{"link add docker0 type bridge", "addr add 172.17.0.1/16 dev docker0", "link set docker0 up",
				"addr add 10.8.0.2/24 dev eth1", "route add 192.0.2.0/24 via 10.8.0.1 dev eth1",
				"addr add 169.254.7.7/16 dev eth1",
				"addr add fd0N:1::9/64 dev eth1 nodad", "route add default via 10.N.0.1 metric 900",
				"addr add 10.N.0.9/24 dev eth0"},
			[]string{"link del docker0", "route del 192.0.2.0/24", "addr del 10.8.0.2/24 dev eth1",
				"addr del 169.254.7.7/16 dev eth1",
				"addr del fd0N:1::9/64 dev eth1", "route del default metric 900", "addr del 10.N.0.9/24 dev eth0"}},
		{"temporary IPv6 addresses take turns", true, []string{"addr add fd0N:0::a1/64 dev eth0 nodad",
			"addr change fd0N:0::2/64 dev eth0 preferred_lft 0 valid_lft 3600"},
			[]string{"addr del fd0N:0::a1/64 dev eth0",
				"addr change fd0N:0::2/64 dev eth0 preferred_lft forever valid_lft forever"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := move(t, c.ipv6)
			before := [2]string{written(m.scene.door), written(m.scene.reception)}
			for range 3 {
				for n := 2; n <= 3; n++ {
					m.must(m.router.IP(n, stage.Numbered(n, c.do)...))
					m.must(m.router.IP(n, stage.Numbered(n, c.undo)...))
				}
			}
			m.heard()
			for i, s := range []*stage.Station{m.scene.door, m.scene.reception} {
				new := strings.TrimPrefix(written(s), before[i])
				if strings.Contains(new, "msg=state") || strings.Contains(new, "signed in") ||
					strings.Contains(new, "changed") {
					t.Errorf("%s minded:\n%s", s.CUID, new)
				}
			}
		})
	}
}

// written is all that a station wrote.
func written(s *stage.Station) string {
	b, _ := os.ReadFile(s.Log)
	return string(b)
}
