package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"intercom/hub/access"
	"intercom/hub/record"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/internal/tasks"
	"intercom/wire"
)

// sockets are the WebSockets of a hub: each is signed in, and then its messages go to the router until it ends.
type sockets struct {
	set       Settings
	log       *slog.Logger
	tokens    *access.Signer
	router    *router
	admission *admission
	refused   func() // counts a sign-in that was refused
	signedIn  atomic.Int64
	open      tasks.Group

	signIns, notesOf, invites quota[who]
	watches, finds            quota[who]
}

func newSockets(s Settings, r *router, a *admission, refused func(), log *slog.Logger) *sockets {
	h := &sockets{set: s, log: log, tokens: s.Secret.For(access.ForTokens), router: r, admission: a, refused: refused}
	h.signIns.rate, h.notesOf.rate, h.invites.rate = signInRate, noteRate, inviteRate
	h.watches.rate, h.finds.rate = watchRate, findRate
	return h
}

// serveSocket signs a connection in. What serves it from then on is a goroutine of its own, whose stack is small.
func (h *sockets) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !h.open.Enter() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the hub stops", http.StatusServiceUnavailable)
		return
	}
	sw := &slim{ResponseWriter: w}
	ws, err := websocket.Accept(sw, r, &websocket.AcceptOptions{
		Subprotocols: []string{wire.Subprotocol}, OriginPatterns: h.set.Origins,
	})
	if err != nil {
		h.open.Leave()
		h.admission.wrong(r) // Accept has answered; the same connection must not ask again at once
		return
	}
	s := &socket{ws: ws, in: sw.in, out: sw.out}
	if ws.Subprotocol() != wire.Subprotocol {
		h.finish(s, wire.CloseBadFrame, "the subprotocol must be "+wire.Subprotocol)
		return
	}
	ws.SetReadLimit(-1) // we count ourselves, to close with a code of ours
	stop := context.AfterFunc(r.Context(), func() {
		if h.router.isStopped() {
			s.close(wire.CloseRestart, "the hub restarts")
		} else {
			s.makeRoom()
		}
	})
	m, err := h.signIn(r, s)
	stop()
	if err != nil {
		h.refused()
		if _, ok := h.admission.refusals.take(clientOf(r)); ok { // else the log is flooded too
			h.log.Info("sign-in failed", "err", cause(err), "address", r.RemoteAddr)
		}
		code, why := closing(err)
		h.finish(s, code, why)
		return
	}
	go h.serve(s, m)
}

// finish closes a socket, after what is still to be sent. Only the reader calls it.
func (h *sockets) finish(s *socket, code int, why string) {
	defer h.open.Leave()
	defer s.ws.CloseNow()
	s.mu.Lock()
	s.end(code, why)
	code, why = s.code, s.why
	hurry := s.hurry
	var wait chan struct{}
	if s.writing {
		s.flushed = make(chan struct{})
		wait = s.flushed
	}
	s.mu.Unlock()
	if wait != nil {
		t := time.NewTimer(writeTime)
		defer t.Stop()
		select {
		case <-wait:
		case <-t.C:
			return
		}
	}
	s.out.close()
	soon := time.Now().Add(farewellTime)
	read := soon
	if hurry {
		read = time.Unix(1, 0)
	}
	if s.out.SetReadDeadline(read) == nil && s.out.SetWriteDeadline(soon) == nil {
		s.ws.Close(websocket.StatusCode(code), why)
	}
}

// serve reads until the connection ends.
func (h *sockets) serve(s *socket, m *session) {
	forGood, err := h.listen(s, m)
	if s.over() {
		err = errClosed
	}
	h.router.leave(m, s, forGood)
	h.log.Info("signed out", event.Account(m.account), event.CUID(m.cuid), "err", cause(err))
	code, why := closing(err)
	h.finish(s, code, why)
}

// listen reads until the end. It waits for a message at little depth and goes down to read it only when it is there:
// the stack of a goroutine that waits deep down cannot be made small again.
func (h *sockets) listen(s *socket, m *session) (forGood bool, err error) {
	var messages allowance
	s.out.of, s.out.perFrame = frameRate, allowance{}
	for !forGood && err == nil {
		if err = s.out.SetReadDeadline(time.Now().Add(wire.DeadAfter)); err == nil && s.over() { // see flush
			err = errClosed
		}
		if err == nil {
			_, err = s.in.Peek(1)
		}
		if err == nil {
			forGood, err = h.take(s, m, &messages)
		}
	}
	return forGood, err
}

