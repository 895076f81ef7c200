// Command intercomctl speaks with a running intercomd over its control socket.
//
//	intercomctl [-socket PATH] [-json] COMMAND
//
// # Commands
//
//	status                             how the station is
//	call [TO] [-context TEXT] [-wait]  place a call; with -wait, stay until it has ended
//	answer | decline | hangup          do what the buttons do
//	press BUTTON [-hold 2s]            press a button of the virtual driver
//	mute | unmute                      close the microphone, and open it again
//	volume [talk|ring PERCENT]         how loud voices, or the ringing, are; 0 to 150
//	selftest                           a chirp out of the loudspeaker and into the microphone
//	dnd on|off                         decline calls as busy
//	privacy on|off                     answer nobody automatically
//	door open|hold|release|unlock      the door's relay; unlock after tampering
//	reload                             read the configuration again; says what waits for a restart
//	restart                            start again as soon as the station is idle
//	top                                how the station is, every second, until interrupted
//	doctor [CHAIN]                     what is broken, link by link, and what mends it
//	report [-output FILE]              an archive for whoever is to find out what is wrong; without secrets
//	events                             what happens, a line of JSON each, until interrupted
//
// # Exit status
//
// 0 done, 1 refused by the station, 2 the station does not answer, 64 wrong usage. With call -wait the
// outcome decides: 0 over, 3 declined, 4 missed, 5 cancelled, 6 failed.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"intercom/device/control"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/internal/version"
)

const (
	exRefused = 1
	exAway    = 2
	exUsage   = 64
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `usage: intercomctl [-socket PATH] [-json] COMMAND
  status                             how the station is
  call [TO] [-context TEXT] [-wait]  place a call; with -wait, stay until it has ended
  answer | decline | hangup          do what the buttons do
  press BUTTON [-hold 2s]            press a button of the virtual driver
  mute | unmute                      close the microphone, and open it again
  volume [talk|ring PERCENT]         how loud voices, or the ringing, are; 0 to 150
  selftest                           a chirp out of the loudspeaker and into the microphone
  dnd on|off                         decline calls as busy
  privacy on|off                     answer nobody automatically
  door open|hold|release|unlock      the door's relay; unlock after tampering
  reload                             read the configuration again; says what waits for a restart
  restart                            start again as soon as the station is idle
  top                                how the station is, every second, until interrupted
  doctor [CHAIN]                     what is broken, link by link, and what mends it
  report [-output FILE]              an archive for whoever is to find out what is wrong; without secrets
  events                             what happens, a line of JSON each, until interrupted
`

// ctl is one run of the command.
type ctl struct {
	http   *http.Client
	socket string
	json   bool
	out    io.Writer
	err    io.Writer
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &ctl{out: stdout, err: stderr}
	flags := flag.NewFlagSet("intercomctl", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage); flags.PrintDefaults() }
	socket := control.Socket
	if env := os.Getenv("INTERCOM_SOCKET"); env != "" {
		socket = env
	}
	flags.StringVar(&c.socket, "socket", socket, "control socket of the station; also $INTERCOM_SOCKET")
	flags.BoolVar(&c.json, "json", false, "print JSON")
	to := flags.String("context", "", "why you call, 1 to 64 characters; the station's own when empty")
	wait := flags.Bool("wait", false, "stay until the call has ended, and exit with its outcome")
	hold := flags.Duration("hold", 100*time.Millisecond, "how long the button is held")
	file := flags.String("output", "", "file of the report; one with the time in its name when empty")
	asked := flags.Bool("version", false, "say which release this is")
	// Flags may stand before and after the command and its arguments, as people type them.
	var words []string
	for rest := args; ; {
		if err := flags.Parse(rest); errors.Is(err, flag.ErrHelp) {
			return 0
		} else if err != nil {
			return exUsage
		}
		if rest = flags.Args(); len(rest) == 0 {
			break
		}
		words = append(words, rest[0])
		rest = rest[1:]
	}
	if *asked {
		fmt.Fprintln(stdout, version.Line("intercomctl"))
		return 0
	}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.socket)
		}}}
	command, rest := "", []string(nil)
	if len(words) > 0 {
		command, rest = words[0], words[1:]
	}
	switch {
	case command == "status" && len(rest) == 0:
		return c.status(ctx)
	case command == "events" && len(rest) == 0:
		return c.events(ctx)
	case command == "call" && len(rest) <= 1:
		return c.call(ctx, strings.Join(rest, ""), *to, *wait)
	case slices.Contains([]string{"answer", "decline", "hangup"}, command) && len(rest) == 0:
		return c.do(ctx, command, nil, nil)
	case command == "press" && len(rest) == 1:
		return c.do(ctx, "press", map[string]any{"button": rest[0], "hold_ms": hold.Milliseconds()}, nil)
	}
	switch {
	case (command == "mute" || command == "unmute") && len(rest) == 0:
		return c.do(ctx, "mute", map[string]any{"on": command == "mute"}, nil)
	case command == "volume" && len(rest) == 0:
		return c.volume(ctx, nil)
	case command == "volume" && len(rest) == 2 && (rest[0] == "talk" || rest[0] == "ring"):
		if n, err := strconv.Atoi(strings.TrimSuffix(rest[1], "%")); err == nil {
			return c.volume(ctx, map[string]int{rest[0]: n})
		}
	case (command == "dnd" || command == "privacy") && len(rest) == 1 && (rest[0] == "on" || rest[0] == "off"):
		return c.do(ctx, command, map[string]any{"on": rest[0] == "on"}, nil)
	case command == "door" && len(rest) == 1:
		return c.do(ctx, "door", map[string]any{"do": rest[0]}, nil)
	case command == "top" && len(rest) == 0:
		return c.top(ctx)
	case command == "doctor" && len(rest) <= 1:
		return c.doctor(ctx, strings.Join(rest, ""))
	case command == "report" && len(rest) == 0:
		return c.report(ctx, *file)
	case command == "reload" && len(rest) == 0:
		return c.reload(ctx)
	case command == "restart" && len(rest) == 0:
		return c.restart(ctx)
	case command == "selftest" && len(rest) == 0:
		return c.selftest(ctx)
	}
	if command != "" {
		fmt.Fprintf(stderr, "intercomctl: %q is not understood\n", strings.Join(words, " "))
	}
	fmt.Fprint(stderr, usage)
	return exUsage
}

