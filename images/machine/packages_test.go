//go:build machine

package machine_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"intercom/device/control"
	"intercom/internal/stage"
	"intercom/internal/version"
)

// packages are those for this machine.
const packages = "../../out/packages/"

func deb(name, arch string) string { return name + "_" + version.Version + "_" + arch + ".deb" }

// station is the sample, with buttons that a test can press.
const station = `
cuid = "front_door"
context = "Someone is at the front door"
[hub]
url = "ws://127.0.0.1:8443/v1/ws"
account = "demo"
apikey_file = "apikey"
[call]
to = "reception"
[audio]
echo = "off"
[media]
interfaces = ["lo"]
[gpio]
driver = "virtual"
[[button]]
name = "bell"
line = "bell"
action = "toggle"
`

// install brings packages into the machine, as a user does with files that were downloaded.
func (m *machine) install(files ...string) string {
	m.Helper()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			m.Fatalf("%v; run 'make deb'", err)
		}
		m.put("root/"+filepath.Base(f), string(b))
	}
	names := ""
	for _, f := range files {
		names += " /root/" + filepath.Base(f)
	}
	return m.run("apt-get install -y -qq --no-install-recommends" + names + " </dev/null")
}

// status is how the station is, or nothing while it does not answer.
func (m *machine) status(socket string) (s control.Status) {
	_, out := m.try("intercomctl -socket " + socket + " -json status")
	_ = json.Unmarshal([]byte(out), &s)
	return s
}

const (
	own  = control.Socket
	peer = "/run/peer/control.sock"
)

