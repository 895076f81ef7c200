//go:build card

// Package card_test proves the card's image on QEMU's "virt": it is provisioned from its boot partition, makes a call,
// takes an update, gives a bad one up, and outlives a plug that is pulled. 'make test-image' runs it.
package card_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"intercom/internal/stage"
)

// The two ends of the card's network.
const (
	hostIP = "10.82.0.1"
	cardIP = "10.82.0.2"
)

// configuration is what an installer writes.
const configuration = `cuid = "front_door"
name = "Front door"
[hub]
url = "ws://10.82.0.1:8080"
allow_plain = true
account = "demo"
apikey_file = "apikey"
[call]
to = "reception"
[audio]
sinks = ["speaker"]
sources = ["speaker.monitor"]
echo = "off"
[[button]]
name = "bell"
line = "9030000.pl061:0"
pull = "none"
action = "toggle"
[[led]]
name = "status"
line = "9030000.pl061:1"
`

// sound is a sound server without a card: its microphone hears its loudspeaker.
const sound = `load-module module-native-protocol-unix socket=/run/pulse/native auth-cookie-enabled=0
load-module module-null-sink sink_name=speaker rate=48000 channels=1 channel_map=mono norewinds=1
`

// certificates makes those of docs/logs.md: an authority, the collector's, and the card's.
const certificates = `
	new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "$@" 2>/dev/null; }
	new -subj /CN=intercom -keyout ca.key -out collector-ca.pem
	new -CA collector-ca.pem -CAkey ca.key -subj /CN=collector -addext subjectAltName=IP:` + hostIP + ` -keyout at.key -out at.pem
	new -CA collector-ca.pem -CAkey ca.key -subj /CN=front_door -keyout collector.key -out collector.pem
	mkdir journal
	cat >tunnel.conf <<-END
		foreground = yes
		pid =
		[journal]
		accept = ` + hostIP + `:19532
		connect = 127.0.0.1:19531
		key = $PWD/at.key
		cert = $PWD/at.pem
		CAfile = $PWD/collector-ca.pem
		verifyChain = yes
	END`

// world is what is around the card: a network with a hub, another station, and a server for updates.
type world struct {
	testing.TB
	ctx    context.Context
	dir    string
	ns     string
	disk   string
	key    string // for SSH
	hub    *stage.Hub
	peer   *stage.Station
	events *stage.Events
	board  *board
}

// board is a virtual machine that has power.
type board struct {
	qemu *stage.Process
	pins net.Conn
	chip string
	n    int
}

func TestACard(t *testing.T) {
	w := begin(t)
	w.flash("virt", configuration, "")
	w.power(w.virt())
	w.registers("the card is provisioned and registers")
	w.provisioned()
	w.rings("after the first start")
	w.logs()

	// An update is written into the other half, started on trial, and kept.
	good := w.bundle("good", "0.2.0", "")
	w.update(good)
	w.registers("the update registers")
	w.waits("the update is kept", func() bool { return w.env("BOOT_TRIAL") == "" })
	w.is("0.2.0", "B")
	w.rings("after the update")

	// One whose station does not work is given up.
	bad := w.bundle("bad", "0.3.0", "rm /usr/bin/intercomd\nmkdir /etc/systemd/system/intercom-verdict.service.d\n"+
		"write trial.conf /etc/systemd/system/intercom-verdict.service.d/trial.conf\n")
	w.update(bad)
	w.waits("the bad update is started", func() bool {
		return strings.Contains(w.try("cat /proc/cmdline"), "rauc.slot=A")
	})
	w.registers("the release before it is back")
	w.is("0.2.0", "B")
	if status := w.ssh("intercomctl -json status"); !strings.Contains(status, "UPDATE_GIVEN_UP") ||
		!strings.Contains(status, "does not answer") {
		t.Errorf("the station does not say what became of the update: %s", status)
	}

	// The plug is pulled while an update is written.
	go func() { _, _ = w.remote(w.ctx, "intercom-update http://"+hostIP+":8000/"+good) }()
	w.waits("the update is being written", func() bool {
		written, err := strconv.Atoi(strings.TrimSpace(
			w.try("awk '{ print $7 }' /sys/block/vda/vda2/stat || awk '{ print $7 }' /sys/class/block/vda2/stat")))
		return err == nil && written > 100_000 // sectors
	})
	w.must(w.board.qemu.Signal(os.Kill))
	<-w.board.qemu.Ended()
	w.power(w.virt())
	w.registers("the card starts after the plug was pulled")
	w.is("0.2.0", "B")

	// A half that does not start gives the turn to the other: what was half written is tried, and the one that works
	// runs.
	w.ssh("fw_setenv BOOT_ORDER 'A B'; fw_setenv BOOT_A_LEFT 2; dd if=/dev/zero of=/dev/vda2 bs=1M count=8 " +
		"conv=fsync status=none; systemctl reboot || true")
	w.away()
	w.registers("the other half runs")
	w.is("0.2.0", "B")
	w.rings("after all of it")
}

