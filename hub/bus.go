package hub

import (
	"context"
	"encoding/json"

	"intercom/hub/access"
	"intercom/hub/bus"
	"intercom/internal/outcome"
	"intercom/wire"
)

// Bus is what joins hubs. hub/nats has the real one, hub/hubtest one in memory for tests.
type Bus interface {
	// Name is this hub's, one of its own in the cluster.
	Name() string
	// Serve hands over what the others say, until ctx ends. The handler is called by one goroutine, in the order in
	// which each of the others spoke, and must return at once.
	Serve(ctx context.Context, h bus.Handler) error
	// Send tells one hub something: in order, at most once, without waiting. The token comes back if nobody is there.
	Send(to string, m []byte, token string) error
	// Ask asks one hub, [bus.ErrNobody] when it is not there.
	Ask(ctx context.Context, to string, m []byte) ([]byte, error)
	// AskAll asks all others, and gives the first answer that is not empty; bus.ErrNobody when there is none in time.
	AskAll(ctx context.Context, m []byte) ([]byte, error)
	// Tell says something to all others, at most once, without waiting.
	Tell(m []byte) error
	// Peers reports whether other hubs are there; when not sure, it says yes.
	Peers() bool

	// Claim writes a key if it is at this revision, 0 when it is not there; [bus.ErrTaken] otherwise. It gives the new
	// revision.
	Claim(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Claimed reads a key; revision 0 when it is not there.
	Claimed(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Release takes a key away if it is still at this revision.
	Release(ctx context.Context, key string, revision uint64) error

	// Renew keeps this hub's lease, for bus.LeaseTime from now. [bus.ErrFenced] when it had run out in between: others may have
	// taken what this hub held.
	Renew(ctx context.Context) error
}

// slip is what hubs say to one another. A call's owner tells the hubs of its parties what to do, and they tell the owner
// what happens.
type slip struct {
	Kind    kind            `json:"k"`
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

type kind string

// What an owner says.
const (
	kOffer   kind = "offer"   // make it ring
	kTell    kind = "tell"    // give it this message
	kAdopted kind = "adopted" // the call is mine now
	kLeaves  kind = "leaves"  // I stop; whoever holds a ticket may have the call
)

// What the hub of a party says to the owner.
const (
	kTaken  kind = "taken"  // it was made to ring
	kRefuse kind = "refuse" // it cannot ring
	kSaid   kind = "said"   // it says this
	kGone   kind = "gone"   // it is away; final: for good
	kBack   kind = "back"   // it is here now; final: its session went on, so nothing was missed
)

// What hubs say of who is there.
const (
	kWatch   kind = "watch"   // somebody here watches the account
	kDevices kind = "devices" // these are mine; Text is the list
)

// What hubs say of how many devices they have.
const kCounts kind = "counts" // Text is the number of each account

// What hubs say of who signed out.
const kEnded kind = "ended" // of sessions: Ends, and the Text is the sum of all that the hub knows; Final asks for no answer

// What hubs ask one another.
const (
	kHolds kind = "holds" // who has this device?
	kOwns  kind = "owns"  // who has this call?
	kLive  kind = "live"  // may this device have a media path in a call of yours?
	kYield kind = "yield" // give up this device: Text is the instance of the one who wants it

	kParty  kind = "party"  // is this device still in your call?
	kSeated kind = "seated" // is this device at yours, and in my call?
)

func (s slip) who() who { return who{s.Account, s.CUID} }

// token names the party and the call in what comes back undelivered.
func (s slip) token() string { return s.Account + "." + s.Call + "." + s.CUID }

func (s slip) bytes() []byte {
	b, err := json.Marshal(s)
	if err != nil { // a slip holds only what JSON can say
		return nil
	}
	return b
}
