// Command sim is the only program of the board with the kernel's GPIO simulator: it makes a chip that looks like a
// Raspberry Pi's, is finger and eye itself through sysfs, and says on the console what it found and how long it took.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"intercom/call"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/setup"
	"intercom/gpio"
	"intercom/wire"
)

const count = 64 // lines: 32 of each kind, for what they need when nothing happens

func main() {
	if err := run(); err != nil {
		fmt.Printf("SIM error %v\r\n", err)
	}
	fmt.Print("SIM end\r\n")
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// chip is the simulator's folder in sysfs.
var chip string

func run() error {
	for dir, kind := range map[string]string{"/dev": "devtmpfs", "/proc": "proc", "/sys": "sysfs"} {
		if err := syscall.Mount("none", dir, kind, 0, ""); err != nil && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	for _, m := range []string{"configfs", "irq_sim", "gpio-sim"} {
		if err := load("/" + m + ".ko"); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	if err := syscall.Mount("none", "/sys/kernel/config", "configfs", 0, ""); err != nil {
		return fmt.Errorf("configfs: %w", err)
	}
	if err := plug(); err != nil {
		return err
	}
	return errors.Join(lines(), floor(), action(), idle())
}

func load(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	none := []byte{0}
	_, _, no := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
		uintptr(unsafe.Pointer(&none[0])))
	if no != 0 && no != syscall.EEXIST {
		return no
	}
	return nil
}

// plug makes a chip as on a Raspberry Pi: its label, and lines by name.
func plug() error {
	const dir = "/sys/kernel/config/gpio-sim/pi"
	write := func(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
	errs := []error{os.MkdirAll(dir+"/bank0", 0o755), write(dir+"/bank0/num_lines", strconv.Itoa(count)),
		write(dir+"/bank0/label", "pinctrl-bcm2835")}
	for i := range count {
		line := fmt.Sprintf("%s/bank0/line%d", dir, i)
		errs = append(errs, os.Mkdir(line, 0o755), write(line+"/name", fmt.Sprintf("GPIO%d", i)))
	}
	if err := errors.Join(append(errs, write(dir+"/live", "1"))...); err != nil {
		return err
	}
	dev, err := os.ReadFile(dir + "/dev_name")
	if err != nil {
		return err
	}
	name, err := os.ReadFile(dir + "/bank0/chip_name")
	chip = filepath.Join("/sys/devices/platform", strings.TrimSpace(string(dev)), strings.TrimSpace(string(name)))
	return err
}

// press puts a level on a line from outside; read gives the level that is on it.
func press(line int, up bool) {
	_ = os.WriteFile(fmt.Sprintf("%s/sim_gpio%d/pull", chip, line),
		[]byte(map[bool]string{true: "pull-up", false: "pull-down"}[up]), 0o644)
}

func read(line int) string {
	b, _ := os.ReadFile(fmt.Sprintf("%s/sim_gpio%d/value", chip, line))
	return strings.TrimSpace(string(b))
}

// lines tries names, pulls, both active levels, and what a line in use says.
func lines() error {
	in, err := gpio.OpenInput(gpio.Wiring{Line: "GPIO17", Pull: "up", ActiveLow: true})
	if err != nil {
		return err
	}
	up, err := in.Read()
	fmt.Printf("SIM pull up, active low: pressed %v, error %v\r\n", up, err)
	press(17, false)
	down, err := in.Read()
	fmt.Printf("SIM pulled down: pressed %v, error %v\r\n", down, err)
	_, err = gpio.OpenInput(gpio.Wiring{Line: "pinctrl-bcm2835:17", Pull: "none"})
	fmt.Printf("SIM twice: in use %v\r\n", err == nil || errors.Is(err, gpio.ErrLineInUse))
	for _, low := range []bool{false, true} {
		out, err := gpio.OpenOutput(gpio.Wiring{Line: "GPIO27", ActiveLow: low})
		if err != nil {
			return err
		}
		before := read(27)
		err = out.Set(true)
		fmt.Printf("SIM output, active low %v: at first %s, lit %s, error %v\r\n", low, before, read(27), err)
		_ = out.(interface{ Close() error }).Close()
	}
	return in.(interface{ Close() error }).Close()
}

// tell prints the median and the worst of some times.
func tell(what string, all []time.Duration) {
	slices.Sort(all)
	fmt.Printf("SIM %s: median %.2f ms, worst %.2f ms of %d\r\n", what, ms(all[len(all)/2]),
		ms(all[len(all)-1]), len(all))
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// floor is what this board needs from the change of a level until a program that waits for it goes on.
func floor() error {
	in, err := gpio.OpenInput(gpio.Wiring{Line: "GPIO4", Pull: "down"})
	if err != nil {
		return err
	}
	defer in.(interface{ Close() error }).Close()
	var all []time.Duration
	for i := range 100 {
		done := make(chan time.Time)
		go func() {
			for {
				in.Wait(context.Background(), time.Second)
				if up, _ := in.Read(); up == (i%2 == 0) {
					done <- time.Now()
					return
				}
			}
		}()
		time.Sleep(20 * time.Millisecond)
		began := time.Now()
		press(4, i%2 == 0)
		all = append(all, (<-done).Sub(began))
	}
	tell("floor, edge to program", all)
	return nil
}

// action is the whole way: edge, debounce, owner, call.
func action() error {
	const stable = 20 * time.Millisecond
	cfg := setup.Defaults()
	cfg.CUID, cfg.Call.To = "front_door", "reception"
	sent := make(wires, 16)
	d := device.New(cfg, device.Parts{Media: mute{}, Sound: mute{}}, slog.New(slog.DiscardHandler))
	d.Connect(sent)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- d.Run(ctx) }()
	in, err := gpio.OpenInput(gpio.Wiring{Line: "GPIO5", Pull: "down"})
	if err != nil {
		cancel()
		return err
	}
	b := gpio.Button{Stable: stable}
	c := setup.Button{Name: "bell", Action: setup.ActToggle}
	go func() { done <- b.Watch(ctx, in, func(g gpio.Gesture) { d.Gesture(c, g) }) }()
	d.Up(wire.WelcomeBody{})
	time.Sleep(200 * time.Millisecond)
	var all []time.Duration
	for range often(20) {
		began := time.Now()
		press(5, true)
		all = append(all, sent.next(wire.Invite).Sub(began)-stable)
		press(5, false)
		time.Sleep(60 * time.Millisecond)
		press(5, true) // hangs up
		sent.next(wire.Cancel)
		press(5, false)
		time.Sleep(3 * time.Second) // until the rules give up waiting for the hub
	}
	tell("edge to call, beyond the debounce time", all)
	cancel()
	return errors.Join(<-done, <-done)
}

// wires tells what is sent, and when.
type wires chan sending

type sending struct {
	t  wire.Type
	at time.Time
}

func (w wires) Check() {}

func (w wires) Send(e wire.Envelope) bool {
	w <- sending{e.T, time.Now()}
	return true
}

func (w wires) next(t wire.Type) time.Time {
	for s := range w {
		if s.t == t {
			return s.at
		}
	}
	return time.Time{}
}

// mute is the sound of a board that has none.
type mute struct{}

func (mute) Play(call.Tone)                                                     {}
func (mute) Silence()                                                           {}
func (mute) Mute(bool)                                                          {}
func (mute) Volume(int, int)                                                    {}
func (mute) Test(context.Context) (r control.SelfTest, err error)               { return r, err }
func (mute) Status() (s control.SoundStatus)                                    { return s }
func (m mute) Path([]wire.ICEServer, bool, setup.Mode, device.News) device.Path { return m }
func (mute) Remote(_, _ string)                                                 {}
func (mute) Candidate(string)                                                   {}
func (mute) OpenVoice()                                                         {}
func (mute) Restart([]wire.ICEServer)                                           {}
func (mute) Moved() bool                                                        { return false }
func (mute) Close()                                                             {}
func (mute) Quality() (q control.Quality)                                       { return q }

// idle is what 32 inputs and 32 outputs need while nothing happens.
func idle() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := range count / 2 {
		in, err := gpio.OpenInput(gpio.Wiring{Line: fmt.Sprintf("GPIO%d", i), Pull: "down"})
		if err != nil {
			return err
		}
		b := gpio.Button{Stable: 20 * time.Millisecond}
		go func() { _ = b.Watch(ctx, in, func(gpio.Gesture) {}) }()
		out, err := gpio.OpenOutput(gpio.Wiring{Line: fmt.Sprintf("GPIO%d", count/2+i)})
		if err != nil {
			return err
		}
		l := gpio.NewLamp()
		go func() { _ = l.Run(ctx, out) }()
	}
	time.Sleep(5 * time.Second)
	d := time.Duration(often(20)) * time.Second
	w, c := use()
	time.Sleep(d)
	w2, c2 := use()
	fmt.Printf("SIM idle, 32 inputs and 32 outputs: %.2f %% of a core, %.2f wake-ups/s for each line\r\n",
		100*(c2-c).Seconds()/d.Seconds(), float64(w2-w)/d.Seconds()/count)
	return nil
}

// often is how often a figure is measured: n times where the kernel's command line asks for figures, else three times,
// which shows that it can be.
func often(n int) int {
	if line, _ := os.ReadFile("/proc/cmdline"); strings.Contains(string(line), "figures") {
		return n
	}
	return 3
}

// use is what this program has used: context switches and processor time.
func use() (switches int64, cpu time.Duration) {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return r.Nvcsw + r.Nivcsw, time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
