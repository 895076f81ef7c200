package record

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"intercom/wire"
)

// Read backwards, a file has the same lines, wherever its blocks end.
func TestLinesFromTheEnd(t *testing.T) {
	for range 200 {
		var want []string
		text := ""
		for range rand.IntN(12) {
			line := strings.Repeat("x", rand.IntN(3)*rand.IntN(block)/2+rand.IntN(9)) + "\n"
			text, want = text+line, append([]string{line}, want...)
		}
		if rand.IntN(2) == 0 {
			text += "half"
			want = append([]string{"half"}, want...)
		}
		file := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// With one line a question, and each question going on where the last one stopped.
		var got []string
		for at := int64(-1); at != 0; {
			may := budget{1 << 40}
			left, err := may.backward(file, at, func(end int64, line []byte) bool {
				if at == end || len(got) > 0 && at >= 0 && end > at {
					t.Fatal("read twice")
				}
				got = append(got, string(line))
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			at = left
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("%d lines, not %d", len(got), len(want))
		}
	}
}

// A question that finds little reads no more than it may, and says where to go on.
func TestAQuestionReadsALimitedPart(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	for i := range 10_000 {
		at := time.Date(2026, 1, 2, 0, 0, i, 0, time.UTC).Format(time.RFC3339)
		fmt.Fprintf(&b,
			`{"account":"%s","hub":"h","call":"c%d","status":"missed","reason":"no_answer","by":"hub","from":"front_door","to":"reception","context":"x","invited_at":%q,"ended_at":%q,"duration_ms":0}`+"\n",
			map[bool]string{true: "rare", false: "many"}[i%2500 == 0], i, at, at)
	}
	if err := os.WriteFile(fileOf(dir, "2026-01-02"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f := Filter{Account: "rare", Most: 3 * block}
	got, pages := "", 0
	for {
		p, err := Query(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			got += r.Call + " "
		}
		pages++
		if f.After = p.Next; f.After == "" {
			break
		}
	}
	if got != "c7500 c5000 c2500 c0 " || pages < b.Len()/(4*block) || pages > b.Len()/block {
		t.Errorf("%s in %d pages", got, pages)
	}
	f = Filter{Account: "rare"}
	if p, err := Query(dir, f); err != nil || len(p.Records) != 4 || p.Next != "" {
		t.Errorf("%+v %v", p, err)
	}
}

// A station tells so much in a day, and so does an account; the next day begins anew, and others are not touched.
func TestNotesOfADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		n := OpenNotes(dir)
		count, size := 0, 0
		add := func(account, station string) error {
			count++
			_, err := n.Add(Note{Account: account, Station: station,
				NoteBody: wire.NoteBody{ID: fmt.Sprint(count), Kind: wire.Visit, Why: strings.Repeat("x", 40_000)}})
			return err
		}
		for ; add("demo", "front_door") == nil; size += 40_000 {
		}
		if size > DayOfStation || size < DayOfStation/2 {
			t.Errorf("a station told %d bytes", size)
		}
		if err := add("demo", "front_door"); !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		if err := errors.Join(add("demo", "reception"), add("other", "front_door")); err != nil {
			t.Error(err)
		}
		if got, err := Latest(dir, "other", "", 9); err != nil || len(got) != 1 {
			t.Errorf("%d %v", len(got), err)
		}
		time.Sleep(24 * time.Hour)
		if err := add("demo", "front_door"); err != nil {
			t.Error(err)
		}
		// An account with many stations, also after a restart.
		day := time.Now().UTC().Format(time.DateOnly)
		if err := os.Truncate(filepath.Join(dir, "notes-"+day+".demo.jsonl"), DayOfAccount); err != nil {
			t.Fatal(err)
		}
		n = OpenNotes(dir)
		if err := add("demo", "side_door"); !errors.Is(err, ErrFull) {
			t.Error(err)
		}
		if err := add("other", "side_door"); err != nil {
			t.Error(err)
		}
	})
}

// The notes of a day are removed with its calls, and without.
func TestOldNotesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	names := map[string]bool{"calls-2020-01-02.jsonl": false, "notes-2020-01-02.jsonl": false,
		"notes-2020-01-03.demo.jsonl": false, "notes-2999-01-02.demo.jsonl": true, "notes-x.jsonl": true,
		".position": true}
	for name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Open(dir, "h", 24*time.Hour, nil, slog.New(slog.DiscardHandler))
	defer run(t, s)()
	for name, stays := range names {
		for end := time.Now().Add(10 * time.Second); !stays &&
			time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				break
			}
		}
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}
