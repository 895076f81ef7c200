package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// named is a configuration with what the other sample has not: a list of tables with names.
type named struct {
	Name string   `toml:"name" doc:"who"`
	Wait Duration `toml:"wait" doc:"how long"`
	Hub  struct {
		URL   string   `toml:"url" doc:"where"`
		More  []string `toml:"more_urls" doc:"where else"`
		Plain bool     `toml:"plain" doc:"no TLS"`
		Tries int      `toml:"tries" doc:"count"`
	} `toml:"hub" doc:"The hub."`
	Button []struct {
		Name string            `toml:"name" doc:"who"`
		Line string            `toml:"line" doc:"which"`
		LED  map[string]string `toml:"led" doc:"lamps"`
	} `toml:"button" doc:"A button."`
	_ Secret // not a setting
}

func (n *named) Check(r *Report) {
	for i, b := range n.Button {
		if b.Line == "" {
			r.Addf("button["+string(rune('0'+i))+"].line", "is missing")
		}
	}
}

// folder writes files and gives the first one's path.
func folder(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "door.toml")
}

func TestLaterSourcesLieOverEarlierOnes(t *testing.T) {
	file := folder(t, map[string]string{
		"door.toml": "name = 'door'\nwait = '1s'\n[hub]\nurl = 'ws://one'\nmore_urls = ['a', 'b']\n" +
			"[[button]]\nname = 'bell'\nline = 'GPIO1'\n[button.led]\nred = 'on'\n",
		"door.toml.d/10-site.toml": "wait = '2s'\nhub.more_urls = ['c']\n[[button]]\nname = 'stop'\nline = 'GPIO2'\n",
		"door.toml.d/20-pins.toml": "[[button]]\nname = 'bell'\nline = 'GPIO17'\n",
		"door.toml.d/notes.txt":    "not read",
	})
	t.Setenv("DOOR_HUB_URL", "wss://user:hush@two")
	t.Setenv("DOOR_HUB_PLAIN", "true")
	t.Setenv("DOOR_HUB_TRIES", "7")
	var n named
	o, err := Read(file, "DOOR", &n)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	got := strings.ReplaceAll(string(Show(&n, o, true)), dir+"/", "")
	want := `name = "door"  # door.toml:1
wait = "2s"  # door.toml.d/10-site.toml:1

[hub]
url = "wss://user:xxxxx@two"  # environment DOOR_HUB_URL
more_urls = ["c"]  # door.toml.d/10-site.toml:2
plain = true  # environment DOOR_HUB_PLAIN
tries = 7  # environment DOOR_HUB_TRIES

[[button]]
name = "bell"  # door.toml.d/20-pins.toml:2
line = "GPIO17"  # door.toml.d/20-pins.toml:3

[button.led]
red = "on"  # door.toml:10

[[button]]
name = "stop"  # door.toml.d/10-site.toml:4
line = "GPIO2"  # door.toml.d/10-site.toml:5
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var again named
	if err := Parse("f", Encode(&n), &again); err != nil || !reflect.DeepEqual(n, again) {
		t.Errorf("read again: %v, %+v", err, again)
	}
}

func TestProblemsOfAllSources(t *testing.T) {
	file := folder(t, map[string]string{
		"door.toml":          "[[button]]\nname = 'bell'\n",
		"door.toml.d/a.toml": "colour = 'red'\n[[button]]\nname = 'stop'\n",
	})
	t.Setenv("DOOR_HUB_PLAIN", "perhaps")
	t.Setenv("DOOR_HUB_ULR", "x")
	t.Setenv("DOOR_BUTTON", "x")
	t.Setenv("DOOR_WAIT", "30")
	_, err := Read(file, "DOOR", &named{})
	want := `door.toml:1:3: button[0].line: is missing
door.toml.d/a.toml:1:1: colour: is not a setting; there are: button, hub, name, wait
door.toml.d/a.toml:2:3: button[1].line: is missing
environment DOOR_BUTTON: is not a setting; variables are named like DOOR_HUB_URL
environment DOOR_HUB_PLAIN: hub.plain: must be true or false, not "perhaps"
environment DOOR_HUB_ULR: is not a setting; did you mean "DOOR_HUB_URL"?
environment DOOR_WAIT: wait: "30" is not a length of time; write it like "20ms", "30s" or "2m"`
	if err == nil || strings.ReplaceAll(err.Error(), filepath.Dir(file)+"/", "") != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	for name, text := range map[string]string{"a.toml": "= 3", "b.toml": "hub = 3"} {
		if err := os.WriteFile(filepath.Join(file+".d", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file, "NONE", &named{}); err == nil || !strings.Contains(err.Error(), name+":1") {
			t.Errorf("%s: %v", text, err)
		}
		_ = os.Remove(filepath.Join(file+".d", name))
	}
}

// Whatever lies over whatever is a configuration or a list of problems.
func FuzzRead(f *testing.F) {
	f.Add("name = 'a'", "name = 3")
	f.Add("[[button]]\nname='a'\n[[button]]\nname='a'", "button = [1]")
	f.Add("button = {}", "[[button]]\nname = 'a'\nled = {a='b'}")
	f.Add("[hub]\nurl='x'", "hub = []")
	f.Fuzz(func(t *testing.T, a, b string) {
		dir := t.TempDir()
		file := filepath.Join(dir, "f.toml")
		if err := errors.Join(os.MkdirAll(file+".d", 0o700), os.WriteFile(file, []byte(a), 0o600),
			os.WriteFile(file+".d/b.toml", []byte(b), 0o600)); err != nil {
			t.Fatal(err)
		}
		n := named{Wait: Duration(time.Second)}
		if _, err := Read(file, "NONE", &n); err != nil {
			return
		}
		var again named
		if err := Parse("f", Encode(&n), &again); err != nil {
			t.Errorf("%v\n%s", err, Encode(&n))
		}
	})
}
