package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"intercom/hub"
	"intercom/hub/access"
	"intercom/hub/authority"
	"intercom/hub/hook"
	"intercom/hub/nats"
	"intercom/hub/record"
	"intercom/hub/relay"
	"intercom/internal/config"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/internal/outcome"
	"intercom/internal/supervise"
	"intercom/systemd"
	"intercom/web"
	"intercom/wire"
)

// serve runs the hub until ctx ends, and then lets its calls go on and tells its devices.
func serve(ctx context.Context, cfg *hub.Config, dir *access.Directory) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(20) // most of what a hub holds is idle devices: memory counts more than the collector's work
	}
	log := systemd.Logger(config.Level(cfg.LogLevel))
	slog.SetDefault(log)
	if err := os.MkdirAll(cfg.StateDir, 0o750); err != nil {
		log.Warn("the state folder cannot be made", "err", err)
	}
	secret, err := access.OpenSecret(cfg.Secret())
	if err != nil && secret == nil {
		return fmt.Errorf("the hub's secret: %w", err)
	} else if err != nil {
		log.Error("the hub's secret cannot be kept; tokens and tickets will not outlive this process", "err", err)
	}
	ended, err := access.OpenEnded(cfg.Ended())
	if err != nil {
		log.Error("who signed out cannot be read; those sessions go on", "path", cfg.Ended(), "err", err)
	}
	certificates, err := tlsConfig(cfg, log)
	if err != nil {
		return err
	}
	named := ""
	if cfg.TLSPrivate {
		a, err := authority.Open(cfg.Authority())
		if err != nil {
			return err
		}
		named = a.Hosts()[0]
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w; is another hub running, or is the port below 1024?",
			cfg.Listen, err)
	}
	bus, err := nats.Open(nats.Config{Name: cfg.Name, URL: cfg.NATS.URL, Credentials: cfg.NATS.Credentials,
		Dir: filepath.Join(cfg.StateDir, "nats"), Replicas: cfg.NATS.Replicas,
		Cluster: nats.Cluster{Listen: cfg.NATS.Listen, Routes: cfg.NATS.Routes,
			Secret: secret.For("cluster route").Sign(nil)}}, log)
	if err != nil {
		l.Close()
		return err
	}
	defer bus.Close()
	records := record.Open(cfg.Records(), cfg.Name, cfg.KeepRecords.Std(), bus, log)
	notes := record.OpenNotes(cfg.Records())
	hooks := hook.New(dir, log)
	h := hub.New(hub.Settings{Bus: bus, Access: dir, Secret: secret, Ended: ended,
		Times: hub.Times{Ring: cfg.RingTime.Std(), Caller: cfg.CallerTime.Std(), Ack: cfg.AckTime.Std()},
		Record: func(account string, r outcome.Result) {
			records.Add(account, r)
			tellCall(hooks, account, r)
		}, Note: func(account, cuid string, n wire.NoteBody) error {
			fresh, err := notes.Add(record.Note{Account: account, Station: cuid, NoteBody: n})
			if fresh && n.Kind != wire.CallNote { // of a call, its end is what others want to hear of
				log.Info(event.Note, event.Account(account), event.CUID(cuid), "kind", string(n.Kind), "at", n.At,
					"who", n.Who, "why", n.Why, "result", n.Result, "to", n.To, event.Call(n.Call))
				hooks.Send(hook.Event{ID: n.ID, Event: hook.StationNote, At: time.Now().UTC(), Account: account,
					Station: cuid, Note: &n})
			}
			return err
		}, Recorded: records.Find, Trouble: records.Trouble,
		Calls: func(f record.Filter) (record.Page, error) { return record.Query(cfg.Records(), f) },
		Notes: func(account, station string, limit int) ([]record.Note, error) {
			return record.Latest(cfg.Records(), account, station, limit)
		},
		Origins: cfg.Origins, Proxies: cfg.Proxies(), Pages: pages(cfg), Servers: iceServers(cfg, secret)}, log)
	closeRelay, err := openRelay(cfg, secret, certificates, h, log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer closeRelay()
	if err := dir.Trouble(); err != nil {
		log.Error("accounts whose files have a problem are left out until it is mended; 'intercom-hub check' tells "+
			"when all are right", "code", string(fault.HubDegraded), "err", err)
	}
	if len(dir.Accounts()) == 0 {
		log.Warn("there are no accounts, so nobody can sign in; make one with 'intercom-hub key new -account ID'",
			"path", cfg.Accounts)
	}
	if !cfg.TLS() && cfg.AllowPlain {
		log.Warn("serving without TLS because allow_plain is set; everybody on the way can listen in, and nobody can "+
			"sign in at the pages from another machine; see docs/tls.md", "listen", cfg.Listen)
	}
	if code := h.SetupCode(); code != "" {
		log.Warn("there is no operator yet; make the first at this address, which is good once and until the hub stops",
			"url", cfg.Address(named)+web.SetupPath+"#"+code)
	}
	systemd.Ready()
	systemd.Status("Serving on " + l.Addr().String())
	log.Info(event.Started, "listen", l.Addr().String(), "accounts", len(dir.Accounts()))
	context.AfterFunc(ctx, func() { systemd.Stopping(20 * time.Second) })
	return supervise.Run(ctx, log,
		supervise.Part{Name: "records", Run: records.Run},
		supervise.Part{Name: "cluster", Run: h.Run},
		supervise.Part{Name: "memory", Run: h.Calm},
		supervise.Part{Name: "webhooks", Run: hooks.Run},
		supervise.Part{Name: "silence", Run: func(ctx context.Context) error {
			return h.Silence(ctx, func(account, cuid string, silent bool, since time.Time) {
				tellSilence(hooks, account, cuid, silent, since)
			})
		}},
		supervise.Part{Name: "accounts", Run: func(ctx context.Context) error { return reload(ctx, dir, log) }},
		supervise.Part{Name: "http", Vital: true, Grace: 7 * time.Second, Run: func(ctx context.Context) error {
			return h.Serve(ctx, l, certificates)
		}},
		supervise.Part{Name: "certificate", Run: func(ctx context.Context) error { return renew(ctx, cfg, log) }},
		supervise.Part{Name: "authority", Run: func(ctx context.Context) error { return giveCA(ctx, cfg, h) }},
		supervise.Part{Name: "control", Run: func(ctx context.Context) error { return control(ctx, cfg.Control(), h) }},
		supervise.Part{Name: "metrics", Run: func(ctx context.Context) error { return measure(ctx, cfg.Metrics, h) }},
		supervise.Part{Name: "watchdog", Run: func(ctx context.Context) error {
			return systemd.Watchdog(ctx, log, h.Alive)
		}},
	)
}

