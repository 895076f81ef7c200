package wire

import (
	"bytes"
	"encoding/json"
)

// shape says what a decoder would swallow: nesting that is too deep, keys that come twice, more than one value. It
// walks the bytes once and builds nothing; whether they are JSON at all is the decoder's to say.
func shape(b []byte) string {
	var levels [MaxDepth]level
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case ' ', '\t', '\r', '\n', ':':
			continue
		case '{', '[':
			if depth == 0 && (i > 0 && len(bytes.TrimLeft(b[:i], " \t\r\n")) > 0 || c == '[') {
				return notOne
			}
			if depth == MaxDepth {
				return "is nested too deeply"
			}
			levels[depth] = level{object: c == '{', key: true}
			depth++
		case '}', ']':
			if depth == 0 {
				return "is not JSON"
			}
			depth--
		case ',':
			if depth > 0 {
				levels[depth-1].key = true
			}
		case '"':
			end := stringEnd(b, i)
			if end < 0 {
				return "is not JSON"
			}
			if depth > 0 && levels[depth-1].object && levels[depth-1].key {
				if !levels[depth-1].fresh(b, i, end) {
					return "has a key twice"
				}
				levels[depth-1].key = false
			}
			i = end
		}
		if depth == 0 && b[i] != '}' {
			return notOne
		}
	}
	return ""
}

const notOne = "is not one object"

// level is an object or array that is open.
type level struct {
	object bool
	key    bool            // the next string is a key
	seen   [12]place       // the first keys; that of few is kept small, for it lies on the stack of every reader
	n      int             // how many of them
	more   map[string]bool // the others
}

type place struct{ start, end uint32 }

// fresh notes the key between two quotes and reports whether it is new. One that is written with escapes counts as what
// it means.
func (l *level) fresh(b []byte, start, end int) bool {
	k := b[start+1 : end]
	escaped := bytes.IndexByte(k, '\\') >= 0
	if escaped {
		var s string
		if json.Unmarshal(b[start:end+1], &s) != nil {
			return true // the decoder says so
		}
		k = []byte(s)
	}
	for _, s := range l.seen[:l.n] {
		if bytes.Equal(b[s.start:s.end], k) {
			return false
		}
	}
	if l.more[string(k)] {
		return false
	}
	if escaped || l.n == len(l.seen) {
		if l.more == nil {
			l.more = map[string]bool{}
		}
		l.more[string(k)] = true
	} else {
		l.seen[l.n] = place{uint32(start + 1), uint32(end)}
		l.n++
	}
	return true
}

// stringEnd is the place of the quote that ends the string which begins at i, or -1.
func stringEnd(b []byte, i int) int {
	for j := i + 1; j < len(b); j++ {
		switch b[j] {
		case '\\':
			j++
		case '"':
			return j
		}
	}
	return -1
}
