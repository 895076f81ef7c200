package nats

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
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

const startTime = 10 * time.Second

// embed starts a server inside the process. Without a cluster it opens no port.
func embed(name, dir string, c Cluster, log *slog.Logger) (*server.Server, error) {
	opts := &server.Options{
		ServerName: name, DontListen: true, NoSigs: true, JetStream: true, StoreDir: dir,
		SyncAlways:         true, // an acknowledged record is on the disk
		JetStreamMaxMemory: 256 << 20, JetStreamMaxStore: 4 << 30,
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
		opts.Cluster = server.ClusterOpts{Name: "intercom", Host: host, Port: n, Username: "hub", Password: c.Secret, NoAdvertise: true}
		for _, r := range c.Routes {
			opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", User: url.UserPassword("hub", c.Secret), Host: r})
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