// TestAStationAndAHubFromTheirPackages goes through the life of an installation, on one machine.
func TestAStationAndAHubFromTheirPackages(t *testing.T) {
	m := boot(t)
	m.install(packages+deb("intercom-hub", runtime.GOARCH), packages+deb("intercomd", runtime.GOARCH))

	// The hub runs at once, for this machine only, and says how its first operator is made.
	m.until("the hub is ready", func() bool { code, _ := m.try("systemctl is-active intercom-hub"); return code == 0 })
	// The station waits for its configuration, which is no fault.
	if out :=
		m.run("systemctl show intercomd -P ActiveState -P ConditionResult -P Result -P UnitFileState"); strings.Join(
		strings.Fields(out), " ") != "inactive success no enabled" && !strings.Contains(out, "inactive") {
		t.Errorf("the station that is not configured is %q", out)
	}
	if out := m.run("systemctl is-system-running || true; systemctl --failed --no-legend"); strings.Contains(out,
		"intercom") {
		t.Errorf("a unit has failed: %s", out)
	}
	for _, want := range []string{"gpio", "audio"} {
		if groups := m.run("id -nG intercom"); !strings.Contains(groups, want) {
			t.Errorf("the station's user is in %s", groups)
		}
	}

	// What the page for installers says.
	m.run("umask 077; intercom-hub key new -account demo > /etc/intercomd/apikey")
	m.run("systemctl enable --now intercom-sound")
	m.put("etc/intercomd/intercomd.toml", station)
	if out := m.run("intercomd check"); !strings.Contains(out, "is valid") {
		t.Error(out)
	}
	// a sound card that there is not
	m.run("echo load-module module-null-sink sink_name=speaker >> /etc/intercomd/sound.pa; systemctl restart " +
		"intercom-sound")
	m.run("systemctl start intercomd")
	m.until("the station is registered, with sound", func() bool {
		s := m.status(own)
		return s.Hub.Online && s.Sound.Sink == "speaker" && s.Health == "healthy"
	})
	if out := m.run("intercom-hub stations"); !strings.Contains(out, "front_door") {
		t.Errorf("the hub has %s", out)
	}

	if out :=
		m.run("intercomctl doctor hub && intercomctl doctor button && intercomctl doctor update && intercomctl " +
			"doctor call"); strings.Contains(out, "BROKEN") || !strings.Contains(out, "as front_door") {
		t.Error(out)
	}
	m.run("systemctl stop intercom-hub")
	if code, out := m.try("intercomctl doctor hub"); code != 1 ||
		!strings.Contains(out, "BROKEN it answers: dial tcp 127.0.0.1:8443: connect: connection refused") ||
		!strings.Contains(out, "→ on the hub's machine: sudo systemctl start intercom-hub") {
		t.Errorf("exit status %d: %s", code, out)
	}
	m.run("systemctl start intercom-hub; systemctl stop intercom-sound")
	m.until("the doctor misses the sound", func() bool {
		code, out := m.try("intercomctl doctor audio")
		return code == 1 && strings.Contains(out, "BROKEN the sound server answers") &&
			strings.Contains(out, "→ start intercom-sound")
	})
	m.run("systemctl start intercom-sound")
	m.until("all is well again", func() bool { return m.status(own).Health == "healthy" })
	if out := m.run("intercomctl doctor audio"); !strings.Contains(out, "ok     the microphone hears the loudspeaker") {
		t.Error(out)
	}
	m.run("intercomctl report -output /root/report.tar.gz && mkdir report && tar xzf report.tar.gz -C report")
	if out := m.run("grep -rl -e $(cat /etc/intercomd/apikey) report || true; cat report/*/log.txt " +
		"report/*/configuration.toml report/*/versions.txt"); strings.Contains(out, "report/") ||
		!strings.Contains(out, "signed in") || !strings.Contains(out,
		`cuid = "front_door"  # /etc/intercomd/intercomd.toml:2`) ||
		!strings.Contains(out, "intercomd\t"+version.Version) {
		t.Errorf("the report has the key in it, or not what is needed: %s", out)
	}

	// the clock is the host's
	m.obey("../../docs/troubleshoot.md", map[string]string{"intercomctl doctor": "intercomctl doctor hub"}, nil)

	t.Run("an upgrade waits for the end of a call", func(t *testing.T) {
		m := m.in(t)
		m.run(`mkdir -p /root/peer && sed 's/front_door/reception/; s/to = "reception"/to = "front_door"/' /etc/intercomd/intercomd.toml > /root/peer/door.toml
			sed -i '1i control = "/run/peer/control.sock"\nstate_dir = "/run/peer/state"' /root/peer/door.toml
			install -d -o intercom -g intercom /run/peer; install -m 644 /root/peer/door.toml /run/peer/door.toml; install -o intercom /etc/intercomd/apikey /run/peer/apikey
			systemd-run --quiet --unit=peer -p User=intercom /usr/bin/intercomd -config /run/peer/door.toml`)
		m.until("the other station is registered", func() bool { return m.status(peer).Hub.Online })
		m.run("intercomctl press bell")
		m.until("it rings there", func() bool { return m.status(peer).Phase == "ringing" })
		m.run("intercomctl -socket " + peer + " answer")
		m.until("they talk", func() bool { return m.status(own).Phase == "talking" })
		before := m.run("systemctl show -P MainPID intercomd")

		newer := filepath.Join(t.TempDir(), "newer.deb")
		sh(t, "d=$(mktemp -d) && dpkg-deb -R "+packages+deb("intercomd", runtime.GOARCH)+
			" $d && sed -i 's/^Version: .*/&+1/' $d/DEBIAN/control && dpkg-deb --root-owner-group -Znone -b $d "+newer+
			" && rm -r $d")
		m.install(newer)
		if s := m.status(own); s.Phase != "talking" || s.Restart == "" {
			t.Errorf("after the upgrade it is %s, restart %q", s.Phase, s.Restart)
		}
		if now := m.run("systemctl show -P MainPID intercomd"); now != before {
			t.Errorf("the upgrade ended process %s; %s runs", before, now)
		}
		m.run("intercomctl hangup")
		m.until("the new release runs", func() bool {
			s := m.status(own)
			return s.Hub.Online && s.Restart == "" && m.run("systemctl show -P MainPID intercomd") != before
		})
		if out := m.run("intercom-hub calls -json"); !strings.Contains(out, `"status":"over"`) {
			t.Errorf("the call is on record as %s", out)
		}
		if idle :=
			m.run("intercomctl restart && sleep 1; journalctl -u intercomd -o cat | tail -20"); !strings.Contains(idle,
			"starts again") {
			t.Error(idle)
		}
		m.run("systemctl stop peer")
	})
	t.Run("removed and purged", func(t *testing.T) {
		m := m.in(t)
		m.run("apt-get remove -y -qq intercomd intercom-hub </dev/null")
		m.run("test -e /var/lib/intercomd/instance -a -e /etc/intercomd/apikey -a -d /var/lib/intercom-hub -a -e " +
			"/etc/intercom-hub/accounts/demo.toml && ! systemctl is-active intercomd && ! systemctl is-active " +
			"intercom-hub && ! test -e /usr/bin/intercomd")
		m.run("apt-get purge -y -qq intercomd intercom-hub </dev/null")
		m.run("! test -e /var/lib/intercomd && ! test -e /etc/intercomd && ! test -e /var/lib/intercom-hub && ! test " +
			"-e /etc/intercom-hub")
	})
}

