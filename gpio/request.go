package gpio

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// An output is asked of the kernel by ourselves, with its first level in the request: periph's first Out drives the
// line low before it sets the level, which would open a door whose relay is active low. (linux/gpio.h,
// GPIO_V2_GET_LINE_IOCTL)

type lineAttribute struct {
	id, _ uint32
	value uint64
	mask  uint64
}

type lineRequest struct {
	offsets  [64]uint32
	consumer [32]byte
	flags    uint64
	numAttrs uint32
	_        [5]uint32
	attrs    [10]lineAttribute
	numLines uint32
	_        [6]uint32
	fd       int32
}

type lineValues struct{ bits, mask uint64 }

const (
	getLine         = 3<<30 | 592<<16 | 0xB4<<8 | 0x07
	setValues       = 3<<30 | 16<<16 | 0xB4<<8 | 0x0F
	flagActiveLow   = 1 << 1
	flagOutput      = 1 << 3
	attrOutputValue = 2
)

// consumer is the name under which 'gpioinfo' shows a line.
const consumer = "intercomd"

// request is one output line, held until it is closed.
type request struct{ fd int }

// requestOutput takes a line of a chip as an output that is not lit from its first moment on.
func requestOutput(chip string, offset int, activeLow bool) (*request, error) {
	f, err := os.OpenFile(chip, os.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := lineRequest{numLines: 1, numAttrs: 1, flags: flagOutput}
	r.offsets[0] = uint32(offset)
	copy(r.consumer[:], consumer)
	r.attrs[0] = lineAttribute{id: attrOutputValue, value: 0, mask: 1}
	if activeLow {
		r.flags |= flagActiveLow
	}
	if err := ioctl(int(f.Fd()), getLine, unsafe.Pointer(&r)); err != nil {
		return nil, err
	}
	syscall.CloseOnExec(int(r.fd))
	o := &request{int(r.fd)}
	runtime.SetFinalizer(o, func(o *request) { _ = o.Close() })
	return o, nil
}

// Set never reads the line back: the level that we set is the one that we know.
func (o *request) Set(on bool) error {
	v := lineValues{mask: 1}
	if on {
		v.bits = 1
	}
	return ioctl(o.fd, setValues, unsafe.Pointer(&v))
}

// Close gives the line back to the kernel.
func (o *request) Close() error {
	runtime.SetFinalizer(o, nil)
	return syscall.Close(o.fd)
}

func ioctl(fd int, call uintptr, arg unsafe.Pointer) error {
	_, _, no := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), call, uintptr(arg))
	if no != 0 {
		return fmt.Errorf("the kernel refuses it: %w", no)
	}
	return nil
}
