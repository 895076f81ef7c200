package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// peer measures baresip with its defaults in our stations' place, where it is installed.
func peer(l *lab) error {
	if _, err := exec.LookPath("baresip"); err != nil {
		fmt.Fprintln(os.Stderr,
			"lab: baresip is not installed and not measured (apt-get install baresip-core libasound2-plugins)")
		return nil
	}
	if err := l.rig(setup{}); err != nil {
		return err
	}
	var delays []float64
	for i := range l.set.calls {
		b, err := l.baresips(uint64(10*i + 1))
		if err != nil {
			return fmt.Errorf("call %d: %w", i+1, err)
		}
		delays = append(delays, b.median)
	}
	l.figures["baresip_median_ms"] = median(delays)
	return nil
}

// baresips measures a call between two of them.
func (l *lab) baresips(seed uint64) (b both, err error) {
	modules, err := filepath.Glob("/usr/lib/*/baresip/modules")
	if len(modules) == 0 {
		modules, err = []string{"/usr/lib/baresip/modules"}, nil
	}
	if err != nil {
		return b, err
	}
	for i, host := range []string{stage.CableB, stage.CableA} { // the one that is called first
		name := []string{"b", "a"}[i]
		dir := filepath.Join(l.dir, "baresip-"+name)
		lines := []string{"module_path " + modules[0], "module alsa.so", "module opus.so", "module g711.so",
			"module_app account.so", "module_app menu.so",
			"sip_listen " + host + ":5060", "net_interface " + stage.CableInterface, "audio_player alsa,pulse",
			"audio_source alsa,pulse", "audio_alert alsa,pulse", "ring_aufile none"}
		for file, text := range map[string]string{
			"config": strings.Join(lines, "\n"), "accounts": fmt.Sprintf("<sip:%s@%s>;regint=0;answermode=auto\n", name,
				host), "contacts": "",
		} {
			if err := errors.Join(os.MkdirAll(dir, 0o700),
				os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600)); err != nil {
				return b, err
			}
		}
		args := append(l.cable.At(1-i), "chrt", "-r", "1", "baresip", "-f", dir)
		if name == "a" {
			args = append(args, "-e", "/dial sip:b@"+stage.CableB)
		}
		side := strings.ToUpper(name)
		p, err := stage.Start(l.dir, "baresip-"+name, []string{"HOME=" + dir, "PULSE_SERVER=" + l.sound.Server,
			"PULSE_SINK=" + side + "_spk", "PULSE_SOURCE=" + side + "_mic.monitor"}, args[0], args[1:]...)
		if err != nil {
			return b, err
		}
		defer func() { _ = p.Stop(3 * time.Second) }()
		if err := p.Wait(l.ctx, "it was ready", func() bool {
			log, _ := os.ReadFile(p.Log)
			return strings.Contains(string(log), "baresip is ready")
		}); err != nil {
			return b, err
		}
	}
	heard, err := ear.Record(l.sound.Server, "A_spk.monitor")
	if err != nil {
		return b, err
	}
	defer heard.Stop()
	steady, err := ear.Play(l.sound.Server, "B_mic", ear.Steady(toneHz, 20*time.Second))
	if err != nil {
		return b, err
	}
	began := time.Now()
	for ear.Onset(heard, toneHz, began) < 0 {
		if time.Since(began) > 15*time.Second {
			steady.Stop()
			return b, errors.New("no sound came")
		}
		time.Sleep(50 * time.Millisecond)
	}
	steady.Stop()
	time.Sleep(2 * time.Second)
	return l.bursts(6, seed)
}
