package hub

import (
	"testing"

	"intercom/hub/access"
	"intercom/wire"
)

// Settings are offered once in a session, whatever a station says of them: one that refuses them, and says so each
// time, is not told for ever. What it has refused is offered again when it says that this is over.
func TestSettingsAreOfferedOnce(t *testing.T) {
	s := serve(t)
	version := func(v uint64) {
		t.Helper()
		if err := access.SetSettings(s.folder, "demo", "front_door",
			wire.SettingsBody{Version: v, Text: "x"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.dir.Reload(); err != nil {
			t.Fatal(err)
		}
		s.hub.Reload()
	}
	version(7)
	door := s.sign("front_door", "1")
	// states says how it is, and gives the versions that it is offered before the reply.
	states := func(b wire.StateBody) (offered []uint64) {
		t.Helper()
		e := wire.New(wire.State, "", b)
		e.ID = 9
		door.say(e)
		for {
			got, code := door.next()
			if got.T == wire.OK || code != 0 {
				return offered
			}
			if got.T != wire.Settings {
				continue
			}
			set, err := wire.Body[wire.SettingsBody](got)
			if err != nil {
				t.Fatal(err)
			}
			offered = append(offered, set.Version)
		}
	}
	is := func(when string, b wire.StateBody, want ...uint64) {
		t.Helper()
		if got := states(b); len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
			t.Errorf("%s: offered %v, want %v", when, got, want)
		}
	}
	is("at first", wire.StateBody{}, 7)
	for range 10 {
		is("a station that never says what became of it", wire.StateBody{})
	}
	is("it is refused", wire.StateBody{Refused: 7})
	is("still", wire.StateBody{Refused: 7, Health: "degraded"})
	s.hub.Reload()
	is("the accounts were read again", wire.StateBody{Refused: 7})
	is("no longer refused", wire.StateBody{}, 7)
	is("taken", wire.StateBody{Settings: 7})
	is("lost", wire.StateBody{Settings: 0}) // it has had its chance in this session
	version(8)
	is("a later one", wire.StateBody{Settings: 7}, 8) // at once, and not again for this word
	is("refused", wire.StateBody{Settings: 7, Refused: 8})
	version(9)
	is("the next, after one that was refused", wire.StateBody{Settings: 7, Refused: 8}, 9)
	door = s.sign("front_door", "1")
	is("in a new session", wire.StateBody{Settings: 7, Refused: 8}, 9)
	is("in a new session", wire.StateBody{Settings: 9})
}
