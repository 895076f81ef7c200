package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
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
	Most    int64     // bytes that may be read for a page, which then has fewer records and a Next; 0 for all
}

// Most is what a question from outside may read.
const Most = 8 << 20

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
	may := budget{f.Most}
	if f.Most == 0 {
		may.left = math.MaxInt64
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
		from := int64(-1)
		if d == day {
			from = int64(at)
		}
		left, err := may.backward(fileOf(dir, d), from, func(_ int64, line []byte) bool {
			var r Record
			if !f.mayMatch(line) || json.Unmarshal(line, &r) != nil || !f.Match(r) {
				return true
			}
			if len(p.Records) == f.Limit {
				return false
			}
			p.Records = append(p.Records, r)
			return true
		})
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was too old, and has just been removed
		} else if err != nil {
			return p, err
		}
		if left > 0 {
			p.Next = fmt.Sprintf("%s:%d", d, left)
			return p, nil
		}
	}
	return p, nil
}

// mayMatch looks at a line before it is decoded: most lines are of others.
func (f Filter) mayMatch(line []byte) bool {
	return (f.Account == "" || bytes.HasPrefix(line, startOf(f.Account))) && bytes.Contains(line, []byte(f.CUID)) &&
		bytes.Contains(line, []byte(f.Status)) && bytes.Contains(line, []byte(f.Reason))
}

// startOf is how the lines of an account begin.
func startOf(account string) []byte { return []byte(`{"account":"` + account + `",`) }

// Check refuses an After that was not given out.
func (f Filter) Check() error {
	_, _, err := f.place()
	return err
}

func (f Filter) place() (day string, at int, err error) {
	if f.After == "" {
		return "", 0, nil
	}
	if n, err := fmt.Sscanf(strings.Replace(f.After, ":", " ", 1), "%10s %d", &day, &at); n != 2 ||
		err != nil || at < 0 {
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