// TestAConfigurationThatDoesNotWorkIsGivenUp changes the configuration of a station that works.
func TestAConfigurationThatDoesNotWorkIsGivenUp(t *testing.T) {
	m := boot(t)
	m.install(packages+deb("intercom-hub", runtime.GOARCH), packages+deb("intercomd", runtime.GOARCH))
	m.run("umask 077; intercom-hub key new -account demo > /etc/intercomd/apikey; echo load-module module-null-sink " +
		"sink_name=speaker >> /etc/intercomd/sound.pa; systemctl start intercom-sound")
	m.put("etc/intercomd/intercomd.toml", "trial = \"30s\"\n"+station)
	m.run("systemctl start intercomd")
	kept := func(what string) bool {
		code, _ := m.try("grep -q '" + what + "' /var/lib/intercomd/configuration.json")
		return code == 0
	}
	m.until("the configuration has proven itself", func() bool { return kept("front_door") })

	// A hub that is not there, in a drop-in: what changed waits, and is tried when it is asked for.
	m.run("mkdir -p /etc/intercomd/intercomd.toml.d")
	m.put("etc/intercomd/intercomd.toml.d/90-moved.toml", "[hub]\nurl = \"ws://127.0.0.1:1/v1/ws\"\n")
	if out := m.run("intercomctl reload"); !strings.Contains(out, "hub waits for a restart") {
		t.Errorf("a reload says %q", out)
	}
	m.run("intercomctl restart")
	m.until("it is tried", func() bool { return strings.Contains(m.status(own).Hub.URL, ":1/") })
	m.until("it is given up", func() bool {
		s := m.status(own)
		return s.Hub.Online && strings.Contains(s.Faults["configuration"], "the last good configuration is used")
	})
	// One that is mended is taken at once.
	m.run("rm /etc/intercomd/intercomd.toml.d/90-moved.toml; systemctl restart intercomd")
	m.until("it is well", func() bool { return m.status(own).Health == "healthy" })

	// A file that is not valid: refused while it runs, and replaced by the last good one at a start.
	m.run("echo 'colour = \"red\"' > /etc/intercomd/intercomd.toml.d/95-broken.toml")
	if code, out := m.try("intercomctl reload"); code != 1 ||
		!strings.Contains(out, "95-broken.toml:1:1: colour: is not a setting") {
		t.Errorf("exit status %d: %s", code, out)
	}
	m.run("systemctl restart intercomd")
	m.until("it runs with the last good one", func() bool {
		s := m.status(own)
		return s.Hub.Online && strings.Contains(s.Faults["configuration"], "colour: is not a setting")
	})
}