func tellCall(hooks *hook.Sender, account string, r outcome.Result) {
	e := hook.Event{ID: r.Call, Event: hook.CallEnded, At: time.Now().UTC(), Account: account, Call: &r}
	hooks.Send(e)
	if r.Status == outcome.Missed {
		e.ID, e.Event = r.Call+".missed", hook.CallMissed
		hooks.Send(e)
	}
}

func tellSilence(hooks *hook.Sender, account, cuid string, silent bool, since time.Time) {
	since = since.UTC()
	e := hook.Event{ID: fmt.Sprint(cuid, ".silent.", since.Unix()), Event: hook.StationSilent, At: time.Now().UTC(),
		Account: account, Station: cuid, Since: &since}
	if !silent {
		e.ID, e.Event = fmt.Sprint(cuid, ".back.", since.Unix()), hook.StationBack
	}
	hooks.Send(e)
}

// openRelay starts the relay inside, if it is wanted.
func openRelay(cfg *hub.Config, secret *access.Secret, certificates *tls.Config, h *hub.Hub,
	log *slog.Logger) (stop func(), err error) {
	t := cfg.TURN
	if t.Listen == "" {
		return func() {}, nil
	}
	c := relay.Config{Listen: t.Listen, ListenTLS: t.ListenTLS, Public: t.Public, MinPort: t.MinPort,
		MaxPort: t.MaxPort, AllowPrivate: t.AllowPrivate,
		MostOf: t.PerAccount, AddressKbit: t.AddressKbit, AccountKbit: t.AccountKbit,
		Secret: relaySecret(secret), Calls: h}
	if t.ListenTLS != "" {
		c.TLS = certificates.Clone()
		c.TLS.NextProtos = nil // those are the web's
		c.Handshakes = h.Handshakes()
	}
	r, err := relay.Open(c, log)
	if err != nil {
		return nil, fmt.Errorf("cannot relay on %s: %w; is another server there?",
			strings.Join(slices.Compact([]string{t.Listen, cmp.Or(t.ListenTLS, t.Listen)}), " and "), err)
	}
	return func() { _ = r.Close() }, nil
}