// request sends one request; the code is for errors, 0 when there was none.
func (c *ctl) request(ctx context.Context, method, path string, body any) (*http.Response, int) {
	var b bytes.Buffer
	if body == nil {
		body = struct{}{}
	}
	_ = json.NewEncoder(&b).Encode(body)
	req, err := http.NewRequestWithContext(ctx, method, "http://intercomd/v1/"+path, &b)
	if err != nil {
		fmt.Fprintln(c.err, "intercomctl:", err)
		return nil, exUsage
	}
	r, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op
		}
		fmt.Fprintf(c.err,
			"intercomctl: the station does not answer: %v; is intercomd running? Name its socket with -socket\n", err)
		return nil, exAway
	}
	if r.StatusCode == http.StatusOK {
		return r, 0
	}
	defer r.Body.Close()
	var bad struct{ Error *fault.Error }
	if json.NewDecoder(r.Body).Decode(&bad) != nil || bad.Error == nil {
		bad.Error = fault.New(fault.Internal)
	}
	if c.json {
		_ = json.NewEncoder(c.out).Encode(map[string]any{"error": bad.Error})
	} else {
		fmt.Fprintf(c.err, "intercomctl: %s (%s)\n", bad.Error.Message, bad.Error.Code)
	}
	return nil, exRefused
}

