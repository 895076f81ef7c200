package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"intercom/audio"
	"intercom/device"
	"intercom/gpio"
	"intercom/internal/config"
	"intercom/internal/durable"
	"intercom/internal/supervise"
	"intercom/systemd"
	"intercom/wire/link"
)

// version is the program's, for the hub's log.
const version = "intercomd/0.1"

// serve wires the parts together and runs them until ctx ends.
func serve(ctx context.Context, cfg *device.Config) error {
	debug.SetGCPercent(50) // a small heap: memory is dearer than the collector's work here
	log := systemd.Logger(config.Level(cfg.LogLevel))
	slog.SetDefault(log)

	var panel *gpio.Panel
	if cfg.GPIO.Driver == "virtual" {
		panel = gpio.NewPanel()
	}
	var d *device.Device
	sound := audio.New(audio.Settings{App: "intercomd " + cfg.CUID, Server: cfg.Audio.Server, Sinks: cfg.Audio.Sinks, Sources: cfg.Audio.Sources, RingSinks: cfg.Audio.RingSinks,
		Echo: cfg.Audio.Echo, Talk: cfg.Audio.Talk, Ring: cfg.Audio.Ring,
		Buffer: cfg.Audio.Buffer.Std(), Block: cfg.Audio.Block.Std()}, log)
	voice, err := device.NewVoice(cfg, sound, log)
	if err != nil {
		return err
	}
	fault := func(part, text string) { d.Fault(part, text) }
	lamps, parts := outputs(cfg, panel, fault)
	d = device.New(cfg, device.Parts{Media: voice, Sound: voice, Lamps: lamps}, log)
	sound.OnChange(func() {
		d.Fault("audio", voice.Status().Trouble)
		voice.Changed()
	})
	tls, err := cfg.Hub.TLS()
	if err != nil {
		return err
	}
	hub := link.New(link.Config{URLs: append([]string{cfg.Hub.URL}, cfg.Hub.More...), Account: cfg.Hub.Account, APIKey: cfg.Hub.APIKey(), CUID: cfg.CUID, Name: cfg.Name,
		Instance: instance(cfg.StateDir, log), Agent: version, TLS: tls}, d, d.Calls, log)
	d.Connect(hub)
	socket, err := listen(cfg.Control)
	if err != nil {
		return err
	}

	parts = append(parts,
		supervise.Part{Name: "audio", Run: sound.Run},
		supervise.Part{Name: "tones", Run: func(ctx context.Context) error { voice.LoadTones(ctx, fault); <-ctx.Done(); return nil }},
		supervise.Part{Name: "selftest", Run: func(ctx context.Context) error { return voice.TestNowAndThen(ctx, cfg.Audio.SelfTest.Std(), fault) }},
		supervise.Part{Name: "hub", Run: hub.Run, Grace: 7 * time.Second},
		supervise.Part{Name: "control", Run: func(ctx context.Context) error { return control(ctx, socket, d.Handler(panel)) }},
		// After those that tell others how its last call ended, so that it is stopped before them.
		supervise.Part{Name: "device", Run: d.Run, Vital: true, Grace: 4 * time.Second},
	)
	parts = append(parts, inputs(cfg, panel, d)...)
	parts = append(parts,
		supervise.Part{Name: "status", Run: func(ctx context.Context) error { return report(ctx, d) }},
		supervise.Part{Name: "watchdog", Run: func(ctx context.Context) error {
			return systemd.Watchdog(ctx, log, func(ctx context.Context) error { return d.Ask(ctx, func() {}) })
		}},
	)
	log.Info("started", "cuid", cfg.CUID, "control", cfg.Control)
	context.AfterFunc(ctx, systemd.Stopping)
	return supervise.Run(ctx, log, parts...)
}

