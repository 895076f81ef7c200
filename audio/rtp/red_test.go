package rtp

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"intercom/audio/codec"
)

// what lists the payloads in a RED payload.
func what(b []byte) (all []string, err error) {
	err = unwrap(b, func(kind uint8, age uint32, payload []byte) {
		all = append(all, fmt.Sprintf("%d -%d %s", kind, age, payload))
	})
	return all, err
}

func TestREDCarriesTheFramesBefore(t *testing.T) {
	var r redundant
	out := make([]byte, (maxCopies+1)*codec.MaxSize)
	for i, want := range [][]string{{"111 -0 a"}, {"111 -480 a", "111 -0 bb"},
		{"111 -960 a", "111 -480 bb", "111 -0 ccc"}, {"111 -960 bb", "111 -480 ccc", "111 -0 dddd"}} {
		payload := bytes.Repeat([]byte{byte('a' + i)}, i+1)
		n := r.wrap(111, uint32(i*480)-480, payload, 2, out) // the time wraps
		if got, err := what(out[:n]); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
	n := r.wrap(111, 100_000, []byte("late"), 2, out)
	if got, err := what(out[:n]); err != nil || !slices.Equal(got, []string{"111 -0 late"}) {
		t.Errorf("copies that are too old: %q %v", got, err)
	}
}

// The example of RFC 2198, section 4: a copy of 20 ms and 84 bytes before a payload.
func TestREDByTheBook(t *testing.T) {
	b := append([]byte{0x80 | 7, 160 >> 6, 160<<2&0xff | 84>>8, 84, 5}, bytes.Repeat([]byte{'x'}, 84+244)...)
	got, err := what(b)
	if err != nil || len(got) != 2 || got[0][:6] != "7 -160" || len(got[0]) != 7+84 || len(got[1]) != 5+244 {
		t.Errorf("%q %v", got, err)
	}
	for n := range 4 + 84 {
		if _, err := what(b[:n]); err == nil {
			t.Errorf("%d bytes of it are taken", n)
		}
	}
}

// A packet full of the shortest copies would be hundreds of frames.
func TestREDWithTooManyCopies(t *testing.T) {
	for copies, good := range map[int]bool{mostCopies: true, mostCopies + 1: false} {
		b := bytes.Repeat([]byte{0x80 | 111, 0, 4, 1}, copies)
		b = append(append(b, 111), bytes.Repeat([]byte{'x'}, copies+1)...)
		if _, err := what(b); (err == nil) != good {
			t.Errorf("%d copies: %v", copies, err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add([]byte{0x80 | 111, 1, 2, 3, 111, 1, 2, 3, 4})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		if err := unwrap(b, func(_ uint8, _ uint32, p []byte) { total += len(p) }); err == nil && total > len(b) {
			t.Fatalf("%d bytes out of %d", total, len(b))
		}
	})
}
