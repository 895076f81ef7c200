package device

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"intercom/call"
	"intercom/device/control"
	"intercom/internal/durable"
	"intercom/internal/event"
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

// Keeper writes a station's memory to its file, and never makes anybody wait. It is a part.
type Keeper struct {
	path string
	next chan Memory
}

// NewKeeper keeps the memory in a folder.
func NewKeeper(dir string) *Keeper {
	return &Keeper{path: filepath.Join(dir, "station.json"), next: make(chan Memory, 1)}
}

// Load gives what was kept. A file that cannot be understood is put aside, and the relay counts as tampered with:
// somebody may have tried to unlock it.
func (k *Keeper) Load() (m Memory) {
	b, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return Memory{}
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		m = Memory{Tampered: true, broken: fmt.Sprintf("%s cannot be read (%v) and was put aside; "+
			"what the station remembered is lost, and a door relay is locked", k.path, err)}
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

// memory is what the owner remembers.
type memory struct {
	Memory
	o *owner
}

func loadMemory(o *owner) memory {
	m := memory{o: o}
	if o.Keeper != nil {
		m.Memory = o.Keeper.Load()
	}
	return m
}

// restore makes the station what it was when it was stopped.
func (m *memory) restore() {
	if m.Talk > 0 || m.Ring > 0 {
		s := m.o.Sound.Status()
		m.o.Sound.Volume(cmp.Or(m.Talk, s.TalkVolume), cmp.Or(m.Ring, s.RingVolume))
	}
	if m.broken != "" {
		m.o.fault(m.fault())
	}
	m.o.handle(call.DoNotDisturb{On: m.DND})
}

// keep writes the memory, soon.
func (m *memory) keep() {
	if m.o.Keeper != nil {
		m.o.Keeper.Keep(m.Memory)
	}
}

// setVolume sets how loud it is.
func (m *memory) setVolume(talk, ring int) {
	m.o.Sound.Volume(talk, ring)
	m.Talk, m.Ring = talk, ring
	m.keep()
}

// setDND switches whether calls are declined as busy.
func (m *memory) setDND(on bool) {
	m.DND = on
	m.o.handle(call.DoNotDisturb{On: on})
	m.mode("do_not_disturb", on)
	m.o.hub.declare()
}

// setPrivacy switches whether anybody is answered automatically.
func (m *memory) setPrivacy(on bool) {
	m.Privacy = on
	if on && m.o.leg.auto != nil {
		m.o.leg.noAuto()
		m.o.Sound.Play(call.RingTone)
	}
	m.mode("privacy", on)
}

func (m *memory) mode(name string, on bool) {
	m.o.log.Info(event.Mode, "mode", name, "on", on)
	m.keep()
	m.o.events.emit(control.Event{Event: "mode", Mode: name, On: &on})
	m.o.lights.update()
}
