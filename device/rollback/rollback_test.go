package rollback

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"intercom/device/control"
	"intercom/device/setup"
	"intercom/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trial is how long one lasts here.
const trial = time.Minute

// site is a station's folder, and a station that is none: it says what it is told to say, and notes what it is told.
type site struct {
	*testing.T
	dir, file string
	key       ed25519.PrivateKey

	mu         sync.Mutex
	status     control.Status
	faults     map[string]control.Fault
	restarts   []string
	unattended bool     // nobody would start it again
	waits      []string // keys that its next reload names
	reloaded   *setup.Config
}

func newSite(t *testing.T) *site {
	dir := t.TempDir()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{T: t, dir: dir, file: filepath.Join(dir, "intercomd.toml"), key: key, faults: map[string]control.Fault{}}
	s.put("key", "ik_secret\n")
	s.put("intercomd.toml", fmt.Sprintf(`cuid = "front_door"
state_dir = %q
trial = "1m"

[hub]
url = "wss://hub.example.org/v1/ws"
account = "demo"
apikey_file = %q
settings_keys = [%q]
`, filepath.Join(dir, "state"), filepath.Join(dir, "key"), wire.PublicKey(public)))
	s.registered(true)
	return s
}

func (s *site) put(name, text string) {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		s.Fatal(err)
	}
}

// change lays something over the file.
func (s *site) change(text string) { s.Helper(); s.put("intercomd.toml.d/50-change.toml", text) }

func (s *site) registered(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Hub = control.HubStatus{Online: on}
	if !on {
		s.status.Hub.Trouble = "no route to host"
	}
}

func (s *site) Status(context.Context) (control.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status, nil
}

func (s *site) Reload(_ context.Context, next *setup.Config) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloaded = next
	return s.waits, nil
}

func (s *site) Restart(_ context.Context, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unattended {
		return errors.New("nobody would start it again")
	}
	s.restarts = append(s.restarts, why)
	return nil
}

func (s *site) Fault(f control.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults[f.Part] = f; f.Text == "" {
		delete(s.faults, f.Part)
	}
}

// has checks the faults that there are, as code and a part of the text in turn.
func (s *site) has(want ...string) {
	s.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) != len(want)/2 {
		s.Errorf("its faults are %v, not %q", s.faults, want)
	}
	for i := 0; i < len(want); i += 2 {
		found := false
		for _, f := range s.faults {
			found = found || string(f.Code) == want[i] && strings.Contains(f.Text, want[i+1])
		}
		if !found {
			s.Errorf("its faults are %v, not %q", s.faults, want)
		}
	}
}

// start opens the configuration and runs it until stop.
func (s *site) start() (cfg *setup.Config, c *Configuration, stop func()) {
	s.Helper()
	cfg, c, err := Open(s.file)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, s, slog.New(slog.DiscardHandler)) }()
	synctest.Wait()
	return cfg, c, func() {
		s.Helper()
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		clear(s.faults)
		s.restarts = nil
	}
}

// life is one start that lasts longer than a trial.
func (s *site) life() (cfg *setup.Config, restarts []string) {
	s.Helper()
	cfg, _, stop := s.start()
	time.Sleep(trial + 10*time.Second)
	synctest.Wait()
	s.mu.Lock()
	restarts = s.restarts
	s.mu.Unlock()
	stop()
	return cfg, restarts
}

func try(t *testing.T, f func(*testing.T, *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newSite(t)) })
}

func TestAConfigurationThatDoesNotWorkIsGivenUp(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		if _, restarts := s.life(); len(restarts) > 0 { // the first one proves itself
			t.Fatal(restarts)
		}
		s.change(`name = "Side door"` + "\n")
		s.registered(false)
		cfg, restarts := s.life()
		if cfg.Name != "Side door" || len(restarts) != 1 ||
			!strings.Contains(restarts[0], "not registered (no route to host)") {
			t.Fatalf("%q %q", cfg.Name, restarts)
		}
		// Its next start takes the good one, and says why. It goes on with that, at each start, once that has proven
		// itself.
		s.registered(true)
		for range 2 {
			cfg, c, stop := s.start()
			if cfg.Name != "" || !strings.HasPrefix(string(c.Show()), "# the last good configuration\n") {
				t.Errorf("it runs as %q\n%s", cfg.Name, c.Show())
			}
			s.has("CONFIG_GIVEN_UP", "was not registered (no route to host), so the last good configuration is used")
			time.Sleep(trial)
			stop()
		}
		// Asked to, it tries the written one again, which works now.
		_, c, stop := s.start()
		s.waits = []string{"name"}
		if waits, err := c.Reload(t.Context()); err != nil || len(waits) != 1 {
			t.Errorf("%v %v", waits, err)
		}
		s.has("CONFIG_WAITS", "what changed in name waits for a restart")
		stop()
		if cfg, restarts := s.life(); cfg.Name != "Side door" || len(restarts) > 0 {
			t.Errorf("%q %q", cfg.Name, restarts)
		}
		s.registered(false) // it is the good one now, and is on no trial
		if cfg, restarts := s.life(); cfg.Name != "Side door" || len(restarts) > 0 {
			t.Errorf("%q %q", cfg.Name, restarts)
		}
	})
}