// do posts a command and prints the reply, or gives it to into.
func (c *ctl) do(ctx context.Context, command string, body, into any) int {
	r, code := c.request(ctx, http.MethodPost, command, body)
	if code != 0 {
		return code
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	if into != nil {
		_ = json.Unmarshal(b, into)
	}
	if c.json {
		_, _ = c.out.Write(b)
	}
	return 0
}

// volume sets how loud it is, or only says it.
func (c *ctl) volume(ctx context.Context, set map[string]int) int {
	var is struct{ Talk, Ring int }
	code := c.do(ctx, "volume", set, &is)
	if code == 0 && !c.json {
		fmt.Fprintf(c.out, "talk %d %%, ring %d %%\n", is.Talk, is.Ring)
	}
	return code
}

// reload has the configuration read again.
func (c *ctl) reload(ctx context.Context) int {
	var is struct{ Waits []string }
	code := c.do(ctx, "reload", nil, &is)
	if code == 0 && len(is.Waits) > 0 && !c.json {
		fmt.Fprintf(c.out, "what changed in %s waits for a restart: intercomctl restart\n",
			strings.Join(is.Waits, ", "))
	}
	return code
}

// restart has the station started again when it is idle.
func (c *ctl) restart(ctx context.Context) int {
	var is struct{ Waits bool }
	code := c.do(ctx, "restart", nil, &is)
	if code == 0 && is.Waits && !c.json {
		fmt.Fprintln(c.out, "the station is busy; it starts again when it is idle")
	}
	return code
}

// selftest says what a test of the sound found; it is refused when there is a problem.
func (c *ctl) selftest(ctx context.Context) int {
	var t control.SelfTest
	if code := c.do(ctx, "selftest", nil, &t); code != 0 {
		return code
	}
	if !c.json {
		if t.Heard {
			fmt.Fprintf(c.out,
				"the microphone hears the loudspeaker %.0f dB quieter than it is (%.0f dBFS), after %.0f ms\n",
				t.LossDB, t.LevelDBFS, t.RoundTripMS)
		}
		if t.CancelledDB != 0 {
			fmt.Fprintf(c.out, "with echo cancellation, %.0f dB quieter\n", t.CancelledDB)
		}
		fmt.Fprintln(c.out, or(t.Problem, "all is well"))
	}
	if t.Problem != "" {
		return exRefused
	}
	return 0
}

// call places a call. To wait for its end, the events are followed from before it begins.
func (c *ctl) call(ctx context.Context, to, why string, wait bool) int {
	var placed struct{ Call string }
	body := map[string]any{"to": to, "context": why}
	if !wait {
		return c.do(ctx, "call", body, &placed)
	}
	r, code := c.request(ctx, http.MethodGet, "events", nil)
	if code != 0 {
		return code
	}
	defer r.Body.Close()
	if code := c.do(ctx, "call", body, &placed); code != 0 {
		return code
	}
	result := exAway
	c.read(r.Body, func(e control.Event, line []byte) bool {
		if e.Call == placed.Call {
			c.show(e, line)
		}
		if e.Event == "ended" && e.Call == placed.Call {
			result = exitOf(e.Result.Status)
		}
		return result == exAway
	})
	return result
}

// exitOf is the exit status for the outcome of a call.
func exitOf(s outcome.Status) int {
	return map[outcome.Status]int{outcome.Over: 0, outcome.Declined: 3, outcome.Missed: 4, outcome.Cancelled: 5,
		outcome.Failed: 6}[s]
}

// events follows what happens until the station or the user ends it.
func (c *ctl) events(ctx context.Context) int {
	r, code := c.request(ctx, http.MethodGet, "events", nil)
	if code != 0 {
		return code
	}
	defer r.Body.Close()
	c.json = true
	c.read(r.Body, c.show)
	if ctx.Err() == nil {
		fmt.Fprintln(c.err, "intercomctl: the station has ended")
		return exAway
	}
	return 0
}

func (c *ctl) read(r io.Reader, each func(control.Event, []byte) bool) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var e control.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && !each(e, lines.Bytes()) {
			return
		}
	}
}

