package main

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
	"sync"
	"sync/atomic"
	"time"

	"intercom/device"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/device/trial"
	"intercom/internal/config"
	"intercom/internal/durable"
	"intercom/internal/supervise"
	"intercom/wire"
)

// variables begin with this.
const variables = "INTERCOMD"

// read reads what is written: the file, those in FILE.d, what the hub gave, and the environment. own is the sum of it without
// what the hub gave.
func read(file string) (cfg *setup.Config, o config.Origins, own string, err error) {
	cfg = setup.Defaults()
	o, err = config.Read(file, variables, cfg)
	own = trial.Sum(string(config.Encode(cfg)))
	if given, ok := kept(cfg); ok {
		cfg, o, err = readWith(file, given)
	}
	return cfg, o, own, err
}

// readWith reads what is written with what the hub gives.
func readWith(file string, given wire.SettingsBody) (*setup.Config, config.Origins, error) {
	cfg := setup.Defaults()
	o, err := config.Read(file, variables, cfg, config.Layer{Name: fmt.Sprintf("settings %d of the hub", given.Version), Text: given.Text})
	return cfg, o, err
}

// kept is what the hub gave, if a key of the station's configuration signed it.
func kept(cfg *setup.Config) (given wire.SettingsBody, ok bool) {
	b, err := os.ReadFile(filepath.Join(cfg.StateDir, settingsName))
	if err != nil || json.Unmarshal(b, &given) != nil {
		return given, false
	}
	return given, given.Check(cfg.Hub.GivenKeys(), cfg.Hub.Account, cfg.CUID) == nil
}

// Files in the state's folder: what the hub gave and is used, and what it gave and is not.
const (
	settingsName = "settings.json"
	refusalName  = "settings-refused.json"
)

// refusal are settings of the hub that the station does not use. It stands as long as the station's own files are the same:
// with others, as with a key more, they may be good.
type refusal struct {
	Version uint64 `json:"version"`
	Why     string `json:"why,omitempty"` // empty where there was nothing to take back
	Own     string `json:"own"`           // the sum of the station's files
}

// fault says it.
func (r refusal) fault() control.Fault {
	if r.Why == "" {
		return control.Well(control.PartSettings)
	}
	return device.Refusal(r.Version, r.Why)
}

func loadRefusal(stateDir, own string) (r refusal) {
	b, err := os.ReadFile(filepath.Join(stateDir, refusalName))
	if err != nil || json.Unmarshal(b, &r) != nil || r.Own != own {
		return refusal{}
	}
	return r
}

// configuration is what the station runs, and what it keeps of that.
type configuration struct {
	file   string
	path   string // of the state
	choice trial.Choice
	fault  control.Fault          // why it runs another one than is written
	shown  atomic.Pointer[[]byte] // what it runs, for people

	taken   atomic.Uint64           // version of what the hub gave, and is used
	refused atomic.Pointer[refusal] // what it gave, and is not

	mu      sync.Mutex
	own     string // the sum of the station's own files, when they were read last
	empty   bool   // the hub gave nothing, or nothing any more
	written string // as text; empty when it is not valid
	running string // as text
	state   trial.State
}

// choose reads what is written and says what to run.
func choose(file string) (*setup.Config, *configuration, error) {
	cfg, origins, own, bad := read(file)
	c := &configuration{fault: control.Well(control.PartConfiguration), file: file, path: filepath.Join(cfg.StateDir, "configuration.json"), own: own, empty: true}
	c.remember(loadRefusal(cfg.StateDir, own))
	b, err := os.ReadFile(c.path)
	if err == nil {
		err = json.Unmarshal(b, &c.state)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		slog.Warn("what is kept of the configuration cannot be read", "path", c.path, "err", err)
		c.state = trial.State{}
	}
	if given, ok := kept(cfg); ok {
		c.taken.Store(given.Version)
		c.empty = blank(given.Text)
	}
	good := setup.Defaults()
	if c.state.Good == "" || config.Parse(file, []byte(c.state.Good), good) != nil { // of another release, or its key is gone
		c.state.Good = ""
	}
	lastGood := append([]byte("# the last good configuration\n"), config.Show(good, config.Origins{}, false)...)
	if bad == nil {
		c.written = string(config.Encode(cfg))
	}
	switch c.choice = c.state.Choose(c.written, bad == nil); c.choice {
	case trial.Hopeless:
		return nil, nil, bad
	case trial.Mended:
		c.running = c.state.Good
		c.shown.Store(&lastGood)
		c.fault = invalid(bad, "the last good configuration is used until it is mended")
		return good, c, nil
	case trial.GivenUp:
		c.running = c.state.Good
		c.shown.Store(&lastGood)
		c.fault = givenUp(c.state.Why, ", so the last good configuration is used; change it, or try it again: intercomctl reload, intercomctl restart")
		return good, c, nil
	}
	c.running = c.written
	c.show(cfg, origins)
	return cfg, c, nil
}