// TestThePackagesAreClean has Debian's own checker look at all of them, and makes those for this machine again.
func TestThePackagesAreClean(t *testing.T) {
	all, err := filepath.Glob(packages + "*_" + version.Version + "_*.deb")
	if err != nil || len(all) != 6 {
		t.Fatalf("packages: %q, %v; run 'make deb'", all, err)
	}
	if out, err := exec.Command("lintian", append([]string{"--allow-root", "--fail-on=error,warning"},
		all...)...).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	for _, f := range all {
		st, err := os.Stat(f)
		if err != nil || st.Size() > 8e6 {
			t.Errorf("%s has %d bytes; %v", f, st.Size(), err)
		}
		if strings.Contains(f, "intercomd") {
			if size := strings.TrimSpace(sh(t, "dpkg-deb -f "+f+" Installed-Size")); len(size) > 5 || size > "25000" {
				t.Errorf("%s takes %s KiB", f, size)
			}
		}
	}
	again := t.TempDir()
	sh(t, "cd ../.. && scripts/deb "+runtime.GOARCH+" "+again)
	for _, name := range []string{"intercomd", "intercom-hub"} {
		sh(t, "cmp "+packages+deb(name, runtime.GOARCH)+" "+again+"/"+deb(name, runtime.GOARCH))
	}
}

// TestTheProgramsForARMRun has the station out of the package for 32-bit boards call one of this machine.
func TestTheProgramsForARMRun(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"intercomd", "intercom-hub"} {
		sh(t, "dpkg-deb -x "+packages+deb(name, "armhf")+" "+dir)
	}
	root, err := filepath.Abs("../../out/sysroot/armhf/usr/lib/arm-linux-gnueabihf")
	if err != nil {
		t.Fatal(err)
	}
	qemu := []string{"qemu-arm-static", "-L", "/usr/arm-linux-gnueabihf", "-E", "LD_LIBRARY_PATH=" + root}
	if out := sh(t, strings.Join(qemu[:3], " ")+" "+dir+"/usr/bin/intercom-hub -version"); !strings.Contains(out,
		"intercom-hub "+version.Version) || !strings.Contains(out, "linux/arm)") {
		t.Error(out)
	}
	ctx := t.Context()
	native, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	hub, err := stage.StartHub(ctx, dir, native, stage.HubSettings{Ring: 30 * time.Second})
	must(err)
	t.Cleanup(func() { _ = hub.Stop(5 * time.Second) })
	sound, err := stage.StartSound(ctx, dir, "a_mic", "a_spk", "b_mic", "b_spk")
	must(err)
	t.Cleanup(func() { _ = sound.Stop(5 * time.Second) })
	start := func(s stage.Settings, bin string) (*stage.Station, *stage.Events) {
		t.Helper()
		s.Name, s.Context, s.Server = s.CUID, "Hello", sound.Server
		one, err := stage.NewStation(dir, bin, hub, s)
		must(err)
		must(one.Up(ctx))
		t.Cleanup(func() { _ = one.Stop(10 * time.Second) })
		events, err := one.Follow(ctx)
		must(err)
		t.Cleanup(events.Close)
		return one, events
	}
	arm, atARM := start(stage.Settings{CUID: "arm_door", To: "reception", Sink: "a_spk", Source: "a_mic.monitor",
		Within: qemu}, filepath.Join(dir, "usr/bin"))
	here, atHere := start(stage.Settings{CUID: "reception", To: "arm_door", Sink: "b_spk", Source: "b_mic.monitor"},
		native)
	must(arm.Press(ctx, "call"))
	_, err = atHere.Phase(ctx, "ringing")
	must(err)
	must(here.Press(ctx, "answer"))
	_, err = atARM.Phase(ctx, "talking")
	must(err)
	must(arm.Press(ctx, "hangup"))
	end, err := atHere.Ended(ctx)
	must(err)
	if end.Result.Status != "over" || end.Result.By != "arm_door" {
		t.Errorf("it ended as %+v", end.Result)
	}
}
