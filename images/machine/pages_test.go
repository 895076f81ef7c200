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

// obey does what a page says, in its order, as a user at the machine does. before gives what the user knows and the page does
// not, for a command that begins with the key: the words that replace its beginning. after is done when one was obeyed.
func (m *machine) obey(page string, before map[string]string, after map[string]func(out string)) {
	m.Helper()
	did := map[string]bool{}
	for _, c := range commands(m.T, page) {
		c = strings.ReplaceAll(c, "sudo ", "")
		script := c
		for begin, instead := range before {
			if strings.HasPrefix(c, begin) {
				script = strings.Replace(c, begin, instead, 1)
				did[begin] = true
			}
		}
		m.Logf("$ %s", c)
		out := m.run(script)
		for begin, then := range after {
			if strings.HasPrefix(c, begin) && !did["after "+begin] {
				did["after "+begin] = true
				then(out)
			}
		}
	}
	for begin := range before {
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

func TestTheInstallPage(t *testing.T) {
	m := boot(t)
	for _, name := range []string{"intercomd", "intercom-hub"} {
		b, err := os.ReadFile(filepath.Join(packages, deb(name, runtime.GOARCH)))
		if err != nil {
			t.Fatal(err)
		}
		m.put("root/"+deb(name, runtime.GOARCH), string(b))
	}
	m.put("root/door.toml", station)
	m.obey("../../docs/install.md", map[string]string{
		"apt install": "apt-get install -y -qq --no-install-recommends --reinstall </dev/null",
		"apt remove":  "apt-get remove -y -qq </dev/null",
		"apt purge":   "apt-get purge -y -qq </dev/null",
		"nano":        "cp /root/door.toml",
		"install -m 600 /dev/stdin /etc/intercomd/apikey": "install -m 600 /root/key /etc/intercomd/apikey",
	}, map[string]func(string){
		"intercom-hub key new": func(out string) {
			m.put("root/key", regexp.MustCompile(`ik_[\w-]+`).FindString(out)+"\n")
		},
		"journalctl -u intercom-hub": func(out string) {
			if !strings.Contains(out, "https://hub.example.org/setup") {
				t.Errorf("the link is not shown: %s", out)
			}
			// No authority can be reached from here: the hub as it was, for this machine only.
			m.run("cp /usr/share/doc/intercom-hub/examples/intercom-hub.toml /etc/intercom-hub/ && systemctl restart intercom-hub")
		},
		"systemctl enable --now intercom-sound": func(string) { // a sound card that there is not
			m.run("echo load-module module-null-sink sink_name=speaker >> /etc/intercomd/sound.pa; systemctl restart intercom-sound")
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
	if out := m.run("journalctl --quiet --directory /var/log/journal/remote -o export | grep -c -F $(cat /etc/intercomd/apikey) || true"); out != "0" {
		t.Errorf("the key is in the journal: %s", out)
	}
}
