package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"intercom/internal/fault"
	"intercom/internal/stage"
	"intercom/wire"
)

// Attacks on rules that are written down, and on what comes into a station besides its hub.
var ruleAttacks = []attack{
	{"rules/door", "opens a door in an answered call without a rule may_open_door, and with one for somebody else",
		doorWithoutRule},
	{"rules/automatic-answer",
		"has a station answer by itself whose list has the caller, and the account's rules do not", answerWithoutRule},
	{"settings/unknown-key",
		"pushes settings that a key signed which the station does not know, and their undo: it stays registered",
		unknownKey},
	{"mqtt/large", "writes three messages of 60 MB to a station's topic at its broker", largeMessages},
}

// gate is a station with a door whose lists have reception, which is a client here.
func (t *trial) gate() (*stage.Station, *client) {
	sound := t.startSound("garden_gate")
	s := t.startStation(sound, stage.Settings{CUID: "garden_gate", To: "reception",
		Extra: "[door]\nline = \"relay\"\nallow = [\"reception\"]\n[auto_answer]\ncallers = [\"reception\"]\nafter = " +
			"\"1s\"\n"})
	return s, t.signIn("reception")
}

func (c *client) calls(t *trial, to string) (id string) {
	id = callID()
	_, err := c.ask(wire.New(wire.Invite, id, wire.InviteBody{To: wire.Receivers{to}, Context: "Hello"}))
	t.must(err)
	return id
}

func doorWithoutRule(t *trial) {
	for _, rules := range []string{"", "[[may_open_door]]\nfrom = [\"reception\"]\nto = [\"front_door\"]\n",
		"[[may_open_door]]\nfrom = [\"garden_gate\"]\nto = [\"reception\"]\n"} {
		if t.hub == nil {
			t.startHub("")
		}
		t.must(t.hub.AddRules(rules))
		_, err := t.hubCommand("", "check")
		t.must(err)
	}
	gate, reception := t.gate()
	id := reception.calls(t, "garden_gate")
	t.until("the gate rang", func() bool { return t.phase(gate) == "ringing" })
	asks := func(when string) {
		_, err := reception.ask(wire.New(wire.Door, id, wire.DoorBody{From: "garden_gate"}))
		var refused *fault.Error
		if !errors.As(err, &refused) || refused.Code != fault.NotAllowed {
			t.through("%s the hub says %v", when, err)
		}
		if st, err := gate.Status(t.ctx); err != nil || st.Lines["door"] {
			t.through("%s the door is open (%v)", when, err)
		}
	}
	asks("while it rings")
	t.must(gate.Press(t.ctx, "answer"))
	_, err := reception.await(10*time.Second, wire.Answered)
	t.must(err)
	for range 5 {
		asks("in a call without a rule")
	}
	if out, err := os.ReadFile(t.hub.Log); err != nil || !bytes.Contains(out, []byte("no rule may_open_door")) {
		t.through("the hub's log does not have the refusal (%v)", err)
	}
}

func answerWithoutRule(t *trial) {
	t.startHub("")
	t.must(t.hub.AddRules("[[may_be_answered_automatically]]\nfrom = [\"reception\"]\nto = [\"front_door\"]\n"))
	gate, reception := t.gate()
	id := reception.calls(t, "garden_gate")
	t.until("the gate rang", func() bool { return t.phase(gate) == "ringing" })
	if e, err := reception.await(4*time.Second, wire.Answered, wire.Ended); err == nil {
		t.through("the call got %s", e.T)
	}
	if st, err := gate.Status(t.ctx); err != nil || st.Phase != "ringing" || st.Sound.MicOpen {
		t.through("the gate is %+v (%v)", st, err)
	}
	_, err := reception.ask(wire.New(wire.Cancel, id, wire.CancelBody{}))
	t.must(err)
}

