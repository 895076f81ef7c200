package device

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"

	"intercom/device/control"
	"intercom/gpio"
	"intercom/internal/config"
	"intercom/internal/config/configtest"
)

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestTheDocumentsSayWhatTheCodeDoes(t *testing.T) {
	configtest.Section(t, "../docs/config.md", "intercomd", config.Doc(Defaults()), *update)
	rows := "| state | the LED | standard | accessible |\n|---|---|---|---|\n"
	meaning := map[control.Light]string{control.LightIdle: "ready", control.LightCalling: "a call is placed", control.LightRinging: "this station is called", control.LightTalking: "answered: speak",
		control.LightUnreachable: "nobody took the call; for 3 s, 10 s in the accessible profile", control.LightIdentify: "an operator wants to know which station this is", control.LightOffline: "the hub is away", control.LightFault: "the station cannot do something that it is for (a code of severity error), see `intercomctl status`", control.LightWarning: "somebody should look (a code of severity warning), see `intercomctl status`",
		control.LightMissed: "a call was missed; until the next press", control.LightDoor: "the door is open: its relay is energised", control.LightPressed: "a button is held, and what it means is not known yet",
		control.LightAuto: "the microphone is about to open by itself", control.LightDND: "do not disturb: calls are declined as busy", control.LightPrivacy: "privacy: nobody is answered automatically"}
	standard, accessible := lightTable(Standard), lightTable(Accessible)
	if len(meaning) != len(standard) || len(accessible) != len(standard) || len(lightNames()) != len(meaning) {
		t.Fatal("a light is not documented")
	}
	for _, name := range lightNames() {
		l := control.Light(name)
		for _, text := range []string{standard[l], accessible[l]} {
			if p, err := gpio.ParsePattern(text); err != nil || len(p) == 0 && l != control.LightIdle {
				t.Errorf("%s: %v", name, err)
			}
		}
		other := ""
		if accessible[l] != standard[l] {
			other = "`" + accessible[l] + "`"
		}
		rows += fmt.Sprintf("| `%s` | %s | `%s` | %s |\n", name, meaning[l], standard[l], other)
	}
	configtest.Section(t, "../docs/hardware.md", "lights", rows, *update)
}

func TestEveryTroubleIsDocumented(t *testing.T) {
	rows := "| code | severity | of | means | what to do |\n|---|---|---|---|---|\n"
	for _, c := range control.Codes {
		of := strings.TrimSpace(c.Part + ": " + c.Text)
		if c.Text == "" {
			of = strings.TrimSpace(strings.TrimSpace(c.Part) + " …")
		}
		rows += fmt.Sprintf("| `%s` | %s | `%s` | %s | %s |\n", c.Code, c.Severity, of, c.Means, c.Do)
	}
	configtest.Section(t, "../docs/errors.md", "health", rows, *update)
	for part, want := range map[string]string{"audio/server: none": "SOUND_SERVER", "audio/microphone: \"usb\" is not there; \"x\" is used": "SOUND_DEVICE", "audio/playback: gone": "SOUND_PLAYBACK",
		"button bell/busy": "LINE", "stuck button bell/held": "BUTTON_STUCK", "door exit/busy": "LINE", "door/forced": "DOOR", "kiosk/busy": "KIOSK", "jokes/none": "PART",
		"configuration/a.toml:1: x; the one before is kept": "CONFIG_INVALID", "configuration/what changed in hub waits for a restart: intercomctl restart": "CONFIG_WAITS"} {
		part, text, _ := strings.Cut(part, "/")
		if got := control.About(part, text); got.Code != want || got.Do == "" {
			t.Errorf("%s: %s is %s, not %s", part, text, got.Code, want)
		}
	}
}

// What "intercomctl -json status" prints, for programs that read it.
func TestTheSchemaOfTheStatus(t *testing.T) {
	r := jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: true} // more may come
	schema := r.Reflect(&control.Status{})
	schema.Title = "The status of an intercom station"
	want, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	const file = "../docs/status.schema.json"
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code says (%v); run this test with -update", file, err)
	}
}

func parse(text string) error {
	c := Defaults()
	return config.Parse("f.toml", []byte(text), c)
}

func TestABadConfigurationNamesEveryProblem(t *testing.T) {
	err := parse(`cuid = "91_8899555"
name = "ab"
context = ""
image = "ftp://x"
colour = "red"

[hub]
url = "ws://hub.example.org"
apikey_file = "/nowhere/key"

[audio]
buffer = "1s"

[gpio]
driver = "magic"
debounce = 20

[[button]]
name = "a"
line = "GPIO17"
action = "explode"
pull = "sideways"

[[button]]
name = "a"
line = "GPIO17"
action = "call"
to = "door-1"

[[led]]
name = "b"
line = ":"
[led.patterns]
idle = "sparkle"
happy = "on"
`)
	for _, want := range []string{
		"f.toml:1:1: cuid: ERR_INVALID_INITPARAMETERS", "f.toml:2:1: name: ERR_INVALID_INITPARAMETERS", "f.toml:3:1: context: ERR_INVALID_CALL_PARAMETERS",
		"f.toml:4:1: image: ", "f.toml:5:1: colour: is not a setting", "f.toml:8:1: hub.url: ", "not encrypted", "f.toml:9:1: hub.apikey_file: ", "hub.account: ERR_MISSING_INITPARAMETERS",
		"f.toml:12:1: audio.buffer: is 1s; it must be 5ms to 200ms", "f.toml:15:1: gpio.driver: ", "f.toml:16:1: gpio.debounce: must be text in quotes",
		"f.toml:21:1: button[0].action: \"explode\"", "f.toml:22:1: button[0].pull: ", "f.toml:25:1: button[1].name: \"a\" is there twice", "f.toml:26:1: button[1].line: GPIO17 is used by a already",
		"f.toml:28:1: button[1].to: ERR_INVALID_CALL_PARAMETERS", "f.toml:32:1: led[0].line: ", "f.toml:34:1: led[0].patterns.idle: ", "f.toml:35:1: led[0].patterns.happy: is not a state",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestTheSampleConfigurationIsValid(t *testing.T) {
	b, err := os.ReadFile("../docs/intercomd.sample.toml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "apikey"), []byte("ik_x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := config.Parse(filepath.Join(dir, "intercomd.toml"), b, Defaults()); err != nil {
		t.Error(err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("cuid = 'front_door'\n[[button]]\nname='a'")
	f.Add("[led]\npatterns = 3")
	f.Add("[[led]]\npatterns = {idle = 'on 1ms'}")
	f.Fuzz(func(t *testing.T, text string) { _ = parse(text) })
}
