package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"intercom/wire"
)

// Attacks on secrets and on logs.
var secretAttacks = []attack{
	{"secrets/everywhere", "looks for the API key in logs, command lines, environments, statuses, reports and records",
		secretsEverywhere},
	{"logs/forged-line", "writes line ends, ESC and bidirectional overrides into every name that a device may choose",
		forgedLine},
}

func secretsEverywhere(t *trial) {
	door, desk := t.talk()
	t.must(door.Press(t.ctx, "hangup"))
	t.until("the call was over", func() bool { return t.phase(desk) == "idle" })
	wrong, err := t.dial()
	t.must(err)
	h := t.identity("kitchen_1")
	h.Account = "nobody" // a right key in a wrong place is not to be logged either
	if _, err := wrong.hello(h); err == nil {
		t.through("a key of another account signed in")
	}
	look := func(where, text string) {
		if strings.Contains(text, t.hub.Key) {
			t.through("the key is in %s", where)
		}
	}
	for _, p := range t.processes {
		log, err := os.ReadFile(p.Log)
		t.must(err)
		look("the log of "+p.Name, string(log))
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), file))
			t.must(err)
			look(file+" of "+p.Name, string(b))
		}
	}
	for _, args := range [][]string{{"-json", "status"}, {"doctor"}, {"report", "-output", t.path("report.tar.gz")}} {
		cmd := exec.CommandContext(t.ctx, filepath.Join(t.bin, "intercomctl"),
			append([]string{"-socket", door.Socket}, args...)...)
		out, _ := cmd.CombinedOutput() // doctor says by its status how the station is
		look("intercomctl "+args[0], string(out))
	}
	if b, err := os.ReadFile(t.path("report.tar.gz")); err == nil {
		unpacked, err := exec.CommandContext(t.ctx, "tar", "-xzOf", t.path("report.tar.gz")).Output()
		t.must(err)
		if len(b) == 0 || len(unpacked) == 0 {
			t.through("the report is empty")
		}
		look("the report", string(unpacked))
	}
	calls, err := t.hub.Calls()
	t.must(err)
	look("the call records", string(calls))
	for _, folder := range []string{"accounts", "hub"} {
		t.must(filepath.Walk(t.path(folder), func(path string, f os.FileInfo, err error) error {
			if err != nil || !f.Mode().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			look(path, string(b))
			if f.Mode().Perm()&0o007 != 0 {
				t.through("%s may be read by all (%v)", path, f.Mode().Perm())
			}
			return err
		}))
	}
}

func forgedLine(t *trial) {
	t.startHub("")
	forged := "x\nlevel=ERROR msg=\"forged\"\x1b[2J\u202e"
	for _, change := range []func(*wire.HelloBody){
		func(h *wire.HelloBody) { h.Account = forged }, func(h *wire.HelloBody) { h.CUID = forged },
		func(h *wire.HelloBody) { h.Name = forged },
		func(h *wire.HelloBody) { h.Agent = forged }, func(h *wire.HelloBody) {
			h.Instance = forged
		}, func(h *wire.HelloBody) { h.APIKey = forged },
	} {
		c, err := t.dial()
		t.must(err)
		h := t.identity("kitchen_1")
		change(&h)
		_, _ = c.hello(h) // refused or not
		_ = c.CloseNow()
	}
	talker := t.signIn("kitchen_2")
	for _, e := range []wire.Envelope{wire.New(wire.State, "",
		wire.StateBody{Health: "degraded", Faults: map[string]string{forged: forged}, Light: forged}),
		wire.New(wire.Note, "", wire.NoteBody{ID: forged, Kind: wire.Visit, Who: forged, Why: forged}),
		wire.New(wire.Invite, "00000000000000000000000000000abc",
			wire.InviteBody{To: wire.Receivers{forged}, Context: forged}), {T: wire.Type(forged)}} {
		_, _ = talker.ask(e)
	}
	t.request("GET", "/nothing?"+"x=%0Alevel=ERROR", "", "User-Agent", "x\tforged")
	b, err := os.ReadFile(t.hub.Log)
	t.must(err)
	log := string(b)
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") {
			t.through("a line that the hub did not begin: %q", line)
		}
	}
	if strings.ContainsAny(log, "\x1b\u202e") {
		t.through("the log has control characters")
	}
}
