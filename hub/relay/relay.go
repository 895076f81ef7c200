// Package relay is STUN (RFC 8489) and TURN (RFC 8656) inside the hub, for stations that networks keep apart, and the
// short-lived credentials for it or for a server elsewhere that shares a secret with the hub.
//
// The relay carries only between parties of calls: credentials are made for one call and one party, and it does not
// reach into private ranges unless it may. A [Relay] runs from Open to Close. cmd/intercom-hub imports it; the only room
// with pion/turn beside call/rtc, whose library uses it.
package relay

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
)

// Config is how the relay is reached, and what it may do.
type Config struct {
	Listen       string // address and port, for UDP and TCP
	Public       string // IP address at which others reach this machine
	MinPort      int    // of the relayed addresses
	MaxPort      int
	AllowPrivate bool // relay into private ranges too: the stations are all in one house
	MostOf       int  // allocations of one account at once
	Secret       string
}

// Life is how long credentials are good for a new allocation. What is there may go on: a call is not cut by the clock.
const (
	Life  = time.Hour
	After = 24 * time.Hour // how long an allocation can be kept with the credentials that made it
)

const realm = "intercom"

// Credentials makes what a party of a call shows to the relay, as draft-uberti-behave-turn-rest-00 has it, which other
// servers understand too: the name says until when, and the password is its HMAC.
func Credentials(secret, account, cuid, call string, now time.Time) (username, password string) {
	username = fmt.Sprintf("%d:%s:%s:%s", now.Add(Life).Unix(), account, cuid, call)
	return username, passwordOf(secret, username)
}

func passwordOf(secret, username string) string {
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// Relay is a running server.
type Relay struct {
	cfg    Config
	public netip.Addr
	server *turn.Server
	addr   net.Addr

	mu   sync.Mutex
	held map[string]int // allocations by account
}

// Open listens and serves.
func Open(cfg Config, log *slog.Logger) (*Relay, error) {
	public, err := netip.ParseAddr(cfg.Public)
	if err != nil {
		return nil, fmt.Errorf("%q is not an IP address", cfg.Public)
	}
	r := &Relay{cfg: cfg, public: public.Unmap(), held: map[string]int{}}
	udp, err := net.ListenPacket("udp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, udp.Close())
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, errors.Join(err, udp.Close(), tcp.Close())
	}
	ports := func() turn.RelayAddressGenerator {
		return &turn.RelayAddressGeneratorPortRange{RelayAddress: net.IP(public.AsSlice()), Address: host, MinPort: uint16(cfg.MinPort), MaxPort: uint16(cfg.MaxPort)}
	}
	factory := logging.NewDefaultLoggerFactory()
	factory.DefaultLogLevel = logging.LogLevelDisabled
	r.server, err = turn.NewServer(turn.ServerConfig{
		Realm: realm, LoggerFactory: factory, AuthHandler: r.authenticate, QuotaHandler: func(username, _ string, _ net.Addr) bool { return r.room(accountOf(username)) },
		EventHandler: turn.EventHandler{
			OnAllocationCreated: func(_, _ net.Addr, _, account, _ string, _ net.Addr, _ int) { r.count(account, 1) },
			OnAllocationDeleted: func(_, _ net.Addr, _, account, _ string) { r.count(account, -1) },
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: udp, RelayAddressGenerator: ports(), PermissionHandler: r.reaches}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: tcp, RelayAddressGenerator: ports(), PermissionHandler: r.reaches}},
	})
	if err != nil {
		return nil, errors.Join(err, udp.Close(), tcp.Close())
	}
	r.addr = udp.LocalAddr()
	log.Info("STUN and TURN", "listen", r.addr.String(), "public", cfg.Public)
	return r, nil
}

// Close ends all allocations.
func (r *Relay) Close() error { return r.server.Close() }

// Allocations counts those that there are.
func (r *Relay) Allocations() int { return r.server.AllocationCount() }

// authenticate finds the key of a user (RFC 8489, section 9.2.2). One whose time is over can keep what it has.
func (r *Relay) authenticate(a *turn.RequestAttributes) (account string, key []byte, ok bool) {
	until, rest, found := strings.Cut(a.Username, ":")
	seconds, err := strconv.ParseInt(until, 10, 64)
	if !found || err != nil || strings.Count(rest, ":") != 2 {
		return "", nil, false
	}
	end := time.Unix(seconds, 0)
	if a.Method != stun.MethodAllocate {
		end = end.Add(After)
	}
	if time.Now().After(end) {
		return "", nil, false
	}
	return accountOf(a.Username), turn.GenerateAuthKey(a.Username, realm, passwordOf(r.cfg.Secret, a.Username)), true
}

func accountOf(username string) string {
	if parts := strings.Split(username, ":"); len(parts) == 4 {
		return parts[1]
	}
	return username // that is what the library gives back of a user that was let in
}

func (r *Relay) room(account string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held[account] < r.cfg.MostOf
}

func (r *Relay) count(account string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[account] += n; r.held[account] <= 0 {
		delete(r.held, account)
	}
}

// reaches reports whether the relay may carry to an address. It may always carry to itself: the other party's relayed
// address is there.
func (r *Relay) reaches(_ net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	if a = a.Unmap(); !ok {
		return false
	}
	return a == r.public || r.cfg.AllowPrivate && (a.IsPrivate() || a.IsLoopback() || shared.Contains(a)) || public(a)
}

// shared is the range of carriers' own translators (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// public reports whether an address is of the global network (the registries of RFC 6890).
func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10"} {
		if netip.MustParsePrefix(p).Contains(a) {
			return false
		}
	}
	return true
}
