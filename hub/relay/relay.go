// Package relay is STUN (RFC 8489) and TURN (RFC 8656) inside the hub, for stations that networks keep apart, and the
// credentials for it or for a server elsewhere that shares a secret with the hub.
//
// The relay carries UDP between the parties of live calls and nothing else: its credentials are those of one party of
// one call, what it relays ends with the call, and of this machine it reaches only its own ports of the same call.
// Every message passes [Relay.screen] before the library sees it, and every relayed packet passes its [socket]. A
// [Relay] runs from Open to Close. cmd/intercom-hub imports it; the only room with pion/turn beside call/rtc, whose
// library uses it.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
	"golang.org/x/time/rate"
)

// Calls knows which calls live. The hub does.
type Calls interface {
	// Live reports, at once, whether a party of a call may have a media path now; known is false for a call that this
	// hub does not have.
	Live(account, cuid, call string) (live, known bool)
	// LiveElsewhere asks the other hubs about a call that this hub does not have; known is false when none has it. An
	// error says that they could not be asked.
	LiveElsewhere(ctx context.Context, account, cuid, call string) (live, known bool, err error)
}

// Handshakes limits TLS handshakes. The hub does.
type Handshakes interface {
	// Begin reports whether a connection may have one. If so, TLS goes over conn; done is called when it is over.
	Begin(net.Conn) (conn net.Conn, done func(), ok bool)
}

// Config is how the relay is reached, and what it may do.
type Config struct {
	Listen       string      // address and port, for UDP and TCP
	ListenTLS    string      // address and port for TLS; "" for none
	TLS          *tls.Config // of ListenTLS
	Handshakes   Handshakes  // of ListenTLS
	Public       string      // IP address at which others reach this machine
	MinPort      int         // of the relayed addresses
	MaxPort      int
	AllowPrivate bool // relay into private ranges too: the stations are all in one house
	MostOf       int  // relayed addresses of one account at once
	AddressKbit  int  // kbit/s that one relayed address carries, each way
	AccountKbit  int  // kbit/s that the relayed addresses of one account carry together, each way
	Secret       string
	Calls        Calls

	times times // of tests; the usual ones are made by Open
}

// Limits that nobody needs to change.
const (
	mostOfCall  = 80 // relayed addresses of one call: a caller and 16 who ring, each over UDP, TCP and TLS
	mostOfParty = 24 // of one party: three ways, several interfaces, and again at a restart of ICE

	look     = time.Second      // how often the relay looks which calls live, and at the machine's addresses
	moveTime = 30 * time.Second // that a call may take to move to another hub
	longest  = 24 * time.Hour   // of a relayed address while the other hubs cannot be asked
)

type times struct {
	ask    time.Duration // how often the other hubs are asked about calls that this one does not have
	lonely time.Duration // that a connection may be without a relayed address
	write  time.Duration // that a message may take to be written to a connection
}

var usual = times{ask: 5 * time.Second, lonely: 10 * time.Second, write: 5 * time.Second}

// Relay is a running server.
type Relay struct {
	cfg      Config
	reach    reach
	log      *slog.Logger
	server   *turn.Server
	udp, tcp net.Addr
	tls      net.Addr // nil without
	visitors visitors
	lines    lines
	stop     context.CancelFunc
	ended    sync.WaitGroup

	mu        sync.Mutex
	sockets   map[uint16]*socket // by port
	tuples    map[tuple]*socket
	count     map[string]int // sockets by account, call and party
	accounts  map[string]*shared
	streams   map[*stream]struct{}
	streamsOf map[netip.Addr]int
}

// tuple is how a client reaches the relay.
type tuple struct {
	network  string
	from, to netip.AddrPort
}

// shared is what the relayed addresses of one account may carry together.
type shared struct{ in, out *rate.Limiter }

// Open listens and serves.
func Open(cfg Config, log *slog.Logger) (*Relay, error) {
	ip, err := netip.ParseAddr(cfg.Public)
	if err != nil {
		return nil, fmt.Errorf("%q is not an IP address", cfg.Public)
	}
	if cfg.times == (times{}) {
		cfg.times = usual
	}
	r := &Relay{cfg: cfg, log: log, sockets: map[uint16]*socket{}, tuples: map[tuple]*socket{}, count: map[string]int{},
		accounts: map[string]*shared{}, streams: map[*stream]struct{}{}, streamsOf: map[netip.Addr]int{}}
	r.reach.public, r.reach.private, r.lines.log = ip.Unmap(), cfg.AllowPrivate, log
	r.reach.refresh()

	pc, err := net.ListenPacket("udp", cfg.Listen)
	if err != nil {
		return nil, err
	}
	r.udp = pc.LocalAddr()
	tcp, err := net.Listen("tcp", r.udp.String())
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	r.tcp = tcp.Addr()
	listeners := []turn.ListenerConfig{{Listener: &listener{Listener: tcp, relay: r},
		RelayAddressGenerator: generator{r}, PermissionHandler: r.permits}}
	if cfg.ListenTLS != "" {
		l, err := net.Listen("tcp", cfg.ListenTLS)
		if err != nil {
			return nil, errors.Join(err, pc.Close(), tcp.Close())
		}
		r.tls = l.Addr()
		listeners = append(listeners, turn.ListenerConfig{Listener: &listener{Listener: l, relay: r, tls: cfg.TLS},
			RelayAddressGenerator: generator{r}, PermissionHandler: r.permits})
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelDisabled
	r.server, err = turn.NewServer(turn.ServerConfig{
		Realm: realm, LoggerFactory: quiet, AuthHandler: r.authenticate, EventHandler: r.events(),
		StrictAddressFamily: r.reach.public.Is4(),
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: &packets{UDPConn: pc.(*net.UDPConn), relay: r},
			RelayAddressGenerator: generator{r}, PermissionHandler: r.permits}},
		ListenerConfigs: listeners,
	})
	if err != nil {
		err = errors.Join(err, pc.Close())
		for _, l := range listeners {
			err = errors.Join(err, l.Listener.Close())
		}
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.ended.Go(func() { r.watch(ctx) })
	r.ended.Go(func() { r.ask(ctx) })
	log.Info("STUN and TURN", "listen", r.udp.String(), "tls", cfg.ListenTLS, "public", cfg.Public)
	return r, nil
}

