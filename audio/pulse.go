package audio

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jfreymuth/pulse/proto"
)

// Times within which a server must do something before it counts as gone.
const (
	dialTime    = 2 * time.Second
	requestTime = 3 * time.Second
	writeTime   = time.Second
	goodbyeTime = time.Second // for what is to be put back in order at the end
)

// conn is a connection to a sound server. The library's goroutine reads it and calls handle.
type conn struct {
	*proto.Client
	net  net.Conn
	name string
	dead chan struct{} // closed when the connection is

	starved, spilled atomic.Int64 // underflows and overflows that the server told of

	mu   sync.Mutex
	play map[*output]*playback // who gets the events of the playback streams
	rec  *capture
	news map[chan struct{}]bool // who follows the devices
}

// connect tries the servers that there may be, and says of each what was wrong if none will have us. It is told of the
// devices.
func connect(ctx context.Context, s Settings) (*conn, error) {
	var bad []string
	for _, addr := range candidates(s.Server) {
		c, err := dial(ctx, addr, s.App)
		if err == nil {
			if err = c.subscribe(); err == nil {
				return c, nil
			}
			c.close()
		}
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: its folder or socket is another user's; run as that user, or let this one in "+
				"(group pulse-access, or an access control list)", err)
		}
		bad = append(bad, fmt.Sprintf("%s: %v", addr, err))
	}
	return nil,
		fmt.Errorf("no sound server can be reached; start PulseAudio or pipewire-pulse, or set audio.server (tried %s)",
			strings.Join(bad, "; "))
}

// candidates are the addresses where a server may listen: the one that is set, or the usual ones, also of other users
// for a daemon that runs as a system service.
func candidates(set string) []string {
	if set != "" {
		return []string{set}
	}
	var all []string
	if env := strings.Fields(os.Getenv("PULSE_SERVER")); len(env) > 0 {
		all = append(all, env...)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, "unix:"+filepath.Join(dir, "pulse/native"))
	}
	all = append(all, "unix:/run/user/"+strconv.Itoa(os.Getuid())+"/pulse/native")
	users, _ := filepath.Glob("/run/user/*/pulse/native")
	for _, u := range users {
		all = append(all, "unix:"+u)
	}
	all = append(all, "unix:/run/pulse/native")
	seen := map[string]bool{}
	unique := all[:0]
	for _, a := range all {
		if !seen[a] {
			unique = append(unique, a)
		}
		seen[a] = true
	}
	return unique
}

func dial(ctx context.Context, addr, app string) (*conn, error) {
	network, path := "unix", addr
	if kind, rest, ok := strings.Cut(addr, ":"); ok && !strings.HasPrefix(addr, "/") {
		network, path = kind, rest
	}
	d := net.Dialer{Timeout: dialTime}
	nc, err := d.DialContext(ctx, network, path)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, err
	}
	c := &conn{Client: &proto.Client{}, net: nc, name: addr, dead: make(chan struct{}), play: map[*output]*playback{},
		rec: newCapture(), news: map[chan struct{}]bool{}}
	// The callback must be there before anything can fail, or the library's own goroutine panics.
	c.Callback = c.handle
	c.SetTimeout(requestTime)
	p, err := newPipe(c, nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	c.Open(p)
	if err := c.greet(app); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// isPipeWire reports whether the server is PipeWire's.
func (c *conn) isPipeWire() bool {
	var r proto.GetServerInfoReply
	return c.Request(&proto.GetServerInfo{}, &r) == nil && strings.Contains(r.PackageName, "PipeWire")
}

// close ends the connection and waits until the library has left it.
func (c *conn) close() {
	c.net.Close()
	<-c.dead
}

func (c *conn) greet(app string) error {
	var auth proto.AuthReply
	if err := c.Request(&proto.Auth{Version: c.Version(), Cookie: cookie()}, &auth); err != nil {
		return fmt.Errorf(
			"it does not let us in: %w; run as the same user, or copy that user's cookie to ~/.config/pulse/cookie",
			err)
	}
	c.SetVersion(auth.Version)
	return c.Request(&proto.SetClientName{Props: proto.PropList{
		"application.name":       proto.PropListString(app),
		"application.process.id": proto.PropListString(strconv.Itoa(os.Getpid())),
	}}, &proto.SetClientNameReply{})
}

func (c *conn) subscribe() error {
	mask := proto.SubscriptionMaskSink | proto.SubscriptionMaskSource | proto.SubscriptionMaskServer
	return c.Request(&proto.Subscribe{Mask: mask}, nil)
}

// cookie is the secret that the server's user shares, or zeros for a server that knows us by our user id.
func cookie() []byte {
	home, _ := os.UserHomeDir()
	for _, path := range []string{os.Getenv("PULSE_COOKIE"), filepath.Join(home, ".config/pulse/cookie"),
		filepath.Join(home, ".pulse-cookie")} {
		if b, err := os.ReadFile(path); err == nil && len(b) == 256 {
			return b
		}
	}
	return make([]byte, 256)
}

// handle is told what the server says, on the library's goroutine. It must not block.
func (c *conn) handle(m any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rec := c.rec
	switch m := m.(type) {
	case *proto.Request:
		c.playing(m.StreamIndex).asked(m.StreamIndex, int(m.Length))
	case *proto.DataPacket:
		rec.heard(m.StreamIndex, m.Data)
	case *proto.PlaybackStreamKilled:
		c.playing(m.StreamIndex).end(m.StreamIndex)
	case *proto.RecordStreamKilled:
		rec.end(m.StreamIndex)
	case *proto.PlaybackStreamMoved:
		c.playing(m.StreamIndex).moved(m.StreamIndex, m.DestName)
	case *proto.RecordStreamMoved:
		rec.moved(m.StreamIndex, m.DestName)
	case *proto.PlaybackStreamSuspended:
		c.playing(m.StreamIndex).suspended.Store(m.Suspended)
	case *proto.RecordStreamSuspended:
		rec.suspended.Store(m.Suspended)
	case *proto.Underflow:
		c.starved.Add(1)
	case *proto.Overflow:
		c.spilled.Add(1)
	case *proto.SubscribeEvent:
		if m.Event.GetType() == proto.EventChange && m.Event.GetFacility() != proto.EventServer {
			return // a volume, or the like
		}
		for n := range c.news {
			poke(n)
		}
	}
}

// playing finds the stream of an index; one that is still being made takes what is nobody's. The lock is held.
func (c *conn) playing(index uint32) *playback {
	made := newPlayback() // nobody's
	for _, p := range c.play {
		switch {
		case p.index.Load() == int64(index):
			return p
		case p.index.Load() < 0:
			made = p
		}
	}
	return made
}

// alive asks the server for a sign of life, and closes the connection if there is none.
func (c *conn) alive() bool {
	err := c.Request(&proto.GetServerInfo{}, &proto.GetServerInfoReply{})
	if err != nil {
		c.net.Close()
	}
	return err == nil
}
