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
	"sync"
	"testing"
	"time"
)

func TestAReportHasWhatIsNeededAndNoSecret(t *testing.T) {
	socket := station(t)
	file := filepath.Join(t.TempDir(), "r.tar.gz")
	var out, said bytes.Buffer
	if code := run(t.Context(), []string{"-socket", socket, "report", "-output", file}, &out, &said); code != 0 || strings.TrimSpace(out.String()) != file {
		t.Fatalf("exit status %d: %s%s", code, out.String(), said.String())
	}
	if code := run(t.Context(), []string{"-socket", socket, "report", "-output", file}, &out, &said); code != exRefused || !strings.Contains(said.String(), "name another file") {
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
	for name, want := range map[string]string{"status.json": `"cuid":"front_door"`, "goroutines.txt": "goroutine profile", "versions.txt": "intercomctl ", "log.txt": "$ journalctl", "sound.txt": "$ pactl info", "events.jsonl": "", "configuration.toml": "", "gpio.txt": "", "unit.txt": "", "network.txt": ""} {
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
	if code := run(t.Context(), []string{"-socket", socket, "doctor", "hub"}, &out, &said); code != exRefused || strings.Count(out.String(), "BROKEN") != 1 || !strings.Contains(out.String(), "→ ") {
		t.Errorf("exit status %d: %s%s", code, out.String(), said.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"-socket", socket, "-json", "doctor", "button"}, &out, &said); code != 0 || !strings.HasPrefix(out.String(), `[{"chain":"button","check":"their lines are there","ok":true}`) {
		t.Errorf("exit status %d: %s%s", code, out.String(), said.String())
	}
	if code := run(t.Context(), []string{"-socket", socket, "doctor", "soup"}, &out, &said); code != exUsage || !strings.Contains(said.String(), "there are time, hub") {
		t.Errorf("exit status %d: %s", code, said.String())
	}
}

// safeBuffer is written by one and read by another.
type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestTopGoesOnWhenTheStationIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out safeBuffer
	done := make(chan int, 1)
	socket := station(t)
	go func() { done <- run(ctx, []string{"-socket", socket, "top"}, &out, &out) }()
	for !strings.Contains(out.String(), "front_door: degraded") {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit status %d", code)
	}
	var out2 safeBuffer
	gone, stop := context.WithCancel(t.Context())
	go func() {
		done <- run(gone, []string{"-socket", filepath.Join(t.TempDir(), "nobody"), "top"}, &out2, &out2)
	}()
	for !strings.Contains(out2.String(), "the station does not answer") {
		time.Sleep(time.Millisecond)
	}
	stop()
	<-done
}
