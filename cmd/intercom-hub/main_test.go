package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"intercom/cmd/internal/script"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"intercom-hub": main})
}

func TestAsAUserTypesIt(t *testing.T) { script.Run(t, nil) }
