// Package rollback decides which configuration a station runs: the one that is written, or the last one with which it
// was registered and had sound. It also keeps what the hub gives of the configuration.
//
// The rules are pure ([State]). A [Configuration] applies them to the files, and is a part of the daemon: Run owns it
// and looks at the station; everybody else asks it (Reload, Take). cmd/intercomd makes it, before the station, which it
// is given when it runs. Files in the state's folder: configuration.json, settings.json, settings-refused.json.
package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"intercom/device/control"
	"intercom/device/setup"
	"intercom/internal/config"
	"intercom/internal/durable"
	"intercom/wire"
)

// Station is what runs a configuration.
type Station interface {
	Status(context.Context) (control.Status, error)
	// Reload takes over what can change while it runs, and names the keys that wait for a restart.
	Reload(context.Context, *setup.Config) (waits []string, err error)
	// Restart has it started again when it is idle; an error says that nobody would start it.
	Restart(ctx context.Context, why string) error
	Fault(control.Fault)
}

// stateName is the file with the [State].
const stateName = "configuration.json"

// Configuration is what a station runs, and what it keeps of that. Make it with [Open]; its methods may be called by
// many at once.
type Configuration struct {
	file  string // of the administrator
	dir   string // of the state
	limit time.Duration
	asked chan func(Station)

	level slog.LevelVar
	shown atomic.Pointer[[]byte] // what runs, for people
	given given

	// Of Run alone, once it runs.
	log     *slog.Logger
	choice  Choice
	state   State
	written string        // as text; empty when it is not valid
	running string        // as text
	fault   control.Fault // why something else than what is written runs, or that it does
	decided bool          // the trial is over
}

// Open reads what is written and says what to run. The error is that of a configuration that is not valid, where there
// was never a good one.
func Open(file string) (*setup.Config, *Configuration, error) {
	cfg, origins, own, bad := read(file)
	c := &Configuration{file: file, dir: cfg.StateDir, asked: make(chan func(Station)),
		fault: control.Well(control.PartConfiguration)}
	c.given.load(cfg, own)
	c.load()
	good := setup.Defaults()
	if c.state.Good == "" || config.Parse(file, []byte(c.state.Good), good) != nil {
		c.state.Good = "" // of another release, or its key is gone
	}
	if bad == nil {
		c.written = string(config.Encode(cfg))
	}
	switch c.choice = c.state.Choose(c.written, bad == nil); c.choice {
	case Hopeless:
		return nil, nil, bad
	case Mended:
		c.fault = invalid(bad, "the last good configuration is used until it is mended")
	case GivenUp:
		c.fault = givenUp(c.state.Why, ", so the last good configuration is used; "+
			"change it, or try it again: intercomctl reload, intercomctl restart")
	default:
		c.running = c.written
		c.show(config.Show(cfg, origins, true))
		c.runs(cfg)
		return cfg, c, nil
	}
	c.running = c.state.Good
	c.show(append([]byte("# the last good configuration\n"), config.Show(good, config.Origins{}, false)...))
	c.runs(good)
	return good, c, nil
}

// Level is the log level that holds now.
func (c *Configuration) Level() slog.Leveler { return &c.level }

// Show is what the station runs, for people, with where each value comes from.
func (c *Configuration) Show() []byte { return *c.shown.Load() }

func (c *Configuration) show(text []byte) { c.shown.Store(&text) }

// runs notes what is taken out of a configuration before the station has it, which changes it at a reload.
func (c *Configuration) runs(cfg *setup.Config) {
	c.limit = cfg.Trial.Std()
	c.level.Set(config.Level(cfg.LogLevel))
}

// Times between two looks at the station: during a trial, and where nothing hangs on it.
const (
	lookOnTrial = time.Second
	lookAnyway  = 10 * time.Second
)

// Run tells the station what is wrong with its configuration, waits until it has proven itself with it, gives up what
// does not in time, and does what others ask for, until ctx ends.
func (c *Configuration) Run(ctx context.Context, s Station, log *slog.Logger) error {
	c.log = log
	s.Fault(c.fault)
	s.Fault(c.given.fault())
	onTrial := (c.choice == OnTrial || c.choice == GivenUp) && c.limit > 0
	end, every := time.Now().Add(c.limit), lookAnyway
	if onTrial {
		every = lookOnTrial
	}
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case do := <-c.asked:
			do(s)
		case <-look.C:
			if c.decided { // before a panic, after which this was started again
				continue
			}
			missing, err := lacks(ctx, s)
			switch {
			case err != nil:
				return err
			case missing == "":
				c.proved()
			case onTrial && time.Now().After(end):
				c.failed(ctx, s, missing)
			default:
				look.Reset(every)
			}
		}
	}
}

