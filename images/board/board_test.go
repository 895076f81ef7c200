//go:build board

package board_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"intercom/internal/stage"
)

// Lines of the controller (9030000.pl061). Line 3 is the machine's power key.
const (
	bell   = 0
	status = 1
	mic    = 2
	relay  = 4
	exit   = 5
	tamper = 6
)

const label = "9030000.pl061"

// station is the configuration of the board's station.
const config = `
cuid = "front_door"
name = "Front door"
context = "Someone is at the front door"
state_dir = "/var/lib/intercomd"
[hub]
url = "ws://10.81.0.1:8080/v1/ws"
allow_plain = true
account = "demo"
apikey_file = "apikey"
[call]
to = "reception"
[audio]
server = "unix:/run/pulse/native"
sinks = ["speaker"]
sources = ["mic_feed.monitor"]
echo = "off"
[[button]]
name = "bell"
line = "9030000.pl061:0"
pull = "none"
action = "toggle"
long = "do_not_disturb"
double = "privacy"
[[led]]
name = "status"
line = "9030000.pl061:1"
[[led]]
name = "mic"
line = "9030000.pl061:2"
shows = "mic"
[door]
line = "9030000.pl061:4"
pulse = "1s"
allow = ["reception"]
[door.exit]
line = "9030000.pl061:5"
pull = "none"
[door.tamper]
line = "9030000.pl061:6"
pull = "none"
`

// scene is a board with a station as its unit, and a hub and a peer on the host.
type scene struct {
	*machine
	hub    *stage.Hub
	peer   *stage.Station
	events *stage.Events
	config string
}

// play installs the station on the board and starts hub and peer.
func play(t *testing.T) *scene { t.Helper(); return playWith(t, config) }

