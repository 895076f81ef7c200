package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
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
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
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
			p.hub, err = stage.StartHub(ctx, p.dir, programs, stage.HubSettings{Ring: 30 * time.Second, Listen: stage.PublicIP + ":8080", Within: town.Public(),
				Extra: fmt.Sprintf("allow_plain = true\n[turn]\nlisten = \"0.0.0.0:3478\"\npublic = %q", stage.PublicIP)})
			p.must(err)
			station := func(cuid, prefix, to string, house int) *stage.Station {
				s, err := stage.NewStation(p.dir, programs, p.hub, stage.Settings{CUID: cuid, Name: cuid, Context: "Test", To: to,
					Server: p.sound.Server, Sink: prefix + "_spk", Source: prefix + "_mic.monitor", Interfaces: []string{"eth0"}, Within: town.Inside(house)})
				p.must(err)
				p.must(s.Up(ctx))
				p.until(s, "it was registered and had sound", func(st stage.Status) bool { return st.Hub.Online && st.Sound.Sink != "" })
				return s
			}
			p.scene.door = station("front_door", "door", "reception", 2)
			p.scene.reception = station("reception", "reception", "front_door", 3)
			p.must(p.scene.door.Press(ctx, "call"))
			p.until(p.scene.reception, "it rang", func(s stage.Status) bool { return s.Phase == "ringing" })
			p.must(p.scene.reception.Press(ctx, "answer"))
			steady, err := ear.Play(p.sound.Server, "reception_mic", ear.Steady(toneHz, 20*time.Second))
			p.must(err)
			defer steady.Stop()
			for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
				p.until(s, "it talked "+route, func(s stage.Status) bool { return s.Phase == "talking" && s.Quality != nil && s.Quality.Route == route })
			}
			p.until(p.scene.door, "it heard the other side", func(s stage.Status) bool { return s.Sound.SpkDBFS > -40 })
			// What the hub relayed ends with the call, and the next call has its own.
			relayed := func() int {
				b, err := exec.CommandContext(ctx, "ip", append(slices.Clone(town.Public()[1:]), "ss", "-Hunal", "sport", ">=", ":49152")...).Output()
				p.must(err)
				return strings.Count(string(b), "\n")
			}
			if relayed() == 0 {
				t.Error("the hub has no relayed address during the call")
			}
			p.must(p.scene.door.Press(ctx, "hangup"))
			p.until(p.scene.reception, "it was idle", func(s stage.Status) bool { return s.Phase == "idle" })
			p.must(p.scene.reception.Wait(ctx, "the relayed addresses were closed", func() bool { return relayed() == 0 }))
			p.must(p.scene.reception.Press(ctx, "call"))
			p.until(p.scene.door, "it rang", func(s stage.Status) bool { return s.Phase == "ringing" })
			p.must(p.scene.door.Press(ctx, "answer"))
			for _, s := range []*stage.Station{p.scene.door, p.scene.reception} {
				p.until(s, "it talked again "+route, func(s stage.Status) bool { return s.Phase == "talking" && s.Quality != nil && s.Quality.Route == route })
			}
		})
	}
}
