package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"intercom/audio"
	"intercom/device"
	"intercom/device/control"
	"intercom/device/mqtt"
	"intercom/device/network"
	"intercom/device/rollback"
	"intercom/device/setup"
	"intercom/device/voice"
	"intercom/internal/durable"
	"intercom/internal/event"
	"intercom/internal/supervise"
	"intercom/internal/version"
	"intercom/systemd"
	"intercom/wire/link"
)

// updateFile has what was wrong with the last update of a card's image (images/card), where there is one.
const updateFile = "/run/intercom-update"

// stopTime is how long it may take until all parts have stopped.
const stopTime = 20 * time.Second

// serve wires the parts together and runs them until ctx ends. What is made first knows nothing of what is made later:
// it is given the station when it runs. What is written is read again at each SIGHUP.
func serve(ctx context.Context, cfg *setup.Config, conf *rollback.Configuration) error {
	debug.SetGCPercent(50) // a small heap: memory is dearer than the collector's work here
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	log := systemd.Logger(conf.Level())
	slog.SetDefault(log)
	ctx, end := context.WithCancel(ctx)
	defer end()
	again := end
	if !systemd.Managed() {
		again = nil
	}

	sound := audio.New(audio.Settings{App: "intercomd " + cfg.CUID, Server: cfg.Audio.Server, Sinks: cfg.Audio.Sinks,
		Sources: cfg.Audio.Sources, RingSinks: cfg.Audio.RingSinks,
		Echo: audio.Echo(cfg.Audio.Echo), Talk: cfg.Audio.Talk, Ring: cfg.Audio.Ring,
		Buffer: cfg.Audio.Buffer.Std(), Block: cfg.Audio.Block.Std()}, log)
	media, err := voice.New(cfg, sound, log)
	if err != nil {
		return err
	}
	lines := newBoard(cfg)
	leds, relay := lines.lamps()
	keeper := device.NewKeeper(cfg.StateDir)
	d := device.New(cfg, device.Parts{Media: media, Sound: media, Lamps: leds, Relay: relay, Keeper: keeper,
		Counts: lines.counts, Again: again, Given: conf, Show: conf.Show, Reload: conf.Reload}, log)
	sound.OnChange(func() {
		d.Fault(media.Status().Fault())
		d.SoundChanged()
		media.Changed()
	})
	tls, err := cfg.Hub.TLS()
	if err != nil {
		return err
	}
	hub := link.New(link.Config{URLs: append([]string{cfg.Hub.URL}, cfg.Hub.More...), Account: cfg.Hub.Account,
		APIKey: cfg.Hub.APIKey(), CUID: cfg.CUID, Name: cfg.Name,
		Instance: instance(cfg.StateDir, log), Agent: "intercomd/" + version.Version, TLS: tls, Way: network.Way}, d,
		d.Calls, log)
	d.Connect(hub)
	socket, err := listen(cfg.Control)
	if err != nil {
		return err
	}
	if b, err := os.ReadFile(updateFile); err == nil {
		d.Fault(control.Fault{Code: control.UpdateGivenUp, Part: control.PartUpdate,
			Text: strings.TrimSpace(string(b))})
	}
	handler := d.Handler(lines.panel)
	metrics := http.NewServeMux()
	metrics.Handle("GET /metrics", d.Metrics())

	parts := append(lines.outputs(d),
		supervise.Part{Name: "memory", Run: func(ctx context.Context) error { return keeper.Run(ctx, d.Fault) }},
		supervise.Part{Name: "audio", Run: sound.Run, Alive: sound.Alive},
		supervise.Part{Name: "tones", Run: func(ctx context.Context) error {
			media.LoadTones(ctx, d.Fault)
			<-ctx.Done()
			return nil
		}},
		supervise.Part{Name: "selftest", Run: func(ctx context.Context) error {
			return media.TestNowAndThen(ctx, cfg.Audio.SelfTest.Std(), d.Fault)
		}},
		supervise.Part{Name: "hub", Run: hub.Run, Grace: 7 * time.Second},
		supervise.Part{Name: "network", Run: func(ctx context.Context) error {
			return network.Watch(ctx, func() { hub.NetworkChanged(); d.NetworkChanged() })
		}},
		supervise.Part{Name: "control", Run: func(ctx context.Context) error {
			return serveHTTP(ctx, socket, handler)
		}},
		supervise.Part{Name: "kiosk", Run: func(ctx context.Context) error {
			return endpoint(ctx, cfg.Kiosk.Listen, d.Kiosk(handler),
				control.Fault{Code: control.KioskPort, Part: control.PartKiosk}, d.Fault)
		}},
		supervise.Part{Name: "metrics", Run: func(ctx context.Context) error {
			return endpoint(ctx, cfg.Metrics.Listen, metrics,
				control.Fault{Code: control.MetricsPort, Part: control.PartMetrics}, d.Fault)
		}},
		supervise.Part{Name: "mqtt", Run: func(ctx context.Context) error { return broker(ctx, cfg, d, log) }},
		// After those that tell others how its last call ended, so that it is stopped before them.
		supervise.Part{Name: "device", Run: d.Run, Vital: true, Grace: 4 * time.Second},
	)
	parts = append(parts, lines.inputs(d)...)
	parts = append(parts,
		supervise.Part{Name: "configuration", Run: func(ctx context.Context) error { return conf.Run(ctx, d, log) }},
		supervise.Part{Name: "reload", Run: func(ctx context.Context) error { return reload(ctx, hup, conf) }},
		supervise.Part{Name: "status", Run: func(ctx context.Context) error { return report(ctx, d) }},
	)
	group := supervise.New(log, parts...)
	group.Add(supervise.Part{Name: "watchdog", Run: func(ctx context.Context) error {
		return systemd.Watchdog(ctx, log, func(ctx context.Context) error {
			return errors.Join(d.Ask(ctx, func() {}), group.Stuck())
		})
	}})
	log.Info(event.Started, event.CUID(cfg.CUID), "control", cfg.Control)
	context.AfterFunc(ctx, func() { systemd.Stopping(stopTime) })
	return group.Run(ctx)
}