// show prints one event: a line for people, or the JSON as it came.
func (c *ctl) show(e control.Event, line []byte) bool {
	if c.json {
		fmt.Fprintf(c.out, "%s\n", line)
		return true
	}
	text := e.Event
	switch e.Event {
	case "state":
		text = string(e.Phase)
		if e.Peer != "" {
			text += " " + e.Peer
		}
		if e.Online != nil && !*e.Online {
			text += " (hub away)"
		}
	case "ended":
		text = fmt.Sprintf("call with %s ended: %s", e.Peer, e.Result.Outcome)
		if e.Result.DurationMS > 0 {
			text += fmt.Sprintf(" after %v", time.Duration(e.Result.DurationMS)*time.Millisecond)
		}
		if e.Error != nil {
			text += fmt.Sprintf(" (%s: %s)", e.Error.Code, e.Error.Message)
		}
	case "light":
		text = "light " + string(e.Light)
	case "press":
		text = "button " + e.Button + " pressed"
	case "health":
		text = e.Part + " is well"
		if e.Trouble != "" {
			text = e.Part + ": " + e.Trouble
		}
	}
	fmt.Fprintf(c.out, "%s %s\n", e.At.Local().Format("15:04:05.000"), text)
	return true
}

// top shows the status every second, over what it showed before. A station that does not answer is said, and asked
// again.
func (c *ctl) top(ctx context.Context) int {
	screen, failure := bytes.Buffer{}, bytes.Buffer{}
	one := *c
	one.out, one.err = &screen, &failure
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		screen.Reset()
		failure.Reset()
		one.status(ctx)
		// home, and clear
		fmt.Fprintf(c.out, "\x1b[H\x1b[J%s\n\n%s%s", time.Now().Format(time.DateTime), screen.String(),
			failure.String())
		select {
		case <-ctx.Done():
			return 0
		case <-tick.C:
		}
	}
}

func (c *ctl) status(ctx context.Context) int {
	r, code := c.request(ctx, http.MethodGet, "status", nil)
	if code != 0 {
		return code
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	if c.json {
		_, _ = c.out.Write(b)
		return 0
	}
	var s control.Status
	if err := json.Unmarshal(b, &s); err != nil {
		fmt.Fprintln(c.err, "intercomctl:", err)
		return exRefused
	}
	fmt.Fprintf(c.out, "%s: %s\n", s.CUID, s.Health)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(c.out, "  %-8s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("state", "%s", s.Sentence())
	row("light", "%s", s.Light)
	row("hub", "%s", s.Hub.URL)
	mic := "closed"
	if s.Sound.Muted {
		mic = "muted"
	}
	if s.Sound.MicOpen {
		mic = fmt.Sprintf("open, %.0f dBFS", s.Sound.MicDBFS)
	}
	row("sound", "loudspeaker %s (%.0f ms), microphone %s, echo %s", or(s.Sound.Sink, "none"), s.Sound.PlaybackMS, mic,
		or(s.Sound.Echo, "off"))
	if s.Sound.Realtime != "" {
		row("priority", "%s", s.Sound.Realtime)
	}
	if q := s.Quality; q != nil {
		row("voice", "%s, %s, %.0f ms from mouth to ear, round trip %.0f ms, loss %.0f %%, %.0f ms concealed", q.Codec,
			or(q.Route, "no path yet"), q.DelayMS, q.RoundTripMS, 100*q.Loss, q.Receiving.ConcealedMS)
		row("sending", "frames of %.0f ms, %d kbit/s, %d copies, %.0f %% of a core", q.Sending.FrameMS,
			q.Sending.Bitrate/1000, q.Sending.Copies, 100*q.Sending.Load)
		row("receiving", "%d packets, jitter %.0f ms, held %.0f ms, %d late, %d made good", q.Receiving.Received,
			q.Receiving.JitterMS, q.Receiving.DelayMS, q.Receiving.Late, q.Receiving.Redundant+q.Receiving.Recovered)
	}
	for _, t := range s.Troubles {
		row(string(t.Severity), "%s, %s: %s", t.Code, t.Part, t.Text)
		row("", "→ %s", t.Do)
	}
	if s.Restart != "" {
		row("restart", "when it is idle: %s", s.Restart)
	}
	if s.LastCall != nil {
		row("last", "%s → %s, %s", s.LastCall.From, s.LastCall.To, s.LastCall.Outcome)
	}
	return 0
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
