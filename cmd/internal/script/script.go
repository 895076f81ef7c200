// Package script runs the programs as a user types them: testscript, with a command that checks an exit status. Only
// the tests of cmd import it.
package script

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Run runs the scripts in testdata.
func Run(t *testing.T, setup func(*testscript.Env) error) {
	ready := func(e *testscript.Env) error {
		e.Setenv("GORACE", "atexit_sleep_ms=0") // a program built for the race detector sleeps a second at its end
		if setup == nil {
			return nil
		}
		return setup(e)
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", Setup: ready,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status}})
}

// status N PROGRAM ARGS... fails unless the program ends with the exit status N; its stderr can be grepped as file
// "said".
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}
