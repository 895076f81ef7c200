package tone

import (
	"encoding/binary"
	"errors"
	"fmt"

	"intercom/audio/codec"
)

var errOgg = errors.New("is a broken Ogg file")

// parseOgg reads Opus in Ogg (RFC 3533, RFC 7845), as one channel.
func parseOgg(b []byte) (s Sound, err error) {
	dec, err := codec.NewDecoder("opus")
	if err != nil {
		return s, err
	}
	skip, n := 0, 0
	err = packets(b, func(p []byte) error {
		n++
		switch {
		case n == 1:
			if len(p) < 19 || string(p[:8]) != "OpusHead" || p[9] < 1 || p[9] > 2 {
				return errors.New("is Ogg, but not Opus in mono or stereo; convert it with 'opusenc'")
			}
			skip = int(binary.LittleEndian.Uint16(p[10:]))
			return nil
		case n == 2:
			return nil // OpusTags
		}
		pcm := make([]int16, codec.Length("opus", p))
		if len(pcm) == 0 || dec.Decode(p, pcm) != nil {
			return fmt.Errorf("%w: packet %d is not Opus", errOgg, n)
		}
		if s.Samples = append(s.Samples, pcm...); len(s.Samples) > maxLength+rate {
			return fmt.Errorf("lasts longer than %d s", maxLength/rate)
		}
		return nil
	})
	s.Samples = s.Samples[min(skip, len(s.Samples)):]
	if err == nil && len(s.Samples) == 0 {
		err = errors.New("has no sound in it")
	}
	return s, err
}

// packets gives each packet of the pages (RFC 3533, section 6).
func packets(b []byte, each func([]byte) error) error {
	var packet []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
			return errOgg
		}
		lacing := b[27 : 27+int(b[26])]
		b = b[27+len(lacing):]
		for _, n := range lacing {
			if len(b) < int(n) {
				return errOgg
			}
			packet = append(packet, b[:n]...)
			b = b[n:]
			if n == 255 {
				continue
			}
			if err := each(packet); err != nil {
				return err
			}
			packet = packet[:0]
		}
	}
	return nil
}
