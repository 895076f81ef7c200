package link_test

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"intercom/internal/config"
	"intercom/wire"
	"intercom/wire/link"
)

// screen is told what happens, in order.
type screen struct{ link *link.Link }

func (s *screen) Up(wire.WelcomeBody) { slog.Info("signed in") }
func (s *screen) Down(err error)      { slog.Info("not signed in", "err", err) }

// Receive declines every call.
func (s *screen) Receive(m link.Message) {
	if m.T == wire.Incoming {
		s.link.Send(wire.New(wire.Decline, m.Call, wire.DeclineBody{Reason: "declined"}))
	}
}

// A client that stays signed in until it is interrupted, and declines every call.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	key, err := new(config.Report).ReadSecret("./apikey")
	if err != nil {
		slog.Error("no key", "err", err)
		return
	}
	s := &screen{}
	s.link = link.New(link.Config{
		URLs:     []string{"wss://hub.example.org" + wire.Path},
		Account:  "demo",
		APIKey:   key,
		CUID:     "kiosk_1",
		Name:     "Kiosk",
		Instance: "a secret that this device keeps",
	}, s, func() []wire.CallRef { return nil }, slog.Default())
	_ = s.link.Run(ctx) // dials again for ever; returns when ctx ends
}
