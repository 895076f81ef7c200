package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/eclipse/paho.golang/packets"
	"golang.org/x/time/rate"
)

// What a broker may send. It is told of size and number in CONNECT (MQTT 5, sections 3.1.2.11.3 and 3.1.2.11.4), and a
// broker then drops a larger message for this station alone; one that sends it all the same loses the connection.
const (
	maxPacket   = 4 << 10  // bytes; a command is a word, and what brokers say of themselves is short
	maxInFlight = 8        // messages that are not acknowledged
	perSecond   = 20       // packets, on average
	burst       = 100      // and at once
	buffered    = 64 << 10 // bytes that the kernel keeps: a flood cannot delay the answers to our pings for long
)

var errTooLarge = errors.New("the broker sends more than it was told to in one packet")

// dial opens a connection to a broker on which what comes in is limited.
func dial(ctx context.Context, u *url.URL, conf *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	if tcp, ok := plain.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(buffered)
	}
	conn := plain
	if u.Scheme == "mqtts" {
		if conf == nil {
			conf = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if conf.ServerName == "" {
			conf = conf.Clone()
			conf.ServerName = u.Hostname()
		}
		secured := tls.Client(plain, conf)
		if err := secured.HandshakeContext(ctx); err != nil {
			plain.Close()
			return nil, err
		}
		conn = secured
	}
	closed, stop := context.WithCancel(context.Background())
	return packets.NewThreadSafeConn(&limited{Conn: conn, pace: rate.NewLimiter(perSecond, burst), closed: closed,
		stop: stop}), nil
}

// limited is a connection that gives packets out no faster than they may come, and none that is too large. It reads
// their fixed headers (MQTT 5, section 2.1) on the way. One goroutine may read.
type limited struct {
	net.Conn
	pace   *rate.Limiter
	closed context.Context
	stop   context.CancelFunc

	left   int  // bytes of the packet that are still to come
	length int  // of what follows its header, as far as it is read
	shift  uint // of the next byte of that length
	header bool // the first byte is read, and the length is not yet
}

// Read implements net.Conn.
func (l *limited) Read(b []byte) (int, error) {
	if l.left > 0 {
		n, err := l.Conn.Read(b[:min(len(b), l.left)])
		l.left -= n
		return n, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	n, err := l.Conn.Read(b[:1])
	if n == 0 || err != nil {
		return n, err
	}
	if !l.header { // its type
		l.header, l.length, l.shift = true, 0, 0
		return n, l.pace.Wait(l.closed)
	}
	l.length |= int(b[0]&0x7f) << l.shift
	l.shift += 7
	switch {
	case l.length > maxPacket || l.shift > 28:
		return 0, fmt.Errorf("%w (%d bytes at most)", errTooLarge, maxPacket)
	case b[0]&0x80 == 0: // that was the last byte of it
		l.header, l.left = false, l.length
	}
	return n, nil
}

// Close implements net.Conn.
func (l *limited) Close() error {
	l.stop()
	return l.Conn.Close()
}
