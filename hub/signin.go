package hub

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"intercom/hub/access"
	"intercom/internal/event"
	"intercom/internal/fault"
	"intercom/wire"
)

// signIn goes through challenge, hello and welcome.
func (h *sockets) signIn(r *http.Request, s *socket) (*session, error) {
	place := h.admission.greeting.enter(clientOf(r), s.makeRoom)
	s.send(wire.New(wire.Challenge, "", wire.ChallengeBody{Nonce: access.Random(), Version: wire.Subprotocol}))
	e, err := s.read(wire.SignInTime, wire.MaxBeforeSignIn)
	place.leave()
	if s.over() {
		err = errClosed
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSignInTime
	}
	if err != nil {
		s.fail(e, err)
		return nil, err
	}
	hi, ferr := h.greet(e)
	if ferr != nil {
		if ferr.Code == fault.Credentials {
			h.admission.wrong(r)
		}
		s.fail(e, ferr)
		return nil, ferr
	}
	proved(r)
	w := who{hi.Account, hi.CUID}
	if ferr := h.signIns.may(w); ferr != nil {
		s.fail(e, ferr)
		return nil, ferr
	}
	h.admission.returnHandshake(r)
	welcome := wire.WelcomeBody{ServerTime: time.Now().UTC().Truncate(time.Millisecond),
		RingMS: h.set.Times.Ring.Milliseconds(), AckMS: h.set.Times.Ack.Milliseconds(),
		PingMS: wire.PingEvery.Milliseconds(), ICEServers: []wire.ICEServer{}}
	welcome.ICEServers = append(welcome.ICEServers, h.router.servers(hi.Account, hi.CUID, "")...)
	ctx, cancel := context.WithTimeout(context.Background(), wire.SignInTime)
	defer cancel()
	m, ferr := h.router.enter(ctx, w, hi, s, welcome)
	if ferr != nil {
		s.fail(e, ferr)
		return nil, ferr
	}
	h.signedIn.Add(1)
	h.log.Info(event.SignedIn, event.Account(hi.Account), event.CUID(hi.CUID), "agent", hi.Agent)
	return m, nil
}

// greet checks a hello.
func (h *sockets) greet(e wire.Envelope) (hello, *fault.Error) {
	hi := hello{re: e.ID}
	if e.T != wire.Hello {
		return hi, fault.In(fault.NotConnected, "t", "The first message must be hello; see docs/protocol.md.")
	}
	b, ferr := wire.Body[wire.HelloBody](e)
	if ferr != nil {
		return hi, ferr
	}
	hi.HelloBody = b
	if err := checkHello(b); err != nil {
		return hi, err
	}
	if b.Token != "" {
		t, err := h.checkToken(b.Token, b.Account, b.CUID)
		if err != nil {
			return hi, err
		}
		hi.Account = t.Account // which the token alone may name
		hi.grant, hi.end = t.Grant, time.Unix(t.Expires, 0)
	} else if g, ok := h.set.Access.Allowed(b.Account, b.APIKey); ok {
		hi.grant = g
	} else {
		return hi, fault.New(fault.Credentials)
	}
	if a := h.set.Access.Account(hi.Account); a != nil && a.Group(b.CUID) != nil {
		return hi, fault.In(fault.InvalidInit, "cuid",
			"%s is the name of a group; give the device another cuid.", b.CUID)
	}
	return hi, nil
}

func checkHello(b wire.HelloBody) *fault.Error {
	secret := struct{ name, value string }{"apikey", b.APIKey}
	most := wire.MaxNonceOrSecret
	if b.APIKey == "" && b.Token != "" {
		secret, most = struct{ name, value string }{"token", b.Token}, wire.MaxTicket
	}
	for _, f := range []struct{ name, value string }{{"account", b.Account}, {"cuid", b.CUID},
		{"instance", b.Instance}, secret} {
		if f.value == "" && !(f.name == "account" && b.Token != "") {
			return fault.In(fault.MissingInit, f.name, "%s is missing; the sign-in needs it.", f.name)
		}
		if len(f.value) > most {
			return fault.In(fault.InvalidInit, f.name, "%s is longer than %d bytes.", f.name, most)
		}
	}
	if err := wire.CheckCUID(b.CUID); err != nil {
		return err
	}
	if b.Name != "" {
		if err := wire.CheckName(b.Name); err != nil {
			return err
		}
	}
	if len(b.Agent) > wire.MaxNonceOrSecret || len(b.Calls) > wire.MaxCalls ||
		access.CheckID(b.Account) != nil && len(b.Account) > 50 {
		return fault.In(fault.InvalidInit, "agent", "The hello is longer than it may be; see docs/protocol.md.")
	}
	return nil
}
