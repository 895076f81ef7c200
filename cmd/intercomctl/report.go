package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"intercom/internal/fault"
	"intercom/internal/version"
)

// commandTime is how long a command of a report may take.
const commandTime = 10 * time.Second

// report writes an archive with what somebody needs who is to find out what is wrong, without secrets. What cannot be
// had is in it as the reason why.
func (c *ctl) report(ctx context.Context, file string) int {
	if file == "" {
		file = "intercom-report-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		fmt.Fprintf(c.err, "intercomctl: the report cannot be written: %v; name another file with -output\n", err)
		return exRefused
	}
	zipped := gzip.NewWriter(f)
	archive := tar.NewWriter(zipped)
	add := func(name string, b []byte, problem error) {
		if problem != nil {
			b = fmt.Appendf(b, "\n(%v)\n", problem)
		}
		b = scrub(b)
		err = errors.Join(err, archive.WriteHeader(&tar.Header{Name: "intercom-report/" + name, Mode: 0o600,
			Size: int64(len(b)), ModTime: time.Now()}))
		_, werr := archive.Write(b)
		err = errors.Join(err, werr)
	}
	for name, path := range map[string]string{"status.json": "status", "configuration.toml": "config",
		"events.jsonl": "recent", "goroutines.txt": "goroutines"} {
		b, problem := c.fetch(ctx, path)
		add(name, b, problem)
	}
	for name, command := range map[string]string{
		"log.txt": "journalctl --unit intercomd --unit intercom-sound --lines 2000 --no-pager --output " +
			"short-iso-precise",
		"unit.txt":    "systemctl show intercomd",
		"sound.txt":   "pactl info; pactl list short sinks; pactl list short sources",
		"gpio.txt":    "gpiodetect; gpioinfo",
		"network.txt": "ip -brief address; ip route; timedatectl show",
		"versions.txt": "uname -a; cat /etc/os-release; cat /proc/device-tree/model; dpkg-query --show intercomd " +
			"pulseaudio pipewire-pulse libopus0 systemd",
	} {
		b := []byte(nil)
		if name == "versions.txt" {
			b = []byte(version.Line("intercomctl") + "\n")
		}
		for one := range strings.SplitSeq(command, "; ") {
			out, problem := output(ctx, strings.Fields(one))
			b = fmt.Appendf(b, "$ %s\n%s", one, out)
			if problem != nil {
				b = fmt.Appendf(b, "(%v)\n", problem)
			}
		}
		add(name, b, nil)
	}
	if err = errors.Join(err, archive.Close(), zipped.Close(), f.Close()); err != nil {
		fmt.Fprintf(c.err, "intercomctl: the report could not be written: %v\n", err)
		return exRefused
	}
	fmt.Fprintln(c.out, file)
	return 0
}

// fetch asks the station for something; post has it do something.
func (c *ctl) fetch(ctx context.Context, path string) ([]byte, error) {
	return c.bytes(ctx, http.MethodGet, path, nil)
}

func (c *ctl) post(ctx context.Context, path string) ([]byte, error) {
	return c.bytes(ctx, http.MethodPost, path, strings.NewReader("{}"))
}

func (c *ctl) bytes(ctx context.Context, method, path string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://intercomd/v1/"+path, body)
	if err != nil {
		return nil, err
	}
	r, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	var bad struct{ Error *fault.Error }
	if r.StatusCode != http.StatusOK && json.Unmarshal(b, &bad) == nil && bad.Error != nil {
		return nil, bad.Error
	}
	return b, err
}

func output(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	return cmd.CombinedOutput()
}

// secrets are what looks like one, wherever it stands.
var secrets = []*regexp.Regexp{
	regexp.MustCompile(`\bik_[A-Za-z0-9_-]+`),                                    // API keys
	regexp.MustCompile(`\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?`), // tokens
	regexp.MustCompile(`(?i)\b(bearer|basic) +[A-Za-z0-9._~+/=-]+`),              // of a header
	// of a field or a command line
	regexp.MustCompile(`(?i)\b[a-z0-9_]*(password|passwd|secret|token|apikey|credential)=\S+`),
	regexp.MustCompile(`a=(ice-pwd|ice-ufrag|crypto|fingerprint):\S+`),
}

// inAddress is a user and password in an address.
var inAddress = regexp.MustCompile(`(://)[^/@\s"']+@`)

// scrub takes secrets out.
func scrub(b []byte) []byte {
	for _, s := range secrets {
		b = s.ReplaceAll(b, []byte("***"))
	}
	return bytes.ToValidUTF8(inAddress.ReplaceAll(b, []byte("${1}***@")), []byte("?"))
}
