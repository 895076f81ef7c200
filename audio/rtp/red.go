package rtp

import "errors"

// RED is redundant audio data (RFC 2198): a payload behind copies of the ones before it, so that what is lost comes
// again with the next packet, or the one after.

// maxCopies is how many earlier payloads go along at most.
const maxCopies = 2

// maxOffset is what 14 bits say of a copy's age, in ticks of the RTP clock, and maxCopy what 10 bits say of its length.
const (
	maxOffset = 1<<14 - 1
	maxCopy   = 1<<10 - 1
)

// redundant remembers payloads and puts copies of them before new ones. The zero value remembers nothing.
type redundant struct {
	kept [maxCopies]struct {
		at      uint32
		payload [maxCopy]byte
		n       int
	}
	have int
}

// wrap writes to out the payload, of the RTP time at and of that payload type, behind up to copies of those before it,
// and remembers it. out needs room for all: (maxCopies+1)*MaxSize bytes do.
func (r *redundant) wrap(kind uint8, at uint32, payload []byte, copies int, out []byte) int {
	n := 0
	for i := min(copies, r.have) - 1; i >= 0; i-- {
		k := &r.kept[i]
		age := at - k.at
		if age == 0 || age > maxOffset {
			continue
		}
		out[n], out[n+1], out[n+2], out[n+3] = 0x80|kind&0x7f, byte(age>>6), byte(age<<2)|byte(k.n>>8), byte(k.n)
		n += 4
	}
	out[n] = kind & 0x7f
	n++
	for i := min(copies, r.have) - 1; i >= 0; i-- {
		if k := &r.kept[i]; at-k.at != 0 && at-k.at <= maxOffset {
			n += copy(out[n:], k.payload[:k.n])
		}
	}
	n += copy(out[n:], payload)
	r.keep(at, payload)
	return n
}

// keep remembers a payload for the packets to come.
func (r *redundant) keep(at uint32, payload []byte) {
	if len(payload) > maxCopy {
		r.have = 0
		return
	}
	for i := len(r.kept) - 1; i > 0; i-- {
		r.kept[i] = r.kept[i-1]
	}
	r.kept[0].at, r.kept[0].n = at, copy(r.kept[0].payload[:], payload)
	r.have = min(r.have+1, maxCopies)
}

// mostCopies are read of a payload. Browsers send up to nine.
const mostCopies = 16

var errRED = errors.New("not a RED payload (RFC 2198)")

// unwrap gives each payload in a RED payload, the oldest first, with its type and its age in ticks of the RTP clock;
// the last one, of age 0, is the packet's own.
func unwrap(b []byte, each func(kind uint8, age uint32, payload []byte)) error {
	head, lengths := 0, 0
	for head < len(b) && b[head]&0x80 != 0 {
		if head+4 >= len(b) || head >= 4*mostCopies {
			return errRED
		}
		lengths += int(b[head+2]&3)<<8 | int(b[head+3])
		head += 4
	}
	at := head + 1
	if head >= len(b) || at+lengths > len(b) {
		return errRED
	}
	for i := 0; i < head; i += 4 {
		n := int(b[i+2]&3)<<8 | int(b[i+3])
		if n > 0 {
			each(b[i]&0x7f, uint32(b[i+1])<<6|uint32(b[i+2])>>2, b[at:at+n])
		}
		at += n
	}
	each(b[head]&0x7f, 0, b[at:])
	return nil
}
