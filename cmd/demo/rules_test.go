package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"intercom/internal/stage"
)

// To be answered automatically and to open a door, the account's rules and the station's own lists must both have it:
// with one of them alone the real hub and the real station refuse.
func TestHubAndStationMustAgree(t *testing.T) {
	p := begin(t, 30*time.Second)
	gate, err := stage.NewStation(p.dir, programs, p.hub, stage.Settings{CUID: "garden_gate", Name: "Garden gate",
		Context: "Test", To: "reception", Server: p.sound.Server,
		Sink: "door_spk", Source: "door_mic.monitor",
		Extra: "[door]\nline = \"relay\"\nallow = [\"reception\"]\n[auto_answer]\ncallers = [\"reception\"]\nafter = " +
			"\"1s\"\n"})
	p.must(err)
	p.must(gate.Up(p.ctx))
	t.Cleanup(func() { _ = gate.Stop(5 * time.Second) })
	p.until(gate, "it was registered", func(s stage.Status) bool { return s.Hub.Online })
	follow := p.follow(gate)
	notes := func() string {
		files, _ := filepath.Glob(filepath.Join(p.hub.Records, "notes-*.jsonl"))
		var all strings.Builder
		for _, f := range files {
			b, err := os.ReadFile(f)
			p.must(err)
			all.Write(b)
		}
		return all.String()
	}
	call := func() {
		t.Helper()
		p.must(p.scene.reception.Do(p.ctx, "call", map[string]string{"to": "garden_gate"}))
		p.phase(follow, "ringing")
	}
	opens := func() { t.Helper(); p.must(p.scene.reception.Do(p.ctx, "door", map[string]string{"do": "open"})) }
	hangsUp := func() {
		t.Helper()
		p.must(p.scene.reception.Press(p.ctx, "hangup"))
		p.ended(follow, "over/hangup")
		p.ended(p.desk, "over/hangup")
	}

	// The station's lists alone.
	call()
	p.until(gate, "it said why it does not answer by itself", func(stage.Status) bool {
		return strings.Contains(gate.Tail(),
			"the rule may_be_answered_automatically of the hub's account does not have it")
	})
	p.must(gate.Press(p.ctx, "answer"))
	p.phase(p.desk, "talking")
	opens()
	p.until(gate, "the refusal was on record", func(s stage.Status) bool {
		if s.Lines["door"] {
			t.Error("the door opens without a rule of the account")
		}
		return strings.Contains(notes(),
			`"who":"reception","why":"no rule may_open_door of the account has it","result":"refused"`)
	})
	refused, err := p.desk.Next(p.ctx, "the refusal", func(e stage.Event) bool { return e.Event == "door" })
	if p.must(err); refused.Done != "refused" {
		t.Errorf("the caller is told %+v", refused)
	}
	hangsUp()

	// Both. The hub reads the account's file again.
	p.must(p.hub.AddRules(stage.OpensDoors +
		"[[may_be_answered_automatically]]\nfrom = [\"reception\"]\nto = [\"garden_*\"]\n"))
	p.must(p.hub.Signal(syscall.SIGHUP))
	p.until(gate, "the hub had read the rules", func(stage.Status) bool {
		return strings.Contains(p.hub.Tail(), "accounts read again")
	})
	call()
	p.phase(follow, "talking") // and nobody has pressed
	opens()
	p.until(gate, "the relay was energised", func(s stage.Status) bool { return s.Lines["door"] })
	hangsUp()

	// The rules alone: front_door has no lists.
	p.must(p.scene.reception.Do(p.ctx, "call", map[string]string{"to": "front_door"}))
	p.phase(p.door, "ringing")
	p.must(p.scene.door.Press(p.ctx, "answer"))
	p.phase(p.desk, "talking")
	opens()
	refused, err = p.desk.Next(p.ctx, "the refusal", func(e stage.Event) bool {
		return e.Event == "door" && e.Peer == "front_door"
	})
	if p.must(err); refused.Done != "refused" {
		t.Errorf("front_door, which has no list, says %+v", refused)
	}
}