// Close ends everything that is relayed, and all connections.
func (r *Relay) Close() error {
	r.stop()
	err := r.server.Close()
	r.mu.Lock()
	for s := range r.streams {
		r.dismiss(s)
	}
	r.mu.Unlock()
	r.ended.Wait()
	return err
}

// Allocations counts the relayed addresses that there are.
func (r *Relay) Allocations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sockets)
}

// authenticate gives the library the key of a user (RFC 8489, section 9.2.2). Whether the call lives, screen has asked.
func (r *Relay) authenticate(a *turn.RequestAttributes) (user string, key []byte, ok bool) {
	p, ok := partyOf(a.Username)
	if !ok {
		return "", nil, false
	}
	return p.String(), keyOf(r.cfg.Secret, p), true
}

// permits is the library's question; screen has asked it too, to answer with the right code.
func (r *Relay) permits(_ net.Addr, peer net.IP) bool {
	a, ok := netip.AddrFromSlice(peer)
	return ok && r.reach.of(a) != never
}

// lives reports whether a party may have relayed addresses now. A call that is moving to another hub goes on with those
// that it has; so its parties may also have new ones, as a restart of ICE needs.
func (r *Relay) lives(p Party) bool {
	live, known := r.cfg.Calls.Live(p.Account, p.CUID, p.Call)
	if known {
		return live
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[p.Account+":"+p.Call] > 0
}

// watch closes what belongs to calls that are over, and connections that want nothing, until ctx ends.
func (r *Relay) watch(ctx context.Context) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.reach.refresh()
		r.leaveAlone(time.Now())
		for _, s := range r.all() {
			live, known := r.cfg.Calls.Live(s.party.Account, s.party.CUID, s.party.Call)
			switch {
			case known && !live:
				s.end("its call is over")
			case known:
				s.unknown.Store(0)
			default:
				s.unknown.CompareAndSwap(0, time.Now().UnixNano())
			}
		}
	}
}

// ask asks the other hubs about the calls that this one does not have any more, until ctx ends. Another hub took them
// over, or their parties are on their way there.
func (r *Relay) ask(ctx context.Context) {
	tick := time.NewTicker(r.cfg.times.ask)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		byParty := map[Party][]*socket{}
		for _, s := range r.all() {
			if s.unknown.Load() != 0 {
				byParty[s.party] = append(byParty[s.party], s)
			}
		}
		for p, sockets := range byParty {
			live, known, err := r.cfg.Calls.LiveElsewhere(ctx, p.Account, p.CUID, p.Call)
			for _, s := range sockets {
				since := s.unknown.Load()
				switch {
				case since == 0 || ctx.Err() != nil:
				case err != nil && time.Since(s.born) < longest: // a hub that is cut off ends no call
				case err != nil:
					s.end("no hub could be asked about its call for a day")
				case known && live:
					s.unknown.CompareAndSwap(since, time.Now().UnixNano())
				case known:
					s.end("its call is over")
				case time.Since(time.Unix(0, since)) > moveTime:
					s.end("no hub has its call any more")
				}
			}
		}
	}
}

func (r *Relay) all() (all []*socket) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sockets {
		all = append(all, s)
	}
	return all
}

// lines are log lines about what is refused: one of a kind in a while, so that a flood does not fill the journal.
type lines struct {
	log  *slog.Logger
	mu   sync.Mutex
	last map[string]time.Time
	more map[string]int
}

const lineEvery = 10 * time.Second

func (l *lines) refuse(why string, attrs ...any) { l.line(slog.LevelWarn, why, attrs...) }

func (l *lines) line(level slog.Level, why string, attrs ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last, l.more = map[string]time.Time{}, map[string]int{}
	}
	if time.Since(l.last[why]) < lineEvery {
		l.more[why]++
		return
	}
	l.log.Log(context.Background(), level, "the relay refuses",
		append([]any{"why", why, "more", l.more[why]}, attrs...)...)
	l.last[why], l.more[why] = time.Now(), 0
}
