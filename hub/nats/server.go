package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster is what hubs with embedded servers need to find one another.
type Cluster struct {
	Listen string   // address and port for the other hubs; "" for a hub that is alone
	Routes []string // addresses and ports of the others
	Secret string   // the same on all
}

const (
	startTime = 10 * time.Second
	user      = "hub"
)

// writable reports why JetStream could not keep files in a folder.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	probe := filepath.Join(dir, ".probe")
	defer os.Remove(probe)
	return os.WriteFile(probe, make([]byte, 64<<10), 0o600)
}

const (
	maxMemory = 256 << 20
	maxStore  = 4 << 30
)

// enable starts JetStream in a server that began without it, once its folder can be written.
func enable(s *server.Server, dir string) error {
	if s.JetStreamEnabled() {
		return nil
	}
	if err := writable(dir); err != nil {
		return err
	}
	return s.EnableJetStream(&server.JetStreamConfig{StoreDir: dir, MaxMemory: maxMemory, MaxStore: maxStore,
		SyncAlways: true})
}

// embed starts a server inside the process. Without a cluster it opens no port. A folder that cannot be written, as on
// a full disk, keeps JetStream from starting, and the server with it: then it starts without, and enable tries on.
func embed(name, dir string, c Cluster, log *slog.Logger) (*server.Server, error) {
	jetStream := true
	if err := writable(dir); err != nil {
		log.Error("the bus starts without JetStream: its folder cannot be written", "err", err)
		jetStream = false
	}
	opts := &server.Options{
		ServerName: name, DontListen: true, NoSigs: true, JetStream: jetStream, StoreDir: dir,
		SyncAlways:         true, // an acknowledged record is on the disk
		JetStreamMaxMemory: maxMemory, JetStreamMaxStore: maxStore,
	}
	if c.Listen != "" {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		// The server's routes wait for its clients' port, so there is one: any, on loopback, for those who know the
		// secret.
		opts.DontListen, opts.Host, opts.Port, opts.Username, opts.Password = false, "127.0.0.1", -1, user, c.Secret
		opts.Cluster = server.ClusterOpts{Name: "intercom", Host: host, Port: n, Username: user, Password: c.Secret,
			NoAdvertise: true}
		for _, r := range c.Routes {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route",
				User: url.UserPassword(user, c.Secret), Host: r})
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("the embedded NATS server: %w", err)
	}
	s.SetLoggerV2(natsLog{log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(startTime) {
		s.Shutdown()
		return nil, errors.New("the embedded NATS server does not start; is its cluster port taken?")
	}
	return s, nil
}

// natsLog passes the server's words on: what it warns of to ours, the rest only for those who debug.
type natsLog struct{ *slog.Logger }

func (l natsLog) Noticef(f string, a ...any) { l.Debug("nats: " + fmt.Sprintf(f, a...)) }
func (l natsLog) Warnf(f string, a ...any)   { l.Debug("nats: " + fmt.Sprintf(f, a...)) }
func (l natsLog) Errorf(f string, a ...any)  { l.Warn("nats: " + fmt.Sprintf(f, a...)) }
func (l natsLog) Fatalf(f string, a ...any)  { l.Error("nats: " + fmt.Sprintf(f, a...)) }
func (l natsLog) Debugf(string, ...any)      {}
func (l natsLog) Tracef(string, ...any)      {}
