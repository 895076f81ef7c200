package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// Two stations behind translators of their own: where those keep ports, they reach each other directly; where each
// connection gets a random port, through the hub's relay. The voice is heard in both cases.
func TestStationsBehindTranslators(t *testing.T) {
	for route, random := range map[string]bool{"direct": false, "relay": true} {
		t.Run(route, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			t.Cleanup(cancel)
			p := &stagePlay{T: t, ctx: ctx, dir: t.TempDir(), scene: &scene{}}
			town, err := stage.NewTown("ic" + route[:1])
			t.Cleanup(town.Raze)
			if err := errors.Join(err, town.House(2, random), town.House(3, random)); err != nil {
				t.Fatalf("%v; this needs root, and what 'make deps-test' installs", err)
			}
			p.sound, err = stage.StartSound(ctx, p.dir, "door_mic", "door_spk", "reception_mic", "reception_spk")
			p.must(err)
			t.Cleanup(func() { _ = p.close() })
			p.hub, err = stage.StartHub(ctx, p.dir, programs,
				stage.HubSettings{Ring: 30 * time.Second, Listen: stage.PublicIP + ":8080", Within: town.Public(),
					Extra: fmt.Sprintf("allow_plain = true\n[turn]\nlisten = \"0.0.0.0:3478\"\npublic = %q",
						stage.PublicIP)})
			p.must(err)
			station := func(cuid, prefix, to string, house int) *stage.Station {
				s, err := stage.NewStation(p.dir, programs, p.hub,
					stage.Settings{CUID: cuid, Name: cuid, Context: "Test", To: to,
						Server: p.sound.Server, Sink: prefix + "_spk", Source: prefix + "_mic.monitor",
						Interfaces: []string{"eth0"}, Within: town.Inside(house)})
				p.must(err)
				p.must(s.Up(ctx))
				p.until(s, "it was registered and had sound", func(st stage.Status) bool {
					return st.Hub.Online && st.Sound.Sink != ""
				})
				return s
			}
			p.scene.door = station("front_door", "door", "reception", 2)
			p.scene.reception = station("reception", "reception", "front_door", 3)
			p.must(p.scene.door.Press(ctx, "call"))
			p.until(p.scene.reception, "it rang", func(s stage.Status) bool { return s.Phase == "ringing" })
			p.must(p.scene.reception.Press(ctx, "answer"))
			steady, err := ear.Play(p.sound.Server, "reception_mic", ear.Steady(toneHz, 3*time.Minute))
			p.must(err)
			defer steady.Stop()
			other, err := ear.Play(p.sound.Server, "door_mic", ear.Steady(toneHz+600, 3*time.Minute))
			p.must(err)
			defer other.Stop()
			for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
				p.until(s, "it talked "+route, func(s stage.Status) bool {
					return s.Phase == "talking" && s.Quality != nil && s.Quality.Route == route
				})
			}
			p.until(p.scene.door, "it heard the other side", func(s stage.Status) bool { return s.Sound.SpkDBFS > -40 })
			// The station moves within its house; then its translator gets another address, which no station can see.
			for what, do := range map[string]func() error{
				"moved": func() error {
					return town.IP(2, "addr del 10.2.0.2/24 dev eth0", "addr add 10.2.0.7/24 dev eth0",
						"route replace default via 10.2.0.1")
				},
				"was translated differently": func() error {
					return town.Gate(2, "addr del 11.9.0.2/24 dev out", "addr add 11.9.0.22/24 dev out")
				},
			} {
				p.must(do())
				for sink, hz := range map[string]float64{"door_spk": toneHz, "reception_spk": toneHz + 600} {
					r, err := ear.Record(p.sound.Server, sink+".monitor")
					p.must(err)
					// after what was on its way
					for began := time.Now().Add(time.Second); ear.Onset(r, hz,
						began) < 0; time.Sleep(50 * time.Millisecond) {
						if ctx.Err() != nil {
							t.Fatalf("the station %s, and nothing is heard at %s\n%s\n%s", what, sink,
								p.scene.door.Tail(), p.scene.reception.Tail())
						}
					}
					r.Stop()
				}
				for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
					p.until(s, "it talked "+route+" after the station "+what, func(s stage.Status) bool {
						return s.Hub.Online && s.Phase == "talking" && s.Quality != nil && s.Quality.Route == route
					})
				}
			}
			// What the hub relayed ends with the call, and the next call has its own.
			relayed := func() int {
				b, err := exec.CommandContext(ctx, "ip",
					append(slices.Clone(town.Public()[1:]), "ss", "-Hunal", "sport", ">=", ":49152")...).Output()
				p.must(err)
				return strings.Count(string(b), "\n")
			}
			if relayed() == 0 {
				t.Error("the hub has no relayed address during the call")
			}
			p.must(p.scene.door.Press(ctx, "hangup"))
			p.until(p.scene.reception, "it was idle", func(s stage.Status) bool { return s.Phase == "idle" })
			p.must(p.scene.reception.Wait(ctx, "the relayed addresses were closed", func() bool {
				return relayed() == 0
			}))
			p.must(p.scene.reception.Press(ctx, "call"))
			p.until(p.scene.door, "it rang", func(s stage.Status) bool { return s.Phase == "ringing" })
			p.must(p.scene.door.Press(ctx, "answer"))
			for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
				p.until(s, "it talked again "+route, func(s stage.Status) bool {
					return s.Phase == "talking" && s.Quality != nil && s.Quality.Route == route
				})
			}
			if route != "relay" {
				return
			}
			// A call that is relayed outlives the hub that relays it.
			again, err := ear.Play(p.sound.Server, "door_mic", ear.Steady(toneHz, time.Minute))
			p.must(err)
			defer again.Stop()
			p.until(p.scene.reception, "it heard the other side", func(s stage.Status) bool {
				return s.Sound.SpkDBFS > -40
			})
			p.must(p.hub.Signal(syscall.SIGKILL))
			<-p.hub.Ended()
			p.until(p.scene.reception, "it heard nothing", func(s stage.Status) bool { return s.Sound.SpkDBFS < -60 })
			p.must(p.hub.Up(ctx))
			p.until(p.scene.reception, "it heard the other side again", func(s stage.Status) bool {
				return s.Phase == "talking" && s.Sound.SpkDBFS > -40
			})
		})
	}
}
