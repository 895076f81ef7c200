package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// report is the last line of "make demo ONCE=1".
type report struct {
	OK       bool              `json:"ok"`
	Problem  string            `json:"problem,omitempty"`
	Outcomes map[string]string `json:"outcomes"`
	// PressToRinging is the median over the calls that rang: from the button's contact to the ringing station.
	PressToRinging float64 `json:"press_to_ringing_ms"`
	AnswerToSound  float64 `json:"answer_to_sound_ms"`
	MouthToEar     struct {
		AB delay `json:"ab"` // front_door to reception
		BA delay `json:"ba"`
	} `json:"mouth_to_ear_ms"`
	StartToRegistered float64 `json:"start_to_registered_ms"`
	IdleRSS           float64 `json:"idle_rss_mb"`
	IdleCPU           float64 `json:"idle_cpu_percent"`
	TalkRSS           float64 `json:"talk_rss_mb"`
	TalkCPU           float64 `json:"talk_cpu_percent"`
	Load              float64 `json:"load"` // of the machine, one minute's mean
}

type delay struct {
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	Found  int     `json:"found"`
	Lost   int     `json:"lost"`
}

// play runs the four calls.
type four struct {
	*scene
	ctx        context.Context
	r          *report
	door, desk *stage.Events
	rang       []float64
}

const (
	burstCount = 20
	ringTime   = 4 * time.Second // short, so that nobody waits long for a missed call
	toneHz     = 1700            // unlike any tone that a station makes
)

