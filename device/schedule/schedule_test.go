package schedule

import (
	"strings"
	"testing"
	"time"
)

func TestHours(t *testing.T) {
	for _, c := range []struct {
		days, from, until, dates string
		at                       string // 2026-11-23 is a Monday
		want                     bool
	}{
		{"", "", "", "", "2026-11-23 12:00", true},
		{"mon-fri", "", "", "", "2026-11-23 00:00", true},
		{"mon-fri", "", "", "", "2026-11-28 12:00", false},
		{"sat, sun", "", "", "", "2026-11-28 12:00", true},
		{"fri-mon", "", "", "", "2026-11-29 12:00", true},
		{"fri-mon", "", "", "", "2026-11-24 12:00", false},
		{"", "08:00", "18:00", "", "2026-11-23 08:00", true},
		{"", "08:00", "18:00", "", "2026-11-23 18:00", false},
		{"", "22:00", "06:00", "", "2026-11-23 23:00", true},
		{"", "22:00", "06:00", "", "2026-11-23 05:59", true},
		{"", "22:00", "06:00", "", "2026-11-23 06:00", false},
		{"fri", "22:00", "06:00", "", "2026-11-28 05:00", true}, // the night from Friday to Saturday
		{"fri", "22:00", "06:00", "", "2026-11-27 05:00", false},
		{"", "18:00", "24:00", "", "2026-11-23 23:59", true},
		{"", "", "", "12-25 2026-11-23", "2030-12-25 12:00", true},
		{"", "", "", "12-25 2026-11-23", "2026-11-23 12:00", true},
		{"", "", "", "12-25 2026-11-23", "2027-11-23 12:00", false},
		{"sun", "", "", "12-25", "2026-12-25 12:00", true}, // a holiday beside the Sundays
		{"sun", "", "", "12-25", "2026-11-23 12:00", false},
		{"", "22:00", "02:00", "12-31", "2027-01-01 01:00", true},
	} {
		h, err := Parse(c.days, c.from, c.until, strings.Fields(c.dates))
		at, terr := time.Parse("2006-01-02 15:04", c.at)
		if err != nil || terr != nil {
			t.Fatal(err, terr)
		}
		if h.Holds(at) != c.want {
			t.Errorf("%+v: %v", c, !c.want)
		}
	}
	for _, bad := range [][4]string{{"monday"}, {"mon-"}, {"", "8:00", "18:00"}, {"", "08:00", ""},
		{"", "25:00", "01:00"}, {"", "", "", "25.12."}, {"", "", "", "02-30"}} {
		var dates []string
		if bad[3] != "" {
			dates = []string{bad[3]}
		}
		if _, err := Parse(bad[0], bad[1], bad[2], dates); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("mon-fri", "08:00", "18:00", "12-25", int64(1764000000))
	f.Add("sat,sun", "22:00", "06:00", "2026-02-29", int64(0))
	f.Fuzz(func(t *testing.T, days, from, until, dates string, at int64) {
		h, err := Parse(days, from, until, strings.Fields(dates))
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		h.Holds(time.Unix(at%(1<<40), 0).UTC())
	})
}
