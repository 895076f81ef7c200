package systemd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"intercom/internal/config/configtest"
	"intercom/internal/event"
)

// manager is the service manager's end of the notification socket, as systemd binds it (sd_notify(3)).
func manager(t *testing.T) *net.UnixConn {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return c
}

func read(t *testing.T, c *net.UnixConn, within time.Duration) string {
	b := make([]byte, 1000)
	_ = c.SetReadDeadline(time.Now().Add(within))
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func TestWhatTheManagerIsTold(t *testing.T) {
	c := manager(t)
	Ready()
	Status("Idle; registered as front_door")
	Stopping(time.Second)
	for _, want := range []string{"READY=1", "STATUS=Idle; registered as front_door",
		"STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000"} {
		if got := read(t, c, 5*time.Second); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestTheWatchdogIsFedByProgressOnly(t *testing.T) {
	c := manager(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", "")
	progress := make(chan error, 1)
	progress <- nil
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- Watchdog(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
			select {
			case err := <-progress:
				return err
			case <-ctx.Done():
				return errors.New("stuck")
			}
		})
	}()
	if got := read(t, c, 5*time.Second); got != "WATCHDOG=1" {
		t.Fatalf("told %q", got)
	}
	if got := read(t, c, 100*time.Millisecond); got != "" {
		t.Fatalf("a stuck daemon fed the watchdog: %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestJournalFields(t *testing.T) {
	var message string
	var fields map[string]string
	fail := false
	var fallback bytes.Buffer
	h := &Journal{Level: slog.LevelInfo, Fallback: &fallback,
		Send: func(m string, p journal.Priority, f map[string]string) error {
			if fail {
				return errors.New("no journal")
			}
			message, fields = m, f
			return nil
		}}
	log := slog.New(h).With("cuid", "front_door")
	log.Debug("not this")
	log.WithGroup("x").Warn("call ended", "call", "c1", "status", "over", "_odd-key", 3, "empty", "")
	if message != "call ended" || fields["CUID"] != "front_door" || fields["X_CALL"] != "c1" ||
		fields["X__ODD_KEY"] != "3" {
		t.Errorf("%q %v", message, fields)
	}
	log.Info("call ended", "call", "c1", "peer", "a\nb\x1b[2J", "status", "over")
	if fields["CALL_ID"] != "c1" || !strings.Contains(message, `peer="a\nb\x1b[2J"`) ||
		!strings.HasSuffix(message, `status="over"`) {
		t.Errorf("%q %v", message, fields)
	}
	fail = true
	log.Error("worse")
	if got := fallback.String(); got != "<3>worse\n" {
		t.Errorf("fallback %q", got)
	}
}

func TestReloadingAndStopping(t *testing.T) {
	c := manager(t)
	Reloading()
	if got := read(t, c, time.Second); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") ||
		strings.HasSuffix(got, "=0") {
		t.Errorf("%q", got)
	}
	Stopping(20 * time.Second)
	if got := read(t, c, time.Second); got != "STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000" {
		t.Errorf("%q", got)
	}
}

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestTheFieldsOfTheJournal(t *testing.T) {
	rows, seen := "| field | is |\n|---|---|\n", map[string]bool{}
	for _, a := range event.Attributes() {
		if seen[a.Key] || a.Means == "" {
			t.Errorf("the attribute %s is there twice, or means nothing", a.Key)
		}
		seen[a.Key] = true
		rows += "| `" + fieldOf(a.Key) + "` | " + a.Means + " |\n"
	}
	configtest.Section(t, "../docs/log-fields.md", "fields", rows, *update)
	rows = "| kind | `MESSAGE_ID` |\n|---|---|\n"
	clear(seen)
	for _, k := range slices.SortedFunc(slices.Values(event.Kinds()), func(a, b event.Kind) int {
		return cmp.Compare(a.Text, b.Text)
	}) {
		if raw, err := hex.DecodeString(k.ID); err != nil || len(raw) != 16 || seen[k.ID] || seen[k.Text] {
			t.Errorf("%s: %s is not an id of its own", k.Text, k.ID)
		}
		seen[k.ID], seen[k.Text] = true, true
		rows += "| " + k.Text + " | `" + k.ID + "` |\n"
	}
	configtest.Section(t, "../docs/log-fields.md", "messages", rows, *update)
	var text string
	var fields map[string]string
	j := &Journal{Level: slog.LevelInfo, Send: func(m string, _ journal.Priority, f map[string]string) error {
		text, fields = m, f
		return nil
	}}
	slog.New(j).Info(event.CallEnded, event.Call("c"), event.Account("demo"), event.CUID("front_door"),
		event.Peer("reception"), event.Hub("second"), event.Part("audio"))
	want := map[string]string{"MESSAGE_ID": "ea4659953cdfd4ba5c3ce3323c96ec3c", "CALL_ID": "c", "ACCOUNT": "demo",
		"CUID": "front_door", "PEER": "reception", "HUB": "second", "PART": "audio"}
	if !maps.Equal(fields, want) || text != `call ended part="audio" peer="reception" hub="second"` {
		t.Errorf("%q %v", text, fields)
	}
	slog.New(j).Info("nothing that anybody is to rely on", "mode", "mode")
	if fields["MESSAGE_ID"] != "" {
		t.Errorf("%v", fields)
	}
}
