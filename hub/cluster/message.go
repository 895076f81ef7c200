package cluster

import (
	"strings"

	"intercom/hub/access"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Message is what hubs say to one another, and what they ask. The owner of a call tells the hubs of its parties what to
// do, and they tell the owner what happens. The names are those of the format.
type Message struct {
	Kind    Kind            `json:"k"`
	Hub     string          `json:"h"` // who says it
	Account string          `json:"a"`
	CUID    string          `json:"c,omitempty"`
	Call    string          `json:"id,omitempty"`
	Env     *wire.Envelope  `json:"e,omitempty"`
	Outcome outcome.Outcome `json:"o,omitzero"`
	Final   bool            `json:"f,omitempty"`
	Text    string          `json:"t,omitempty"`
	Ends    []access.End    `json:"x,omitempty"`
}

// Kind says what a message means.
type Kind string

// What the owner of a call says to the hub of a party.
const (
	Offer   Kind = "offer"   // make it ring
	Deliver Kind = "tell"    // give it this message
	Adopted Kind = "adopted" // the call is mine now
	Leaves  Kind = "leaves"  // I stop; whoever holds a ticket may have the call
)

// What the hub of a party says to the owner.
const (
	Taken  Kind = "taken"  // it was made to ring
	Refuse Kind = "refuse" // it cannot ring
	Said   Kind = "said"   // it says this
	Gone   Kind = "gone"   // it is disconnected; final: its session is over
	Back   Kind = "back"   // it is here now; final: its session went on, so it missed nothing
)

// What hubs say of the devices that are signed in.
const (
	Watch   Kind = "watch"   // somebody here watches the account
	Devices Kind = "devices" // these are mine; Text is the list
	Counts  Kind = "counts"  // how many are mine; Text is the number of each account
)

// Ended is what hubs say of operators' sessions that ended: Ends, and the Text is the sum of all that the hub knows;
// final asks for no answer.
const Ended Kind = "ended"

// What hubs ask one another.
const (
	Holds  Kind = "holds"  // who has this device?
	Owns   Kind = "owns"   // who has this call?
	Live   Kind = "live"   // may this device have a media path in a call of yours?
	Yield  Kind = "yield"  // give up this device: Text is the instance of the one who wants it
	Party  Kind = "party"  // is this device still in your call?
	Seated Kind = "seated" // is this device at yours, and in my call?
)

func (m Message) bytes() []byte {
	b, err := wire.Marshal(m)
	if err != nil { // a message holds only what JSON can say
		return nil
	}
	return b
}

// token names the party and the call in what comes back undelivered.
func (m Message) token() string { return m.Account + "." + m.Call + "." + m.CUID }

// ofToken is a message as far as its token tells.
func ofToken(t string) Message {
	p := append(strings.SplitN(t, ".", 3), "", "")
	return Message{Account: p[0], Call: p[1], CUID: p[2]}
}

// DeviceClaim is the claim of the hub where a device is signed in.
func DeviceClaim(account, cuid string) string { return "device." + account + "." + cuid }

// CallClaim is the claim of the hub that adopted a call.
func CallClaim(account, call string) string { return "call." + account + "." + call }

// AlarmClaim is the claim of the hub that raised the alarm about an absent station.
func AlarmClaim(account, cuid string) string { return "alarm." + account + "." + cuid }
