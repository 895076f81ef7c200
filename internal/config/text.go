package config

import (
	"bytes"
	"errors"
)

// Text takes off the byte order mark that some editors put before UTF-8, and refuses UTF-16.
func Text(b []byte) ([]byte, error) {
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return nil, errors.New("is written as UTF-16; save it as UTF-8")
	}
	return bytes.TrimPrefix(b, []byte("\ufeff")), nil
}