// fourCalls makes the calls. The report is as full as it could be, also with an error.
func fourCalls(ctx context.Context, dir, bin string, log io.Writer) (r *report, err error) {
	r = &report{Outcomes: map[string]string{}}
	s, err := open(ctx, dir, bin, stage.StartSound, ringTime)
	defer func() {
		if e := s.close(); e != nil && err == nil {
			err = e
		}
		r.OK = err == nil
	}()
	if err != nil {
		return r, err
	}
	f := &four{scene: s, ctx: ctx, r: r}
	if f.door, err = s.door.Follow(ctx); err != nil {
		return r, err
	}
	defer f.door.Close()
	if f.desk, err = s.reception.Follow(ctx); err != nil {
		return r, err
	}
	defer f.desk.Close()
	r.StartToRegistered = ms(s.registered)
	for _, step := range []struct {
		name string
		run  func() error
	}{{"idle", f.idle}, {"a call that is answered", f.over}, {"a call that is declined", f.declined},
		{"a call that is missed", f.missed},
		{"a call to a station that is off", f.offline}, {"the hub's records", f.records}} {
		fmt.Fprintf(log, "demo: %s\n", step.name)
		if err := step.run(); err != nil {
			return r, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	r.PressToRinging = ear.Quantile(f.rang, 0.5)
	b, _ := os.ReadFile("/proc/loadavg")
	if words := strings.Fields(string(b)); len(words) > 0 {
		r.Load, _ = strconv.ParseFloat(words[0], 64)
	}
	return r, nil
}

// idle measures a station that does nothing.
func (f *four) idle() error {
	err := f.scene.door.Wait(f.ctx, "its sound was open", func() bool {
		s, err := f.scene.door.Status(f.ctx)
		return err == nil && s.Sound.Sink != ""
	})
	if err != nil {
		return err
	}
	u, err := ear.Usage(f.scene.door.PID(), 4*time.Second)
	f.r.IdleRSS, f.r.IdleCPU = round(u.RSS), round(u.CPU)
	return err
}

// ring presses the door's button until reception rings.
func (f *four) ring() error {
	at := time.Now()
	if err := f.scene.door.Press(f.ctx, "call"); err != nil {
		return err
	}
	e, err := f.desk.Phase(f.ctx, "ringing")
	if err != nil {
		return err
	}
	f.rang = append(f.rang, float64(e.At.Sub(at).Microseconds())/1000)
	_, err = f.door.Phase(f.ctx, "ringback")
	return err
}

// ended takes the end of a call from both stations, which must agree.
func (f *four) ended(name, want string) error {
	a, err := f.door.Ended(f.ctx)
	if err != nil {
		return err
	}
	b, err := f.desk.Ended(f.ctx)
	if err != nil {
		return err
	}
	if *a.Result != *b.Result {
		return fmt.Errorf("the stations disagree: %+v and %+v", *a.Result, *b.Result)
	}
	return f.outcome(name, want, a)
}

func (f *four) outcome(name, want string, e stage.Event) error {
	got := e.Result.Status + "/" + e.Result.Reason
	f.r.Outcomes[name] = got
	if got != want {
		return fmt.Errorf("ended as %s, not as %s", got, want)
	}
	return nil
}

// over is the call with the measurements.
func (f *four) over() error {
	var recs []*ear.Recorder
	defer func() {
		for _, r := range recs {
			r.Stop()
		}
	}()
	for _, source := range []string{"door_mic", "door_spk", "reception_mic", "reception_spk"} {
		r, err := ear.Record(f.sound.Server, source+".monitor")
		if err != nil {
			return err
		}
		recs = append(recs, r)
	}
	steady, err := ear.Play(f.sound.Server, "reception_mic", ear.Steady(toneHz, 30*time.Second))
	if err != nil {
		return err
	}
	defer steady.Stop()
	if err := f.ring(); err != nil {
		return err
	}
	// Reception's microphone has a tone in it all the time; the door must not hear it before the answer.
	time.Sleep(1200 * time.Millisecond)
	if s, err := f.scene.reception.Status(f.ctx); err != nil || s.Sound.MicOpen {
		return fmt.Errorf("the microphone is open before the answer (%v)", err)
	}
	answered := time.Now()
	if err := f.scene.reception.Press(f.ctx, "answer"); err != nil {
		return err
	}
	for _, e := range []*stage.Events{f.desk, f.door} {
		if _, err := e.Phase(f.ctx, "talking"); err != nil {
			return err
		}
	}
	for {
		if f.r.AnswerToSound = ear.Onset(recs[1], toneHz, answered); f.r.AnswerToSound >= 0 {
			break
		}
		if time.Since(answered) > 5*time.Second {
			return fmt.Errorf("no sound came within 5 s of the answer")
		}
		time.Sleep(20 * time.Millisecond) // until more is recorded
	}
	steady.Stop()
	if early := ear.Onset(recs[1], toneHz, ear.Began); early >= 0 &&
		early < float64(answered.Sub(ear.Began).Milliseconds()) {
		return fmt.Errorf("the door heard reception %.0f ms before the answer",
			float64(answered.Sub(ear.Began).Milliseconds())-early)
	}
	f.r.AnswerToSound = ear.Quantile([]float64{f.r.AnswerToSound}, 0)
	return f.talk(recs)
}

// talk plays bursts into both microphones at once, finds them at the other loudspeaker, and hangs up.
func (f *four) talk(recs []*ear.Recorder) error {
	time.Sleep(300 * time.Millisecond) // the end of the tone is still on its way
	one, err := ear.Play(f.sound.Server, "door_mic", ear.Bursts(burstCount, 1))
	if err != nil {
		return err
	}
	two, err := ear.Play(f.sound.Server, "reception_mic", ear.Bursts(burstCount, 2))
	if err != nil {
		return err
	}
	u, err := ear.Usage(f.scene.door.PID(), 5*time.Second)
	if err != nil {
		return err
	}
	f.r.TalkRSS, f.r.TalkCPU = round(u.RSS), round(u.CPU)
	one.Wait()
	two.Wait()
	if err := f.scene.reception.Press(f.ctx, "hangup"); err != nil {
		return err
	}
	if err := f.ended("over", "over/hangup"); err != nil {
		return err
	}
	for _, r := range recs {
		r.Stop()
	}
	f.r.MouthToEar.AB = measure(recs[0], recs[3])
	f.r.MouthToEar.BA = measure(recs[2], recs[1])
	for name, d := range map[string]delay{"front_door to reception": f.r.MouthToEar.AB,
		"reception to front_door": f.r.MouthToEar.BA} {
		if d.Found < burstCount-2 {
			return fmt.Errorf("from %s only %d of %d bursts were heard", name, d.Found, burstCount)
		}
	}
	return nil
}

func measure(from, to *ear.Recorder) delay {
	found, missing := ear.Delays(from, to)
	return delay{ear.Quantile(found, 0.5), ear.Quantile(found, 0.95), len(found), missing}
}

func (f *four) declined() error {
	if err := f.ring(); err != nil {
		return err
	}
	if err := f.scene.reception.Press(f.ctx, "hangup"); err != nil {
		return err
	}
	return f.ended("declined", "declined/declined")
}

func (f *four) missed() error {
	if err := f.ring(); err != nil {
		return err
	}
	return f.ended("missed", "missed/no_answer")
}

func (f *four) offline() error {
	if err := f.scene.reception.Stop(5 * time.Second); err != nil {
		return err
	}
	if code := f.scene.reception.ExitCode(); code != 0 {
		return fmt.Errorf("reception ended with status %d:\n%s", code, f.scene.reception.Tail())
	}
	if err := f.scene.door.Press(f.ctx, "toggle"); err != nil {
		return err
	}
	e, err := f.door.Ended(f.ctx)
	if err != nil {
		return err
	}
	return f.outcome("offline", "missed/offline", e)
}

// records compares what the hub wrote down with what the stations said.
func (f *four) records() error {
	want := []string{f.r.Outcomes["over"], f.r.Outcomes["declined"], f.r.Outcomes["missed"], f.r.Outcomes["offline"]}
	var got []string
	for len(got) < len(want) {
		b, err := f.hub.Calls()
		if err != nil {
			return err
		}
		got = nil
		for _, line := range bytes.Split(bytes.TrimSpace(b), []byte("\n")) {
			var one struct{ Status, Reason string }
			if json.Unmarshal(line, &one) == nil {
				got = append(got, one.Status+"/"+one.Reason)
			}
		}
		if f.ctx.Err() != nil {
			return fmt.Errorf("the hub wrote down %v, not %v", got, want)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		return fmt.Errorf("the hub wrote down %v, not %v", got, want)
	}
	return nil
}

func round(v float64) float64 { return ear.Quantile([]float64{v}, 0) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
