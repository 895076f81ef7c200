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
	unlock, err := durable.Lock(folder)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(File(folder, account)); err != nil {
		return fmt.Errorf("there is no account %q; 'intercom-hub account list' shows which there are", account)
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