// The card for a Raspberry Pi, on a Pi 3 as far as QEMU has one: its SD controller and its pins. Its network by USB
// does not come up, its watchdog resets the board as soon as it is started, and nobody can press a button: a pin that
// reads low is one that is held, if the button is to be active low.
func TestAPiCard(t *testing.T) {
	w := begin(t)
	pins := strings.NewReplacer("9030000.pl061:0", "GPIO17", "9030000.pl061:1", "GPIO27", `pull = "none"`,
		`pull = "up"`+"\nactive_low = true")
	w.flash("pi", pins.Replace(configuration), " module_blacklist=bcm2835_wdt")
	w.power(w.pi())
	for _, want := range []string{"U-Boot", "The station took station.toml over", "Started intercomd.service",
		"marked slot root.0 as good", "stuck button bell"} {
		w.waits(want, func() bool { return strings.Contains(w.all(), want) })
	}
	card := w.sh("mtype -i card.img@@4M ::/station.log; mdir -b -i card.img@@4M ::/")
	if !strings.Contains(card, "took station.toml over") || strings.Contains(card, "apikey") {
		t.Errorf("on the card: %s", card)
	}
}

// idle is for how long BenchmarkIdle looks on.
var idle = flag.Duration("idle", 0, "for how long an idle card is watched")

// BenchmarkIdle measures what an idle, registered station writes to its card, scaled to a day.
//
//	go test -tags card -run none -bench Idle -benchtime 1x -timeout 2h ./images/card -idle 1h
func BenchmarkIdle(b *testing.B) {
	if *idle <= 0 {
		b.Fatal("say for how long the card is watched, for example -idle 1h")
	}
	w := begin(b)
	w.flash("virt", configuration, "")
	w.power(w.virt())
	w.registers("the card registers")
	time.Sleep(2 * time.Minute) // what a first start writes is not what it writes for ever
	written := func() float64 {
		// sectors of 512 bytes
		n, err := strconv.ParseFloat(strings.TrimSpace(w.ssh("awk '{ print $7 }' /sys/block/vda/stat")), 64)
		w.must(err)
		return n * 512
	}
	before := written()
	time.Sleep(*idle)
	after := written()
	b.ReportMetric(before/1e6, "MB-at-start")
	b.ReportMetric((after-before)/idle.Hours()*24/1e6, "MB/day")
}

