//go:build machine

package machine_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// commands are those of a page: lines of its blocks that begin with "$ ", with what is piped into them.
func commands(t *testing.T, page string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inside, document := false, false
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\n")
		command, is := strings.CutPrefix(line, "$ ")
		switch {
		case document:
			all[len(all)-1] += "\n" + line
			document = line != "END"
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case inside && is:
			all = append(all, command)
			document = strings.HasSuffix(command, "<<END")
		}
	}
	return all
}

// obey does what a page says, in its order, as root at the machine. before gives what the user knows and the page does
// not, for a command that begins with the key: the words that replace its beginning. after is done when one was obeyed.
func (m *machine) obey(page string, before map[string]string, after map[string]func(out string)) {
	m.Helper()
	m.follow(page, before, after, func(command, begin string) string {
		command = strings.ReplaceAll(command, "sudo ", "")
		if begin != "" {
			command = strings.Replace(command, begin, before[begin], 1)
		}
		return m.run(command)
	})
}

// read does what a page says to the letter, in a folder, as a user who may use sudo. types is what the user types into
// a command that begins with the key.
func (m *machine) read(page, folder string, types map[string]string, after map[string]func(out string)) {
	m.Helper()
	m.run("useradd --create-home --shell /bin/bash reader; umask 077; echo 'reader ALL=(ALL) NOPASSWD: ALL' " +
		">/etc/sudoers.d/reader")
	m.follow(page, types, after, func(command, begin string) string {
		m.put("home/reader/command", command)
		m.put("home/reader/typed", types[begin])
		return m.run("runuser -u reader -- bash -c 'cd " + folder + "; . ~/command' </home/reader/typed")
	})
}

// follow goes through the commands of a page. do gets each, with the key of about by which it begins, or "".
func (m *machine) follow(page string, about map[string]string, after map[string]func(out string),
	do func(command, begin string) string) {
	m.Helper()
	did := map[string]bool{}
	for _, c := range commands(m.T, page) {
		bare, with := strings.ReplaceAll(c, "sudo ", ""), ""
		for begin := range about {
			if strings.HasPrefix(bare, begin) && len(begin) > len(with) {
				with, did[begin] = begin, true
			}
		}
		m.Logf("$ %s", c)
		out := do(c, with)
		for begin, then := range after {
			if strings.HasPrefix(bare, begin) && !did["after "+begin] {
				did["after "+begin] = true
				then(out)
			}
		}
	}
	for begin := range about {
		if !did[begin] {
			m.Errorf("the page does not say %q any more", begin)
		}
	}
	for begin := range after {
		if !did["after "+begin] {
			m.Errorf("the page does not say %q any more", begin)
		}
	}
}

// TestTheInstallPage has a reader do what the page says, to the letter, in a folder as 'make deb' leaves it.
func TestTheInstallPage(t *testing.T) {
	m := boot(t)
	for _, arch := range []string{"amd64", "arm64", "armhf"} {
		for _, name := range []string{"intercomd", "intercom-hub"} {
			if _, err := os.Stat(filepath.Join(packages, deb(name, arch))); err != nil {
				t.Fatalf("%v; run 'make deb'", err)
			}
		}
	}
	sh(t, "mkdir "+m.root+"/srv/packages && cp "+packages+"*.deb "+m.root+"/srv/packages/")
	// What this machine cannot have: a terminal to say yes at, packages from elsewhere, and the fingers in the editor.
	m.put("etc/apt/apt.conf.d/reader",
		"APT::Get::Assume-Yes \"true\"; APT::Get::ReInstall \"true\"; APT::Install-Recommends \"false\";\n")
	m.put("root/door.toml", station)
	m.put("usr/local/bin/nano", "#!/bin/sh\nexec cp /root/door.toml \"$1\"\n")
	m.run("chmod 755 /usr/local/bin/nano")
	key := "install -m 600 /dev/stdin /etc/intercomd/apikey"
	types := map[string]string{key: ""}
	m.read("../../docs/install.md", "/srv/packages", types, map[string]func(string){
		"intercom-hub key new": func(out string) {
			types[key] = regexp.MustCompile(`ik_[\w-]+`).FindString(out) + "\n"
		},
		"journalctl -u intercom-hub": func(out string) {
			if !strings.Contains(out, "https://hub.example.org/setup") {
				t.Errorf("the link is not shown: %s", out)
			}
			// No authority can be reached from here: the hub as it was, for this machine only.
			m.run("cp /usr/share/doc/intercom-hub/examples/intercom-hub.toml /etc/intercom-hub/ && systemctl restart " +
				"intercom-hub")
		},
		"systemctl enable --now intercom-sound": func(string) { // a sound card that there is not
			m.run("echo load-module module-null-sink sink_name=speaker >> /etc/intercomd/sound.pa; systemctl restart " +
				"intercom-sound")
			m.until("there is sound", func() bool { code, _ := m.try("test -S /run/pulse/native"); return code == 0 })
		},
		"systemctl start intercomd": func(string) {
			m.until("the station is registered", func() bool { return m.status(own).Health == "healthy" })
		},
		"intercomctl status": func(out string) {
			if !strings.Contains(out, "registered as front_door") {
				t.Error(out)
			}
		},
	})
	if len(commands(t, "../../docs/install.md")) > 20 {
		t.Error("the page has become long")
	}
}

