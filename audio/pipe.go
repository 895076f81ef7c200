package audio

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
	"unsafe"
)

// pipe stands between the library and the socket: the library does not tell of a write that failed, nor of a read that
// failed with anything but EOF, and waits for ever on a server that does not read.
//
// It reads and writes by raw system calls, which the scheduler is not told of: on a socket that does not block they
// take no longer than copying does, and each call that is told of wakes the runtime's monitor, twice two hundred times
// a second.
type pipe struct {
	c   *conn
	raw syscall.RawConn

	// Of the reading goroutine.
	in      []byte
	got     int
	failure syscall.Errno

	// Of who writes; the library lets one at a time.
	out  []byte // the descriptor of a packet whose body follows, and the body
	left []byte // what is still to be written
	lost syscall.Errno
	late bool // a deadline is set
}

// descriptor is the length of what stands before each packet.
const descriptor = 20

func newPipe(c *conn, nc net.Conn) (*pipe, error) {
	s, ok := nc.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := s.SyscallConn()
	return &pipe{c: c, raw: raw}, err
}

func (p *pipe) Read(b []byte) (int, error) {
	p.in = b
	err := p.raw.Read(p.take)
	if err == nil && p.failure != 0 {
		err = p.failure
	}
	if err == nil && p.got == 0 && len(b) > 0 {
		err = io.EOF
	}
	if err != nil {
		select {
		case <-p.c.dead:
		default:
			close(p.c.dead) // only the library's one goroutine reads
		}
		p.c.net.Close()
		return 0, io.EOF
	}
	return p.got, nil
}

// take reads what there is, and reports whether there was anything.
func (p *pipe) take(fd uintptr) bool {
	p.got, p.failure = try(syscall.SYS_READ, fd, p.in)
	return p.failure != syscall.EAGAIN
}

// Write sends descriptor and body of a packet, which the library writes apart, in one system call.
func (p *pipe) Write(b []byte) (int, error) {
	if len(p.out) == 0 && len(b) == descriptor {
		p.out = append(p.out, b...)
		return len(b), nil
	}
	p.out = append(p.out, b...)
	p.left = p.out
	p.out = p.out[:0]
	err := p.raw.Write(p.give)
	if p.late {
		p.late = false
		_ = p.c.net.SetWriteDeadline(time.Time{})
	}
	if err == nil && p.lost != 0 {
		err = p.lost
	}
	if err != nil {
		p.c.net.Close()
		return 0, err
	}
	return len(b), nil
}

// give writes what is left, and reports whether that was all. A server that does not read is given a second.
func (p *pipe) give(fd uintptr) bool {
	for len(p.left) > 0 {
		n, no := try(syscall.SYS_WRITE, fd, p.left)
		if no == syscall.EAGAIN {
			if !p.late {
				p.late = true
				_ = p.c.net.SetWriteDeadline(time.Now().Add(writeTime))
			}
			return false
		}
		p.left, p.lost = p.left[n:], no
		if no != 0 {
			return true
		}
	}
	return true
}

// try reads or writes once.
func try(call, fd uintptr, b []byte) (int, syscall.Errno) {
	for len(b) > 0 {
		n, _, no := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch no {
		case syscall.EINTR:
		case 0:
			return int(n), 0
		default:
			return 0, no
		}
	}
	return 0, 0
}
