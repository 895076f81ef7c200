package tone

import (
	"encoding/binary"
	"strings"
	"testing"

	"intercom/audio/codec"
)

// ogg is an Opus file of packets (RFC 7845), one page each, after a head of so many channels.
func ogg(channels byte, packets ...[]byte) (b []byte) {
	head := binary.LittleEndian.AppendUint16(append([]byte("OpusHead\x01"), channels), 312)
	head = append(head, make([]byte, 7)...)
	for _, p := range append([][]byte{head, []byte("OpusTags")}, packets...) {
		lacing := []byte{}
		for n := len(p); ; n -= 255 {
			lacing = append(lacing, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		b = append(append(append(b, "OggS"...), make([]byte, 22)...), byte(len(lacing)))
		b = append(append(b, lacing...), p...)
	}
	return b
}

// opus is a packet of 20 ms of silence, as any encoder makes: the mode of least delay, mono (RFC 6716, section 3.1).
var opus = []byte{0xf8, 0xff, 0xfe}

func TestOgg(t *testing.T) {
	s, err := Parse(ogg(1, opus, opus, opus), true)
	if err != nil || len(s.Samples) != 3*codec.Frame-312 || !s.Loop {
		t.Errorf("%d samples, %v", len(s.Samples), err)
	}
	if enc, err := codec.NewEncoder("opus"); err == nil { // a tone comes back
		var packets [][]byte
		pcm, out := Declined().Samples, make([]byte, codec.MaxSize)
		for i := 0; i+codec.Frame <= len(pcm); i += codec.Frame {
			n, err := enc.Encode(pcm[i:i+codec.Frame], out)
			if err != nil {
				t.Fatal(err)
			}
			packets = append(packets, append([]byte{}, out[:n]...))
		}
		s, err := Parse(ogg(1, packets...), false)
		peak := int16(0)
		for _, v := range s.Samples {
			peak = max(peak, v)
		}
		if err != nil || peak < 10000 {
			t.Errorf("peak %d, %v", peak, err)
		}
	}
	for what, b := range map[string][]byte{
		"not Opus in mono or stereo": ogg(6, opus), "no sound": ogg(1), "broken Ogg": ogg(1, opus)[:90],
		"packet 3 is not Opus": ogg(1, []byte{3}),
		"longer than 60 s":     ogg(1, make([][]byte, 3100)...),
		"neither a WAV nor":    []byte("ID3\x04 this is an MP3 file"),
	} {
		if what == "longer than 60 s" {
			many := make([][]byte, 3100)
			for i := range many {
				many[i] = opus
			}
			b = ogg(1, many...)
		}
		if _, err := Parse(b, false); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzOgg(f *testing.F) {
	f.Add(ogg(1, opus, opus))
	f.Add(ogg(2, []byte{3, 0x3f}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(b, false); err == nil && len(s.Samples) == 0 {
			t.Fatal("no error, and no sound")
		}
	})
}
