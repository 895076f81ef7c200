package call

import (
	"time"

	"intercom/internal/outcome"
)

// TicketTime is how long after the answer a call can be adopted.
const TicketTime = 24 * time.Hour

// Ticket is an answered call as its parties keep it, signed by the hubs: with it any hub of the cluster can adopt the
// call when its owner is gone.
type Ticket struct {
	Account    string        `json:"a"`
	Call       string        `json:"id"`
	From       string        `json:"f"`
	To         string        `json:"t"`
	Context    string        `json:"x"`
	InvitedAt  time.Time     `json:"i"`
	RingingAt  *time.Time    `json:"r"`
	AnsweredAt time.Time     `json:"n"`
	Limit      time.Duration `json:"l,omitempty"`
}

// Ticket is that of an answered call.
func (s State) Ticket(account string) Ticket {
	return Ticket{account, s.Call, s.From, s.To, s.Context, *s.InvitedAt, s.RingingAt, *s.AnsweredAt, s.Plan.Limit}
}

// Has reports whether the ticket is a party's, of this call, and not too old.
func (k Ticket) Has(account, cuid, call string, now time.Time) bool {
	return k.Account == account && k.Call == call && now.Sub(k.AnsweredAt) < TicketTime && (k.From == cuid ||
		k.To == cuid)
}

// Peer is the party that a party of the call talks to.
func (k Ticket) Peer(cuid string) string {
	if cuid == k.From {
		return k.To
	}
	return k.From
}

// Adopt makes a call from its ticket.
func Adopt(k Ticket) State {
	return State{
		Plan: Plan{Limit: k.Limit}, Legs: []Leg{{CUID: k.To, Phase: Talking}}, Lead: k.To, Adopted: true,
		Result: outcome.Result{Call: k.Call, From: k.From, To: k.To, Context: k.Context,
			InvitedAt: outcome.At(k.InvitedAt), RingingAt: k.RingingAt, AnsweredAt: outcome.At(k.AnsweredAt)},
	}
}