func playWith(t *testing.T, config string) *scene {
	t.Helper()
	s := &scene{machine: start(t)}
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	within := []string{"ip", "netns", "exec", s.ns}
	s.hub, err = stage.StartHub(s.ctx, s.dir, bin, stage.HubSettings{Ring: 60 * time.Second, Listen: hostIP + ":8080",
		Within: within, Extra: "allow_plain = true"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.hub.Stop(5 * time.Second) })
	sound, err := stage.StartSound(s.ctx, s.dir, "peer_mic", "peer_spk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sound.Stop(5 * time.Second) })
	s.peer, err = stage.NewStation(s.dir, bin, s.hub,
		stage.Settings{CUID: "reception", Name: "Reception", Context: "A call from reception", To: "front_door",
			Server: sound.Server, Sink: "peer_spk", Source: "peer_mic.monitor", Interfaces: []string{"tap0"},
			Within: within})
	if err == nil {
		err = s.peer.Up(s.ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.peer.Stop(5 * time.Second) })
	if s.events, err = s.peer.Follow(s.ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.events.Close)
	s.config = config
	s.install()
	return s
}

// install puts the station on the board, as a package would, and starts it.
func (s *scene) install() {
	s.Helper()
	unit, err := os.ReadFile("../../systemd/intercomd.service")
	if err != nil {
		s.Fatal(err)
	}
	s.network()
	s.run("tar xf /dev/vdb -C /usr/bin")
	s.put("/etc/intercomd/intercomd.toml", "644", []byte(s.config))
	s.put("/etc/intercomd/apikey", "600", []byte(s.hub.Key))
	s.put("/etc/systemd/system/intercomd.service", "644", unit)
	s.run("systemctl daemon-reload && systemctl start intercomd")
	s.until("the station is registered", func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
}

// ctl asks the station on the board.
func (s *scene) ctl(command string) string {
	_, out := s.try("intercomctl -json " + command)
	return strings.ReplaceAll(strings.ReplaceAll(out, "\n", ""), ": ", ":")
}

// push presses a line for a time.
func (s *scene) push(line int, d time.Duration) {
	s.press(line, true)
	time.Sleep(d)
	s.press(line, false)
}

func TestAPressRingsAndTheLampsFollow(t *testing.T) {
	s := play(t)
	if s.lit(status) || s.lit(mic) || s.lit(relay) {
		t.Error("a lamp is lit, or the relay is energised, on an idle station")
	}
	if st := s.ctl("status"); strings.Contains(st, `"realtime"`) {
		t.Errorf("the unit does not give the sound its priority: %s", st)
	}
	s.push(bell, 200*time.Millisecond)
	if _, err := s.events.Phase(s.ctx, "ringing"); err != nil {
		t.Fatal(err, s.run("journalctl -u intercomd --no-pager | tail -40"))
	}
	s.edges(status)
	time.Sleep(3 * time.Second)
	if n := s.edges(status); n < 3 {
		t.Errorf("the lamp changes %d times in three seconds of calling", n)
	}
	if s.lit(mic) {
		t.Error("the microphone's lamp is lit while it rings")
	}
	if err := s.peer.Press(s.ctx, "answer"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.events.Phase(s.ctx, "talking"); err != nil {
		t.Fatal(err, s.run("journalctl -u intercomd --no-pager | tail -40"))
	}
	s.until("both lamps are lit", func() bool { return s.lit(status) && s.lit(mic) })
	s.push(bell, 200*time.Millisecond)
	if _, err := s.events.Ended(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.until("both lamps are dark", func() bool { return !s.lit(status) && !s.lit(mic) })

	call := strings.TrimSpace(s.run(`journalctl -u intercomd -o json --no-pager MESSAGE_ID=` + kind(t, "call ended") +
		` | tail -1`))
	for _, want := range []string{`"STATUS":"over"`, `"REASON":"hangup"`, `"PEER":"reception"`, `"CALL_ID":"`} {
		if !strings.Contains(strings.ReplaceAll(call, `" : "`, `":"`), want) {
			t.Errorf("the journal's entry has no %s: %s", want, call)
		}
	}
}

// kind is the MESSAGE_ID of a kind of event, as documented.
func kind(t *testing.T, text string) string {
	b, err := os.ReadFile("../../docs/log-fields.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "| "+text+" | `")
	if !ok {
		t.Fatalf("%s is not documented", text)
	}
	return rest[:32]
}

func TestLongDoubleBouncesAndGlitches(t *testing.T) {
	s := play(t)
	s.push(bell, 3*time.Second)
	s.until("a long press", func() bool { return strings.Contains(s.ctl("status"), `"do_not_disturb":true`) })
	s.push(bell, 100*time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	s.push(bell, 100*time.Millisecond)
	s.until("a double press", func() bool { return strings.Contains(s.ctl("status"), `"privacy":true`) })
	trains, err := os.ReadFile("../../gpio/testdata/bounces.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(trains)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] == "#" {
			continue
		}
		before := count(s)
		for _, closing := range []bool{true, false} {
			level := closing
			for _, us := range words[1:] {
				n, err := strconv.Atoi(us)
				if err != nil {
					t.Fatal(err)
				}
				s.press(bell, level)
				time.Sleep(time.Duration(n) * time.Microsecond)
				level = !level
			}
			s.press(bell, closing)
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		if n := count(s) - before; n != 1 {
			t.Errorf("%s: %d presses", words[0], n)
		}
	}
	before := s.ctl("status")
	s.push(bell, time.Millisecond)
	time.Sleep(2 * time.Second)
	if after := s.ctl("status"); presses(before) != presses(after) {
		t.Errorf("a glitch is a press: %s", presses(after))
	}
}

// count is how many presses of the bell there were.
func count(s *scene) int {
	n, err := strconv.Atoi(presses(s.ctl("status")))
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// presses is what the status says of the bell.
func presses(status string) string {
	_, rest, _ := strings.Cut(status, `"presses":`)
	n, _, _ := strings.Cut(rest, ",")
	return n
}

func TestTheRelayIsSilent(t *testing.T) {
	s := play(t)
	s.edges(relay)
	for _, what := range []string{"systemctl restart intercomd",
		"systemctl kill -s KILL intercomd; sleep 4; systemctl is-active intercomd",
		"systemctl stop intercomd; sleep 1; systemctl start intercomd"} {
		s.run(what)
		s.until("it is back after "+what, func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
		if n := s.edges(relay); n > 0 || s.lit(relay) {
			t.Errorf("%s: the relay moved %d times", what, n)
		}
	}
	s.push(exit, 200*time.Millisecond)
	s.until("the door opened and shut", func() bool {
		return !s.lit(relay) && strings.Contains(s.run("journalctl -u intercomd --no-pager"), "exit button")
	})
	if n := s.edges(relay); n != 2 {
		t.Errorf("an opening moves the relay %d times", n)
	}
	s.push(tamper, time.Second)
	s.until("it is locked", func() bool { return strings.Contains(s.ctl("status"), `"locked":true`) })
	s.run("systemctl restart intercomd")
	s.until("it is back", func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
	s.push(exit, 200*time.Millisecond)
	time.Sleep(3 * time.Second)
	if s.lit(relay) || s.edges(relay) > 0 {
		t.Error("a relay that was tampered with opens after a restart")
	}
	s.ctl("door unlock")
	s.push(exit, 200*time.Millisecond)
	s.until("it opens again", func() bool { return s.edges(relay) > 0 })
}

// A relay that is active low is high from the first moment on, and stays so over restarts: it never pulses.
func TestARelayThatIsActiveLow(t *testing.T) {
	s := playWith(t, strings.Replace(config, `line = "9030000.pl061:4"`,
		"line = \"9030000.pl061:4\"\nactive_low = true", 1))
	if n := s.edges(relay); !s.lit(relay) || n != 1 {
		t.Errorf("at the start the line moves %d times, and is high: %v", n, s.lit(relay))
	}
	s.run("systemctl restart intercomd; systemctl kill -s KILL intercomd; sleep 4; systemctl is-active intercomd")
	s.until("it is back", func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
	if n := s.edges(relay); n > 0 || !s.lit(relay) {
		t.Errorf("over restarts the line moves %d times, and is high: %v", n, s.lit(relay))
	}
	s.push(exit, 200*time.Millisecond)
	s.until("it opened and shut", func() bool {
		return s.lit(relay) && strings.Contains(s.run("journalctl -u intercomd --no-pager"), "exit button")
	})
	if n := s.edges(relay); n != 2 {
		t.Errorf("an opening moves the line %d times", n)
	}
}

func TestTheWatchdogRestartsAFrozenStation(t *testing.T) {
	s := play(t)
	s.run("systemctl kill -s STOP intercomd")
	s.until("systemd restarted it", func() bool {
		return strings.Contains(s.run("systemctl show intercomd -p NRestarts"), "NRestarts=1")
	})
	s.until("it is registered again", func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
	if log := s.run("journalctl -u intercomd --no-pager"); !strings.Contains(log, "Watchdog timeout") {
		t.Errorf("the journal says nothing of the watchdog:\n%s", log)
	}
}

func TestFaultsAndRecovery(t *testing.T) {
	s := play(t)
	s.run("systemctl stop sound")
	s.until("it says that its sound is gone", func() bool { return strings.Contains(s.ctl("status"), `"audio":`) })
	s.run("systemctl start sound")
	s.until("its sound is back", func() bool { return strings.Contains(s.ctl("status"), `"health":"healthy"`) })
	s.run("ip link set eth0 down")
	s.until("it says that the hub is away", func() bool { return strings.Contains(s.ctl("status"), `"online":false`) })
	s.push(bell, 200*time.Millisecond)
	s.until("the visit is kept", func() bool { return strings.Contains(s.ctl("status"), `"untold":1`) })
	s.run("ip link set eth0 up; ip addr replace " + boardIP + "/24 dev eth0")
	s.until("the visit is told", func() bool {
		st := s.ctl("status")
		return strings.Contains(st, `"online":true`) && strings.Contains(st, `"untold":0`)
	})
	if text := s.run("systemctl show intercomd -p StatusText"); !strings.Contains(text, "registered as front_door") {
		t.Error(text)
	}
}

// A line that another program holds is a fault that says so, and is taken when it is free.
func TestALineThatIsInUse(t *testing.T) {
	s := play(t)
	s.run("systemctl stop intercomd; gpiomon " + chipPath(s) +
		fmt.Sprintf(" %d >/dev/null 2>&1 & sleep 2; systemctl start intercomd", bell))
	s.until("the fault says it", func() bool { return strings.Contains(s.ctl("status"), "in use by another program") })
	s.run("kill $(pidof gpiomon)")
	s.until("the line is taken", func() bool { return strings.Contains(s.ctl("status"), `"health":"healthy"`) })
}

// chipPath is the controller's device.
func chipPath(s *scene) string {
	for line := range strings.Lines(s.run("gpiodetect")) {
		if strings.Contains(line, label) {
			return strings.Fields(line)[0]
		}
	}
	s.Fatal("the board has no " + label)
	return ""
}

// A button that is held while the station starts calls nobody, until it was up.
func TestHeldAtTheStart(t *testing.T) {
	s := play(t)
	s.run("systemctl stop intercomd")
	s.press(bell, true)
	s.run("systemctl start intercomd")
	s.until("it is registered", func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
	time.Sleep(3 * time.Second)
	if st := s.ctl("status"); !strings.Contains(st, `"phase":"idle"`) || presses(st) != "0" {
		t.Errorf("a button that was held at the start is pressed: %s", st)
	}
	s.press(bell, false)
	time.Sleep(500 * time.Millisecond)
	s.push(bell, 200*time.Millisecond)
	if _, err := s.events.Phase(s.ctx, "ringing"); err != nil {
		t.Error(err)
	}
}

// Through a reboot, from the end of the old system to the start of the station on the new one, nothing moves the relay.
// When the power is cut while the door is held open, it is shut, and stays so when the power is back.
func TestTheRelayThroughARebootAndAPowerCut(t *testing.T) {
	s := play(t)
	again := func(how func()) {
		s.edges(relay)
		before := s.run("cat /proc/sys/kernel/random/boot_id")
		how()
		s.answers(before)
		s.install() // the board forgets what is on its disk
	}
	// its answer may go down with the board
	again(func() { _ = s.agent.say(map[string]string{"run": "systemctl reboot"}) })
	if n := s.edges(relay); n > 0 || s.lit(relay) {
		t.Errorf("through a reboot the relay moved %d times", n)
	}
	s.ctl("door hold")
	s.until("the door is held open", func() bool { return s.lit(relay) })
	again(func() { s.do("system_reset", nil) })
	if n := s.edges(relay); n > 1 || s.lit(relay) {
		t.Errorf("through a power cut the relay moved %d times; it is open: %v", n, s.lit(relay))
	}
}

// A desktop user's sound server, by the drop-in that docs/kiosk.md has.
func TestAUsersSoundServer(t *testing.T) {
	s := playWith(t, strings.Replace(config, `server = "unix:/run/pulse/native"`, "", 1))
	s.run("systemctl stop intercomd sound && useradd --uid 1000 --create-home --groups gpio pi && install -d -o pi " +
		"-m 700 /run/user/1000")
	s.run(
		`systemd-run -q --unit=session --uid=pi --setenv=HOME=/home/pi --setenv=XDG_RUNTIME_DIR=/run/user/1000 pulseaudio -n --daemonize=no --exit-idle-time=-1 --disable-shm=yes ` +
			`-L module-native-protocol-unix -L "module-null-sink sink_name=speaker norewinds=1" -L "module-null-sink sink_name=mic_feed norewinds=1"`)
	s.put("/etc/systemd/system/intercomd.service.d/user.conf", "644",
		[]byte("[Service]\nUser=pi\nGroup=pi\nEnvironment=XDG_RUNTIME_DIR=/run/user/1000\n"))
	s.run("systemctl daemon-reload && systemctl start intercomd")
	s.until("the sound is there", func() bool {
		out := s.ctl("status")
		return strings.Contains(out, `"sink":"speaker"`) && strings.Contains(out, `"health":"healthy"`)
	})
}

// The station as an installer gets it: its package makes the user, the rule for GPIO chips and the unit.
func TestFromItsPackage(t *testing.T) {
	s := play(t)
	s.run(`systemctl stop intercomd; rm -r /etc/systemd/system/intercomd.service /usr/bin/intercomd /usr/bin/intercomctl /etc/intercomd /var/lib/intercomd /etc/udev/rules.d/60-gpio.rules
		userdel intercom; groupdel gpio; chown root:root /dev/gpiochip*; systemctl daemon-reload`)
	s.run("tar xf /dev/vdb -C /tmp " + packageFile + " && dpkg -i /tmp/" + packageFile)
	s.put("/etc/intercomd/intercomd.toml", "644", []byte(s.config))
	s.put("/etc/intercomd/apikey", "600", []byte(s.hub.Key))
	s.run("intercomd check && systemctl start intercomd")
	s.until("the station is registered", func() bool { return strings.Contains(s.ctl("status"), `"online":true`) })
	s.push(bell, 200*time.Millisecond)
	if _, err := s.events.Phase(s.ctx, "ringing"); err != nil {
		t.Fatal(err, s.run("intercomctl status; ls -l /dev/gpiochip*; journalctl -u intercomd --no-pager | tail -40"))
	}
	s.push(bell, 200*time.Millisecond)
	if _, err := s.events.Ended(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.run("dpkg -r intercomd && test -e /var/lib/intercomd/instance && dpkg -P intercomd && ! test -e " +
		"/var/lib/intercomd")
}

// Who asks a station that is not up yet wakes it, through the socket that systemd holds.
func TestTheSocketStartsTheStation(t *testing.T) {
	s := play(t)
	unit, err := os.ReadFile("../../systemd/intercomd.socket")
	if err != nil {
		t.Fatal(err)
	}
	s.run("systemctl stop intercomd")
	s.put("/etc/systemd/system/intercomd.socket", "644", unit)
	s.run("systemctl daemon-reload && systemctl start intercomd.socket")
	if out := s.run("intercomctl status"); !strings.Contains(out, "front_door") {
		t.Error(out)
	}
	if out := s.run("systemctl is-active intercomd"); !strings.HasPrefix(out, "active") {
		t.Error(out)
	}
}

// On the device tree of a Raspberry Pi 3, lines have their names, a line that does not exist is answered by those that
// do, and one that is taken is in use.
func TestNamesOnARaspberryPi3(t *testing.T) {
	t.Parallel()
	folder, err := image()
	if err != nil {
		t.Skip("no board: ", err)
	}
	dir := t.TempDir()
	compile := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "init"), "./names")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := bare(t, dir, "", "NAMES end", 2*time.Minute, "qemu-system-aarch64", "-M", "raspi3b", "-nodefaults",
		"-display", "none", "-kernel", filepath.Join(folder, "vmlinuz"),
		"-dtb", filepath.Join(folder, "bcm2837-rpi-3-b.dtb"), "-append",
		"console=ttyAMA0,115200 quiet panic=1 rdinit=/init -- GPIO17 pinctrl-bcm2835:5 no-such")
	for _, want := range []string{"NAMES GPIO17: high false, error <nil>",
		"NAMES pinctrl-bcm2835:5: high false, error <nil>",
		"no-such: there is no such GPIO line", "/dev/gpiochip0 has pinctrl-bcm2835:0 to pinctrl-bcm2835:53, named",
		" GPIO27 ",
		"NAMES output GPIO22: error <nil>",
		"NAMES output GPIO17: error GPIO17: the GPIO line is in use by another program"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q in\n%s", want, said)
		}
	}
}

// On the kernel's GPIO simulator: names, pulls, what is read back, and the times, which are printed and not judged.
//
// With FIGURES=figures it measures twenty times and not three.
func TestOnTheGPIOSimulator(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("no simulator: qemu-system-x86_64 is not installed; run 'make deps-board'")
	}
	build := exec.Command("bash", "build-sim")
	build.Stderr = os.Stderr
	folder, err := build.Output()
	if err != nil {
		t.Skip("no simulator: ", err)
	}
	from := strings.TrimSpace(string(folder))
	dir := t.TempDir()
	compile := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "init"), "./sim")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said := bare(t, dir, from+"/*.ko", "SIM end", 10*time.Minute, "qemu-system-x86_64", "-M", "q35", "-m", "256",
		"-smp", "2", "-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(from, "vmlinuz"), "-append",
		"console=ttyS0 quiet panic=1 rdinit=/init "+os.Getenv("FIGURES"))
	for _, want := range []string{"SIM pull up, active low: pressed false, error <nil>",
		"SIM pulled down: pressed true, error <nil>", "SIM twice: in use true",
		"SIM output, active low false: at first 0, lit 1, error <nil>",
		"SIM output, active low true: at first 1, lit 0, error <nil>"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q in\n%s", want, said)
		}
	}
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "SIM") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// bare runs a board whose only program is dir/init until it says that it has ended, and gives all that it said. more
// are files beside it.
func bare(t *testing.T, dir, more, end string, most time.Duration, program string, args ...string) string {
	t.Helper()
	script :=
		`set -e; mkdir -p r/dev r/proc r/sys; mknod r/dev/console c 5 1; mv init r/; cp $0 r/ 2>/dev/null || true; cd r; find . | cpio -o -H newc --quiet | gzip -1 >../initrd`
	pack := exec.Command("bash", "-c", strings.ReplaceAll(script, "$0", more))
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	console := filepath.Join(dir, "console.log")
	q, err := stage.Start(dir, "qemu", nil, program, append(args, "-initrd", filepath.Join(dir, "initrd"), "-serial",
		"file:"+console)...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = q.Stop(5 * time.Second) }()
	said := func() string { b, _ := os.ReadFile(console); return string(b) }
	for late := time.Now().Add(most); !strings.Contains(said(), end); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("it does not end:\n%s\n%s", said(), q.Tail())
		}
	}
	return said()
}
