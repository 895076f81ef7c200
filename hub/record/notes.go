package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"intercom/wire"
)

// Note is something that happened at a station.
type Note struct {
	Account string `json:"account"`
	Station string `json:"station"`
	wire.NoteBody
}

// Notes keeps notes: a JSON line in a file of the account and of the day on which it was told.
type Notes struct {
	dir string

	mu    sync.Mutex
	known map[string]bool // ids of the latest
	order []string
	day   string           // of the sizes
	sizes map[string]int64 // what each station told today, by account and cuid
}

// What is kept of a day, in bytes: a note is some hundred, and one that is longer than a few thousand is refused.
const (
	DayOfStation = 1 << 20
	DayOfAccount = 64 << 20
)

// ErrFull is the error for a note of a station or an account that has told enough today.
var ErrFull = errors.New("enough notes for today")

// mostKnown is how many notes are known again when a station says them twice.
const mostKnown = 1000

// OpenNotes keeps notes in a folder.
func OpenNotes(dir string) *Notes { return &Notes{dir: dir, known: map[string]bool{}} }

// Add writes a note down, and reports whether it is new. It is on the disk when Add returns without an error.
func (n *Notes) Add(one Note) (fresh bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := one.Account + "." + one.Station + "." + one.ID
	if n.known[id] {
		return false, nil
	}
	b, err := json.Marshal(one)
	if err != nil {
		return false, err
	}
	b = append(b, '\n')
	day := time.Now().UTC().Format(time.DateOnly)
	if day != n.day {
		n.day, n.sizes = day, map[string]int64{}
	}
	file := filepath.Join(n.dir, "notes-"+day+"."+one.Account+".jsonl")
	station := one.Account + "." + one.Station
	if n.sizes[station]+int64(len(b)) > DayOfStation {
		return false, ErrFull
	}
	if info, err := os.Stat(file); err == nil && info.Size()+int64(len(b)) > DayOfAccount {
		return false, ErrFull
	}
	if err := appendTo(file, b); err != nil {
		return false, err
	}
	n.sizes[station] += int64(len(b))
	n.known[id], n.order = true, append(n.order, id)
	if len(n.order) > mostKnown {
		delete(n.known, n.order[0])
		n.order = n.order[1:]
	}
	return true, nil
}

// MostNotes is how many can be asked for at once.
const MostNotes = 500

// Latest gives the newest notes of an account, or of one of its stations, the newest first, as far as they are among
// the last [Most] bytes of the account. dir is that of OpenNotes.
func Latest(dir, account, station string, limit int) (all []Note, err error) {
	files, err := notesOf(dir, account)
	if err != nil {
		return nil, err
	}
	may := budget{Most}
	start := startOf(account)
	for _, file := range files {
		_, err := may.backward(file, -1, func(_ int64, line []byte) bool {
			var n Note
			if bytes.HasPrefix(line, start) && bytes.Contains(line, []byte(station)) && json.Unmarshal(line,
				&n) == nil && (station == "" || n.Station == station) {
				all = append(all, n)
			}
			return len(all) < limit
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that was too old has just been removed
			return nil, err
		}
		if len(all) == limit || may.left <= 0 {
			break
		}
	}
	return all, nil
}

// notesOf are the files that may have notes of an account, the newest first. Those without its name are of a release
// that kept all accounts' in one.
func notesOf(dir, account string) (files []string, err error) {
	all, err := filepath.Glob(filepath.Join(dir, "notes-*.jsonl"))
	for _, f := range slices.Backward(all) { // Glob sorts
		if name := filepath.Base(f); len(name) == len("notes-2006-01-02.jsonl") ||
			strings.HasSuffix(name, "."+account+".jsonl") {
			files = append(files, f)
		}
	}
	return files, err
}