// The journal of a station at a collector, here the same machine: also what happens while it is away.
func TestTheLogsPage(t *testing.T) {
	m := boot(t)
	m.install(packages+deb("intercom-hub", runtime.GOARCH), packages+deb("intercomd", runtime.GOARCH))
	m.run("umask 077; intercom-hub key new -account demo > /etc/intercomd/apikey")
	m.put("etc/hosts", "127.0.0.1 localhost collector.example.org\n")
	m.put("etc/intercomd/intercomd.toml", station)
	m.run("systemctl start intercomd")
	m.until("the station is registered", func() bool { return m.status(own).Hub.Online })
	m.obey("../../docs/logs.md", map[string]string{
		"apt install": "true ", // they are there
	}, map[string]func(string){
		"systemctl start intercom-logs": func(string) {
			m.until("the journal arrives", func() bool {
				code, out := m.try("journalctl --quiet --directory /var/log/journal/remote CUID=front_door")
				return code == 0 && strings.Contains(out, "signed in")
			})
		},
	})
	// Who has no certificate of the authority's is not let in.
	if code, out := m.try("printf 'MESSAGE=intruder\\n\\n' | curl -sS --cacert /root/ca/ca.pem -H 'Content-Type: " +
		"application/vnd.fdo.journal' --data-binary @- https://collector.example.org:19532/upload"); code == 0 {
		t.Errorf("anybody writes to the collector: %s", out)
	}
	m.run("systemctl stop systemd-journal-remote.socket systemd-journal-remote.service")
	call := func() string {
		_, out := m.try("intercomctl -json call reception -context Hello -wait") // who is not there
		id := regexp.MustCompile(`"call":"([0-9a-f]{32})"`).FindStringSubmatch(out)
		if id == nil {
			m.Fatalf("no call: %s", out)
		}
		return id[1]
	}()
	m.run("systemctl start systemd-journal-remote.socket")
	m.until("the call arrives", func() bool {
		_, out := m.try("journalctl --quiet --directory /var/log/journal/remote CALL_ID=" + call)
		return strings.Contains(out, "call ended")
	})
	if out := m.run("journalctl --quiet --directory /var/log/journal/remote -o export | grep -c -F $(cat " +
		"/etc/intercomd/apikey) || true"); out != "0" {
		t.Errorf("the key is in the journal: %s", out)
	}
}

// both is a machine with a hub and a station that is registered there and has sound.
func both(t *testing.T, more string) *machine {
	t.Helper()
	m := boot(t)
	m.install(packages+deb("intercom-hub", runtime.GOARCH), packages+deb("intercomd", runtime.GOARCH))
	m.run("umask 077; intercom-hub key new -account demo > /etc/intercomd/apikey; echo load-module module-null-sink " +
		"sink_name=speaker >> /etc/intercomd/sound.pa; systemctl start intercom-sound")
	m.put("etc/intercomd/intercomd.toml", station+more)
	m.run("systemctl start intercomd")
	m.registers()
	return m
}

