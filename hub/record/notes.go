package record

import (
	"encoding/json"
	"path/filepath"
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
