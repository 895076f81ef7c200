package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// parts are what can be measured, in the order in which it is.
var order = []struct {
	name string
	part part
}{
	{"press", press}, {"clean", clean}, {"pipewire", pipewire}, {"10ms", tenMS}, {"speech", speech}, {"loss5", loss(5)},
	{"loss10", loss(10)}, {"loss20", loss(20)}, {"recover", recovery}, {"use", use}, {"echo", echo}, {"half", half},
	{"drift", drift}, {"baresip", peer}, {"move", move},
}

var parts = func() map[string]part {
	m := map[string]part{"web": web, "webmove": webMove} // by themselves, since they need Node and Chromium
	for _, p := range order {
		m[p.name] = p.part
	}
	return m
}()

func names() (all []string) {
	for _, p := range order {
		all = append(all, p.name)
	}
	return all
}

func round(v float64) float64 { return math.Round(v*100) / 100 }

func median(x []float64) float64 { return ear.Quantile(x, 0.5) }

// calls places calls one after the other, and measures bursts in each.
func (l *lab) calls(n int) (all []both, ringing, sound []float64, err error) {
	for i := range l.set.calls {
		r, s, err := l.call()
		if err != nil {
			return nil, nil, nil, fmt.Errorf("call %d: %w", i+1, err)
		}
		b, err := l.bursts(n, uint64(10*i+1))
		if err != nil {
			return nil, nil, nil, fmt.Errorf("call %d: %w", i+1, err)
		}
		all, ringing, sound = append(all, b), append(ringing, r), append(sound, s)
		if err := l.hangUp(); err != nil {
			return nil, nil, nil, err
		}
	}
	return all, ringing, sound, nil
}

func medians(all []both) (m, p95 float64) {
	var a, b []float64
	for _, one := range all {
		a, b = append(a, one.median), append(b, one.p95)
	}
	return median(a), median(b)
}