func (m *machine) registers() {
	m.Helper()
	m.until("the station is registered and has sound", func() bool {
		return m.status(own).Hub.Online && m.status(own).Sound.Sink != ""
	})
}

func TestTheOperatePage(t *testing.T) {
	m := both(t, "")
	m.obey("../../docs/operate.md", map[string]string{
		"intercomctl call":      "! intercomctl call", // reception is not there: the exit status says so
		"intercomctl door open": "! intercomctl door open",
		"intercomctl top":       "timeout 2 intercomctl top || true",
		"intercomctl events":    "timeout 2 intercomctl events || true",
	}, map[string]func(string){
		"intercomctl status": func(out string) { m.has(out, "registered as front_door") },
		"intercomctl call":   func(out string) { m.has(out, "offline") },
		"intercomctl volume": func(string) { // muted, nothing can be tested, and that is said
			_, out := m.try("intercomctl selftest")
			m.has(out, "intercomctl unmute")
			m.until("it is open again, and the last tone is over", func() bool {
				code, _ := m.try("intercomctl unmute; intercomctl selftest")
				return code == 0
			})
		},
		"intercomctl dnd on":  func(string) { m.run("intercomctl dnd off") },
		"intercomctl restart": func(string) { m.registers() },
		"intercomctl report":  func(out string) { m.has(out, "intercom-report-") },
		"curl":                func(out string) { m.has(out, "intercom_station_registered 1") },
	})
}

// has checks what was printed.
func (m *machine) has(out, want string) {
	m.Helper()
	if !strings.Contains(out, want) {
		m.Errorf("%q is not in: %s", want, out)
	}
}

func TestTheHubPage(t *testing.T) {
	m := both(t, "")
	m.put("root/night.toml", "[call]\nto = \"night_desk\"\n")
	m.obey("../../docs/hub.md", map[string]string{
		"intercom-hub key revoke -account demo -id 3f9a1c02": "intercom-hub key revoke -account demo -id " +
			"$(intercom-hub key list -account demo | tail -1 | cut -d' ' -f1)",
		"scp":           "true",
		"intercom-load": "true", // is not in the package
	}, map[string]func(string){
		"intercom-hub config key": func(out string) {
			_, public, _ := strings.Cut(strings.TrimSpace(out), ": ")
			m.run("mkdir -p /etc/intercomd/intercomd.toml.d")
			m.put("etc/intercomd/intercomd.toml.d/keys.toml", "[hub]\nsettings_keys = ["+public+"]\n")
			m.run("systemctl restart intercomd")
			m.registers()
		},
		"intercom-hub config push": func(out string) {
			m.until("the station has the settings", func() bool {
				_, out := m.try("intercomd config show -origin | grep night_desk")
				return strings.Contains(out, "of the hub")
			})
		},
		"intercom-hub token": func(string) { m.run("test -s /var/lib/intercom-hub/secret") },
	})
}

