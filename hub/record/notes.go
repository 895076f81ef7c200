package record

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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

// Notes keeps notes: a JSON line in a file of the day on which it was told.
type Notes struct {
	dir string

	mu    sync.Mutex
	known map[string]bool // ids of the latest
	order []string
}

// mostKnown is how many notes are known again when a station says them twice.
const mostKnown = 1000

// OpenNotes keeps notes in a folder.
func OpenNotes(dir string) *Notes { return &Notes{dir: dir, known: map[string]bool{}} }

// Add writes a note down, and reports whether it is new. It is on the disk when Add returns without an error.
func (n *Notes) Add(one Note) (fresh bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[one.ID] {
		return false, nil
	}
	b, err := json.Marshal(one)
	if err != nil {
		return false, err
	}
	if err := appendTo(filepath.Join(n.dir, "notes-"+time.Now().UTC().Format(time.DateOnly)+".jsonl"), append(b, '\n')); err != nil {
		return false, err
	}
	n.known[one.ID], n.order = true, append(n.order, one.ID)
	if len(n.order) > mostKnown {
		delete(n.known, n.order[0])
		n.order = n.order[1:]
	}
	return true, nil
}

// MostNotes is how many can be asked for at once.
const MostNotes = 500

// Latest gives the newest notes of an account, or of one of its stations, the newest first. dir is that of OpenNotes.
func Latest(dir, account, station string, limit int) (all []Note, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "notes-*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	for _, file := range slices.Backward(files) {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		lines := bytes.Split(b, []byte("\n"))
		for _, line := range slices.Backward(lines) {
			var n Note
			if json.Unmarshal(line, &n) != nil || n.Account != account || station != "" && n.Station != station {
				continue // also the line that a power cut left in half
			}
			if all = append(all, n); len(all) == limit {
				return all, nil
			}
		}
	}
	return all, nil
}
