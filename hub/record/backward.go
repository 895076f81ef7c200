package record

import (
	"bytes"
	"io"
	"os"
)

const (
	block   = 64 << 10 // that is read at once
	maxLine = 64 << 10 // what is longer was not written by us
)

// budget is how many bytes may be read to answer one question; see [Most].
type budget struct{ left int64 }

// backward gives the lines of a file, the last first, from a place in it (from its end when that is negative) until f
// has enough, the beginning is reached or the budget is spent. at is the end of the lines that are left.
func (b *budget) backward(path string, end int64, f func(end int64, line []byte) (more bool)) (at int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if size := info.Size(); end < 0 || end > size {
		end = size
	}
	var rest []byte // the end of a line whose beginning is not read yet
	for from := end; from > 0; {
		if b.left <= 0 {
			return end, nil
		}
		n := min(block, from)
		from -= n
		b.left -= n
		text := make([]byte, n, int(n)+len(rest))
		if _, err := file.ReadAt(text, from); err != nil && err != io.EOF {
			return end, err
		}
		text = append(text, rest...)
		for len(text) > 0 {
			i := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
			if i == 0 && from > 0 {
				break // it may begin in the block before
			}
			if !f(end, text[i:]) {
				return end, nil
			}
			text, end = text[:i], from+int64(i)
		}
		if rest = text; len(rest) > maxLine {
			rest = nil
			end = from
		}
	}
	return 0, nil
}