// A hub without a public name, and a station that trusts it: to the letter, by a reader on one machine.
func TestTheTLSPage(t *testing.T) {
	m := both(t, "")
	sh(t, "nsenter --target "+m.leader+" --net ip addr add 192.168.1.20/32 dev lo")
	m.put("etc/hosts", "127.0.0.1 localhost station\n192.168.1.20 intercom.lan\n")
	fingerprint := ""
	m.read("../../docs/tls.md", "/home/reader", nil, map[string]func(string){
		"intercom-hub tls show": func(out string) {
			fingerprint = regexp.MustCompile(`SHA-256 +([0-9A-F:]{95})`).FindStringSubmatch(out)[1]
			m.has(out, "intercom.lan, 192.168.1.20")
		},
		"openssl x509": func(out string) { m.has(out, fingerprint) },
		"systemctl restart intercomd": func(string) {
			m.registers()
			if _, out := m.try("intercomctl -json status"); !strings.Contains(out, "wss://intercom.lan") {
				t.Errorf("the station is not at the hub by its name: %s", out)
			}
		},
	})
	if code,
		out := m.try("curl -sS http://192.168.1.20/v1/session; curl -sSf http://192.168.1.20/v1/calls"); code == 0 {
		t.Errorf("without TLS there is more than the certificate: %s", out)
	}
	if code, out := m.try("curl -sS https://intercom.lan/healthz"); code == 0 {
		t.Errorf("who does not trust the authority comes in: %s", out)
	}
	m.run("curl -sSf --cacert /home/reader/hub-ca.pem https://192.168.1.20/healthz")
	if out := m.run("stat -c '%U %a' /var/lib/intercom-hub/tls/ca.key"); out != "intercom-hub 600" {
		t.Errorf("the key of the authority: %s", out)
	}
	m.run("runuser -u intercom-hub -- intercom-hub tls renew") // as the hub does
	if _, out := m.try("journalctl -u intercom-hub -o cat | grep -i 'cannot be'"); out != "" {
		t.Error(out)
	}
}

func TestTheIntegratePage(t *testing.T) {
	m := both(t, "[mqtt]\nurl = \"mqtt://127.0.0.1\"\n")
	m.run("systemctl start mosquitto")
	m.put("etc/hosts", "127.0.0.1 localhost\n")
	m.until("the station is at the broker", func() bool {
		_, out := m.try("timeout 2 mosquitto_sub -t intercom/front_door/online -C 1 || true")
		return strings.Contains(out, "online")
	})
	m.obey("../../docs/integrate.md", map[string]string{"mosquitto_sub": "! mosquitto_sub -W 1"},
		map[string]func(string){
			"mosquitto_pub": func(string) {
				m.until("the command arrives", func() bool {
					_, out := m.try("journalctl -u intercomd -o cat")
					return strings.Contains(out, "not done, though the broker said so") // there is nothing to answer
				})
			},
		})
	m.obey("../../docs/protocol.md", map[string]string{
		`curl -H "Authorization: Bearer $APIKEY" -d '{"account": "demo", "cuid": "browser_1", "ttl_s": 600}' https://hub.example.org`: `curl -sf -H "Authorization: Bearer $(cat /etc/intercomd/apikey)" -d '{"account": "demo", "cuid": "browser_1", "ttl_s": 600}' http://127.0.0.1:8443`,
	}, map[string]func(string){"curl": func(out string) { m.has(out, `{"token":"it_`) }})
}

func TestTheKioskPage(t *testing.T) {
	m := both(t, "")
	m.put("etc/intercomd/intercomd.toml", station+
		"[kiosk]\nlisten = \"127.0.0.1:8090\"\ntoken_file = \"/etc/intercomd/kiosk\"\n")
	m.put("etc/intercomd/kiosk", "0123456789abcdef0123456789abcdef\n")
	m.run("chown intercom /etc/intercomd/kiosk; systemctl restart intercomd")
	m.registers()
	m.obey("../../docs/kiosk.md", map[string]string{
		"systemctl edit": "true",
		"curl -N":        "! timeout 2 curl -sN",
		"chromium":       "true",
	}, map[string]func(string){
		"systemctl restart": func(string) { m.registers() },
		"curl":              func(out string) { m.has(out, "event: status") },
	})
}

func TestTheConfigurationAndLogPages(t *testing.T) {
	m := both(t, "")
	m.put("root/door.toml", "cuid = \"91_8899555\"\nringtime = 3\n")
	m.obey("../../docs/config.md", map[string]string{"intercomd check": "! intercomd check"}, map[string]func(string){
		"intercomd check":       func(out string) { m.has(out, "ringtime: is not a setting") },
		"intercomd config show": func(out string) { m.has(out, "# /etc/intercomd/intercomd.toml:") },
	})
	m.obey("../../docs/log-fields.md",
		map[string]string{"journalctl -u intercomd CALL_ID=": "journalctl -u intercomd CALL_ID=x",
			"journalctl MESSAGE_ID=": "journalctl MESSAGE_ID=x"}, nil)
}
