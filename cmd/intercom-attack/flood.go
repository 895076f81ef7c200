package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"intercom/wire"
)

// Floods of the hub's own port. Each runs while others call, and where it comes from the address of somebody with a
// right key, that one has to come in.
var floodAttacks = []attack{
	{"flood/half-requests",
		"holds 300 connections with half a request, and renews them, while right keys of the same address sign in",
		halfRequests},
	{"flood/newcomers",
		"opens half requests as fast as it can, each anew, while slow right keys of the same address sign in",
		newcomers},
	{"flood/wrong-keys",
		"tries wrong keys in 40 loops, over WebSockets and HTTP, while right keys of the same address sign in",
		wrongKeys},
	{"flood/sockets", "opens WebSockets and never says hello, while right keys of the same address sign in",
		silentSockets},
	{"flood/pings",
		"sends WebSocket pings, pongs, empty messages and pieces as fast as it can, before the sign-in and after it",
		frameFlood},
	{"flood/slow", "says nothing, half a header and half a body, and waits for how long that is taken", slowRequests},
	{"flood/pages", "asks for pages and probes as fast as it can, with cookies and keys that are made up", pageFlood},
	{"flood/notes", "has a station tell notes as fast as it can, and asks for them", noteFlood},
	{"flood/watch", "asks for the list of all devices as fast as it can", watchFlood},
	{"flood/none", "does nothing: what calls take without a flood, to compare the others with", func(t *trial) {
		t.startHub("")
		t.served(60, func(context.Context) {})
	}},
	{"flood/challengers", "has 30 devices ask for the cuid of one that is there", challengers},
}

// many does something in n loops until ctx ends.
func many(ctx context.Context, n int, do func(i int)) {
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			for ctx.Err() == nil {
				do(i)
			}
		})
	}
	work.Wait()
}

// rightKeys signs 24 devices in and makes 24 tokens, from the address of this program, while flood runs.
func (t *trial) rightKeys(flood func(ctx context.Context)) {
	t.served(40, func(ctx context.Context) {
		ctx, stop := context.WithCancel(ctx)
		var work sync.WaitGroup
		work.Go(func() { flood(ctx) })
		defer work.Wait()
		defer stop()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		slowest := time.Duration(0)
		for i := range 24 {
			began := time.Now()
			if c, err := t.dial(); err != nil {
				t.through("a right key could not connect: %v", err)
			} else if _, err := c.hello(t.identity(fmt.Sprintf("right_%d", i))); err != nil {
				t.through("a right key was refused: %v", err)
			}
			if status := t.request(http.MethodPost, "/v1/token", `{"account":"demo"}`, "Authorization",
				"Bearer "+t.hub.Key); status != 200 {
				t.through("a right key got no token: %d", status)
			}
			slowest = max(slowest, time.Since(began))
		}
		t.figure("right_key_slowest_ms", float64(slowest.Milliseconds()))
		if slowest > 2*time.Second {
			t.through("a right key waited %v", slowest)
		}
		<-ctx.Done()
	})
}

// raw opens a TCP connection to the hub and sends text.
func (t *trial) raw(ctx context.Context, text string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t.hub.Addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	_, err = io.WriteString(c, text)
	return c, err
}

const halfRequest = "POST /v1/session HTTP/1.1\r\nHost: hub\r\nContent-Length: 100\r\n\r\n{\"account\":"

func halfRequests(t *trial) {
	t.startHub("")
	t.rightKeys(func(ctx context.Context) {
		many(ctx, 300, func(int) {
			if c, err := t.raw(ctx, halfRequest); err == nil {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				_, _ = io.Copy(io.Discard, c)
				stop()
				c.Close()
			}
			sleep(ctx, 50*time.Millisecond)
		})
	})
}

