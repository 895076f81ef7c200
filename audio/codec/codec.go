// Package codec encodes and decodes frames of 20 ms, mono, 48 kHz, 16 bit: Opus (RFC 6716, RFC 7587) through libopus,
// and G.711 (ITU-T G.711) as the codec of last resort.
//
// Built without cgo there is no Opus encoder; Opus is decoded in Go, and G.711 is sent. An encoder or decoder belongs to
// one goroutine. The audio room and the device's voice import it.
package codec

import "fmt"

// The frame that all codecs here work on.
const (
	Rate    = 48000 // Hz
	Frame   = 960   // samples, 20 ms
	MaxSize = 1275  // bytes of an encoded frame at most (RFC 6716, section 3.4)
)

// Encoder makes payloads of frames.
type Encoder interface {
	// Encode writes the payload of one frame to out, which has MaxSize bytes, and gives its length.
	Encode(frame []int16, out []byte) (int, error)
}

// Decoder makes frames of payloads. After an error the frame is to be concealed.
type Decoder interface {
	// Decode writes the frame of a payload.
	Decode(payload []byte, frame []int16) error
	// Recover writes the frame before that of payload, from the redundancy in it; false means that it has none.
	Recover(payload []byte, frame []int16) bool
	// Conceal invents what was lost; pcm is a frame or half of one.
	Conceal(pcm []int16)
}

// Info describes a codec to the session description.
type Info struct {
	Name     string // as in SDP
	Rate     uint32 // RTP clock, Hz
	Channels uint16 // as in SDP
	Fmtp     string
	Type     uint8  // RTP payload type
	Ticks    uint32 // of the RTP clock in a frame
	Send     bool   // this build can encode it
}

// All are the codecs of this build, the best first.
func All() []Info {
	opus := Info{Name: "opus", Rate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1", Type: 111, Ticks: 960, Send: canEncodeOpus}
	return []Info{
		opus,
		{Name: "PCMU", Rate: 8000, Type: 0, Ticks: 160, Send: true},
		{Name: "PCMA", Rate: 8000, Type: 8, Ticks: 160, Send: true},
	}
}

// Find gives the codec of a name.
func Find(name string) (Info, bool) {
	for _, i := range All() {
		if i.Name == name {
			return i, true
		}
	}
	return Info{}, false
}

// NewEncoder makes an encoder of the named codec.
func NewEncoder(name string) (Encoder, error) {
	switch name {
	case "opus":
		return newOpusEncoder()
	case "PCMU":
		return &g711{law: mulaw}, nil
	case "PCMA":
		return &g711{law: alaw}, nil
	}
	return nil, fmt.Errorf("no codec %q", name)
}

// NewDecoder makes a decoder of the named codec.
func NewDecoder(name string) (Decoder, error) {
	switch name {
	case "opus":
		return newOpusDecoder()
	case "PCMU":
		return &g711{law: mulaw}, nil
	case "PCMA":
		return &g711{law: alaw}, nil
	}
	return nil, fmt.Errorf("no codec %q", name)
}

// fade is the concealment of codecs that have none: the last frame again, quieter each time.
type fade struct {
	last [Frame]int16
	gain float32
	at   int
}

func (f *fade) keep(frame []int16) {
	copy(f.last[:], frame)
	f.gain, f.at = 1, 0
}

func (f *fade) Conceal(pcm []int16) {
	for i := range pcm {
		f.gain *= 1 - 1.0/2400 // silent after a quarter of a second
		pcm[i] = int16(float32(f.last[f.at]) * f.gain)
		f.at = (f.at + 1) % Frame
	}
}
