// Package version is the one place where the release is named; debian/changelog has the same, which a test checks. The
// programs import it.
package version

import "runtime"

// Version is the release, as https://semver.org has it.
const Version = "0.1.0"

// Line is what a program says when it is asked with -version.
func Line(program string) string {
	return program + " " + Version + " (" + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}
