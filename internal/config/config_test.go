package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name string   `toml:"name" doc:"who"`
	Wait Duration `toml:"wait" doc:"how long"`
	Hub  struct {
		URL   string `toml:"url" doc:"where"`
		Plain bool   `toml:"plain" doc:"no TLS"`
	} `toml:"hub" doc:"The hub."`
	Button []struct {
		Line string            `toml:"line" doc:"which"`
		Led  map[string]string `toml:"led" doc:"lamps"`
	} `toml:"button" doc:"A button."`
	Volume float64 `toml:"volume" doc:"0 to 1"`
	Tries  int     `toml:"tries" doc:"count"`
}

func (s *sample) Check(r *Report) {
	if s.Hub.URL == "" {
		r.Addf("hub.url", "is missing")
	}
	for i, b := range s.Button {
		if b.Line == "" {
			r.Addf(fmt.Sprintf("button[%d].line", i), "is missing")
		}
	}
}

func TestEveryProblemAtOnceWithItsPlace(t *testing.T) {
	doc := `nam = "x"
wait = 30
tries = "many"

[hub]
plain = "yes"

[[button]]
line = "GPIO17"
led = { red = 1 }

[[button]]
[button.led]
blue = 2
`
	err := Parse("f.toml", []byte(doc), &sample{})
	want := `f.toml:1:1: nam: is not a setting; did you mean "name"?
f.toml:2:1: wait: must be text in quotes, not a number
f.toml:3:1: tries: must be a whole number, not text
f.toml:5:2: hub.url: is missing
f.toml:6:1: hub.plain: must be true or false, not text
f.toml:10:9: button[0].led.red: must be text in quotes, not a number
f.toml:12:3: button[1].line: is missing
f.toml:14:1: button[1].led.blue: must be text in quotes, not a number`
	if err == nil || err.Error() != want {
		t.Fatalf("got\n%v\nwant\n%v", err, want)
	}
}

func TestDefaultsStayWhereTheFileIsSilent(t *testing.T) {
	s := sample{Name: "default", Wait: Duration(time.Second), Volume: 1}
	if err := Parse("f", []byte("volume = 0\nhub.url = 'u'\n"), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "default" || s.Wait.Std() != time.Second || s.Volume != 0 || s.Hub.URL != "u" {
		t.Fatalf("%+v", s)
	}
}

func TestBrokenAndMissingFiles(t *testing.T) {
	if err := Parse("f", []byte("a = \n"), &sample{}); !strings.HasPrefix(err.Error(), "f:1:") {
		t.Fatal(err)
	}
	if err := Load(filepath.Join(t.TempDir(), "none.toml"), &sample{}); !strings.Contains(err.Error(),
		"cannot be read") {
		t.Fatal(err)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(" ik_hush \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := new(Report).ReadSecret(path)
	if err != nil || s.Reveal() != "ik_hush" {
		t.Fatal(err)
	}
	js, _ := json.Marshal(s)
	if all := fmt.Sprintf("%v %+v %#v %s %s", s, s, s, js,
		fmt.Sprint(struct{ S Secret }{s})); strings.Contains(all, "hush") {
		t.Fatal(all)
	}
	beside := &Report{file: filepath.Join(filepath.Dir(path), "door.toml")}
	if s, err = beside.ReadSecret("key"); err != nil || s.Reveal() != "ik_hush" {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if s, err = new(Report).ReadSecret("key"); err != nil || s.Reveal() != "ik_hush" {
		t.Fatal(err)
	}
}

func FuzzParseNeverPanics(f *testing.F) {
	for _, s := range []string{"", "a=1", "[hub]\nurl=1", "[[button]]\nled={a={}}", "name='''", "button=[1]",
		"[button]\nx=1", "hub=[]\n", "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { _ = Parse("f", b, &sample{}) })
}