// newcomers would push everybody out who needs longer for the hello than they for a crowd of requests.
func newcomers(t *trial) {
	t.startHub("")
	var opened atomic.Int64
	began := time.Now()
	t.served(40, func(ctx context.Context) {
		ctx, stop := context.WithCancel(ctx)
		var work sync.WaitGroup
		work.Go(func() {
			many(ctx, 20, func(int) {
				if c, err := t.raw(ctx, halfRequest); err == nil {
					opened.Add(1)
					time.AfterFunc(time.Second, func() { c.Close() })
				}
				sleep(ctx, 10*time.Millisecond)
			})
		})
		defer work.Wait()
		defer stop()
		for i := range 6 {
			c, err := t.dial()
			if err != nil {
				t.through("a right key could not connect: %v", err)
				continue
			}
			sleep(ctx, 500*time.Millisecond)
			if _, err := c.hello(t.identity(fmt.Sprintf("slow_%d", i))); err != nil && ctx.Err() == nil {
				t.through("a slow right key was refused: %v", err)
			}
		}
		<-ctx.Done()
	})
	t.figure("requests_s", float64(opened.Load())/time.Since(began).Seconds())
}

func wrongKeys(t *trial) {
	t.startHub("")
	t.rightKeys(func(ctx context.Context) {
		many(ctx, 40, func(i int) {
			if i%2 == 0 {
				r, _ := http.NewRequestWithContext(ctx, http.MethodPost, t.url("/v1/token"),
					strings.NewReader(`{"account":"demo"}`))
				r.Header.Set("Authorization", "Bearer ik_wrong")
				if a, err := http.DefaultClient.Do(r); err == nil {
					a.Body.Close()
				}
				return
			}
			ws, _, err := websocket.Dial(ctx, "ws://"+t.hub.Addr+wire.Path,
				&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
			if err != nil {
				return
			}
			hello := `{"t":"hello","id":1,"b":{"account":"demo","apikey":"ik_wrong","cuid":"wrong_one","instance":"x"}}`
			_ = ws.Write(ctx, websocket.MessageText, []byte(hello))
			sleep(ctx, 20*time.Millisecond)
			_ = ws.CloseNow()
		})
	})
}

func silentSockets(t *trial) {
	t.startHub("")
	t.rightKeys(func(ctx context.Context) {
		many(ctx, 100, func(int) {
			ws, _, err := websocket.Dial(ctx, "ws://"+t.hub.Addr+wire.Path,
				&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
			if err == nil {
				for err == nil {
					_, _, err = ws.Read(ctx)
				}
				_ = ws.CloseNow()
			}
			sleep(ctx, 20*time.Millisecond)
		})
	})
}

// upgrade is a bare connection that is a WebSocket.
func (t *trial) upgrade(ctx context.Context) (net.Conn, error) {
	c, err := t.raw(ctx, "GET "+wire.Path+" HTTP/1.1\r\nHost: hub\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: "+wire.Subprotocol+
		"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(c)
	if _, err := http.ReadResponse(r, nil); err != nil {
		c.Close()
		return nil, err
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return c, nil
}

// frame is a client's frame (RFC 6455, section 5.2), short and with a mask of zeros.
func frame(first byte, payload string) string {
	head := []byte{first, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		head = []byte{first, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	return string(append(head, 0, 0, 0, 0)) + payload
}

func frameFlood(t *trial) {
	t.startHub("")
	kinds := []string{frame(0x89, ""), frame(0x8a, "pong"), frame(0x81, ""), frame(0x00, ""),
		frame(0x89, strings.Repeat("x", 125))}
	var frames atomic.Int64
	before, began := t.processor(), time.Now()
	t.served(60, func(ctx context.Context) {
		many(ctx, 2*len(kinds), func(i int) {
			c, err := t.upgrade(ctx)
			if err != nil {
				return
			}
			defer c.Close()
			kind := kinds[i/2]
			if i%2 == 1 {
				_, _ = io.WriteString(c, frame(0x81,
					fmt.Sprintf(
						`{"t":"hello","id":1,"b":{"account":"demo","apikey":%q,"cuid":"flood_%d","instance":"x"}}`,
						t.hub.Key, i)))
				if kind == frame(0x00, "") {
					_, _ = io.WriteString(c, frame(0x01, ""))
				}
			}
			batch := strings.Repeat(kind, 100)
			for ctx.Err() == nil {
				if _, err := io.WriteString(c, batch); err != nil {
					break
				}
				frames.Add(100)
				sleep(ctx, time.Millisecond) // of the processor that hub and calls share with us
			}
			sleep(ctx, 100*time.Millisecond)
		})
	})
	used := t.processor() - before
	t.figure("frames_s", float64(frames.Load())/time.Since(began).Seconds())
	t.figure("processor_share", used.Seconds()/time.Since(began).Seconds())
	// One socket alone, before the sign-in: it is closed, and costs next to nothing.
	before, began = t.processor(), time.Now()
	c, err := t.upgrade(t.ctx)
	t.must(err)
	defer c.Close()
	sent := 0
	for batch := strings.Repeat(kinds[0], 1000); time.Since(began) < 4*time.Second; sent += 1000 {
		if _, err := io.WriteString(c, batch); err != nil {
			break
		}
	}
	if lasted := time.Since(began); lasted > 3*time.Second {
		t.through("a socket before the sign-in sent %d pings in %v", sent, lasted)
	}
	if used := t.processor() - before; used > time.Second {
		t.through("a socket before the sign-in used %v of the processor", used)
	}
}

func slowRequests(t *trial) {
	t.startHub("")
	const most = 15 * time.Second // ten are promised
	var work sync.WaitGroup
	for _, text := range []string{"", "GET / HT", "GET / HTTP/1.1\r\nHost: hub\r\nX: ", halfRequest} {
		for range 30 {
			work.Go(func() {
				c, err := t.raw(t.ctx, text)
				if err != nil {
					t.failed(err)
					return
				}
				defer c.Close()
				began := time.Now()
				_ = c.SetReadDeadline(began.Add(most))
				_, err = io.Copy(io.Discard, c)
				if n, ok := err.(net.Error); ok && n.Timeout() {
					t.through("%q is waited for longer than %v", text, most)
				}
			})
		}
	}
	work.Wait()
}

func pageFlood(t *trial) {
	t.startHub("")
	var served, refused atomic.Int64
	before, began := t.processor(), time.Now()
	t.served(60, func(ctx context.Context) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50}}
		many(ctx, 50, func(i int) {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet,
				t.url([]string{"/", "/healthz", "/v1/session", "/v1/account", "/nowhere"}[i%5]), nil)
			r.Header.Set("Cookie", "__Host-intercom=made.up")
			r.Header.Set("Authorization", "Bearer ik_wrong")
			a, err := client.Do(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, a.Body)
			a.Body.Close()
			if a.StatusCode == http.StatusTooManyRequests {
				refused.Add(1)
			} else {
				served.Add(1)
			}
		})
	})
	seconds := time.Since(began).Seconds()
	t.figure("served_s", float64(served.Load())/seconds)
	t.figure("processor_share", (t.processor()-before).Seconds()/seconds)
	if most := 300 + 100*seconds; float64(served.Load()) > most {
		t.through("%d requests without a right key were served in %.1f s", served.Load(), seconds)
	}
	if refused.Load() == 0 {
		t.through("no request was refused")
	}
}

func noteFlood(t *trial) {
	t.startHub("")
	c := t.signIn("front_door")
	told, n := 0, 0
	began := time.Now()
	t.served(40, func(ctx context.Context) {
		for ctx.Err() == nil {
			n++
			id := fmt.Sprintf("%016x%s", n, hex.EncodeToString([]byte("strangerx")[:8]))
			_, err := c.ask(wire.New(wire.Note, "",
				wire.NoteBody{ID: id, Kind: wire.Visit, At: time.Now(), Why: strings.Repeat("x", 500),
					Who: strings.Repeat("y", 500), Result: strings.Repeat("z", 500), To: strings.Repeat("t", 500)}))
			if err == nil {
				told++
			} else if c.gone() {
				return
			}
			sleep(ctx, 45*time.Millisecond)
			if t.request(http.MethodGet, "/v1/notes?account=demo&limit=500", "", "Authorization",
				"Bearer "+t.hub.Key) == 0 {
				return
			}
		}
	})
	if most := 40 + time.Since(began).Seconds(); float64(told) > most {
		t.through("%d notes were taken in %v", told, time.Since(began))
	}
	files, _ := filepath.Glob(filepath.Join(t.hub.Records, "notes-*.jsonl"))
	size := int64(0)
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			size += info.Size()
		}
	}
	t.figure("notes_bytes", float64(size))
	if size > 1<<20 {
		t.through("notes of one station took %d bytes", size)
	}
}