// begin makes the network, and starts what is in it.
func begin(t testing.TB) *world {
	if os.Getuid() != 0 {
		t.Fatal("a network of its own needs root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute+*idle)
	t.Cleanup(cancel)
	w := &world{TB: t, ctx: ctx, dir: t.TempDir(), ns: fmt.Sprintf("icc%d", os.Getpid())}
	w.sh(`ip netns add $NS; ip -n $NS link set lo up; ip -n $NS tuntap add tap0 mode tap; ip -n $NS addr add ` + hostIP + `/24 dev tap0; ip -n $NS link set tap0 up
		ssh-keygen -q -t ed25519 -N '' -f key`)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", w.ns).Run() })
	w.key = filepath.Join(w.dir, "key")
	within := []string{"ip", "netns", "exec", w.ns}
	w.start("dnsmasq", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root",
		"--interface=tap0", "--bind-interfaces",
		"--dhcp-range="+cardIP+","+cardIP, "--dhcp-leasefile="+filepath.Join(w.dir, "leases"),
		"--pid-file="+filepath.Join(w.dir, "dnsmasq.pid"))
	w.start("updates", "python3", "-m", "http.server", "--directory", w.dir, "--bind", hostIP, "8000")
	bin, err := filepath.Abs("../../bin")
	w.must(err)
	w.hub, err = stage.StartHub(ctx, w.dir, bin, stage.HubSettings{Ring: 60 * time.Second, Listen: hostIP + ":8080",
		Within: within, Extra: "allow_plain = true"})
	w.must(err)
	t.Cleanup(func() { _ = w.hub.Stop(5 * time.Second) })
	server, err := stage.StartSound(ctx, w.dir, "peer_mic", "peer_spk")
	w.must(err)
	t.Cleanup(func() { _ = server.Stop(5 * time.Second) })
	w.peer, err = stage.NewStation(w.dir, bin, w.hub,
		stage.Settings{CUID: "reception", Name: "Reception", Context: "A call from reception", To: "front_door",
			Server: server.Server, Sink: "peer_spk", Source: "peer_mic.monitor", Interfaces: []string{"tap0"},
			Within: within})
	w.must(err)
	w.must(w.peer.Up(ctx))
	t.Cleanup(func() { _ = w.peer.Stop(5 * time.Second) })
	w.events, err = w.peer.Follow(ctx)
	w.must(err)
	t.Cleanup(w.events.Close)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// sh runs a script on this machine; $NS is the network.
func (w *world) sh(script string) string {
	w.Helper()
	c := exec.CommandContext(w.ctx, "bash", "-euc", script)
	c.Dir, c.Env = w.dir, append(os.Environ(), "NS="+w.ns)
	out, err := c.CombinedOutput()
	if err != nil {
		w.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// start runs a program in the network until the test ends.
func (w *world) start(name string, args ...string) *stage.Process {
	w.Helper()
	p, err := stage.Start(w.dir, name, nil, "ip", append([]string{"netns", "exec", w.ns}, args...)...)
	w.must(err)
	w.Cleanup(func() { _ = p.Stop(5 * time.Second) })
	return p
}

const images = "../../out/image"

// flash writes a target's image to a card that is larger, and puts on it what an installer would.
func (w *world) flash(target, configuration, args string) {
	w.Helper()
	image, err := filepath.Abs(images + "/intercom-" + target + ".img")
	w.must(err)
	w.disk = filepath.Join(w.dir, "card.img")
	w.sh(certificates)
	for name, text := range map[string]string{"collector": "URL=https://" + hostIP + ":19532\n",
		"station.toml": configuration, "apikey": w.hub.Key + "\n", "sound.pa": sound,
		"args.txt": "args=systemd.journald.forward_to_console=1" + args + "\n"} {
		w.must(os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
	}
	write := "cp --sparse=always " + image + " card.img"
	if target == "pi" {
		write = strings.Replace(w.page("xzcat", "/dev/sdX", w.disk), "out/image/intercom-pi.img.xz", image+".xz", 1)
	}
	// as an editor of Windows saves them: with a byte order mark, and a carriage return at the end of each line
	windows := `LC_ALL=C sed -i '1s/^/\xef\xbb\xbf/; s/$/\r/' station.toml apikey authorized_keys collector`
	w.sh(write + "; truncate -s 4G card.img; cp key.pub authorized_keys; " + windows)
	w.sh("mcopy -o -i card.img@@4M args.txt station.toml apikey sound.pa " +
		"authorized_keys collector collector.key collector.pem collector-ca.pem ::/")
}

// page is what docs/image.md says that root does, with what the reader has in place of what stands there.
func (w *world) page(command, there, here string) string {
	w.Helper()
	b, err := os.ReadFile("../../docs/image.md")
	w.must(err)
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "# "+command) && strings.Contains(line, there) {
			return strings.Replace(strings.TrimSpace(line[2:]), there, here, 1)
		}
	}
	w.Fatalf("docs/image.md has no command %s with %s", command, there)
	return ""
}

// virt is QEMU's board for everything.
func (w *world) virt() []string {
	return []string{"-M", "virt,acpi=off", // with firmware and ACPI, QEMU has no GPIO controller
		"-cpu", "cortex-a57", "-smp", "2", "-m", "512", "-bios", "/usr/lib/u-boot/qemu_arm64/u-boot.bin", "-device",
		"i6300esb",
		"-drive", "if=none,id=card,format=raw,file=" + w.disk, "-device", "virtio-blk-pci,drive=card", "-device",
		"virtio-net-pci,netdev=net,romfile="}
}

// pi is QEMU's Raspberry Pi 3, which starts U-Boot in place of the firmware.
func (w *world) pi() []string {
	w.sh("mcopy -n -i card.img@@4M ::/u-boot.bin ::/bcm2837-rpi-3-b.dtb .")
	return []string{"-M", "raspi3b", "-kernel", filepath.Join(w.dir, "u-boot.bin"), "-dtb",
		filepath.Join(w.dir, "bcm2837-rpi-3-b.dtb"),
		"-drive", "if=sd,format=raw,file=" + w.disk, "-device", "usb-net,netdev=net", "-serial", "null"}
}

// power plugs the card's board in.
func (w *world) power(machine []string) {
	w.Helper()
	n := 0
	if w.board != nil {
		n = w.board.n + 1
	}
	b := &board{n: n}
	socket := func(name string) string { return filepath.Join(w.dir, fmt.Sprint(name, n)) }
	b.qemu = w.start(fmt.Sprint("qemu", n), append([]string{"qemu-system-aarch64", "-accel", "tcg", "-display", "none",
		"-nodefaults",
		"-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no",
		"-qmp", "unix:" + socket("qmp") + ",server=on,wait=off", "-qtest",
		"unix:" + socket("pins") + ",server=on,wait=off", "-qtest-log", "none"},
		append(machine, "-serial", "file:"+socket("console"))...)...)
	w.must(b.qemu.Wait(w.ctx, "it had its sockets", func() bool {
		_, err := os.Stat(socket("pins"))
		return err == nil
	}))
	qmp, err := net.Dial("unix", socket("qmp"))
	w.must(err)
	defer qmp.Close()
	in := bufio.NewReader(qmp)
	_, err = in.ReadString('\n')
	w.must(err)
	ask := func(request string) (answer []byte) {
		_, err := io.WriteString(qmp, request+"\n")
		w.must(err)
		for !strings.HasPrefix(string(answer), `{"return"`) {
			answer, err = in.ReadBytes('\n')
			w.must(err)
		}
		return answer
	}
	ask(`{"execute": "qmp_capabilities"}`)
	var list struct{ Return []struct{ Name, Type string } }
	w.must(json.Unmarshal(ask(`{"execute": "qom-list", "arguments": {"path": "/machine/unattached"}}`), &list))
	for _, one := range list.Return {
		if one.Type == "child<pl061>" {
			b.chip = "/machine/unattached/" + one.Name
		}
	}
	b.pins, err = net.Dial("unix", socket("pins"))
	w.must(err)
	w.Cleanup(func() { b.pins.Close() })
	w.board = b
}

// press presses the bell for a time that a debounced button notices, also on a slow board.
func (w *world) press() {
	for _, level := range []int{1, 0} {
		_, err := fmt.Fprintf(w.board.pins, "set_irq_in %s unnamed-gpio-in 0 %d\n", w.board.chip, level)
		w.must(err)
		time.Sleep(200 * time.Millisecond) // a finger
	}
}

// remote runs a script on the card.
func (w *world) remote(ctx context.Context, script string) (string, error) {
	c := exec.CommandContext(ctx, "ip", "netns", "exec", w.ns, "ssh", "-i", w.key, "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=6", "-o", "BatchMode=yes",
		"root@"+cardIP, script)
	out, err := c.CombinedOutput()
	return string(out), err
}

// ssh is remote for what must work.
func (w *world) ssh(script string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Minute)
	defer cancel()
	out, err := w.remote(ctx, script)
	var exit *exec.ExitError
	// cut off by what it asked for
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 255 && strings.Contains(script, "reboot")) {
		w.Fatalf("%s: %v: %s\n%s", script, err, out, w.console())
	}
	return out
}

// try is remote for what may not work yet.
func (w *world) try(script string) string {
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	out, _ := w.remote(ctx, script)
	return out
}

// all is what the board has written to its console.
func (w *world) all() string {
	b, _ := os.ReadFile(filepath.Join(w.dir, fmt.Sprint("console", w.board.n)))
	return string(b)
}

func (w *world) console() string {
	b := w.all()
	return "the console's end:\n" + b[max(0, len(b)-12000):]
}

// waits waits until something is so: a board that is emulated takes its time.
func (w *world) waits(what string, so func() bool) {
	w.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > 4*time.Minute {
			w.Fatalf("not within 4 minutes: %s\n%s\n%s", what,
				w.try("intercomctl status; systemctl --failed --no-legend; journalctl -u 'intercom*' -n 40 --no-pager"),
				w.console())
		}
		time.Sleep(500 * time.Millisecond)
	}
	w.Logf("%s: after %.0f s", what, time.Since(began).Seconds())
}

func (w *world) registers(what string) {
	w.Helper()
	w.waits(what, func() bool { return strings.Contains(w.try("intercomctl -json status"), `"online":true`) })
}

// away waits until the card does not answer any more.
func (w *world) away() {
	w.Helper()
	w.waits("the card goes down", func() bool { return w.try("echo here") != "here\n" })
}

func (w *world) env(name string) string {
	return strings.TrimSpace(w.ssh("fw_printenv -n " + name + " 2>/dev/null || true"))
}

// is checks the release that runs, and its half.
func (w *world) is(release, half string) {
	w.Helper()
	if got := w.ssh("cat /etc/intercom-release; grep -o 'rauc.slot=.' /proc/cmdline"); got != release+"\nrauc.slot="+
		half+"\n" {
		w.Errorf("it runs %q, and not %s on %s", got, release, half)
	}
}

// rings presses the bell, and again once the other side rings.
func (w *world) rings(when string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	w.press()
	if _, err := w.events.Phase(ctx, "ringing"); err != nil {
		w.Fatalf("no call %s: %v\n%s", when, err,
			w.ssh("intercomctl status; journalctl -u intercomd --no-pager | tail -30"))
	}
	w.must(w.peer.Press(ctx, "toggle"))
	if _, err := w.events.Phase(ctx, "talking"); err != nil {
		w.Fatalf("%s nobody talks: %v", when, err)
	}
	w.press()
	if _, err := w.events.Ended(ctx); err != nil {
		w.Fatalf("the call %s does not end: %v", when, err)
	}
}

// logs ends a call while the card's network is cut, and finds all of it at the collector afterwards.
func (w *world) logs() {
	w.Helper()
	w.start("collector", "/lib/systemd/systemd-journal-remote", "--listen-http=127.0.0.1:19531",
		"--output="+filepath.Join(w.dir, "journal"))
	w.start("tunnel", "stunnel4", filepath.Join(w.dir, "tunnel.conf"))
	w.waits("the journal arrives", func() bool { return strings.Contains(w.collected("CUID=front_door"), "signed in") })
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	defer cancel()
	w.press()
	ringing, err := w.events.Phase(ctx, "ringing")
	w.must(err)
	w.must(w.peer.Press(ctx, "toggle"))
	_, err = w.events.Phase(ctx, "talking")
	w.must(err)
	w.sh("ip -n $NS link set tap0 down")
	w.press()
	w.waits("the call ends without the network", func() bool {
		console, err := os.ReadFile(filepath.Join(w.dir, fmt.Sprint("console", w.board.n)))
		w.must(err)
		return strings.Count(string(console), "call ended") == 2 // and that of the first call
	})
	w.sh("ip -n $NS link set tap0 up")
	_, err = w.events.Ended(ctx)
	w.must(err)
	w.waits("all of the call arrives", func() bool {
		all := w.collected("CALL_ID=" + ringing.Call)
		return strings.Contains(all, "state") && strings.Contains(all, "call ended")
	})
	w.sh("! grep -r -q -F -f apikey journal")
	w.registers("the station is back after the cut")
}

// collected is what the collector has.
func (w *world) collected(match string) string {
	// an error: nothing is there yet
	out, _ := exec.CommandContext(w.ctx, "journalctl", "--quiet", "--directory="+filepath.Join(w.dir, "journal"),
		match).Output()
	return string(out)
}

// provisioned looks at what an installer would expect.
func (w *world) provisioned() {
	w.Helper()
	found := w.ssh(`hostname
		ls /boot/firmware
		cat /boot/firmware/station.log
		findmnt -no OPTIONS / | cut -d, -f1
		touch /usr/x 2>&1 | grep -o 'Read-only file system' || true
		test $(stat -fc '%b * %S' /data | sed 's/$/ \/ 1048576/' | { read e; echo $((e)); }) -gt 1500 && echo grown
		systemctl show -P RuntimeWatchdogUSec; journalctl -b --no-pager | grep -c 'Using hardware watchdog'
		ls -ld /var/log/journal 2>&1 | grep -o 'No such file'
		systemctl --failed --no-legend; stat -c %a /data/etc/intercomd/apikey; systemd-analyze time
		echo "kernel to registered: $(systemctl show intercomd -P ExecMainStartTimestampMonotonic) us and $(intercomctl -json status | grep -o '"registered_ms":[0-9.]*') ms"`)
	w.Log(found)
	for _, want := range []string{"front-door\n", "station.done.toml", "took station.toml over", "ro\n",
		"Read-only file system", "grown", "15s\n1\n", "No such file", "600\n"} {
		if !strings.Contains(found, want) {
			w.Errorf("%q is not found", want)
		}
	}
	for _, rest := range []string{"apikey\n", "\nstation.toml"} {
		if list, _, _ := strings.Cut(found, "took"); strings.Contains(list, rest) {
			w.Errorf("%q is still on the boot partition", rest)
		}
	}
	// Without the installer's key there is no SSH: the daemon is off.
	if !strings.Contains(w.ssh("systemctl cat ssh"), "ConditionPathExists=/data/etc/ssh/authorized_keys") {
		w.Error("SSH is on without a key")
	}
}

// bundle makes an update of the image's own root file system, with changes by debugfs, and gives its name.
func (w *world) bundle(name, release, changes string) string {
	w.Helper()
	keys, err := filepath.Abs(images)
	w.must(err)
	w.must(os.WriteFile(filepath.Join(w.dir, "release"), []byte(release+"\n"), 0o644))
	w.must(os.WriteFile(filepath.Join(w.dir, "trial.conf"), []byte("[Service]\nEnvironment=TRIAL=30\n"), 0o644))
	w.must(os.WriteFile(filepath.Join(w.dir, "changes"),
		[]byte("rm /etc/intercom-release\nwrite release /etc/intercom-release\n"+changes), 0o644))
	w.sh(`rm -rf b; mkdir b
		start=$(sfdisk -J ` + keys + `/intercom-virt.img | python3 -c 'import json, sys; p = json.load(sys.stdin)["partitiontable"]["partitions"][1]; print(p["start"], p["size"])')
		set -- $start
		dd if=` + keys + `/intercom-virt.img of=b/root.ext4 bs=1M skip=$(($1 / 2048)) count=$(($2 / 2048)) conv=sparse status=none
		debugfs -w -f changes b/root.ext4 >/dev/null 2>&1
		printf '[update]\ncompatible=intercom-station-virt\nversion=` + release + `\n[bundle]\nformat=verity\n[image.root]\nfilename=root.ext4\n' >b/manifest.raucm
		rauc --cert ` + keys + `/own.pem --key ` + keys + `/own.key --mksquashfs-args='-comp zstd -Xcompression-level 1 -quiet -no-progress' bundle b ` + name + `.raucb 2>/dev/null; rm -rf b`)
	return name + ".raucb"
}

// update has the card fetch an update, and waits until it goes down for it.
func (w *world) update(name string) {
	w.Helper()
	began := time.Now()
	w.Log(w.ssh(w.page("intercom-update", "https://updates.example.org/intercom-pi.raucb",
		"http://"+hostIP+":8000/"+name)))
	w.Logf("%s is written: after %.0f s", name, time.Since(began).Seconds())
	w.away()
}
