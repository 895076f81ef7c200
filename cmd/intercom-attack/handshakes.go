package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"intercom/internal/stage"
)

// Floods of TLS handshakes, which cost a server more than the client that asks for them.
var handshakeAttacks = []attack{
	{"flood/tls", "asks for TLS handshakes from one address as fast as it can: whole ones, half ones, in pieces of a " +
		"byte; then asks a connection to handshake again", tlsFlood},
	{"flood/tls-addresses", "asks for TLS handshakes from 4,000 addresses", tlsFloodOfMany},
	{"flood/tls-relay", "asks for TLS handshakes at the relay's port from one address as fast as it can",
		tlsFloodOfRelay},
}

// What an address may ask for, as docs/protocol.md says.
const (
	handshakesAtOnce = 512
	handshakesASec   = 50
)

// clientHello is the first word of a client, as it goes over the wire. A server has to compute its answer however often
// it comes again.
func (t *trial) clientHello() []byte {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		// ends with the pipe
		_ = tls.Client(theirs, &tls.Config{InsecureSkipVerify: true,
			NextProtos: []string{"http/1.1"}}).HandshakeContext(t.ctx)
		theirs.Close()
	}()
	head := make([]byte, 5) // of a record (RFC 8446, section 5.1)
	_, err := io.ReadFull(ours, head)
	t.must(err)
	rest := make([]byte, int(head[3])<<8|int(head[4]))
	_, err = io.ReadFull(ours, rest)
	t.must(err)
	return append(head, rest...)
}

// inRecords cuts a record into records of a byte each.
func inRecords(record []byte) (all []byte) {
	for _, b := range record[5:] {
		all = append(all, record[0], record[1], record[2], 0, 1, b)
	}
	return all
}

// handshakes has many ask a TLS port for handshakes until ctx ends, and counts the answers: what the server computed.
// Half of a handshake is answered like a whole one.
func (t *trial) handshakes(ctx context.Context, port string, hello []byte, from func(i int) net.IP) (answered int64) {
	var asked, count atomic.Int64
	pieces := inRecords(hello)
	begun := time.Now()
	many(ctx, 40, func(i int) {
		n := int(asked.Add(1))
		sleep(ctx, 5*time.Millisecond) // of the processor that hub and calls share with us
		c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from(n)}, Timeout: 5 * time.Second}).DialContext(ctx,
			"tcp", port)
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		defer stop()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		counted := &answers{Conn: c, count: &count}
		switch i % 4 {
		case 0: // a whole one
			s := tls.Client(counted, &tls.Config{InsecureSkipVerify: true})
			_ = s.HandshakeContext(ctx)
			c.Close()
		case 1: // the first word, and then silence
			_, _ = c.Write(hello)
			time.AfterFunc(20*time.Second, func() { c.Close() })
			_, _ = counted.Read(make([]byte, 1))
		case 2: // the first word, and gone
			_, _ = c.Write(hello)
			_, _ = counted.Read(make([]byte, 1))
			c.Close()
		case 3: // in pieces
			_, _ = c.Write(pieces)
			_, _ = counted.Read(make([]byte, 1))
			c.Close()
		}
	})
	t.figure("handshakes_asked_s", float64(asked.Load())/time.Since(begun).Seconds())
	t.figure("handshakes_answered_s", float64(count.Load())/time.Since(begun).Seconds())
	return count.Load()
}

// answers counts a connection on which something comes that is no alert (RFC 8446, section 6).
type answers struct {
	net.Conn
	count *atomic.Int64
	once  sync.Once
}

func (c *answers) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && b[0] == 22 {
		c.once.Do(func() { c.count.Add(1) })
	}
	return n, err
}

// trust is how a client of the hub checks it; nil for a hub without TLS.
func trust(h *stage.Hub) (*tls.Config, error) {
	if h.CA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(h.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

var flooding = net.IPv4(127, 9, 0, 1)

// oneAddress floods a TLS port from one address while others call, and somebody of another address signs in; then asks
// for as little as anybody, and has it.
func (t *trial) oneAddress(port string) {
	hello := t.clientHello()
	before, began := t.processor(), time.Now()
	var answered int64
	t.served(60, func(ctx context.Context) {
		answered = t.handshakes(ctx, port, hello, func(int) net.IP { return flooding })
	})
	seconds := time.Since(began).Seconds()
	t.figure("processor_share", (t.processor()-before).Seconds()/seconds)
	if most := handshakesAtOnce + handshakesASec*(seconds+1); float64(answered) > most {
		t.through("%d handshakes of one address were computed in %.1f s", answered, seconds)
	}
	c := t.signIn("another_one") // of our own address
	defer c.CloseNow()
	t.until("the address that flooded could handshake again", func() bool {
		c, err := (&tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: flooding}},
			Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.ctx, "tcp", port)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func tlsFlood(t *trial) {
	t.hub = t.house("")
	t.oneAddress(t.hub.Addr)
	t.again(t.hub.Addr)
}

func tlsFloodOfRelay(t *trial) {
	free, err := stage.Ports(2)
	t.must(err)
	port := fmt.Sprint("127.0.0.1:", free[1])
	t.hub =
		t.house(
			fmt.Sprintf(
				"[turn]\nlisten = \"127.0.0.1:%d\"\nlisten_tls = %q\npublic = \"127.0.0.1\"\nallow_private = true\n",
				free[0], port))
	t.oneAddress(port)
	t.again(port)
}

func tlsFloodOfMany(t *trial) {
	t.hub = t.house("")
	hello := t.clientHello()
	before, began := t.processor(), time.Now()
	t.served(60, func(ctx context.Context) {
		t.handshakes(ctx, t.hub.Addr, hello, func(i int) net.IP {
			return net.IPv4(127, 9, byte(1+i/250%16), byte(1+i%250))
		})
	})
	t.figure("processor_share", (t.processor()-before).Seconds()/time.Since(began).Seconds())
}

// again asks a connection that is there for another handshake (RFC 5246, section 7.4.1.1), which has to end it.
func (t *trial) again(port string) {
	ctx, cancel := context.WithTimeout(t.ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", port, "-tls1_2", "-no_ign_eof")
	in, err := cmd.StdinPipe()
	t.must(err)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	t.must(cmd.Start())
	_, err = io.WriteString(in, "R\n") // what openssl takes for the wish
	t.must(err)
	err = cmd.Wait() // as long as nothing closes its input, only the other end ends it
	if said := out.String(); !strings.Contains(said, "RENEGOTIATING") {
		t.must(errors.Join(fmt.Errorf("openssl asked for no other handshake: %s", said), err))
	} else if err == nil || ctx.Err() != nil {
		t.through("a second handshake on one connection: %s", said)
	}
}