func relaySecret(secret *access.Secret) string { return secret.For("turn").Sign(nil) }

// iceServers says what a party of a call is told of the relay inside, and of servers elsewhere. Credentials are made
// for each party; without a call there are none, so only STUN is left.
func iceServers(cfg *hub.Config, secret *access.Secret) func(account, cuid, call string) []wire.ICEServer {
	own, inside := addresses(cfg), relaySecret(secret)
	return func(account, cuid, call string) []wire.ICEServer {
		p := relay.Party{Account: account, CUID: cuid, Call: call}
		user, password := relay.Credentials(inside, p)
		all := offer(own, call, user, password)
		user, password = relay.Shared(cfg.TURN.Secret().Reveal(), p, time.Now())
		return append(all, offer(cfg.TURN.URLs, call, user, password)...)
	}
}

// addresses are those of the relay inside.
func addresses(cfg *hub.Config) []string {
	t := cfg.TURN
	if t.Listen == "" {
		return nil
	}
	_, port, _ := net.SplitHostPort(t.Listen)
	at := net.JoinHostPort(t.Public, port)
	all := []string{"stun:" + at, "turn:" + at + "?transport=udp", "turn:" + at + "?transport=tcp"}
	if t.ListenTLS != "" {
		_, port, _ := net.SplitHostPort(t.ListenTLS)
		name := cmp.Or(t.TLSName, t.Public)
		if t.TLSName == "" && len(cfg.ACME.Domains) > 0 {
			name = cfg.ACME.Domains[0]
		}
		all = append(all, "turns:"+net.JoinHostPort(name, port)+"?transport=tcp")
	}
	return all
}

// offer gives the addresses of TURN servers their credentials.
func offer(urls []string, call, user, password string) (all []wire.ICEServer) {
	isSTUN := func(u string) bool { return strings.HasPrefix(u, "stun") }
	stun := slices.DeleteFunc(slices.Clone(urls), func(u string) bool { return !isSTUN(u) })
	turn := slices.DeleteFunc(slices.Clone(urls), isSTUN)
	if len(stun) > 0 {
		all = append(all, wire.ICEServer{URLs: stun})
	}
	if len(turn) > 0 && call != "" {
		all = append(all, wire.ICEServer{URLs: turn, Username: user, Credential: password})
	}
	return all
}

// reload reads the accounts again when they changed, or on SIGHUP; the hub follows them. A file with a problem changes
// nothing.
func reload(ctx context.Context, dir *access.Directory, log *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	told := ""
	if err := dir.Trouble(); err != nil { // told at the start
		told = err.Error()
	}
	for {
		wait, cancel := context.WithTimeout(ctx, access.LookTime)
		select {
		case <-hup:
		case <-wait.Done():
		}
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		changed, err := dir.Reload()
		switch {
		case err == nil && told != "":
			told = ""
			log.Info("the accounts have no problem any more")
		case err != nil && err.Error() != told:
			told = err.Error()
			log.Error("files of the accounts have a problem and count as they were", "err", err)
		}
		if changed {
			log.Info("accounts read again", "accounts", len(dir.Accounts()))
		}
	}
}

// control serves the commands of this machine on a socket that belongs to the hub's user.
func control(ctx context.Context, path string, h *hub.Hub) error {
	_ = os.Remove(path) // of a life before ours
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	return serveUntil(ctx, l, h.Admin())
}

// measure serves the metrics, where they are wanted.
func measure(ctx context.Context, address string, h *hub.Hub) error {
	if address == "" {
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.Metrics())
	return serveUntil(ctx, l, mux)
}

func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}