// press is how long it takes from a press to its light and to its tone, debouncing included: while the hub is there,
// while it does not answer, and while it is gone; the slowest of the three. And to its light while the sound server is
// gone.
func press(l *lab) error {
	if err := l.open(setup{}); err != nil {
		return err
	}
	states := []struct {
		name string
		make func() error
	}{
		{"the hub is there", func() error { return nil }},
		{"the hub does not answer", func() error { return l.hub.Signal(syscall.SIGSTOP) }},
		{"the hub is gone", func() error { _ = l.hub.Signal(syscall.SIGCONT); return l.hub.Stop(5 * time.Second) }},
		{"the sound is gone", func() error { l.sound.Kill(); return nil }},
	}
	for _, s := range states {
		if err := s.make(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		var lights, tones []float64
		for range l.set.calls {
			light, tone, err := l.pressOnce(s.name != "the sound is gone")
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			lights, tones = append(lights, light), append(tones, tone)
		}
		l.figures["press_to_light_ms"] = max(l.figures["press_to_light_ms"], median(lights))
		l.figures["press_to_tone_ms"] = max(l.figures["press_to_tone_ms"], median(tones))
	}
	return nil
}

// The tones that answer a press: its own, and, where it is known at once that nobody can be reached, the one that says
// so.
var pressHz = []float64{1175, 950}

// pressOnce presses A's button, and lets go of the call that may have come of it.
func (l *lab) pressOnce(heard bool) (light, tone float64, err error) {
	var r *ear.Recorder
	if heard {
		if r, err = ear.Record(l.sound.Server, "A_spk.monitor"); err != nil {
			return 0, 0, err
		}
		defer r.Stop()
		time.Sleep(300 * time.Millisecond) // until it records
	}
	pressed := time.Now()
	if err := l.at[0].Press(l.ctx, "call"); err != nil {
		return 0, 0, err
	}
	e, err := l.events[0].Next(l.ctx, "a light", func(e stage.Event) bool {
		return e.Event == "light" && e.At.After(pressed) && e.Light != "idle" && e.Light != "offline" &&
			e.Light != "fault" && e.Light != "warning"
	})
	if err != nil {
		return 0, 0, err
	}
	for tone = -1; heard && tone < 0; {
		if time.Since(pressed) > 3*time.Second {
			return 0, 0, errors.New("no tone was heard")
		}
		time.Sleep(20 * time.Millisecond)
		for _, hz := range pressHz {
			if at := ear.Onset(r, hz, pressed); at >= 0 && (tone < 0 || at < tone) {
				tone = at
			}
		}
	}
	if s, err := l.at[0].Status(l.ctx); err == nil && s.Phase != "idle" {
		if err := l.at[0].Press(l.ctx, "hangup"); err != nil {
			return 0, 0, err
		}
	}
	time.Sleep(4 * time.Second) // until the call, and the light of one that nobody took, are over
	return float64(e.At.Sub(pressed).Microseconds()) / 1000, max(tone, 0), nil
}

func clean(l *lab) error {
	if err := l.open(setup{}); err != nil {
		return err
	}
	all, ringing, sound, err := l.calls(12)
	if err != nil {
		return err
	}
	l.figures["mouth_to_ear_median_ms"], l.figures["mouth_to_ear_p95_ms"] = medians(all)
	l.figures["press_to_ringing_ms"], l.figures["answer_to_sound_ms"] = median(ringing), median(sound)
	return nil
}

// pipewire is the same on PipeWire's Pulse server, and how much longer it takes there.
func pipewire(l *lab) error {
	if err := l.open(setup{sound: stage.StartPipeWire}); err != nil {
		return err
	}
	all, _, _, err := l.calls(12)
	if err != nil {
		return err
	}
	l.figures["pipewire_median_ms"], l.figures["pipewire_p95_ms"] = medians(all)
	if pulse, ok := l.figures["mouth_to_ear_median_ms"]; ok {
		l.figures["pipewire_extra_ms"] = round(l.figures["pipewire_median_ms"] - pulse)
	}
	return nil
}

func tenMS(l *lab) error {
	if err := l.open(setup{audio: `frame = "10ms"`}); err != nil {
		return err
	}
	all, _, _, err := l.calls(12)
	if err == nil {
		l.figures["mouth_to_ear_10ms_median_ms"], _ = medians(all)
	}
	return err
}

// loss is a cable that loses so many percent of the packets and holds the others for up to 30 ms.
func loss(percent int) part {
	return func(l *lab) error {
		if err := l.open(setup{}); err != nil {
			return err
		}
		l.cable.Impair(stage.Impairment{Loss: float64(percent) / 100, Jitter: 30 * time.Millisecond})
		name := fmt.Sprintf("loss%d_", percent)
		var delays, good []float64
		lost := 0
		for i := range l.set.calls {
			if _, _, err := l.call(); err != nil {
				return fmt.Errorf("call %d: %w", i+1, err)
			}
			time.Sleep(3 * time.Second)           // until it is reported
			b, err := l.bursts(6, uint64(10*i+1)) // in both directions
			if err != nil {
				return err
			}
			q, err := l.speak(10 * time.Second)
			if err != nil {
				return err
			}
			delays, good, lost = append(delays, b.median), append(good, q.Good), lost+b.lost
			if err := l.hangUp(); err != nil {
				return err
			}
		}
		l.figures[name+"lost"], l.figures[name+"median_ms"], l.figures[name+
			"good_share"] = float64(lost), median(delays), middle(good)
		return nil
	}
}

// middle is a median to three places.
func middle(x []float64) float64 {
	slices.Sort(x)
	return math.Round(1000*x[len(x)/2]) / 1000
}

func speech(l *lab) error {
	if err := l.open(setup{}); err != nil {
		return err
	}
	var corr []float64
	gaps := 0
	for range l.set.calls {
		if _, _, err := l.call(); err != nil {
			return err
		}
		q, err := l.speak(15 * time.Second)
		if err != nil {
			return err
		}
		corr, gaps = append(corr, q.Corr), gaps+q.Gaps
		if err := l.hangUp(); err != nil {
			return err
		}
	}
	l.figures["corr_median"], l.figures["gaps_100ms"] = middle(corr), float64(gaps)
	return nil
}

// recovery is how long the delay takes to be what it was, after ten seconds of jitter of 100 ms.
func recovery(l *lab) error {
	if err := l.open(setup{}); err != nil {
		return err
	}
	if _, _, err := l.call(); err != nil {
		return err
	}
	b, err := l.bursts(6, 1)
	if err != nil {
		return err
	}
	l.cable.Impair(stage.Impairment{Jitter: 100 * time.Millisecond})
	time.Sleep(10 * time.Second)
	l.cable.Impair(stage.Impairment{})
	began := time.Now()
	rec, stop, err := l.record()
	if err != nil {
		return err
	}
	defer stop()
	p, err := ear.Play(l.sound.Server, "A_mic", ear.Bursts(30, 3))
	if err != nil {
		return err
	}
	p.Wait()
	stop()
	for _, d := range ear.Timed(rec[0], rec[3]) {
		if d.MS >= 0 && d.MS <= b.median+10 {
			l.figures["recover_s"] = round(d.At.Sub(began).Seconds())
			return l.hangUp()
		}
	}
	l.figures["recover_s"] = round(time.Since(began).Seconds())
	return l.hangUp()
}

// use is what a station needs, in a call with talk in both directions and idle.
func use(l *lab) error {
	if err := l.open(setup{}); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	idle, err := ear.Usage(l.at[0].PID(), 20*time.Second)
	if err != nil {
		return err
	}
	l.figures["idle_wakeups_per_s"], l.figures["idle_cpu_percent"], l.figures["idle_pss_mib"] = round(idle.Wakeups),
		round(idle.CPU), round(idle.PSS)
	var cpu, wakeups, pss []float64
	for range l.set.calls {
		if _, _, err := l.call(); err != nil {
			return err
		}
		for i, sink := range []string{"A_mic", "B_mic"} {
			x, err := ear.Speech([]string{"en-gb", "en-us"}[i], 30*time.Second)
			if err != nil {
				return err
			}
			p, err := ear.Play(l.sound.Server, sink, x)
			if err != nil {
				return err
			}
			defer p.Stop()
		}
		time.Sleep(2 * time.Second)
		u, err := ear.Usage(l.at[0].PID(), 15*time.Second)
		if err != nil {
			return err
		}
		cpu, wakeups, pss = append(cpu, u.CPU*0.6), append(wakeups, u.Wakeups), append(pss, u.PSS)
		if err := l.hangUp(); err != nil {
			return err
		}
	}
	l.figures["cpu_s_per_min"], l.figures["wakeups_per_s"], l.figures["pss_mib"] = median(cpu), median(wakeups),
		median(pss)
	return nil
}

// drift gives A a microphone whose clock runs 300 ppm fast, and sees what becomes of the delay.
func drift(l *lab) error {
	const ppm = 300
	length := 5 * time.Minute
	if l.set.long {
		length = 30 * time.Minute
	}
	if err := l.open(setup{source: "A_fast", sound: fastSource}); err != nil {
		return err
	}
	heard, err := ear.Record(l.sound.Server, "B_spk.monitor")
	if err != nil {
		return err
	}
	defer heard.Stop()
	source, err := feed(l.dir, ppm)
	if err != nil {
		return err
	}
	defer source.stop()
	if _, _, err := l.call(); err != nil {
		return err
	}
	time.Sleep(5 * time.Second)
	began := len(source.spoken())
	time.Sleep(length)
	heard.Stop()
	var all []float64
	for _, d := range heard.Heard(source.spoken()[began:]) {
		if d.MS >= 0 {
			all = append(all, d.MS)
		}
	}
	if len(all) < 40 {
		return fmt.Errorf("only %d bursts were heard", len(all))
	}
	edge := min(30, len(all)/3)
	l.figures["drift_delay_change_ms"] = math.Abs(round(median(all[len(all)-edge:]) - median(all[:edge])))
	step := 0.0
	for i := 3; i+3 < len(all); i++ {
		step = max(step, math.Abs(median(all[i:i+3])-median(all[i-3:i])))
	}
	l.figures["drift_greatest_step_ms"] = round(step)
	return l.hangUp()
}

// echo gives A a room, in which its microphone hears its loudspeaker after 40 ms and 6 dB quieter. B talks; what comes
// back to B from the third second on is the echo. Then A talks as well.
func echo(l *lab) error {
	if err := l.open(setup{echo: "auto"}); err != nil {
		return err
	}
	if err := l.room(); err != nil {
		return err
	}
	if s, err := l.at[0].Status(l.ctx); err != nil || s.Sound.Echo != "cancelled" {
		return fmt.Errorf("the echo of A is %q (%v)", s.Sound.Echo, err)
	}
	var losses, near []float64
	for range l.set.calls {
		loss, kept, err := l.talkAgainst()
		if err != nil {
			return err
		}
		losses, near = append(losses, loss), append(near, kept)
	}
	l.figures["echo_loss_db"], l.figures["echo_near_end_good_share"] = median(losses), middle(near)
	return nil
}

// half is the same without a canceller: one talks at a time, and nothing howls.
func half(l *lab) error {
	if err := l.open(setup{echo: "half_duplex"}); err != nil {
		return err
	}
	if err := l.room(); err != nil {
		return err
	}
	loss, _, err := l.talkAgainst()
	l.figures["half_duplex_echo_loss_db"] = round(loss)
	return err
}

func (l *lab) room() error {
	if out, err := l.sound.Pactl("load-module", "module-loopback", "source=A_spk.monitor", "sink=A_mic",
		"latency_msec=40", "source_dont_move=true", "sink_dont_move=true"); err != nil {
		return fmt.Errorf("module-loopback: %w: %s", err, out)
	}
	// What A says is recorded by itself, before the room's echo is added.
	for _, args := range [][]string{{"module-null-sink", "sink_name=A_said", "rate=48000", "channels=1",
		"channel_map=mono", "norewinds=1"},
		{"module-loopback", "source=A_said.monitor", "sink=A_mic", "latency_msec=10", "source_dont_move=true",
			"sink_dont_move=true"}} {
		if out, err := l.sound.Pactl(append([]string{"load-module"}, args...)...); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	inputs, err := l.sound.Pactl("list", "sink-inputs")
	if err != nil {
		return err
	}
	id := ""
	for line := range strings.Lines(inputs) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "Sink Input #"); ok {
			id = n
		}
		if strings.Contains(line, "A_spk") && id != "" { // the one that comes from the loudspeaker
			if out, err := l.sound.Pactl("set-sink-input-volume", id, "-6dB"); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			id = ""
		}
	}
	return nil
}

