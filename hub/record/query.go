package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"intercom/internal/outcome"
)

// Filter says which records are wanted, the newest first. Zero values want all.
type Filter struct {
	Account string
	CUID    string // caller or called
	Status  outcome.Status
	Reason  outcome.Reason
	Since   time.Time // ended at or after
	Until   time.Time // ended before
	After   string    // the Next of the page before
	Limit   int       // records of a page; 100 unless set
}

// Page is some records, and where the next page begins; "" when there is none.
type Page struct {
	Records []Record `json:"calls"`
	Next    string   `json:"next,omitempty"`
}

// Match reports whether a record is wanted.
func (f Filter) Match(r Record) bool {
	switch {
	case f.Account != "" && r.Account != f.Account,
		f.CUID != "" && r.From != f.CUID && !slices.Contains(strings.Split(r.To, ","), f.CUID),
		f.Status != "" && r.Status != f.Status,
		f.Reason != "" && r.Reason != f.Reason,
		r.EndedAt == nil,
		!f.Since.IsZero() && r.EndedAt.Before(f.Since),
		!f.Until.IsZero() && !r.EndedAt.Before(f.Until):
		return false
	}
	return true
}

// Query reads the files in a folder. Lines that are not records, which a power cut can leave, are passed over.
func Query(dir string, f Filter) (Page, error) {
	all, err := days(dir)
	if err != nil {
		return Page{}, err
	}
	day, at, err := f.place()
	if err != nil {
		return Page{}, err
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	var p Page
	for _, d := range slices.Backward(all) {
		switch {
		case day != "" && d > day,
			!f.Until.IsZero() && d > f.Until.UTC().Format(time.DateOnly):
			continue
		case !f.Since.IsZero() && d < f.Since.UTC().Format(time.DateOnly):
			return p, nil
		}
		b, err := os.ReadFile(fileOf(dir, d))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was too old, and has just been removed
		} else if err != nil {
			return p, err
		}
		if d == day && at < len(b) {
			b = b[:at]
		}
		for len(b) > 0 {
			start := bytes.LastIndexByte(bytes.TrimSuffix(b, []byte{'\n'}), '\n') + 1
			var r Record
			if json.Unmarshal(b[start:], &r) == nil && f.Match(r) {
				if len(p.Records) == f.Limit {
					p.Next = fmt.Sprintf("%s:%d", d, len(b))
					return p, nil
				}
				p.Records = append(p.Records, r)
			}
			b = b[:start]
		}
	}
	return p, nil
}

// Check refuses an After that was not given out.
func (f Filter) Check() error {
	_, _, err := f.place()
	return err
}

func (f Filter) place() (day string, at int, err error) {
	if f.After == "" {
		return "", 0, nil
	}
	if n, err := fmt.Sscanf(strings.Replace(f.After, ":", " ", 1), "%10s %d", &day, &at); n != 2 || err != nil || at < 0 {
		return "", 0, errors.New("the place of the next page is not one that was given out")
	}
	return day, at, nil
}

// days are those that have a file, sorted.
func days(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		if d, ok := strings.CutPrefix(e.Name(), "calls-"); ok {
			if d, ok = strings.CutSuffix(d, ".jsonl"); ok {
				all = append(all, d)
			}
		}
	}
	return all, err
}