func watchFlood(t *trial) {
	t.startHub("")
	for i := range 100 {
		t.signIn(fmt.Sprintf("device_%d", i))
	}
	c := t.signIn("watcher_1")
	lists, asked := 0, 0
	t.served(40, func(ctx context.Context) {
		for ctx.Err() == nil && !c.gone() {
			asked++
			_ = c.say(wire.Envelope{T: wire.Watch, ID: uint64(1000 + asked)})
			sleep(ctx, 45*time.Millisecond)
			for len(c.in) > 0 {
				if e := <-c.in; e.T == wire.Presence {
					if b, err := wire.Body[wire.PresenceBody](e); err == nil && b.Whole {
						lists++
					}
				}
			}
		}
	})
	if lists > 8 {
		t.through("%d of %d questions for all devices were answered", lists, asked)
	}
}

func challengers(t *trial) {
	t.startHub("")
	pings := atomic.Int64{}
	ws, _, err := websocket.Dial(t.ctx, "ws://"+t.hub.Addr+wire.Path,
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol},
			OnPingReceived: func(context.Context, []byte) bool { pings.Add(1); return true }})
	t.must(err)
	t.cleanup(func() { _ = ws.CloseNow() })
	t.must(ws.Write(t.ctx, websocket.MessageText, wire.Encode(wire.Envelope{T: wire.Hello, ID: 1,
		B: wire.New(wire.Hello, "", t.identity("front_door")).B})))
	welcome := make(chan struct{})
	var ended atomic.Bool
	go func() {
		once := sync.OnceFunc(func() { close(welcome) })
		for {
			_, b, err := ws.Read(t.ctx)
			if err != nil {
				ended.Store(true)
				once()
				return
			}
			if e, ferr := wire.Decode(b, wire.MaxMessage); ferr == nil && e.T == wire.Welcome {
				once()
			}
		}
	}()
	<-welcome
	began := time.Now()
	t.served(40, func(ctx context.Context) {
		var tries atomic.Int64
		many(ctx, 30, func(i int) {
			c, _, err := websocket.Dial(ctx, "ws://"+t.hub.Addr+wire.Path,
				&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
			if err != nil {
				return
			}
			defer c.CloseNow()
			b := wire.HelloBody{Account: "demo", APIKey: t.hub.Key, CUID: "front_door",
				Instance: fmt.Sprint("thief-", tries.Add(1))}
			if c.Write(ctx, websocket.MessageText,
				wire.Encode(wire.Envelope{T: wire.Hello, ID: 1, B: wire.New(wire.Hello, "", b).B})) != nil {
				return
			}
			for {
				_, b, err := c.Read(ctx)
				if err != nil {
					break
				}
				if e, ferr := wire.Decode(b, wire.MaxMessage); ferr == nil && e.T == wire.Welcome {
					t.through("a challenger got the cuid")
				}
			}
			sleep(ctx, 20*time.Millisecond)
		})
	})
	if ended.Load() {
		t.through("the owner was thrown out")
	}
	t.figure("pings_s", float64(pings.Load())/time.Since(began).Seconds())
	if most := 3 + 2*time.Since(began).Seconds(); float64(pings.Load()) > most {
		t.through("the owner was asked %d times", pings.Load())
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
