package audio

import (
	"io"
	"time"
)

// pipe stands between the library and the socket: the library does not tell of a write that failed, nor of a read that
// failed with anything but EOF, and waits for ever on a server that does not read.
type pipe struct {
	c    *conn
	head []byte // the descriptor of a packet whose body follows; the library writes one at a time
}

// descriptor is the length of what stands before each packet.
const descriptor = 20

func (p *pipe) Read(b []byte) (int, error) {
	n, err := p.c.net.Read(b)
	if err != nil {
		select {
		case <-p.c.dead:
		default:
			close(p.c.dead) // only the library's one goroutine reads
		}
		p.c.net.Close()
		if n == 0 {
			err = io.EOF
		}
	}
	return n, err
}

// Write sends descriptor and body of a packet, which the library writes apart, in one system call.
func (p *pipe) Write(b []byte) (int, error) {
	if len(p.head) == 0 && len(b) == descriptor {
		p.head = append(p.head, b...)
		return len(b), nil
	}
	p.head = append(p.head, b...)
	_ = p.c.net.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := p.c.net.Write(p.head)
	_ = p.c.net.SetWriteDeadline(time.Time{}) // or its timer would wake us for nothing
	p.head = p.head[:0]
	if err != nil {
		p.c.net.Close()
		return 0, err
	}
	return len(b), nil
}