func unknownKey(t *trial) {
	t.startHub("")
	gate, _ := t.gate()
	key, file := t.path("other.key"), t.path("settings.toml")
	_, err := t.hubCommand("", "config", "key", "-out", key)
	t.must(err)
	push := func(text string) {
		t.must(os.WriteFile(file, []byte(text), 0o600))
		_, err := t.hubCommand("", "config", "push", "-account", "demo", "-cuid", "garden_gate", "-key", key,
			"-file", file)
		t.must(err)
	}
	listed := func() bool {
		out, err := t.hubCommand("", "config", "list", "-account", "demo")
		return err == nil && strings.Contains(out, "SETTINGS_REFUSED")
	}
	stays := func(when string) {
		for range 100 {
			st, err := gate.Status(t.ctx)
			if err != nil || !st.Hub.Online {
				t.through("%s the station is not registered (%v)", when, err)
				return
			}
			time.Sleep(30 * time.Millisecond)
		}
	}
	push("[call]\nto = \"guard_1\"\n")
	t.until("the hub lists the refusal", listed)
	stays("after settings of an unknown key")
	t.must(gate.Stop(5 * time.Second))
	t.must(gate.Up(t.ctx))
	t.processes = append(t.processes, gate.Process)
	t.until("it was registered again", func() bool {
		st, err := gate.Status(t.ctx)
		return err == nil && st.Hub.Online
	})
	t.until("it remembers", listed)
	if st, err := gate.Status(t.ctx); err != nil || !strings.Contains(st.Faults["settings"], "hub.settings_keys") {
		t.through("after a restart the station says %v (%v)", st.Faults, err)
	}
	push("")
	t.until("the undo was taken", func() bool {
		st, err := gate.Status(t.ctx)
		return err == nil && st.Faults["settings"] == ""
	})
	stays("after the undo")
	log, err := os.ReadFile(gate.Log)
	t.must(err)
	if n := bytes.Count(log, []byte("SETTINGS_REFUSED")); n > 2 { // one in each life
		t.through("it was offered them %d times", n)
	}
}

func largeMessages(t *trial) {
	ports, err := stage.Ports(1)
	t.must(err)
	port := strconv.Itoa(ports[0])
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program = "/usr/sbin/mosquitto" // where an ordinary user's path does not lead
	}
	broker, err := stage.Start(t.dir, "mosquitto", nil, program, "-p", port)
	t.must(err)
	t.processes = append(t.processes, broker)
	t.startHub("")
	sound := t.startSound("garden_gate")
	gate := t.startStation(sound, stage.Settings{CUID: "garden_gate", To: "reception",
		Extra: fmt.Sprintf("[mqtt]\nurl = \"mqtt://127.0.0.1:%s\"\ncommands = [\"hangup\"]\n", port)})
	read := func() string {
		out, _ := exec.CommandContext(t.ctx, "mosquitto_sub", "-p", port, "-t", "intercom/garden_gate/online", "-C",
			"1", "-W", "2").CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	t.until("the station was at the broker", func() bool { return read() == "online" })
	before := resident(t, gate.PID())
	large := t.path("large")
	t.must(os.WriteFile(large, make([]byte, 60<<20), 0o600))
	for _, retain := range []bool{false, false, true} {
		args := []string{"-p", port, "-V", "5", "-q", "1", "-t", "intercom/garden_gate/do", "-f", large}
		if retain {
			args = append(args, "-r")
		}
		out, err := exec.CommandContext(t.ctx, "mosquitto_pub", args...).CombinedOutput()
		if err != nil {
			t.must(fmt.Errorf("%w: %s", err, out))
		}
	}
	after := resident(t, gate.PID())
	t.figure("MB before", before)
	t.figure("MB after", after)
	if after > before+20 {
		t.through("the station grew from %.0f to %.0f MB", before, after)
	}
	if is := read(); is != "online" {
		t.through("the station is %q at the broker", is)
	}
	out, err := exec.CommandContext(t.ctx, "mosquitto_pub", "-p", port, "-t", "intercom/garden_gate/do", "-m", "open",
		"-q", "1").CombinedOutput()
	if err != nil {
		t.must(fmt.Errorf("%w: %s", err, out))
	}
	t.until("a command still got through, and was refused", func() bool {
		log, err := os.ReadFile(gate.Log)
		return err == nil && bytes.Contains(log, []byte("not done, though the broker said so"))
	})
}

// resident is the memory of a process, in MB.
func resident(t *trial, pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	t.must(err)
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		t.must(errors.New("the process has no VmRSS"))
	}
	kB, err := strconv.ParseFloat(fields[0], 64)
	t.must(err)
	return kB / 1024
}
