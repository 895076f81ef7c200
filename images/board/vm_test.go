//go:build board

// Package board_test proves the station on a real kernel with a real GPIO chip, a real systemd and a real journal, in a
// virtual machine that QEMU emulates ("virt", with a PL061 controller). The test is the finger, through the
// controller's input pins, and the eye, through its output pins. 'make test-board' runs it.
package board_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"intercom/internal/stage"
	"intercom/internal/version"
)

// machine is a virtual board that runs.
type machine struct {
	*testing.T
	ctx   context.Context
	dir   string
	ns    string // the network namespace that QEMU, the hub and the peer are in
	qemu  *stage.Process
	qmp   *lines
	pins  *lines // the controller's, through QEMU's qtest socket
	agent *lines
	chip  string // the controller's path in QEMU

	mu    sync.Mutex
	level map[int]bool // of the lines that the board drives, as the controller puts them out
	trail []edge
	moved chan struct{}
}

// edge is a change of a line that the board drives.
type edge struct {
	at   time.Time
	line int
	up   bool
}

// The two ends of the board's network, in the namespace and on the board.
const (
	hostIP  = "10.81.0.1"
	boardIP = "10.81.0.2"
)

// lines is a socket on which lines of text go both ways.
type lines struct {
	net.Conn
	in *bufio.Reader
}

