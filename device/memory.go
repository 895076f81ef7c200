package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"intercom/device/control"
	"intercom/internal/durable"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Memory is what a station remembers from one start to the next.
type Memory struct {
	DND      bool            `json:"do_not_disturb"`
	Privacy  bool            `json:"privacy"`
	Tampered bool            `json:"tampered"`        // the relay is locked
	Talk     int             `json:"talk_volume"`     // percent; 0 for what is configured
	Ring     int             `json:"ring_volume"`     //
	Notes    []wire.NoteBody `json:"notes,omitempty"` // that the hub has not heard of
	Lost     int             `json:"lost,omitempty"`  // notes for which there was no room
	broken   string          // why the file could not be read
}

// mostNotes is how many are kept; then the oldest is given up.
const mostNotes = 200

// Keeper writes a station's memory to its file, and never makes anybody wait. It is a part.
type Keeper struct {
	path string
	next chan Memory
}

// NewKeeper keeps the memory in a folder.
func NewKeeper(dir string) *Keeper {
	return &Keeper{path: filepath.Join(dir, "station.json"), next: make(chan Memory, 1)}
}

// Load gives what was kept. A file that cannot be understood is put aside, and the relay counts as tampered with: somebody
// may have tried to unlock it.
func (k *Keeper) Load() (m Memory) {
	b, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Memory{}
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		m = Memory{Tampered: true, broken: fmt.Sprintf("%s cannot be read (%v) and was put aside; what the station remembered is lost, and a door relay is locked", k.path, err)}
		_ = os.Rename(k.path, k.path+".bad")
	}
	return m
}

// Keep has m written soon. Only one goroutine may call it.
func (k *Keeper) Keep(m Memory) {
	m.Notes = slices.Clone(m.Notes)
	select {
	case <-k.next: // the one before was not written yet
	default:
	}
	k.next <- m
}

// Run writes until ctx ends, and what is left then. It reports when that cannot be done, and when it can again.
func (k *Keeper) Run(ctx context.Context, report func(control.Fault)) error {
	for {
		select {
		case m := <-k.next:
			report(k.write(m))
		case <-ctx.Done():
			select {
			case m := <-k.next:
				report(k.write(m))
			default:
			}
			return nil
		}
	}
}

func (k *Keeper) write(m Memory) control.Fault {
	b, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(k.path), 0o700), durable.Write(k.path, append(b, '\n')))
	}
	if err != nil {
		m.broken = fmt.Sprintf("what the station must remember cannot be written: %v; make state_dir writable", err)
	}
	return m.fault()
}

// fault is what is wrong with the memory, or that it is well.
func (m Memory) fault() control.Fault {
	return control.Fault{Code: control.MemoryBroken, Part: control.PartMemory, Text: m.broken}
}

// keep has what is to be remembered written.
func (d *Device) keep() {
	if d.keeper != nil {
		d.keeper.Keep(d.memory)
	}
}

// note remembers something that the hub must hear of, and tells it.
func (d *Device) note(n wire.NoteBody) {
	n.ID, n.At = newID(), d.clock().UTC()
	d.memory.Notes = append(d.memory.Notes, n)
	if over := len(d.memory.Notes) - mostNotes; over > 0 {
		d.memory.Notes = slices.Delete(d.memory.Notes, 0, over)
		d.memory.Lost += over
	}
	d.keep()
	d.tellNotes()
}

// tellNotes tells the hub the oldest note. The next one follows when it is acknowledged.
func (d *Device) tellNotes() {
	if d.telling == "" && len(d.memory.Notes) > 0 && d.state.Online && d.wire.Send(wire.New(wire.Note, "", d.memory.Notes[0])) {
		d.telling = d.memory.Notes[0].ID
	}
}

// told takes the acknowledged note out.
func (d *Device) told() {
	if len(d.memory.Notes) > 0 && d.memory.Notes[0].ID == d.telling {
		d.memory.Notes = slices.Delete(d.memory.Notes, 0, 1)
		d.keep()
	}
	d.telling = ""
	d.tellNotes()
}

// noteRefused keeps a note that the hub cannot take now, and gives up one that it never will.
func (d *Device) noteRefused(e *fault.Error) {
	if e.Retryable {
		d.telling = ""
		if wait := e.RetryAfter(); wait > 0 {
			time.AfterFunc(wait, func() { d.tell(d.tellNotes) })
		}
		return
	}
	d.log.Warn("the hub does not take a note", "code", string(e.Code), "err", e.Message)
	d.told()
}

// noteQuality tells how well an answered call was heard.
func (d *Device) noteQuality(r outcome.Result) {
	if q := d.leg.quality; d.leg.result.AnsweredAt != nil {
		d.note(wire.NoteBody{Kind: wire.CallNote, Call: r.Call, Quality: &wire.Quality{Codec: q.Codec, Route: q.Route, DelayMS: q.DelayMS, RoundTripMS: q.RoundTripMS,
			JitterMS: q.JitterMS, Loss: q.Loss, ConcealedMS: q.Receiving.ConcealedMS}})
	}
}
