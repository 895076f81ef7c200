package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"intercom/internal/fault"
	"intercom/wire"
)

// Attacks by what names may look like.
var formAttacks = []attack{
	{"cuid/forms", "signs in and calls with cuids that are paths, subjects, patterns, markup or too long, and with " +
		"odd ones that are good", oddForms},
}

// oddForms wants each form outside the rule refused, also where it is called, and each odd one inside it to be a device
// like any other.
func oddForms(t *trial) {
	hub := t.startHub("")
	before := t.files(filepath.Dir(hub.Records))
	bad := []string{"", "abcd", "../../demo", "demo.toml", "front.door", "device.demo.>", "*****", ">>>>>", "?????",
		"front door", "front_door\n", "<b>bold</b>", "%2e%2e%2f",
		"d\u00f6rrr1", "\u0661\u0662\u0663\u0664\u0665", "_____", "91_8899555", "1_2_3", "12345\x00", "-config",
		strings.Repeat("a", 51), strings.Repeat("a", 1500)}
	good := []string{"8899555123", "_abcd", "abcd_", "a__bc", "__proto__", "12345_", strings.Repeat("_", 49) + "a",
		strings.Repeat("1", 50)}
	for _, cuid := range bad {
		c, err := t.dial()
		t.must(err)
		hello := t.identity(cuid)
		hello.Name = ""
		_, err = c.hello(hello)
		var refused *fault.Error
		switch {
		case err == nil:
			t.through("%.60q signed in", cuid)
		case !errors.As(err, &refused) || refused.Field != "cuid":
			t.through("%.60q was refused with %v, which does not say why", cuid, err)
		}
	}
	caller := t.signIn("caller_1")
	for _, cuid := range bad {
		if _, err := caller.ask(wire.New(wire.Invite, strings.Repeat("0a", 16),
			wire.InviteBody{To: wire.Receivers{cuid}, Context: "x"})); err == nil {
			t.through("%.60q can be called", cuid)
		}
	}
	var all []*client
	for _, cuid := range good {
		all = append(all, t.signIn(cuid))
	}
	for i, c := range all { // each is a device of its own, and there
		if _, err := c.ask(wire.Envelope{T: wire.Ping}); err != nil {
			t.through("%q is not answered: %v", good[i], err)
		}
	}
	if after := t.files(filepath.Dir(hub.Records)); after != before {
		t.through("files came: %s, where there were %s", after, before)
	}
}

// files are the names of what is in a folder.
func (t *trial) files(folder string) string {
	entries, err := os.ReadDir(folder)
	t.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