// Where the good one does not work either, it was not the configuration: the written one runs, and stays.
func TestTheConfigurationIsNotToBlameForTheNetwork(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		s.life()
		s.change(`name = "Side door"` + "\n")
		s.registered(false)
		for _, want := range []struct {
			name     string
			restarts int
		}{{"Side door", 1}, {"", 1}, {"Side door", 0}, {"Side door", 0}} {
			if cfg, restarts := s.life(); cfg.Name != want.name || len(restarts) != want.restarts {
				t.Errorf("it ran as %q and started again %d times, not %+v", cfg.Name, len(restarts), want)
			}
		}
	})
}

func TestWhatATrialLooksAt(t *testing.T) {
	for name, c := range map[string]struct {
		sound control.SoundStatus
		works bool
	}{
		"all is well":           {control.SoundStatus{}, true},
		"another microphone":    {control.SoundStatus{Code: control.SoundDevice, Trouble: "another one is used"}, true},
		"words that mean worse": {control.SoundStatus{Code: control.SoundEcho, Trouble: "server: capture: "}, true},
		"no sound server":       {control.SoundStatus{Code: control.SoundServer, Trouble: "\"x\" is used"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			try(t, func(t *testing.T, s *site) {
				s.life()
				s.change(`name = "Side door"` + "\n")
				s.status.Sound = c.sound
				if _, restarts := s.life(); (len(restarts) == 0) != c.works {
					t.Error(restarts)
				}
			})
		})
	}
}

// What takes its time has the whole trial for it; a trial of no time is none.
func TestTheTrialHasAnEnd(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		s.life()
		s.change(`name = "Side door"` + "\n")
		s.registered(false)
		_, _, stop := s.start()
		time.Sleep(trial - time.Second)
		s.registered(true)
		time.Sleep(trial)
		if synctest.Wait(); len(s.restarts) > 0 {
			t.Error(s.restarts)
		}
		stop()
		s.change("name = \"Back door\"\ntrial = \"0s\"\n")
		s.registered(false)
		if _, restarts := s.life(); len(restarts) > 0 {
			t.Error(restarts)
		}
	})
}

func TestNobodyWouldStartItAgain(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		s.life()
		s.change(`name = "Side door"` + "\n")
		s.registered(false)
		s.unattended = true
		_, _, stop := s.start()
		s.has()
		time.Sleep(trial + 10*time.Second)
		s.has("CONFIG_GIVEN_UP", "at its next start the other configuration is used")
		stop()
	})
}

func TestAFileThatIsNotValid(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		s.change("colour = \"red\"\n")
		if _, _, err := Open(s.file); err == nil || !strings.Contains(err.Error(), "colour") {
			t.Fatalf("without a good one: %v", err)
		}
		s.change("")
		_, c, stop := s.start()
		time.Sleep(trial)
		// While it runs, nothing changes but that it is said.
		before := string(c.Show())
		s.change("colour = \"red\"\n")
		if _, err := c.Reload(t.Context()); err == nil || s.reloaded != nil || string(c.Show()) != before {
			t.Errorf("%v, it runs\n%s", err, c.Show())
		}
		s.has("CONFIG_INVALID", "the one before is kept")
		s.change("log_level = \"debug\"\n")
		if _, err := c.Reload(t.Context()); err != nil || s.reloaded.LogLevel != "debug" ||
			c.Level().Level() != slog.LevelDebug {
			t.Errorf("%v %v", err, c.Level().Level())
		}
		s.has()
		stop()
		// At a start the last good one runs, also when it does not work: there is no other.
		s.change("colour = \"waits for a restart\"\n")
		s.registered(false)
		cfg, _, stop := s.start()
		time.Sleep(2 * trial)
		s.has("CONFIG_INVALID", "the last good configuration is used until it is mended")
		if cfg.LogLevel != "debug" || len(s.restarts) > 0 {
			t.Errorf("%q %q", cfg.LogLevel, s.restarts)
		}
		stop()
	})
}