// lacks is what keeps a station from what it is for, or nothing.
func lacks(ctx context.Context, d *device.Device) (string, error) {
	s, err := d.Status(ctx)
	switch {
	case err != nil:
		return "", err
	case !s.Hub.Online:
		return "not registered (" + s.Hub.Trouble + ")", nil
	case s.Sound.Trouble != "" && s.Sound.Code.Entry().Severity == control.Failing:
		return "without sound (" + s.Sound.Trouble + ")", nil
	}
	return "", nil
}

// watch waits until the station has proven itself with what it runs, and gives up what does not in time.
func (c *configuration) watch(ctx context.Context, limit time.Duration, d *device.Device, log *slog.Logger) error {
	if c.choice == trial.Mended {
		return supervise.ErrDone
	}
	onTrial := (c.choice == trial.OnTrial || c.choice == trial.GivenUp) && limit > 0
	end, every := time.Now().Add(limit), time.Second
	if !onTrial {
		every = 10 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		missing, err := lacks(ctx, d)
		if err != nil {
			return err
		}
		if missing == "" {
			if err := c.proved(log); err != nil {
				return err
			}
			return supervise.ErrDone
		}
		if onTrial && time.Now().After(end) {
			if err := c.failed(missing); err != nil {
				return err
			}
			if d.Restart(ctx, "with this configuration it is "+missing) != nil { // nobody would start it again
				d.Fault(givenUp(missing, "; at its next start the other configuration is used"))
			}
			return supervise.ErrDone
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *configuration) proved(log *slog.Logger) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.Proved(c.choice, c.running) {
		return nil
	}
	log.Info("the configuration has proven itself")
	return c.keep()
}

func (c *configuration) failed(missing string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Failed(c.choice, c.written, missing)
	return c.keep()
}

// reload takes over what changed in what is written and needs no restart, and names the rest.
func (c *configuration) reload(ctx context.Context, d *device.Device) (next *setup.Config, waits []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next, origins, own, err := read(c.file)
	if err != nil {
		return nil, nil, err
	}
	if c.own = own; c.refused.Load().Own != own {
		c.remember(refusal{})
	}
	if waits, err = d.Reload(ctx, next); err != nil {
		return nil, nil, err
	}
	c.written = string(config.Encode(next))
	c.show(next, origins)
	c.state.Again()
	if len(waits) == 0 { // it runs now
		c.running = c.written
		if c.choice == trial.Written {
			c.state.Proved(c.choice, c.running) // nothing that could keep it from being registered or heard
		}
	}
	return next, waits, c.keep()
}

// Versions implements device.Settings.
func (c *configuration) Versions() (taken, refused uint64) {
	return c.taken.Load(), c.refused.Load().Version
}

func (c *configuration) remember(r refusal) { c.refused.Store(&r) }

// take keeps what the hub gives, if it is later, signed for this station, and valid with the station's files. What is not is
// remembered, so that nobody has to say it again.
func (c *configuration) take(given wire.SettingsBody) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if given.Version <= c.taken.Load() {
		return nil
	}
	now, _, own, _ := read(c.file) // a key that was added since counts
	if err := c.check(now, given); err != nil {
		r := refusal{Version: given.Version, Own: own}
		if !blank(given.Text) || !c.empty { // else there is nothing to take back
			r.Why = oneLine(err)
		} else {
			err = nil
		}
		c.remember(r)
		if werr := write(filepath.Join(filepath.Dir(c.path), refusalName), r); werr != nil {
			slog.Warn("that settings of the hub were refused cannot be remembered; make state_dir writable", "err", werr)
		}
		return err
	}
	if err := write(filepath.Join(filepath.Dir(c.path), settingsName), given); err != nil {
		return err
	}
	c.taken.Store(given.Version)
	c.empty = blank(given.Text)
	c.remember(refusal{})
	return nil
}

func (c *configuration) check(cfg *setup.Config, given wire.SettingsBody) error {
	if err := given.Check(cfg.Hub.GivenKeys(), cfg.Hub.Account, cfg.CUID); err != nil {
		return err
	}
	if err := setup.CheckGiven(fmt.Sprintf("settings %d of the hub", given.Version), []byte(given.Text)); err != nil {
		return err
	}
	_, _, err := readWith(c.file, given)
	return err
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }

// write writes a file of the state.
func write(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), durable.Write(path, append(b, '\n')))
	}
	return err
}

func (c *configuration) show(cfg *setup.Config, o config.Origins) {
	text := config.Show(cfg, o, true)
	c.shown.Store(&text)
}

func (c *configuration) keep() error { return write(c.path, c.state) }

// invalid is the fault of what is written and not valid, givenUp that of what did not prove itself; then is what happens.
func invalid(err error, then string) control.Fault {
	return control.Fault{Code: control.ConfigInvalid, Part: control.PartConfiguration, Text: oneLine(err) + "; " + then}
}

func givenUp(lacks, then string) control.Fault {
	return control.Fault{Code: control.ConfigGivenUp, Part: control.PartConfiguration, Text: "with what is written the station was " + lacks + then}
}

// oneLine is a list of problems for a status.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
