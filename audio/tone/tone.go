// Package tone makes the sounds that a station gives by itself: ringing, ringback and the tones that say how a call
// went. They are made by code, or read from WAV or Ogg Opus files.
//
// A [Sound] is samples at 48 kHz, mono; a [Player] plays one into frames. The device's voice imports it.
package tone

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"
)

const rate = 48000

// Sound is samples, and whether they go on from the start when they end.
type Sound struct {
	Samples []int16
	Loop    bool
}

// Part is a stretch of a tone: up to two frequencies together, or silence for none.
type Part struct {
	Hz   [2]float64
	For  time.Duration
	Bell bool // dies away like a struck bell
}

// Make renders parts one after the other, at a peak of half scale.
func Make(loop bool, parts ...Part) Sound {
	s := Sound{Loop: loop}
	for _, p := range parts {
		n := int(p.For.Seconds() * rate)
		for i := range n {
			var v float64
			count := 0
			for _, hz := range p.Hz {
				if hz > 0 {
					v += math.Sin(2 * math.Pi * hz * float64(i) / rate)
					count++
				}
			}
			if count > 0 {
				v /= float64(count)
			}
			const edge = rate / 200 // 5 ms, so that nothing clicks
			v *= min(1, float64(i)/edge, float64(n-i)/edge)
			if p.Bell {
				v *= math.Exp(-3 * float64(i) / float64(n))
			}
			s.Samples = append(s.Samples, int16(v*16000))
		}
	}
	return s
}

func hz(f float64, ms int) Part {
	return Part{Hz: [2]float64{f}, For: time.Duration(ms) * time.Millisecond}
}

func bell(f float64, ms int) Part {
	return Part{Hz: [2]float64{f, 2 * f}, For: time.Duration(ms) * time.Millisecond, Bell: true}
}

// The sounds made by code.
func Press() Sound    { return Make(false, hz(1175, 60)) }
func Speak() Sound    { return Make(false, hz(784, 90), hz(1047, 140)) }
func Ring() Sound     { return Make(true, bell(659.3, 600), bell(523.3, 1000), hz(0, 1400)) } // ding, dong
func Ringback() Sound { return Make(true, hz(425, 1000), hz(0, 4000)) }                       // as in ITU-T E.180
func Declined() Sound {
	return Make(false, hz(425, 200), hz(0, 200), hz(425, 200), hz(0, 200), hz(425, 200))
}
func Busy() Sound { // as in ITU-T E.180
	return Make(false, hz(425, 500), hz(0, 500), hz(425, 500), hz(0, 500), hz(425, 500))
}
func Missed() Sound {
	return Make(false, hz(523.3, 250), hz(0, 60), hz(392, 250), hz(0, 60), hz(329.6, 400))
}

// special information tone, ITU-T E.180
func Offline() Sound { return Make(false, hz(950, 330), hz(1400, 330), hz(1800, 330)) }

// Limit tells those who talk that their time is nearly over.
func Limit() Sound { return Make(false, hz(1400, 120), hz(0, 120), hz(1400, 120)) }

// Door says that the door is open, and Auto that the microphone is about to open by itself.
func Door() Sound { return Make(false, hz(784, 120), hz(988, 120), hz(1175, 240)) }
func Auto() Sound {
	return Make(false, hz(880, 150), hz(0, 100), hz(880, 150), hz(0, 100), hz(1760, 300))
}

// Player plays a sound once, or again and again.
type Player struct {
	s  Sound
	at int
}

// NewPlayer starts at the beginning.
func NewPlayer(s Sound) *Player { return &Player{s: s} }

// Read fills out and reports whether there is more. After the end it is silent.
func (p *Player) Read(out []int16) bool {
	for len(out) > 0 {
		if p.at == len(p.s.Samples) {
			if !p.s.Loop || len(p.s.Samples) == 0 {
				clear(out)
				return false
			}
			p.at = 0
		}
		n := copy(out, p.s.Samples[p.at:])
		p.at += n
		out = out[n:]
	}
	return true
}

// maxFile is the size of a WAV file at most: a minute in stereo.
const maxFile = 12 << 20

// maxLength is a minute.
const maxLength = 60 * rate

// Load reads a file; see [Parse].
func Load(path string, loop bool) (Sound, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Sound{}, err
	}
	if st.Size() > maxFile {
		return Sound{}, fmt.Errorf("has %d MiB; at most %d are taken", st.Size()>>20, maxFile>>20)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Sound{}, err
	}
	return Parse(b, loop)
}

// Parse reads a WAV file (PCM, 16 bit, mono or stereo, 8 to 48 kHz) or an Ogg Opus file, of a minute at most.
func Parse(b []byte, loop bool) (s Sound, err error) {
	if strings.HasPrefix(string(b), "OggS") {
		s, err = parseOgg(b)
	} else {
		s, err = parse(b)
	}
	if s.Loop = loop; err == nil && len(s.Samples) > maxLength {
		err = fmt.Errorf("lasts longer than %d s", maxLength/rate)
	}
	return s, err
}

// parse reads RIFF chunks (Multimedia Programming Interface and Data Specifications 1.0, IBM and Microsoft, 1991).
func parse(b []byte) (Sound, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return Sound{}, errors.New("is neither a WAV nor an Ogg Opus file")
	}
	le := binary.LittleEndian
	channels, hz := 0, 0
	for b = b[12:]; len(b) >= 8; {
		name, size := string(b[:4]), int(le.Uint32(b[4:8]))
		b = b[8:]
		body := b[:min(size, len(b))]
		switch {
		case name == "fmt " && len(body) >= 16:
			channels, hz = int(le.Uint16(body[2:])), int(le.Uint32(body[4:]))
			if le.Uint16(body) != 1 || le.Uint16(body[14:]) != 16 || channels < 1 || channels > 2 || hz < 8000 ||
				hz > rate {
				return Sound{}, errors.New("must be PCM of 16 bit, mono or stereo, 8 to 48 kHz; convert it with 'sox " +
					"IN -b 16 -r 48000 -c 1 OUT.wav'")
			}
		case name == "data":
			if channels == 0 {
				return Sound{}, errors.New("has no format before its sound")
			}
			return resample(body, channels, hz), nil
		}
		b = b[min(size+size%2, len(b)):]
	}
	return Sound{}, errors.New("has no sound in it")
}

// resample takes the mean of the channels and interpolates to 48 kHz.
func resample(body []byte, channels, hz int) Sound {
	n := len(body) / 2 / channels
	at := func(i int) float64 {
		var v int
		for c := range channels {
			v += int(int16(binary.LittleEndian.Uint16(body[2*(min(i, n-1)*channels+c):])))
		}
		return float64(v) / float64(channels)
	}
	if n == 0 {
		return Sound{}
	}
	out := make([]int16, n*rate/hz)
	for i := range out {
		x := float64(i) * float64(hz) / rate
		k := int(x)
		f := x - float64(k)
		out[i] = int16(at(k)*(1-f) + at(k+1)*f)
	}
	return Sound{Samples: out}
}