// The memory of the good one may be lost, or nonsense: what is written runs.
func TestAStateThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"{", `{"good": "colour = 1"}`, ""} {
		try(t, func(t *testing.T, s *site) {
			s.put("state/configuration.json", text)
			s.registered(false)
			if _, restarts := s.life(); len(restarts) > 0 {
				t.Errorf("with %q: %q", text, restarts)
			}
		})
	}
	try(t, func(t *testing.T, s *site) { // nor be writable: it runs all the same
		s.put("state", "a file")
		_, c, stop := s.start()
		defer stop()
		time.Sleep(trial)
		if _, err := c.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		s.has()
	})
}

func (s *site) settings(version uint64, text string) wire.SettingsBody {
	b := wire.SettingsBody{Version: version, Text: text}
	b.Sign(s.key, "demo", "front_door")
	return b
}

func TestWhatTheHubGives(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		_, c, stop := s.start()
		versions := func(taken, refused uint64) {
			t.Helper()
			if a, b := c.Versions(); a != taken || b != refused {
				t.Errorf("it has taken %d and refused %d, not %d and %d", a, b, taken, refused)
			}
		}
		give := func(b wire.SettingsBody) error { _, err := c.Take(t.Context(), b); return err }
		versions(0, 0)
		if err := give(s.settings(3, `context = "From the hub"`)); err != nil || s.reloaded.Context != "From the hub" {
			t.Fatalf("%v %+v", err, s.reloaded)
		}
		versions(3, 0)
		s.reloaded = nil
		if err := give(s.settings(2, "")); err != nil || s.reloaded != nil {
			t.Errorf("an earlier one: %v", err)
		}
		// Refused are a stranger's, those of another station, and those that the station's files do not allow.
		_, stranger, _ := ed25519.GenerateKey(nil)
		forged, other := s.settings(9, ""), s.settings(8, "")
		forged.Sign(stranger, "demo", "front_door")
		other.Sign(s.key, "demo", "back_door")
		for _, b := range []wire.SettingsBody{forged, other, s.settings(7, "cuid = \"back_door\""),
			s.settings(6, "colour = \"red\"")} {
			if err := give(b); err == nil || s.reloaded != nil {
				t.Errorf("%d: %v", b.Version, err)
			}
			versions(3, b.Version)
		}
		stop()
		// It remembers both, also over a start.
		cfg, again, stop := s.start()
		c = again
		if versions(3, 6); cfg.Context != "From the hub" {
			t.Errorf("it begins with %q", cfg.Context)
		}
		s.has("SETTINGS_REFUSED", "settings 6 of the hub are not used: settings 6 of the hub")
		// With other files what was refused may be good.
		s.change(`name = "Side door"` + "\n")
		if _, err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		versions(3, 0)
		s.has()
		// A good one takes back what the hub gave.
		if err := give(s.settings(10, "")); err != nil || s.reloaded.Context == "From the hub" {
			t.Errorf("%v %q", err, s.reloaded.Context)
		}
		// Then there is nothing that a stranger could take back: it is over quietly.
		forged.Version = 11
		if err := give(forged); err != nil {
			t.Error(err)
		}
		versions(10, 11)
		s.has()
		stop()
	})
}

// Whoever asks before it runs is served when it does; who does not wait any longer, is not.
func TestWhoAsksEarly(t *testing.T) {
	try(t, func(t *testing.T, s *site) {
		_, c, err := Open(s.file)
		if err != nil {
			t.Fatal(err)
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Reload(hasty); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		var all sync.WaitGroup
		for i := range uint64(20) {
			all.Go(func() {
				if _, err := c.Take(t.Context(), s.settings(i, fmt.Sprintf("context = \"Hello %d\"", i))); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() { _, _ = c.Versions(); _ = c.Show(); _ = c.Level().Level() })
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx, s, slog.New(slog.DiscardHandler)) }()
		all.Wait()
		if taken, _ := c.Versions(); taken != 19 || s.reloaded.Context != "Hello 19" {
			t.Errorf("%d, %q", taken, s.reloaded.Context)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
