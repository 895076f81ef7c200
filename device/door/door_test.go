package door

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const s = time.Second

func TestLockedBeatsHeldBeatsPulsed(t *testing.T) {
	d := Door{Settings: Settings{Pulse: 3 * s, TooLong: 60 * s}}
	if d.Open(0) {
		t.Fatal("a new door is open")
	}
	if !d.Pulse(10*s) || !d.Open(12*s) || d.Open(13*s) {
		t.Error("a pulse lasts three seconds")
	}
	d.Pulse(20 * s)
	d.Hold(21*s, true)
	if !d.Open(100 * s) {
		t.Error("a held door shuts after a pulse")
	}
	d.Pulse(100 * s)
	if d.Hold(101*s, false); d.Open(101 * s) {
		t.Error("a door that is no longer held stays open")
	}
	d.Hold(110*s, true)
	d.Lock(111*s, true)
	if d.Open(111*s) || d.Pulse(112*s) || d.Hold(112*s, true) || d.Open(112*s) {
		t.Error("a locked door opens")
	}
	if d.Lock(120*s, false); d.Open(120 * s) {
		t.Error("a door that is unlocked opens by itself")
	}
}

func TestWhatIsWrongWithADoor(t *testing.T) {
	d := Door{Settings: Settings{Pulse: 3 * s, TooLong: 60 * s}}
	d.Pulse(10 * s)
	if d.Contact(11*s, true) || d.Contact(20*s, false) {
		t.Error("one who was let in forces the door")
	}
	d.Pulse(30 * s)
	if d.Contact(35*s, true) {
		t.Error("a hand that was on the door forces it")
	}
	if d.Trouble(94*s) != "" || d.Trouble(95*s) == "" {
		t.Error("open too long: from a minute after it was opened")
	}
	if at, ok := d.Next(40 * s); !ok || at != 95*s {
		t.Errorf("next %v %v", at, ok)
	}
	d.Contact(100*s, false)
	if d.Trouble(100*s) != "" {
		t.Error("a door that was shut is in trouble")
	}
	if !d.Contact(200*s, true) || d.Trouble(201*s) == "" {
		t.Error("a door that nothing opened is not forced")
	}
}

// Whatever happens, a relay that is energised was told to be, and not a moment longer; one that is locked never is.
func TestNothingElseOpensIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Door{Settings: Settings{Pulse: 3 * s, TooLong: 20 * s}}
		now, pulsed, held, locked := time.Duration(0), -10*s, false, false
		for _, step := range rapid.SliceOf(rapid.IntRange(0, 79)).Draw(t, "steps") {
			now += time.Duration(step%10) * 500 * time.Millisecond
			switch step / 10 {
			case 0:
				if d.Pulse(now) == locked {
					t.Fatal("a pulse against the lock")
				}
				if !locked {
					pulsed = now
				}
			case 1, 2:
				on := step/10 == 1
				if d.Hold(now, on) && on != held {
					if held = on; !on {
						pulsed = now - 3*s
					}
				}
			case 3, 4:
				if locked = step/10 == 3; locked {
					held, pulsed = false, now-3*s
				}
				d.Lock(now, locked)
			case 5, 6:
				d.Contact(now, step/10 == 5)
			}
			if want := !locked && (held || now < pulsed+3*s); d.Open(now) != want {
				t.Fatalf("open %v, want %v", !want, want)
			}
			if at, ok := d.Next(now); ok && at <= now {
				t.Fatal("the next moment is past")
			}
		}
	})
}
