package setup

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"intercom/internal/config"
	"intercom/wire"
)

// own are tables and keys that a hub does not set: what the station needs to reach it, and what is its machine's.
var own = []string{"cuid", "state_dir", "control", "trial", "hub", "kiosk", "metrics", "mqtt"}

// CheckGiven names every problem of settings that a hub is to give, as far as it can be seen without the station's own
// files.
func CheckGiven(file string, text []byte) error {
	c := Defaults()
	if err := config.Part(file, text, c); err != nil {
		return err
	}
	if len(text) > wire.MaxSettings {
		return fmt.Errorf("%s has %d bytes; settings have at most %d", file, len(text), wire.MaxSettings)
	}
	keys := slices.DeleteFunc(c.Differs(Defaults()), func(k string) bool { return !slices.Contains(own, k) })
	if len(keys) > 0 {
		return fmt.Errorf("%s: %s can be set on the station only", file, strings.Join(keys, ", "))
	}
	return nil
}

// Differs names the keys at the top of the file that are not the same.
func (c *Config) Differs(from *Config) (keys []string) {
	a, b := reflect.ValueOf(*c), reflect.ValueOf(*from)
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			keys = append(keys, a.Type().Field(i).Tag.Get("toml"))
		}
	}
	return keys
}
