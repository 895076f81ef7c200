// Package schedule says whether a time is within hours that somebody wrote down: nights, weekends, holidays.
//
// Pure: the time comes from outside, in the zone that counts. The device imports it.
package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours are times of the week, or days of the year. The zero value is always.
type Hours struct {
	days        [7]bool // by time.Weekday; none means all
	from, until int     // minutes since midnight; equal for the whole day
	dates       []date  // beside the days; alone, when there are no days
}

type date struct {
	year  int // 0 for every year
	month time.Month
	day   int
}

var names = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Problem is what is wrong, and with which of Parse's parameters: days, from, until or dates; none for their
// combination.
type Problem struct {
	Key string
	Err error
}

func (p *Problem) Error() string { return p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }

// Parse reads days like "mon-fri" or "sat sun", empty for all; times like "22:00", both empty for the whole day, where
// the second may be on the next morning; and dates like "2026-12-25", or "12-25" for every year. With dates alone, only
// those days count. The error is a *Problem.
func Parse(days, from, until string, dates []string) (h Hours, err error) {
	if h.days, err = parseDays(days); err != nil {
		return h, &Problem{"days", err}
	}
	if (from == "") != (until == "") {
		return h, &Problem{"", errors.New("from and until are written together, or both left out for the whole day")}
	}
	if from != "" {
		if h.from, err = parseTime(from); err != nil {
			return h, &Problem{"from", err}
		}
		if h.until, err = parseTime(until); err != nil {
			return h, &Problem{"until", err}
		}
	}
	for _, d := range dates {
		one, err := parseDate(d)
		if err != nil {
			return h, &Problem{"dates", err}
		}
		h.dates = append(h.dates, one)
	}
	return h, nil
}

func parseDays(s string) (days [7]bool, err error) {
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' }) {
		first, last, span := strings.Cut(word, "-")
		if !span {
			last = first
		}
		a, b := slices.Index(names[:], first), slices.Index(names[:], last)
		if a < 0 || b < 0 {
			return days, fmt.Errorf("%q is no day; write mon tue wed thu fri sat sun, or a span like mon-fri", word)
		}
		for i := a; ; i = (i + 1) % 7 {
			days[i] = true
			if i == b {
				break
			}
		}
	}
	return days, nil
}

func parseTime(s string) (int, error) {
	if s == "24:00" {
		return 0, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != 5 {
		return 0, fmt.Errorf("%q is no time; write hours and minutes like 07:30", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

func parseDate(s string) (date, error) {
	if t, err := time.Parse("2006-01-02", s); err == nil {
		return date{t.Year(), t.Month(), t.Day()}, nil
	}
	if t, err := time.Parse("2006-01-02", "2000-"+s); err == nil { // a leap year: 02-29 is a date
		return date{0, t.Month(), t.Day()}, nil
	}
	return date{}, fmt.Errorf("%q is no date; write 2026-12-25, or 12-25 for every year", s)
}

// Holds reports whether t is within the hours. Hours that go over midnight belong to the day on which they began.
func (h Hours) Holds(t time.Time) bool {
	now := t.Hour()*60 + t.Minute()
	switch {
	case h.from == h.until:
		return h.on(t)
	case h.from < h.until:
		return now >= h.from && now < h.until && h.on(t)
	case now >= h.from:
		return h.on(t)
	}
	return now < h.until && h.on(t.AddDate(0, 0, -1))
}

func (h Hours) on(t time.Time) bool {
	for _, d := range h.dates {
		if (d.year == 0 || d.year == t.Year()) && d.month == t.Month() && d.day == t.Day() {
			return true
		}
	}
	if h.days == [7]bool{} {
		return len(h.dates) == 0
	}
	return h.days[t.Weekday()]
}
