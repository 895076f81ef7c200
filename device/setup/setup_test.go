package setup

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intercom/device/control"
	"intercom/gpio"
	"intercom/internal/config"
	"intercom/internal/config/configtest"
)

var update = flag.Bool("update", false, "write the generated sections of the documents")

func TestTheDocumentsSayWhatTheCodeDoes(t *testing.T) {
	configtest.Section(t, "../../docs/config.md", "intercomd", config.Doc(Defaults()), *update)
	rows := "| state | the LED | standard | accessible |\n|---|---|---|---|\n"
	meaning := map[control.Light]string{control.LightIdle: "ready", control.LightCalling: "a call is placed",
		control.LightRinging: "this station is called", control.LightTalking: "answered: speak",
		control.LightUnreachable: "nobody took the call; for 3 s, 10 s in the accessible profile",
		control.LightIdentify:    "an operator wants to know which station this is",
		control.LightOffline:     "the hub is away",
		control.LightFault: "the station cannot do something that it is for (a code of severity error), " +
			"see `intercomctl status`",
		control.LightWarning: "somebody should look (a code of severity warning), see `intercomctl status`",
		control.LightMissed:  "a call was missed; until the next press",
		control.LightDoor:    "the door is open: its relay is energised",
		control.LightPressed: "a button is held, and what it means is not known yet",
		control.LightAuto:    "the microphone is about to open by itself",
		control.LightDND:     "do not disturb: calls are declined as busy",
		control.LightPrivacy: "privacy: nobody is answered automatically"}
	standard, accessible := Lights(Standard), Lights(Accessible)
	if len(meaning) != len(standard) || len(accessible) != len(standard) || len(LightOrder) != len(meaning) {
		t.Fatal("a light is not documented")
	}
	for _, l := range LightOrder {
		for _, text := range []string{standard[l], accessible[l]} {
			if p, err := gpio.ParsePattern(text); err != nil || len(p) == 0 && l != control.LightIdle {
				t.Errorf("%s: %v", l, err)
			}
		}
		other := ""
		if accessible[l] != standard[l] {
			other = "`" + accessible[l] + "`"
		}
		rows += fmt.Sprintf("| `%s` | %s | `%s` | %s |\n", l, meaning[l], standard[l], other)
	}
	configtest.Section(t, "../../docs/hardware.md", "lights", rows, *update)
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
sinks = ["["]
echo = "loud"

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
		"f.toml:1:1: cuid: ERR_INVALID_INITPARAMETERS", "f.toml:2:1: name: ERR_INVALID_INITPARAMETERS",
		"f.toml:3:1: context: ERR_INVALID_CALL_PARAMETERS",
		"f.toml:4:1: image: ", "f.toml:5:1: colour: is not a setting", "f.toml:8:1: hub.url: ", "not encrypted",
		"f.toml:9:1: hub.apikey_file: ", "hub.account: ERR_MISSING_INITPARAMETERS",
		"f.toml:12:1: audio.buffer: is 1s; it must be 5ms to 200ms",
		"f.toml:11:2: audio.sinks[0]: \"[\" is no pattern", "f.toml:14:1: audio.echo: \"loud\" is not known",
		"f.toml:17:1: gpio.driver: ", "f.toml:18:1: gpio.debounce: must be text in quotes",
		"f.toml:23:1: button[0].action: \"explode\"", "f.toml:24:1: button[0].pull: ",
		"f.toml:27:1: button[1].name: \"a\" is there twice", "f.toml:28:1: button[1].line: GPIO17 is used by a already",
		"f.toml:30:1: button[1].to: ERR_INVALID_CALL_PARAMETERS", "f.toml:34:1: led[0].line: ",
		"f.toml:36:1: led[0].patterns.idle: ", "f.toml:37:1: led[0].patterns.happy: is not a state",
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
	b, err := os.ReadFile("../../docs/intercomd.sample.toml")
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

// What would open a station to others is refused: addresses that others reach, plain text to other hosts, files from
// hosts that are not listed, commands and keys that there are not.
func TestWhatWouldOpenTheStationIsRefused(t *testing.T) {
	err := parse(`cuid = "front_door"
[hub]
url = "ws://hub.example.org/v1/ws"
settings_keys = ["rsa:AAAA"]
[auto_answer]
callers = ["["]
after = "0s"
[tones]
ring = "https://elsewhere.example.org/ring.wav"
hosts = ["tones.example.org"]
[door]
line = "GPIO5"
allow = ["["]
[metrics]
listen = "0.0.0.0:9469"
[kiosk]
listen = "0.0.0.0:8090"
[mqtt]
url = "mqtt://broker.example.org"
commands = ["reboot"]
`)
	for _, key := range []string{"hub.url", "hub.settings_keys[0]", "auto_answer.callers[0]", "auto_answer.after",
		"tones.ring", "door.allow[0]", "metrics.listen", "kiosk.listen", "kiosk.token_file", "mqtt.url",
		"mqtt.commands[0]"} {
		if err == nil || !strings.Contains(err.Error(), " "+key+": ") {
			t.Errorf("nothing is said of %s", key)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}