// talkAgainst lets B talk for eight seconds, and then both. It gives how much of the echo in A's microphone did not
// come back, in dB, and the share of A's speech that B heard well.
func (l *lab) talkAgainst() (loss, kept float64, err error) {
	if _, _, err := l.call(); err != nil {
		return 0, 0, err
	}
	far, err := ear.Speech("en-us", 20*time.Second)
	if err != nil {
		return 0, 0, err
	}
	near, err := ear.Speech("en-gb", 10*time.Second)
	if err != nil {
		return 0, 0, err
	}
	rec, stop, err := l.record()
	if err != nil {
		return 0, 0, err
	}
	defer stop()
	b, err := ear.Play(l.sound.Server, "B_mic", far)
	if err != nil {
		return 0, 0, err
	}
	defer b.Stop()
	time.Sleep(8 * time.Second)
	in, back := rec[0].Samples(), rec[3].Samples()
	in, back = in[len(in)-5*ear.Rate:], back[len(back)-5*ear.Rate:]
	loss = 20 * math.Log10(max(ear.Loud(in), 1e-6)/max(ear.Loud(back), 1e-6))
	stop()
	said, err := ear.Record(l.sound.Server, "A_said.monitor")
	if err != nil {
		return 0, 0, err
	}
	defer said.Stop()
	heard, err := ear.Record(l.sound.Server, "B_spk.monitor")
	if err != nil {
		return 0, 0, err
	}
	defer heard.Stop()
	a, err := ear.Play(l.sound.Server, "A_said", near)
	if err != nil {
		return 0, 0, err
	}
	a.Wait()
	said.Stop()
	heard.Stop()
	return loss, ear.Compare(said, heard).Good, l.hangUp()
}