// take reads and handles one message.
func (h *sockets) take(s *socket, m *session, messages *allowance) (forGood bool, err error) {
	e, err := s.read(wire.DeadAfter, wire.MaxMessage)
	s.handling.Store(true)
	defer s.handling.Store(false)
	h.router.fenceIfStale()
	if err == nil && !s.isReply(e.T) && !messages.spend(messageRate, 1) {
		err = fault.New(fault.RateLimited)
	}
	if err == nil && s.over() { // it has to leave; one that does not read could go on for as long as the end is stuck
		err = errClosed
	}
	if err != nil {
		s.fail(e, err)
		return false, err
	}
	fresh := m.heard(e)
	switch e.T {
	case wire.Bye:
		return true, nil
	case wire.Ping:
		s.pong(m.stamp(wire.Envelope{T: wire.OK, Re: e.ID}))
	default:
		h.handle(m, e, fresh)
	}
	return false, nil
}

// handle does what a message asks for. It is no part of take, so that the stack of a device that only pings stays
// small.
//
//go:noinline
func (h *sockets) handle(m *session, e wire.Envelope, fresh bool) {
	switch {
	case e.T == wire.Renew:
		m.reply(e, nil, h.renewToken(m, e))
	case e.T == wire.State:
		m.reply(e, nil, h.router.declare(m, e))
	case e.T == wire.Note:
		m.reply(e, nil, h.note(m, e))
	case e.T == wire.Identify:
		h.ask(m, e, h.router.requests.identify)
	case e.T == wire.OpenDoor:
		h.ask(m, e, h.router.requests.openDoor)
	case e.T == wire.OpenDone:
		h.ask(m, e, h.router.requests.doorDone)
	case e.T == wire.Watch:
		err := h.watches.may(m.who)
		m.reply(e, nil, err)
		if err == nil {
			h.router.watch(m)
		}
	case fresh && e.T == wire.Invite:
		if err := h.invites.may(m.who); err != nil {
			m.reply(e, nil, err)
			break
		}
		h.router.receive(m, e)
	case fresh:
		h.router.receive(m, e)
	}
}

// ask has a request done that is for another device, perhaps at another hub: nobody waits for that here.
func (h *sockets) ask(m *session, e wire.Envelope, do func(*session, wire.Envelope) *fault.Error) {
	if err := h.finds.may(m.who); err != nil {
		m.reply(e, nil, err)
		return
	}
	h.router.background(func() { m.reply(e, nil, do(m, e)) })
}

// note has something written down that happened at a station. What cannot be written is kept there and said again.
func (h *sockets) note(m *session, e wire.Envelope) *fault.Error {
	b, err := wire.Body[wire.NoteBody](e)
	if err == nil {
		err = b.Check()
	}
	if err == nil {
		err = h.notesOf.may(m.who)
	}
	if err != nil || h.set.Note == nil {
		return err
	}
	werr := h.set.Note(m.account, m.cuid, b)
	if errors.Is(werr, record.ErrFull) {
		h.log.Warn("a station has told more than is kept of a day", event.Account(m.account), event.CUID(m.cuid))
		return tooOften(time.Hour)
	}
	if werr != nil {
		h.log.Error("a note of a station cannot be written", event.Account(m.account), event.CUID(m.cuid), "err", werr)
		return fault.New(fault.HubDegraded)
	}
	return nil
}

// cause is why a session ended, as the log says it.
func cause(err error) error {
	switch {
	case err == nil:
		return errors.New("said goodbye")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("silent for %v", wire.DeadAfter)
	}
	return fault.Root(err)
}

var (
	errSignInTime = errors.New("no sign-in in time")
	errClosed     = errors.New("closed by the hub")
)

// closing is the close code for the end of a session.
func closing(err error) (int, string) {
	switch {
	case err == nil:
		return int(websocket.StatusNormalClosure), ""
	case errors.Is(err, errSignInTime):
		return wire.CloseSignInTime, "no sign-in within 10 s"
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return int(websocket.StatusGoingAway), ""
	}
	code := wire.CloseBadFrame
	switch f.Code {
	case fault.Credentials, fault.MissingInit, fault.InvalidInit:
		code = wire.CloseCredentials
	case fault.AlreadySignedIn:
		code = wire.CloseTaken
	case fault.TooLarge:
		code = wire.CloseTooLarge
	case fault.RateLimited:
		code = wire.CloseRate
	case fault.HubDegraded, fault.NotAllowed:
		code = wire.CloseOverload
	}
	return code, string(f.Code)
}
