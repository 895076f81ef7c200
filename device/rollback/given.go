package rollback

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"intercom/device/control"
	"intercom/device/setup"
	"intercom/internal/config"
	"intercom/wire"
)

// variables begin with this.
const variables = "INTERCOMD"

// Read reads what is written: the file, those in FILE.d, what the hub gave, and the environment.
func Read(file string) (*setup.Config, config.Origins, error) {
	cfg, o, _, err := read(file)
	return cfg, o, err
}

// read is Read; own is the sum of what is written but for what the hub gave.
func read(file string) (cfg *setup.Config, o config.Origins, own string, err error) {
	cfg = setup.Defaults()
	o, err = config.Read(file, variables, cfg)
	own = Sum(string(config.Encode(cfg)))
	if b, ok := kept(cfg); ok {
		cfg, o, err = readWith(file, b)
	}
	return cfg, o, own, err
}

// readWith reads what is written with what the hub gives.
func readWith(file string, b wire.SettingsBody) (*setup.Config, config.Origins, error) {
	cfg := setup.Defaults()
	o, err := config.Read(file, variables, cfg, config.Layer{Name: nameOf(b), Text: b.Text})
	return cfg, o, err
}

func nameOf(b wire.SettingsBody) string { return fmt.Sprintf("settings %d of the hub", b.Version) }

// kept is what the hub gave, if a key of the station's configuration signed it.
func kept(cfg *setup.Config) (b wire.SettingsBody, ok bool) {
	text, err := os.ReadFile(filepath.Join(cfg.StateDir, settingsName))
	if err != nil || json.Unmarshal(text, &b) != nil {
		return b, false
	}
	return b, b.Check(cfg.Hub.GivenKeys(), cfg.Hub.Account, cfg.CUID) == nil
}

// Files in the state's folder: what the hub gave and is used, and what it gave and is not.
const (
	settingsName = "settings.json"
	refusalName  = "settings-refused.json"
)

// refusal are settings of the hub that the station does not use. It stands as long as the station's own files are the
// same: with others, as with a key more, they may be good.
type refusal struct {
	Version uint64 `json:"version"`
	Why     string `json:"why,omitempty"` // empty where there was nothing to take back
	Own     string `json:"own"`           // the sum of the station's files
}

// given is what the hub gave of the configuration. But for versions, its methods are called one at a time.
type given struct {
	taken   atomic.Uint64           // version of what is used
	refused atomic.Pointer[refusal] // what is not; never nil after load
	empty   bool                    // the hub gave nothing, or nothing any more
}

// load finds what was taken and refused before the start.
func (g *given) load(cfg *setup.Config, own string) {
	g.empty = true
	if b, ok := kept(cfg); ok {
		g.taken.Store(b.Version)
		g.empty = blank(b.Text)
	}
	r := &refusal{}
	text, err := os.ReadFile(filepath.Join(cfg.StateDir, refusalName))
	if err != nil || json.Unmarshal(text, r) != nil || r.Own != own {
		r = &refusal{}
	}
	g.refused.Store(r)
}

func (g *given) versions() (taken, refused uint64) { return g.taken.Load(), g.refused.Load().Version }

// fault is why what the hub gave is not used, or that nothing is wrong with it.
func (g *given) fault() control.Fault {
	if r := g.refused.Load(); r.Why != "" {
		return control.Refused(r.Version, r.Why)
	}
	return control.Well(control.PartSettings)
}

// filesAre forgets what was refused with other files.
func (g *given) filesAre(own string) {
	if g.refused.Load().Own != own {
		g.refused.Store(&refusal{})
	}
}

// take keeps later settings that are good, and reports whether they are. What is not good is refused, and that is kept.
func (g *given) take(file, dir string, b wire.SettingsBody, log *slog.Logger) (fresh bool, err error) {
	if b.Version <= g.taken.Load() {
		return false, nil
	}
	now, _, own, _ := read(file) // a key that was added since counts
	if err := check(file, now, b); err != nil {
		r := &refusal{Version: b.Version, Own: own}
		if blank(b.Text) && g.empty { // there is nothing to take back
			err = nil
		} else {
			r.Why = oneLine(err)
		}
		g.refused.Store(r)
		if werr := write(filepath.Join(dir, refusalName), r); werr != nil {
			log.Warn("that settings of the hub were refused cannot be remembered; make state_dir writable", "err", werr)
		}
		return false, err
	}
	if err := write(filepath.Join(dir, settingsName), b); err != nil {
		return false, err
	}
	g.taken.Store(b.Version)
	g.empty = blank(b.Text)
	g.refused.Store(&refusal{})
	return true, nil
}

func check(file string, cfg *setup.Config, b wire.SettingsBody) error {
	if err := b.Check(cfg.Hub.GivenKeys(), cfg.Hub.Account, cfg.CUID); err != nil {
		return err
	}
	if err := setup.CheckGiven(nameOf(b), []byte(b.Text)); err != nil {
		return err
	}
	_, _, err := readWith(file, b)
	return err
}

func blank(text string) bool { return strings.TrimSpace(text) == "" }
