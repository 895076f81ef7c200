package main

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"intercom/internal/stage"
)

// Attacks of whoever answers in place of the hub and sends its clients on.
var redirectAttacks = []attack{
	{"redirect/station",
		"sends a station on from wss to ws, to https elsewhere, and in circles: its key is said nowhere",
		redirectStation},
}

// thief is a place that a redirect leads to, and writes down what comes there.
type thief struct {
	sync.Mutex
	addr string
	got  []string
}

func (t *trial) thief() *thief {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	t.must(err)
	f := &thief{addr: l.Addr().String()}
	t.cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(2 * time.Second))
				b, _ := io.ReadAll(io.LimitReader(c, 4096))
				f.Lock()
				defer f.Unlock()
				f.got = append(f.got, string(b))
			}()
		}
	}()
	return f
}

func redirectStation(t *trial) {
	f := t.thief()
	cert, key, err := stage.Certificate(t.dir)
	t.must(err)
	pair, err := tls.LoadX509KeyPair(cert, key)
	t.must(err)
	var mu sync.Mutex
	asked, secrets := 0, 0
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	t.must(err)
	tos := []string{"ws://" + f.addr + "/v1/ws", "http://" + f.addr + "/v1/ws", "//" + f.addr + "/v1/ws",
		"wss://" + f.addr + "/v1/ws", "/v1/ws"}

	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for _, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "ik_") {
				secrets++
			}
		}
		w.Header().Set("Location", tos[asked%len(tos)])
		w.WriteHeader([]int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect,
			http.StatusPermanentRedirect}[asked%4])
		asked++
	})}
	go func() { _ = server.Serve(l) }()
	t.cleanup(func() { server.Close() })
	sound := t.startSound("front_door")
	s := t.newStation(&stage.Hub{Addr: l.Addr().String(), CA: cert, Key: "ik_secret"}, sound,
		stage.Settings{CUID: "front_door", To: "reception"})
	t.until("it was sent on to each place", func() bool { mu.Lock(); defer mu.Unlock(); return asked >= len(tos) })
	f.Lock()
	defer f.Unlock()
	if len(f.got) > 0 {
		t.through("%d redirects were followed: %q", len(f.got), f.got)
	}
	if secrets > 0 {
		t.through("the key is in the request's header")
	}
	st, err := s.Status(t.ctx)
	t.must(err)
	if st.Hub.Online {
		t.through("the station thinks that it is signed in")
	}
}
