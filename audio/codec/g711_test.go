package codec

import (
	"math/bits"
	"testing"
)

// The library agrees with the formulas of G.711 for every code and every sample, except in μ-law for the 127 negative
// samples on a decision value: its code is never further away.
func TestG711ByTheBook(t *testing.T) {
	for i := range 256 {
		if got, want := mulaw.decode(byte(i)), decodeMu(byte(i)); got != want {
			t.Errorf("μ-law %d: %d, not %d", i, got, want)
		}
		if got, want := alaw.decode(byte(i)), decodeA(byte(i)); got != want {
			t.Errorf("A-law %d: %d, not %d", i, got, want)
		}
	}
	others := 0
	for i := -32768; i <= 32767; i++ {
		s := int16(i)
		if got, want := alaw.encode(s), encodeA(s); got != want {
			t.Errorf("%d in A-law: %d, not %d", i, got, want)
		}
		got, want := mulaw.encode(s), encodeMu(s)
		if got == want {
			continue
		}
		others++
		if off, most := distance(i, decodeMu(got)), distance(i, decodeMu(want)); i >= 0 || off > most {
			t.Errorf("%d in μ-law: %d, which is %d away; not %d, %d away", i, got, off, want, most)
		}
	}
	if others != 127 {
		t.Errorf("%d samples in μ-law have another code", others)
	}
}

func distance(a int, b int16) int {
	if d := a - int(b); d > 0 {
		return d
	}
	return int(b) - a
}

// encodeMu is μ-law: a sign, the segment by the position of the leading bit, four bits of it.
func encodeMu(s int16) byte {
	const bias, most = 0x84, 32635
	v, sign := int(s), 0
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, most) + bias
	seg := bits.Len(uint(v)) - 8
	return ^byte(sign | seg<<4 | v>>(seg+3)&0xf)
}

func decodeMu(b byte) int16 {
	b = ^b
	seg := b >> 4 & 7
	v := (int(b&0xf)<<3+0x84)<<seg - 0x84
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// encodeA is A-law: as μ-law, but linear in the first segment, and every other bit turned.
func encodeA(s int16) byte {
	v, sign := int(s)>>4, 0x80
	if v < 0 {
		v, sign = ^v, 0
	}
	out := v
	if seg := bits.Len(uint(v)) - 4; seg > 0 {
		out = seg<<4 | v>>(seg-1)&0xf
	}
	return byte(sign|out) ^ 0x55
}

func decodeA(b byte) int16 {
	b ^= 0x55
	v := int(b&0xf)<<4 + 8
	if seg := b >> 4 & 7; seg > 0 {
		v = (v + 0x100) << (seg - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return int16(v)
}
