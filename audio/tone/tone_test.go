package tone

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func wav(channels, hz int, samples ...int16) []byte {
	le := binary.LittleEndian
	b := append([]byte("RIFF\x00\x00\x00\x00WAVE"), "LIST\x03\x00\x00\x00abc\x00fmt \x10\x00\x00\x00"...)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, uint32(hz))
	b = le.AppendUint32(b, uint32(hz*2*channels))
	b = le.AppendUint16(b, uint16(2*channels))
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = le.AppendUint32(b, uint32(2*len(samples)))
	for _, s := range samples {
		b = le.AppendUint16(b, uint16(s))
	}
	return b
}

func TestWAV(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring.wav")
	if err := os.WriteFile(path, wav(2, 24000, 100, 300, -100, -300), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Load(path, true)
	if err != nil || len(s.Samples) != 4 || s.Samples[0] != 200 || s.Samples[1] != 0 ||
		s.Samples[2] != -200 || !s.Loop {
		t.Fatalf("%v %+v", err, s)
	}
	for what, b := range map[string][]byte{"": nil, "WAV": []byte("fLaC0123456789"), "16 bit": wav(3, 48000),
		"no sound": wav(1, 48000)[:44]} {
		if _, err := parse(b); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%q: %v", what, err)
		}
	}
}

func TestPlayerEndsOrLoops(t *testing.T) {
	out := make([]int16, 5)
	once := NewPlayer(Sound{Samples: []int16{1, 2, 3}})
	if once.Read(out) || out[2] != 3 || out[3] != 0 {
		t.Fatal(out)
	}
	loop := NewPlayer(Sound{Samples: []int16{1, 2, 3}, Loop: true})
	if !loop.Read(out) || out[3] != 1 {
		t.Fatal(out)
	}
	if NewPlayer(Sound{Loop: true}).Read(out) {
		t.Fatal("an empty sound has more")
	}
}

func TestTonesAreAudibleAndDoNotClip(t *testing.T) {
	for name, s := range map[string]Sound{"ring": Ring(), "ringback": Ringback(), "declined": Declined(),
		"busy": Busy(), "missed": Missed(), "offline": Offline(), "limit": Limit(), "door": Door(), "auto": Auto()} {
		peak := int16(0)
		for _, v := range s.Samples {
			peak = max(peak, v)
		}
		if peak < 8000 || peak > 16000 || s.Samples[0] != 0 {
			t.Errorf("%s: peak %d, starts at %d", name, peak, s.Samples[0])
		}
	}
}

func FuzzWAV(f *testing.F) {
	f.Add(wav(2, 44100, 1, 2, 3, 4))
	f.Add(wav(1, 8000, 1)[:43])
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parse(b) })
}
