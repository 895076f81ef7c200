// Package codec encodes and decodes frames of sound, mono, 48 kHz, 16 bit: Opus (RFC 6716, RFC 7587) through libopus,
// and G.711 (ITU-T G.711) as the codec of last resort.
//
// Built without cgo there is no Opus encoder; Opus is decoded in Go, and G.711 is sent. An encoder or decoder belongs
// to one goroutine. Neither allocates once it is made. The rooms of audio import it.
package codec

import "fmt"

// Sizes. A frame to encode is a block or two of them.
const (
	Rate     = 48000 // Hz
	Block    = 480   // samples, 10 ms
	Frame    = 960   // samples, 20 ms
	MaxFrame = 5760  // samples of a received packet at most, 120 ms (RFC 6716, section 3.2.5)
	MaxSize  = 1275  // bytes of an encoded frame at most (RFC 6716, section 3.4)
)

// Tuning is how an encoder works. G.711 has nothing to tune.
type Tuning struct {
	Bitrate    int // bit/s
	Complexity int // 0 to 10: what the processor may spend
	// Loss is the share of packets, in percent, that the redundancy in the next packet is to make good. It needs the
	// codec's speech mode, which looks 4 ms further ahead; 0 is the mode of the least delay.
	Loss int
}

// Encoder makes payloads of frames.
type Encoder interface {
	// Encode writes the payload of a Block or a Frame to out, which has MaxSize bytes, and gives its length.
	Encode(frame []int16, out []byte) (int, error)
	Tune(Tuning) error
}

// Decoder makes frames of payloads. After an error the frame is to be concealed.
type Decoder interface {
	// Decode writes the frame of a payload, whose [Length] pcm has.
	Decode(payload []byte, pcm []int16) error
	// Recover writes the frame before that of payload, of the same length, from the redundancy in it; false means that
	// it has none.
	Recover(payload []byte, pcm []int16) bool
	// Conceal invents what was lost; pcm is a Frame at most, and a multiple of 2.5 ms.
	Conceal(pcm []int16)
}

// Info describes a codec to the session description.
type Info struct {
	Name     string // as in SDP
	Rate     uint32 // RTP clock, Hz
	Channels uint16 // as in SDP
	Fmtp     string
	Type     uint8 // RTP payload type
	Send     bool  // this build can encode it
}

// All are the codecs of this build, the best first.
func All() []Info {
	return []Info{
		{Name: "opus", Rate: 48000, Channels: 2, Fmtp: "minptime=10;useinbandfec=1", Type: 111, Send: canEncodeOpus},
		{Name: "PCMU", Rate: 8000, Type: 0, Send: true},
		{Name: "PCMA", Rate: 8000, Type: 8, Send: true},
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
		return &narrow{law: mulaw}, nil
	case "PCMA":
		return &narrow{law: alaw}, nil
	}
	return nil, fmt.Errorf("no codec %q", name)
}

// NewDecoder makes a decoder of the named codec.
func NewDecoder(name string) (Decoder, error) {
	switch name {
	case "opus":
		return newOpusDecoder()
	case "PCMU":
		return &narrow{law: mulaw}, nil
	case "PCMA":
		return &narrow{law: alaw}, nil
	}
	return nil, fmt.Errorf("no codec %q", name)
}

// Length is how many samples, at 48 kHz, a payload decodes to; 0 for one that nobody can decode.
func Length(name string, payload []byte) int {
	n := 0
	switch name {
	case "opus":
		n = opusLength(payload)
	case "PCMU", "PCMA":
		n = len(payload) * 6
	}
	if n > MaxFrame {
		return 0
	}
	return n
}

// Silent reports a payload with which a sender says that it is silent and will send little for a while (DTX: RFC 6716,
// section 2.1.9).
func Silent(name string, payload []byte) bool { return name == "opus" && len(payload) <= 2 }

// opusLength reads the table-of-contents byte (RFC 6716, sections 3.1 and 3.2).
func opusLength(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	each := 0
	switch config := b[0] >> 3; {
	case config < 12: // SILK
		each = [4]int{480, 960, 1920, 2880}[config%4]
	case config < 16: // both
		each = [2]int{480, 960}[config%2]
	default: // CELT
		each = [4]int{120, 240, 480, 960}[config%4]
	}
	switch b[0] & 3 {
	case 0:
		return each
	case 1, 2:
		return 2 * each
	}
	if len(b) < 2 {
		return 0
	}
	return each * int(b[1]&0x3f)
}

// fade is the concealment of codecs that have none: the last frame again, quieter each time.
type fade struct {
	last [Frame]int16
	have int
	gain float32
	at   int
}

func (f *fade) keep(frame []int16) {
	f.have = copy(f.last[:], frame[max(0, len(frame)-Frame):])
	f.gain, f.at = 1, 0
}

func (f *fade) Conceal(pcm []int16) {
	for i := range pcm {
		f.gain *= 1 - 1.0/2400 // silent after a quarter of a second
		pcm[i] = int16(float32(f.last[f.at]) * f.gain)
		if f.at++; f.at >= f.have {
			f.at = 0
		}
	}
}