// reload has the configuration read again at each SIGHUP. One that is not valid changes nothing.
func reload(ctx context.Context, hup <-chan os.Signal, conf *rollback.Configuration) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		systemd.Reloading()
		_, _ = conf.Reload(ctx) // the fault says it
		systemd.Ready()
	}
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

// listen opens the control socket, for the daemon's user and group, or takes systemd's. A socket that a dead daemon
// left is taken over.
func listen(path string) (net.Listener, error) {
	if l := systemd.Listener("control"); l != nil {
		return l, nil
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("another intercomd is running: it answers on %s; stop it, or set another control socket",
			path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("the control socket %s: %w; set control to a folder that the daemon may write",
			path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("the control socket %s: %w; set control to a folder that the daemon may write",
			path, err)
	}
	return l, os.Chmod(path, 0o660)
}

// What a client of this machine may take: connections at once, and time for a request, for its answer, and between two.
// What goes on, as events do, sets its own.
const (
	mostClients = 64
	requestTime = 5 * time.Second
	answerTime  = 2 * time.Minute // a button may be held for one
	idleTime    = 30 * time.Second
	headerSize  = 16 << 10 // bytes
)

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: answerTime,
		IdleTimeout: idleTime, MaxHeaderBytes: headerSize}
	l = netutil.LimitListener(l, mostClients)
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

// endpoint serves something at an address, where one is configured. Where it cannot listen, busy is the fault.
func endpoint(ctx context.Context, address string, h http.Handler, busy control.Fault,
	fault func(control.Fault)) error {
	if address == "" {
		return supervise.ErrDone
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		busy.Text = err.Error()
		fault(busy)
		return err
	}
	fault(control.Well(busy.Part))
	return serveHTTP(ctx, l, h)
}

// broker shows the station at an MQTT broker, where one is configured.
func broker(ctx context.Context, cfg *setup.Config, d *device.Device, log *slog.Logger) error {
	if cfg.MQTT.URL == "" {
		return supervise.ErrDone
	}
	address, err := url.Parse(cfg.MQTT.URL)
	if err != nil {
		return err
	}
	tls, err := cfg.MQTT.TLS()
	if err != nil {
		return err
	}
	b := mqtt.New(mqtt.Config{URL: address, TLS: tls, User: cfg.MQTT.User, Password: cfg.MQTT.Password().Reveal(),
		CUID: cfg.CUID, Name: cmp.Or(cfg.Name, cfg.CUID),
		Prefix: cfg.MQTT.Prefix, Discovery: cfg.MQTT.Discovery, Commands: cfg.MQTT.Commands}, d, d.Fault, log)
	return b.Run(ctx)
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
