package stage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Cable is a link between two network namespaces, A and B, that loses and delays UDP packets as it is told, both ways;
// what else goes over it is left alone, and order is kept, as in a queue. It needs root and iproute2, and no netem.
type Cable struct {
	name string
	bad  atomic.Pointer[Impairment]
	ends [2]*os.File
}

// Impairment is what a cable does to packets: each is lost with the probability Loss, or held for Delay and as much
// more as a die says, up to Jitter.
type Impairment struct {
	Loss          float64 // 0 to 1
	Delay, Jitter time.Duration
}

// Addresses of the two ends, on the interface CableInterface.
const (
	CableA         = "10.79.0.1"
	CableB         = "10.79.0.2"
	CableInterface = "ic0"
)

// NewCable lays one that does nothing to packets.
func NewCable(name string) (c *Cable, err error) {
	c = &Cable{name: fmt.Sprintf("%s%d", name, os.Getpid())}
	c.Impair(Impairment{})
	for i, ip := range []string{CableA, CableB} {
		ns, dev := c.ns(i), fmt.Sprintf("%s%c", c.name, 'a'+i)
		if c.ends[i], err = tun(dev); err != nil {
			return c, err
		}
		err = run("ip netns add "+ns, "ip link set "+dev+" netns "+ns,
			"ip -n "+ns+" link set "+dev+" name "+CableInterface,
			"ip -n "+ns+" link set lo up", "ip -n "+ns+" addr add "+ip+"/24 dev "+CableInterface,
			"ip -n "+ns+" link set "+CableInterface+" up")
		if err != nil {
			return c, err
		}
	}
	go c.carry(c.ends[0], c.ends[1], 1)
	go c.carry(c.ends[1], c.ends[0], 2)
	return c, nil
}

// Impair says what is done to packets from now on.
func (c *Cable) Impair(i Impairment) { c.bad.Store(&i) }

// At gives the command that runs another at end 0 (A) or 1 (B).
func (c *Cable) At(end int) []string { return []string{"ip", "netns", "exec", c.ns(end)} }

// Cut takes the cable away.
func (c *Cable) Cut() {
	for i, f := range c.ends {
		if f != nil {
			f.Close()
		}
		_ = exec.Command("ip", "netns", "del", c.ns(i)).Run()
	}
}

func (c *Cable) ns(end int) string { return fmt.Sprintf("%s-%c", c.name, 'A'+end) }

// carry takes packets from one end to the other until the cable is cut.
func (c *Cable) carry(from, to *os.File, seed uint64) {
	type parcel struct {
		due time.Time
		b   []byte
	}
	queue := make(chan parcel, 4096)
	defer close(queue)
	go func() {
		for p := range queue {
			if d := time.Until(p.due); d > 0 {
				time.Sleep(d)
			}
			_, _ = to.Write(p.b) // a cable that is cut takes nothing
		}
	}()
	die := rand.New(rand.NewPCG(seed, 7))
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p := parcel{time.Now(), append([]byte{}, buf[:n]...)}
		if bad := c.bad.Load(); n > 9 && buf[0]>>4 == 4 && buf[9] == syscall.IPPROTO_UDP {
			if die.Float64() < bad.Loss {
				continue
			}
			p.due = p.due.Add(bad.Delay + time.Duration(die.Float64()*float64(bad.Jitter)))
		}
		select {
		case queue <- p:
		default: // as a full queue of a router
		}
	}
}

// tun makes a network interface whose packets are read and written as those of a file
// (Documentation/networking/tuntap.rst of the kernel).
func tun(name string) (*os.File, error) {
	const device, setInterface, isTun, noInfo = "/dev/net/tun", 0x400454ca, 1, 0x1000
	if _, err := os.Stat(device); err != nil {
		_ = os.MkdirAll("/dev/net", 0o755)
		_ = syscall.Mknod(device, syscall.S_IFCHR|0o600, 10<<8|200)
	}
	fd, err := syscall.Open(device, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; this needs root", device, err)
	}
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:15], name)
	request.flags = isTun | noInfo
	if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), setInterface,
		uintptr(unsafe.Pointer(&request))); no != 0 {
		return nil, errors.Join(fmt.Errorf("making the interface %s: %w", name, no), syscall.Close(fd))
	}
	return os.NewFile(uintptr(fd), device), nil
}

// run runs commands that have no spaces in their words, until one fails.
func run(commands ...string) error {
	for _, c := range commands {
		args := strings.Fields(c)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", c, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