// lacks is what keeps a station from what it is for, or nothing.
func lacks(ctx context.Context, s Station) (string, error) {
	now, err := s.Status(ctx)
	switch {
	case err != nil:
		return "", err
	case !now.Hub.Online:
		return "not registered (" + now.Hub.Trouble + ")", nil
	case now.Sound.Trouble != "" && now.Sound.Code.Entry().Severity == control.Failing:
		return "without sound (" + now.Sound.Trouble + ")", nil
	}
	return "", nil
}

func (c *Configuration) proved() {
	c.decided = true
	if c.state.Proved(c.choice, c.running) {
		c.log.Info("the configuration has proven itself")
		c.keep()
	}
}

func (c *Configuration) failed(ctx context.Context, s Station, missing string) {
	c.decided = true
	c.state.Failed(c.choice, c.written, missing)
	c.keep()
	if s.Restart(ctx, "with this configuration it is "+missing) != nil {
		c.fault = givenUp(missing, "; at its next start the other configuration is used")
		s.Fault(c.fault)
	}
}

// ask has Run do something with the station, and waits for it, or for ctx.
func (c *Configuration) ask(ctx context.Context, do func(Station) ([]string, error)) (waits []string, err error) {
	type result struct {
		waits []string
		err   error
	}
	done := make(chan result, 1)
	select {
	case c.asked <- func(s Station) { waits, err := do(s); done <- result{waits, err} }:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-done:
		return r.waits, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Reload has what is written read again. What changed and needs no restart is taken over, and the rest is named; a
// configuration that is not valid changes nothing.
func (c *Configuration) Reload(ctx context.Context) (waits []string, err error) {
	return c.ask(ctx, func(s Station) ([]string, error) { return c.reload(ctx, s) })
}

func (c *Configuration) reload(ctx context.Context, s Station) (waits []string, err error) {
	next, origins, own, err := read(c.file)
	if err == nil {
		c.given.filesAre(own)
		waits, err = s.Reload(ctx, next)
	}
	if err != nil {
		c.fault = invalid(err, "the one before is kept")
	} else {
		c.took(next, origins, waits)
	}
	s.Fault(c.fault)
	s.Fault(c.given.fault())
	return waits, err
}

// took notes what the station has taken over, but for the keys that wait.
func (c *Configuration) took(next *setup.Config, origins config.Origins, waits []string) {
	c.level.Set(config.Level(next.LogLevel))
	c.written = string(config.Encode(next))
	c.show(config.Show(next, origins, true))
	c.state.Again()
	c.fault = control.Well(control.PartConfiguration)
	if len(waits) > 0 {
		c.fault.Code = control.ConfigWaits
		c.fault.Text = fmt.Sprintf("what changed in %s waits for a restart: intercomctl restart",
			strings.Join(waits, ", "))
	} else { // it runs now
		c.running = c.written
		if c.choice == Written {
			c.state.Proved(c.choice, c.running) // nothing that could keep it from being registered or heard
		}
	}
	c.keep()
}

// Versions are those of the latest settings of the hub that were taken, and of later ones that were refused; 0 for
// none.
func (c *Configuration) Versions() (taken, refused uint64) { return c.given.versions() }

// Take keeps settings of the hub, if they are later, signed for this station, and valid with its files, and reads the
// configuration again; it names the keys that wait for a restart. What it refuses is remembered, so that nobody has to
// offer it again.
func (c *Configuration) Take(ctx context.Context, b wire.SettingsBody) (waits []string, err error) {
	return c.ask(ctx, func(s Station) ([]string, error) {
		if fresh, err := c.given.take(c.file, c.dir, b, c.log); err != nil || !fresh {
			return nil, err
		}
		return c.reload(ctx, s)
	})
}

// load reads the state. It begins anew where that cannot be read.
func (c *Configuration) load() {
	path := filepath.Join(c.dir, stateName)
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &c.state)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		slog.Warn("what is kept of the configuration cannot be read", "path", path, "err", err)
		c.state = State{}
	}
}

func (c *Configuration) keep() {
	path := filepath.Join(c.dir, stateName)
	if err := write(path, c.state); err != nil {
		c.log.Warn("what is kept of the configuration cannot be written; make state_dir writable", "path", path, "err",
			err)
	}
}

// write writes a file of the state.
func write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), durable.Write(path, append(b, '\n')))
	}
	return err
}

// invalid is the fault of what is written and not valid, givenUp that of what did not prove itself; then is what
// happens.
func invalid(err error, then string) control.Fault {
	return control.Fault{Code: control.ConfigInvalid, Part: control.PartConfiguration, Text: oneLine(err) + "; " + then}
}

func givenUp(lacks, then string) control.Fault {
	return control.Fault{Code: control.ConfigGivenUp, Part: control.PartConfiguration,
		Text: "with what is written the station was " + lacks + then}
}

// oneLine is a list of problems for a status.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