func dial(ctx context.Context, path string) (*lines, error) {
	for {
		c, err := new(net.Dialer).DialContext(ctx, "unix", path)
		if err == nil {
			return &lines{c, bufio.NewReaderSize(c, 1<<20)}, nil
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (l *lines) say(v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = l.Write(append(b, '\n'))
	}
	return err
}

// image is the folder with kernel, disk and saved state. Where it cannot be had, the test is skipped with the reason.
var image = sync.OnceValues(func() (string, error) {
	if os.Getuid() != 0 {
		return "", errors.New("a virtual board needs root")
	}
	for _, program := range []string{"qemu-system-aarch64", "mmdebstrap", "mke2fs", "cpio", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is not installed; run 'make deps-board'", program)
		}
	}
	c := exec.Command("bash", "build")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("the board's image cannot be made: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
})

// start gives a board that has booted: from its saved state, or, the first time, from the beginning.
func start(t *testing.T) *machine {
	t.Helper()
	folder, err := image()
	if err != nil {
		t.Skip("no board: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	state := filepath.Join(folder, "state")
	if _, err := os.Stat(state); err != nil {
		m := power(t, ctx, folder, "")
		m.run("systemctl is-system-running --wait || true")
		m.save(state)
		m.off()
	}
	m := power(t, ctx, folder, state)
	m.network()
	return m
}

// network sets the board's address, and its clock, which stood still while it was saved.
func (m *machine) network() {
	m.Helper()
	m.run(fmt.Sprintf("date -s @%d; ip addr replace %s/24 dev eth0; ip link set eth0 up", time.Now().Unix(), boardIP))
}

// power starts QEMU, with a saved state or without.
func power(t *testing.T, ctx context.Context, folder, state string) *machine {
	t.Helper()
	m := &machine{T: t, ctx: ctx, dir: t.TempDir(), ns: fmt.Sprintf("icb%d", os.Getpid()), level: map[int]bool{},
		moved: make(chan struct{}, 1)}
	for _, cmd := range []string{"ip netns add " + m.ns, "ip -n " + m.ns + " link set lo up",
		"ip -n " + m.ns + " tuntap add tap0 mode tap",
		"ip -n " + m.ns + " addr add " + hostIP + "/24 dev tap0", "ip -n " + m.ns + " link set tap0 up"} {
		if out, err := exec.Command("sh", "-c", cmd).CombinedOutput(); err != nil {
			t.Skipf("no board: %s: %v: %s", cmd, err, out)
		}
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", m.ns).Run() })
	socket := func(name string) string { return filepath.Join(m.dir, name) }
	args := []string{"netns", "exec", m.ns, "qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57", "-smp", "2",
		"-m", "512", "-accel", "tcg", "-display", "none", "-nodefaults",
		"-kernel", filepath.Join(folder, "vmlinuz"), "-initrd", filepath.Join(folder, "initrd"),
		"-append", "console=ttyAMA0 quiet net.ifnames=0 systemd.show_status=0 panic=5",
		"-drive", "if=none,id=disk,format=raw,readonly=on,file=" + filepath.Join(folder, "root.img"), "-device",
		"virtio-blk-pci,drive=disk",
		"-drive", "if=none,id=programs,format=raw,readonly=on,file=" + programs(t, m.dir), "-device",
		"virtio-blk-pci,drive=programs",
		"-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=agent,server=on,wait=off,path=" + socket("agent"),
		"-device", "virtserialport,chardev=agent,name=agent",
		"-serial", "file:" + socket("console.log"), "-qmp", "unix:" + socket("qmp") + ",server=on,wait=off",
		"-qtest", "unix:" + socket("pins") + ",server=on,wait=off", "-qtest-log", "none"}
	if state != "" {
		args = append(args, "-incoming", "exec:cat "+state)
	}
	var err error
	if m.qemu, err = stage.Start(m.dir, "qemu", nil, "ip", args...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.off)
	for name, to := range map[string]**lines{"qmp": &m.qmp, "pins": &m.pins, "agent": &m.agent} {
		if *to, err = dial(ctx, socket(name)); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, m.qemu.Tail())
		}
	}
	if _, err := m.qmp.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	m.do("qmp_capabilities", nil)
	m.findChip()
	go m.watch()
	m.pin("irq_intercept_out " + m.chip)
	if state != "" {
		m.until("the saved state is loaded", func() bool {
			return strings.Contains(string(m.do("query-status", nil)), `"paused"`)
		})
		m.do("cont", nil)
	}
	m.answers("")
	return m
}

// packageFile is the station's package for the board.
const packageFile = "intercomd_" + version.Version + "_arm64.deb"

// programs makes a disk of the programs for the board, and of the station's package: a tar file, padded, since a saved
// board remembers how large it is.
func programs(t *testing.T, dir string) string {
	t.Helper()
	disk := filepath.Join(dir, "programs.img")
	if out, err := exec.Command("tar", "cf", disk, "-C", "../../out/arm64", "intercomd", "intercomctl", "-C",
		"../packages", packageFile).CombinedOutput(); err != nil {
		t.Fatalf("the programs for the board are missing: %s; run 'make arm64 deb'", out)
	}
	if err := os.Truncate(disk, 64<<20); err != nil {
		t.Fatal(err)
	}
	return disk
}

// off ends QEMU.
func (m *machine) off() {
	if m.qemu != nil {
		_ = m.qemu.Stop(5 * time.Second)
		m.qemu = nil
		for _, l := range []*lines{m.qmp, m.pins, m.agent} {
			if l != nil {
				l.Close()
			}
		}
		_ = exec.Command("ip", "netns", "delete", m.ns).Run()
	}
}

// do has QEMU do something (QMP), and gives what it returns.
func (m *machine) do(what string, args any) json.RawMessage {
	m.Helper()
	req := map[string]any{"execute": what}
	if args != nil {
		req["arguments"] = args
	}
	if err := m.qmp.say(req); err != nil {
		m.Fatal(err)
	}
	for {
		line, err := m.qmp.in.ReadBytes('\n')
		if err != nil {
			m.Fatalf("%s: %v\n%s", what, err, m.qemu.Tail())
		}
		var r struct {
			Return json.RawMessage `json:"return"`
			Error  any             `json:"error"`
		}
		if json.Unmarshal(line, &r) == nil && (r.Return != nil || r.Error != nil) {
			if r.Error != nil {
				m.Fatalf("%s: %v", what, r.Error)
			}
			return r.Return
		}
	}
}

// findChip looks for the GPIO controller among QEMU's devices.
func (m *machine) findChip() {
	var all []struct{ Name, Type string }
	_ = json.Unmarshal(m.do("qom-list", map[string]string{"path": "/machine/unattached"}), &all)
	for _, one := range all {
		if one.Type == "child<pl061>" {
			m.chip = "/machine/unattached/" + one.Name
			return
		}
	}
	m.Fatal("QEMU has no GPIO controller")
}

// save stops the board and writes its state down.
func (m *machine) save(path string) {
	m.do("stop", nil)
	m.do("migrate", map[string]string{"uri": "exec:cat > " + path + ".new"})
	m.until("the state is saved", func() bool {
		return strings.Contains(string(m.do("query-migrate", nil)), `"completed"`)
	})
	if err := os.Rename(path+".new", path); err != nil {
		m.Fatal(err)
	}
}

// answers waits until the agent on the board does, after another start than one, and gives the name of that start.
func (m *machine) answers(before string) (boot string) {
	m.Helper()
	for end := time.Now().Add(3 * time.Minute); ; {
		_, boot, err := m.ask("cat /proc/sys/kernel/random/boot_id", nil, 2*time.Second)
		if err == nil && len(boot) == len("01234567-89ab-cdef-0123-456789abcdef\n") && boot != before {
			return boot
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(m.dir, "console.log"))
			m.Fatalf("the board does not answer: %v\n%s", err, log[max(0, len(log)-4000):])
		}
	}
}

// ask has the agent run a script, and gives its exit status and what it printed. The script prints a mark first: what
// the agent answers to a question before, which nobody waited for any more, is passed over.
func (m *machine) ask(script string, in []byte, within time.Duration) (code int, out string, err error) {
	mark := rand.Text()
	if err := m.agent.say(map[string]any{"run": "echo " + mark + "\n" + script, "in": in}); err != nil {
		return 0, "", err
	}
	_ = m.agent.SetReadDeadline(time.Now().Add(within))
	for {
		line, err := m.agent.in.ReadBytes('\n')
		if err != nil {
			return 0, "", err
		}
		var r struct {
			Code int
			Out  []byte
		}
		if json.Unmarshal(line, &r) != nil {
			continue // the end of an answer that came too late
		}
		if out, ours := strings.CutPrefix(string(r.Out), mark+"\n"); ours {
			return r.Code, out, nil
		}
	}
}

// try runs a script on the board, and gives its exit status and what it printed.
func (m *machine) try(script string, in ...byte) (int, string) {
	m.Helper()
	code, out, err := m.ask(script, in, 2*time.Minute)
	if err != nil {
		m.Fatalf("%s: %v", script, err)
	}
	return code, out
}

// run is try for what must work.
func (m *machine) run(script string, in ...byte) string {
	m.Helper()
	code, out := m.try(script, in...)
	if code != 0 {
		m.Fatalf("%s: exit status %d: %s", script, code, out)
	}
	return out
}

// put writes a file on the board.
func (m *machine) put(path string, mode string, b []byte) {
	m.Helper()
	m.run("mkdir -p $(dirname "+path+") && cat > "+path+" && chmod "+mode+" "+path, b...)
}

// until waits for something to be so.
func (m *machine) until(what string, so func() bool) {
	m.Helper()
	for end := time.Now().Add(90 * time.Second); !so(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			m.Fatalf("not within 90 s: %s", what)
		}
	}
}

// pin says something to the controller.
func (m *machine) pin(command string) {
	m.Helper()
	if _, err := fmt.Fprintln(m.pins, command); err != nil {
		m.Fatal(err)
	}
}

// press puts a level on a line of the board: true is high.
func (m *machine) press(line int, high bool) {
	m.pin(fmt.Sprintf("set_irq_in %s unnamed-gpio-in %d %d", m.chip, line, map[bool]int{true: 1}[high]))
}

// watch follows the lines that the board drives.
func (m *machine) watch() {
	for {
		text, err := m.pins.in.ReadString('\n')
		if err != nil {
			return
		}
		var how string
		var line int
		if n, _ := fmt.Sscanf(text, "IRQ %s %d", &how, &line); n != 2 {
			continue
		}
		m.mu.Lock()
		m.level[line] = how == "raise"
		m.trail = append(m.trail, edge{time.Now(), line, how == "raise"})
		m.mu.Unlock()
		select {
		case m.moved <- struct{}{}:
		default:
		}
	}
}

// lit reports the level of a line that the board drives.
func (m *machine) lit(line int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.level[line]
}

// edges gives the changes of a line since the last call, of all lines.
func (m *machine) edges(line int) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.trail {
		if e.line == line {
			n++
		}
	}
	m.trail = nil
	return n
}
