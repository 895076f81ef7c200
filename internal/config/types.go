package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Duration is a length of time with its unit: "30s", "20ms", "2m".
type Duration time.Duration

// UnmarshalText reads a duration; a number without a unit is refused.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a length of time; write it like \"20ms\", \"30s\" or \"2m\"", b)
	}
	*d = Duration(v)
	return nil
}

// Std is the duration as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

func (d Duration) String() string {
	s := time.Duration(d).String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok {
		s = t + "m"
	}
	if t, ok := strings.CutSuffix(s, "h0m"); ok {
		s = t + "h"
	}
	return s
}

// Secret is a text that shows itself as *** wherever it is printed.
type Secret struct{ text string }

// Reveal gives the secret itself.
func (s Secret) Reveal() string { return s.text }

func (s Secret) String() string               { return "***" }
func (s Secret) GoString() string             { return "***" }
func (s Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// ReadSecret reads a secret from a file. A name without a slash is that of a credential that systemd has given
// (LoadCredential=), or, where there are none, as for an administrator's check, of a file beside the configuration.
// Surrounding white space is dropped.
func (r *Report) ReadSecret(name string) (Secret, error) {
	path := name
	if !strings.ContainsRune(name, '/') {
		path = filepath.Join(cmp.Or(os.Getenv("CREDENTIALS_DIRECTORY"), filepath.Dir(r.file)), name)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Secret{}, fmt.Errorf("%s cannot be read: %s", path, plain(err))
	}
	if b, err = Text(b); err != nil {
		return Secret{}, fmt.Errorf("%s %w", path, err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return Secret{}, fmt.Errorf("%s is empty", path)
	}
	return Secret{text}, nil
}

// CheckLevel reports a log level that slog does not have.
func CheckLevel(r *Report, key, level string) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		r.Addf(key, "%q is not a log level; there are debug, info, warn and error", level)
	}
}

// Level is a log level that was checked.
func Level(level string) slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level))
	return l
}

// Loopback reports whether a host can be reached from this machine only. A name other than localhost is not looked up:
// it may point elsewhere tomorrow.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.IsLoopback()
}
