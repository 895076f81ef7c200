package access

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"intercom/internal/durable"
	"intercom/wire"
)

// station is a device of an account.
type station struct{ account, cuid string }

// settingsSuffix ends the name of a file with a station's settings: ACCOUNT.CUID.settings, beside the accounts.
const settingsSuffix = ".settings"

func settingsFile(folder, account, cuid string) string {
	return filepath.Join(folder, account+"."+cuid+settingsSuffix)
}

// SetSettings keeps settings for a station. What is kept already is replaced by later ones only; when others are set at
// the same time, one of the two is told.
func SetSettings(folder, account, cuid string, b wire.SettingsBody) error {
	if err := b.CheckSize(); err != nil {
		return err
	}
	unlock, err := durable.Lock(folder)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(File(folder, account)); err != nil {
		return fmt.Errorf("there is no account %q; 'intercom-hub account list' shows which there are", account)
	}
	if err := roomFor(folder, account, cuid); err != nil {
		return err
	}
	path := settingsFile(folder, account, cuid)
	if old, err := loadSettings(path); err == nil && old.Version >= b.Version {
		return conflict("version", "%s has version %d, which is not before %d; somebody else pushed at the same "+
			"time, or this machine's clock is wrong.", path, old.Version, b.Version)
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(path, append(text, '\n'))
}

// roomFor has an error for a group, and for a station too many: an account has settings for no more than may be signed
// in.
func roomFor(folder, account, cuid string) error {
	a, err := Load(File(folder, account))
	if err != nil {
		return err
	}
	if a.Group(cuid) != nil {
		return conflict("cuid", "%s is the name of a group; settings are for a station.", cuid)
	}
	files, err := filepath.Glob(settingsFile(folder, account, "*"))
	if err == nil && len(files) >= a.MaxDevices && !slices.Contains(files, settingsFile(folder, account, cuid)) {
		err = conflict("max_devices", "%d stations of the account have settings, as many as may be signed in; remove "+
			"the .settings files of those that are gone, or raise max_devices.", len(files))
	}
	return err
}

// stationOf is whose settings a file has.
func stationOf(path string) (s station) {
	s.account, s.cuid, _ = strings.Cut(strings.TrimSuffix(filepath.Base(path), settingsSuffix), ".")
	return s
}

func loadSettings(path string) (b wire.SettingsBody, err error) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err == nil {
		if long := b.CheckSize(); long != nil { // no station could be told
			err = long
		}
	}
	return b, err
}

// WithSettings are the stations of an account that have some, sorted.
func (d *Directory) WithSettings(account string) (cuids []string) {
	for s := range d.now.Load().settings {
		if s.account == account {
			cuids = append(cuids, s.cuid)
		}
	}
	slices.Sort(cuids)
	return cuids
}

// Settings are those for a station.
func (d *Directory) Settings(account, cuid string) (wire.SettingsBody, bool) {
	b, ok := d.now.Load().settings[station{account, cuid}]
	return b, ok
}