// outputs makes the LEDs; each is a part, which opens its line anew when it fails.
func outputs(cfg *device.Config, panel *gpio.Panel, fault func(part, text string)) (lamps []device.Lamp, parts []supervise.Part) {
	for _, l := range cfg.LED {
		name, lamp := "led "+l.Name, gpio.NewLamp()
		lamps = append(lamps, lamp)
		parts = append(parts, supervise.Part{Name: name, Run: func(ctx context.Context) error {
			out, err := openLED(l, panel)
			if err != nil {
				fault(name, err.Error())
				return err
			}
			defer closeLine(out)
			fault(name, "")
			return lamp.Run(ctx, out)
		}})
	}
	return lamps, parts
}

func openLED(l device.LEDConfig, panel *gpio.Panel) (gpio.Output, error) {
	if panel != nil {
		return panel.Output(l.Name), nil
	}
	return gpio.OpenOutput(gpio.Wiring{Line: l.Line, ActiveLow: l.ActiveLow})
}

func closeLine(line any) {
	if c, ok := line.(io.Closer); ok {
		_ = c.Close()
	}
}

// inputs watches the buttons; each is a part, so that one line that fails does not silence the others.
func inputs(cfg *device.Config, panel *gpio.Panel, d *device.Device) (parts []supervise.Part) {
	for _, b := range cfg.Button {
		name := "button " + b.Name
		parts = append(parts, supervise.Part{Name: name, Run: func(ctx context.Context) error {
			in, err := openButton(b, panel)
			if err != nil {
				d.Fault(name, err.Error())
				return err
			}
			defer closeLine(in)
			d.Fault(name, "")
			return gpio.Watch(ctx, in, cfg.GPIO.Debounce.Std(), func(p gpio.Press) {
				if p.Down {
					d.Pressed(b)
				} else {
					d.Released(b)
				}
			})
		}})
	}
	return parts
}

func openButton(b device.ButtonConfig, panel *gpio.Panel) (gpio.Input, error) {
	if panel != nil {
		return panel.Input(b.Name), nil
	}
	pull := b.Pull
	if pull == "" {
		pull = "up"
	}
	return gpio.OpenInput(gpio.Wiring{Line: b.Line, Pull: pull, ActiveLow: b.ActiveLow})
}

// instance is the secret by which the hub knows this station again. A state folder that cannot be written costs no
// more than that: a new one at each start.
func instance(dir string, log *slog.Logger) string {
	path := filepath.Join(dir, "instance")
	if b, err := os.ReadFile(path); err == nil && len(strings.TrimSpace(string(b))) == 32 {
		return strings.TrimSpace(string(b))
	}
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	id := hex.EncodeToString(raw[:])
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = durable.Write(path, []byte(id+"\n"))
	}
	if err != nil {
		log.Warn("the station cannot remember who it is; make state_dir writable", "path", path, "err", err)
	}
	return id
}

// listen opens the control socket, for the daemon's user and group. A socket that a dead daemon left is taken over.
func listen(path string) (net.Listener, error) {
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("another intercomd is running: it answers on %s; stop it, or set another control socket", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("the control socket %s: %w; set control to a folder that the daemon may write", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the control socket %s: %w; set control to a folder that the daemon may write", path, err)
	}
	return l, os.Chmod(path, 0o660)
}

func control(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// The device has ended, and with it what was followed; those who follow still get the last of it.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(last) != nil {
		s.Close()
	}
	<-ended
	return nil
}

// report says READY when the station answers, whether or not hub and sound are there, and keeps systemd's status line
// true.
func report(ctx context.Context, d *device.Device) error {
	events, leave, err := d.Follow(ctx)
	if err != nil {
		return err
	}
	defer leave()
	systemd.Ready()
	said := ""
	for {
		if s, err := d.Status(ctx); err == nil && s.Sentence() != said {
			said = s.Sentence()
			systemd.Status(said)
		}
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-events:
			if !ok {
				return nil
			}
			for len(events) > 0 { // only how it is now counts
				<-events
			}
		}
	}
}
