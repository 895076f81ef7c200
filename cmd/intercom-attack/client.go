package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"intercom/internal/fault"
	"intercom/wire"
)

// client is somebody at the hub's WebSocket who says what it likes.
type client struct {
	*websocket.Conn
	ctx context.Context
	in  chan wire.Envelope // what the hub says; closed at the end
	id  uint64
	seq uint64

	mu  sync.Mutex
	end error // why the connection ended
}

// dial opens a WebSocket of the hub, and has the challenge.
func (t *trial) dial() (*client, error) {
	ctx, cancel := context.WithTimeout(t.ctx, 10*time.Second)
	defer cancel()
	scheme, options := "ws://", &websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}}
	if config, err := trust(t.hub); err != nil {
		return nil, err
	} else if config != nil {
		scheme, options.HTTPClient = "wss://", &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	}
	ws, _, err := websocket.Dial(ctx, scheme+t.hub.Addr+wire.Path, options)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	c := &client{Conn: ws, ctx: t.ctx, in: make(chan wire.Envelope, 256)}
	t.cleanup(func() { _ = ws.CloseNow() })
	go func() {
		defer close(c.in)
		for {
			_, b, err := ws.Read(t.ctx)
			if err != nil {
				c.mu.Lock()
				c.end = err
				c.mu.Unlock()
				return
			}
			if e, ferr := wire.Decode(b, wire.MaxMessage); ferr == nil {
				c.in <- e
			}
		}
	}()
	if e, err := c.await(10*time.Second, wire.Challenge); err != nil || e.T != wire.Challenge {
		return nil, fmt.Errorf("no challenge: %v %v", e.T, err)
	}
	return c, nil
}

// say sends a message; one about a call gets its number, as the hub expects.
func (c *client) say(e wire.Envelope) error {
	if wire.Numbered(e) {
		c.seq++
		e.Seq = c.seq
	}
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, wire.Encode(e))
}

// request sends a request and does not wait for its reply.
func (c *client) request(e wire.Envelope) error {
	c.id++
	e.ID = c.id
	return c.say(e)
}

// ask sends a request and gives its reply, or the error in it; what comes before the reply is dropped.
func (c *client) ask(e wire.Envelope) (wire.Envelope, error) {
	c.id++
	e.ID = c.id
	if err := c.say(e); err != nil {
		return e, err
	}
	for {
		r, err := c.await(12 * time.Second)
		if err != nil || r.Re == e.ID {
			if err == nil && r.T == wire.Fail {
				f, ferr := wire.Body[fault.Error](r)
				if ferr != nil {
					return r, ferr
				}
				return r, &f
			}
			return r, err
		}
	}
}

// await gives the next message of one of these types; of any when there are none.
func (c *client) await(within time.Duration, types ...wire.Type) (wire.Envelope, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-c.in:
			if !ok {
				c.mu.Lock()
				defer c.mu.Unlock()
				return e, errors.Join(errGone, c.end)
			}
			if len(types) == 0 {
				return e, nil
			}
			for _, t := range types {
				if e.T == t {
					return e, nil
				}
			}
		case <-timer.C:
			return wire.Envelope{}, fmt.Errorf("nothing of %v within %v", types, within)
		}
	}
}

// gone reports whether the connection has ended.
func (c *client) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil
}

// hello signs in; the error is the hub's where it refused.
func (c *client) hello(h wire.HelloBody) (wire.WelcomeBody, error) {
	e, err := c.ask(wire.New(wire.Hello, "", h))
	if err != nil {
		return wire.WelcomeBody{}, err
	}
	w, ferr := wire.Body[wire.WelcomeBody](e)
	if ferr != nil {
		return w, ferr
	}
	return w, nil
}

// signIn is a client of account demo that came in by the key.
func (t *trial) signIn(cuid string) *client {
	c, err := t.dial()
	t.must(err)
	_, err = c.hello(t.identity(cuid))
	t.must(err)
	return c
}

// identity is what a device of account demo says of itself: each call makes another instance.
func (t *trial) identity(cuid string) wire.HelloBody {
	t.clients++
	return wire.HelloBody{Account: "demo", APIKey: t.hub.Key, CUID: cuid, Name: cuid,
		Instance: fmt.Sprintf("%s-%d", cuid, t.clients), Agent: "intercom-attack"}
}
