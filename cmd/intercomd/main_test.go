package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"intercom/cmd/internal/script"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"intercomd": main})
}

func TestAsAUserTypesIt(t *testing.T) {
	script.Run(t, func(e *testscript.Env) error { return os.WriteFile(e.WorkDir+"/key", []byte("ik_secret\n"), 0o600) })
}
