package codec

import (
	"math"
	"slices"
	"testing"
)

func sine(hz float64, frame int) []int16 {
	out := make([]int16, Frame)
	for i := range out {
		out[i] = int16(10000 * math.Sin(2*math.Pi*hz*float64(frame*Frame+i)/Rate))
	}
	return out
}

// snr sends a tone through a codec and gives the share of it that comes back at its own frequency, in dB.
func snr(t *testing.T, name string, hz float64) float64 {
	enc, err := NewEncoder(name)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := NewDecoder(name)
	if err != nil {
		t.Fatal(err)
	}
	buf, pcm := make([]byte, MaxSize), make([]int16, Frame)
	var re, im, all float64
	n := 0
	for f := range 60 {
		size, err := enc.Encode(sine(hz, f), buf)
		if err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(buf[:size], pcm); err != nil {
			t.Fatal(err)
		}
		if f < 10 {
			continue
		}
		for i, s := range pcm {
			a := 2 * math.Pi * hz * float64(f*Frame+i) / Rate
			re += float64(s) * math.Cos(a)
			im += float64(s) * math.Sin(a)
			all += float64(s) * float64(s)
			n++
		}
	}
	tone := 2 * (re*re + im*im) / float64(n)
	return 10 * math.Log10(tone/max(all-tone, 1e-9))
}

func TestAToneComesBack(t *testing.T) {
	for _, c := range All() {
		if !c.Send {
			continue
		}
		if got := snr(t, c.Name, 1000); got < 18 {
			t.Errorf("%s: %.1f dB", c.Name, got)
		} else {
			t.Logf("%s: %.1f dB", c.Name, got)
		}
	}
}

// Values from the tables of ITU-T G.711.
func TestG711KnownValues(t *testing.T) {
	for _, c := range []struct {
		in    int16
		mu, a byte
	}{{0, 0xff, 0xd5}, {-1, 0x7f, 0x55}, {32767, 0x80, 0xaa}, {-32768, 0x00, 0x2a}, {1000, 0xce, 0xfa}} {
		if mu, a := encodeMu(c.in), encodeA(c.in); mu != c.mu || a != c.a {
			t.Errorf("%d: μ %#x want %#x, A %#x want %#x", c.in, mu, c.mu, a, c.a)
		}
	}
	for b := range 256 {
		if b != 0x7f && encodeMu(decodeMu(byte(b))) != byte(b) || encodeA(decodeA(byte(b))) != byte(b) {
			t.Fatalf("%#x does not come back", b)
		}
	}
}

func TestConcealmentFadesAndGarbageIsAnError(t *testing.T) {
	for _, c := range All() {
		d, err := NewDecoder(c.Name)
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]int16, Frame)
		for range 100 {
			d.Conceal(pcm)
			d.Conceal(pcm[:Frame/2])
		}
		for _, s := range pcm {
			if s > 50 || s < -50 {
				t.Fatalf("%s: concealment after a second is still %d", c.Name, s)
			}
		}
		if n := Length(c.Name, []byte{0xff, 0xff, 0xff}); n == Frame {
			t.Errorf("%s: garbage has the length of a frame", c.Name)
		} else if err := d.Decode([]byte{0xff, 0xff, 0xff}, pcm); err == nil {
			t.Errorf("%s decoded garbage", c.Name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0x78, 1, 2, 3})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range All() {
			d, _ := NewDecoder(c.Name)
			pcm := make([]int16, MaxFrame)
			if n := Length(c.Name, b); n > 0 {
				_ = d.Decode(b, pcm[:n])
				_ = d.Recover(b, pcm[:n])
			}
			d.Conceal(pcm[:Frame])
		}
	})
}

// A decoder fills the slice it is given, and nothing behind it, however much room there is.
func TestADecoderFillsNoMoreThanItsSlice(t *testing.T) {
	for _, c := range All() {
		if !c.Send {
			continue
		}
		enc, err := NewEncoder(c.Name)
		if err != nil {
			t.Fatal(err)
		}
		if err := enc.Tune(Tuning{Bitrate: 24000, Complexity: 5, Loss: 20}); err != nil {
			t.Fatal(err)
		}
		exact, _ := NewDecoder(c.Name)
		roomy, _ := NewDecoder(c.Name)
		recovered := 0
		for f := range 50 {
			payload := make([]byte, MaxSize)
			n, err := enc.Encode(sine(440, f), payload)
			if err != nil {
				t.Fatal(err)
			}
			payload = payload[:n]
			want, got := make([]int16, Frame), make([]int16, Frame, 4*Frame)
			do := func(d Decoder, pcm []int16) {
				switch f % 5 {
				case 3: // lost; the next one may carry it
					if d.Recover(payload, pcm) {
						recovered++
					}
				case 4:
					d.Conceal(pcm)
				default:
					if err := d.Decode(payload, pcm); err != nil {
						t.Fatal(err)
					}
				}
			}
			do(exact, want)
			do(roomy, got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: frame %d (%d) differs where there is more room", c.Name, f, f%5)
			}
			if slices.Max(got[Frame:cap(got)]) != 0 || slices.Min(got[Frame:cap(got)]) != 0 {
				t.Errorf("%s: frame %d (%d) wrote behind its slice", c.Name, f, f%5)
			}
		}
		if c.Name == "opus" && recovered == 0 {
			t.Error("no frame was recovered: the encoder sent no redundancy")
		}
	}
}
