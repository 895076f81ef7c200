package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAReportHasWhatIsNeededAndNoSecret(t *testing.T) {
	socket := station(t)
	file := filepath.Join(t.TempDir(), "r.tar.gz")
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"-socket", socket, "report", "-output", file}, &out, &said); code != 0 ||
		strings.TrimSpace(out.String()) != file {
		t.Fatalf("exit status %d: %s%s", code, out.String(), said.String())
	}
	if code := run(t.Context(), []string{"-socket", socket, "report", "-output", file}, &out,
		&said); code != exRefused || !strings.Contains(said.String(), "name another file") {
		t.Errorf("a report over another: exit status %d: %s", code, said.String())
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		found[filepath.Base(h.Name)] = string(b)
	}
	for name, want := range map[string]string{"status.json": `"cuid":"front_door"`,
		"goroutines.txt": "goroutine profile", "versions.txt": "intercomctl ", "log.txt": "$ journalctl",
		"sound.txt": "$ pactl info", "events.jsonl": "", "configuration.toml": "", "gpio.txt": "", "unit.txt": "",
		"network.txt": ""} {
		if text, ok := found[name]; !ok || !strings.Contains(text, want) {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestSecretsAreTakenOut(t *testing.T) {
	const text = `key ik_4TWl-X2_abc, token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln, Authorization: Bearer abc.def-ghi
wss://anna:hush@hub.example.org/v1/ws password=hunter2 INTERCOM_TOKEN=hush a=ice-pwd:hushhush a=mid:0 nats://x:y@z`
	got := string(scrub([]byte(text)))
	for _, secret := range []string{"4TWl", "eyJ", "abc.def", "hush", "hunter2", "x:y"} {
		if strings.Contains(got, secret) {
			t.Errorf("%s is still there:\n%s", secret, got)
		}
	}
	for _, plain := range []string{"hub.example.org/v1/ws", "a=mid:0", "key "} {
		if !strings.Contains(got, plain) {
			t.Errorf("%s is gone:\n%s", plain, got)
		}
	}
}

func TestTheDoctorFindsTheFirstBrokenLink(t *testing.T) {
	socket := station(t) // without a hub
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"-socket", socket, "doctor", "hub"}, &out, &said); code != exRefused ||
		strings.Count(out.String(), "BROKEN") != 1 || !strings.Contains(out.String(), "→ ") {
		t.Errorf("exit status %d: %s%s", code, out.String(), said.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"-socket", socket, "-json", "doctor", "button"}, &out, &said); code != 0 ||
		!strings.HasPrefix(out.String(), `[{"chain":"button","check":"their lines are there","ok":true}`) {
		t.Errorf("exit status %d: %s%s", code, out.String(), said.String())
	}
	if code := run(t.Context(), []string{"-socket", socket, "doctor", "soup"}, &out, &said); code != exUsage ||
		!strings.Contains(said.String(), "there are time, hub") {
		t.Errorf("exit status %d: %s", code, said.String())
	}
}

// screen gives what is written to it, one writing at a time.
type screen chan string

func (s screen) Write(p []byte) (int, error) {
	s <- string(p)
	return len(p), nil
}

// until reads what is shown until it has what is wanted, and then lets the rest go by.
func (s screen) until(want string) {
	shown := ""
	for text := range s {
		if shown += text; strings.Contains(shown, want) {
			break
		}
	}
	go func() {
		for range s { // so that whoever writes is not kept
		}
	}()
}

func TestTopGoesOnWhenTheStationIsGone(t *testing.T) {
	for socket, want := range map[string]string{station(t): "front_door: degraded",
		filepath.Join(t.TempDir(), "nobody"): "the station does not answer"} {
		ctx, cancel := context.WithCancel(t.Context())
		out, done := make(screen), make(chan int, 1)
		go func() { done <- run(ctx, []string{"-socket", socket, "top"}, out, out) }()
		out.until(want)
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("exit status %d", code)
		}
		close(out)
	}
}
