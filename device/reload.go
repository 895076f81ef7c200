package device

import (
	"context"
	"reflect"
	"strings"
)

// Reload takes over what of a new, checked configuration can change while the station runs, and names the keys whose
// change waits for a restart. A call that there is goes on as it began.
func (d *Device) Reload(ctx context.Context, next *Config) (waits []string, err error) {
	err = d.Ask(ctx, func() {
		c := d.cfg
		c.Context, c.Image, c.LogLevel, c.Trial = next.Context, next.Image, next.LogLevel, next.Trial
		c.Call, c.Auto, c.Schedule, c.Door.Allow = next.Call, next.Auto, next.Schedule, next.Door.Allow
		waits = differences(*c, *next)
		d.log.Info("the configuration was read again", "waits", strings.Join(waits, " "))
	})
	return waits, err
}

// differences names the keys at the top of the file that are not the same.
func differences(a, b Config) (keys []string) {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			keys = append(keys, va.Type().Field(i).Tag.Get("toml"))
		}
	}
	return keys
}
