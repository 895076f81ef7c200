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

// SetSettings keeps settings for a station. What is kept already is replaced by later ones only.
func SetSettings(folder, account, cuid string, b wire.SettingsBody) error {
	if _, err := os.Stat(filepath.Join(folder, account+".toml")); err != nil {
		return fmt.Errorf("there is no account %q; 'intercom-hub account list' shows which there are", account)
	}
	path := settingsFile(folder, account, cuid)
	if _, old, err := loadSettings(path); err == nil && old.Version >= b.Version {
		return fmt.Errorf("%s has version %d, which is not before %d; is this machine's clock right?", path, old.Version, b.Version)
	}
	text, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(path, append(text, '\n'))
}

func loadSettings(path string) (s station, b wire.SettingsBody, err error) {
	s.account, s.cuid, _ = strings.Cut(strings.TrimSuffix(filepath.Base(path), settingsSuffix), ".")
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	return s, b, err
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
