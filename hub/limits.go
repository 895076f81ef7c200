package hub

import (
	"time"

	"intercom/internal/fault"
)

// All that comes to the hub from outside has a rate, a size, a number and a time. These are the hub's own; those that
// clients must know are in package wire. docs/protocol.md lists both.

// Rates.
var (
	// messages of a device: fewer than a peer's queue holds, so that nobody can flood another out
	messageRate = rate{48, 25}
	helloFrames = rate{16, 1}               // WebSocket frames of any kind before the sign-in
	frameRate   = rate{200, 100}            // and after it
	lastFrames  = rate{5000, 1}             // and until the other end has closed too
	byteRate    = rate{512 << 10, 64 << 10} // bytes of a connection
	signInRate  = rate{60, 0.5}             // sign-ins of one cuid
	inviteRate  = rate{300, 1}              // calls that a device places
	pairRate    = rate{60, 0.5}             // calls of a device to one other, without those that were answered
	ringRate    = rate{8, 4}                // calls that ring at a device, without those that were answered
	offerRate   = rate{3, 1}                // descriptions whose answers are not its own words: see replies
	watchRate   = rate{5, 0.1}              // lists of all devices that a client asks for
	// requests to another device outside a call: blink, open the door, and its answer
	findRate      = rate{20, 2}
	noteRate      = rate{30, 0.5} // notes of a station
	pageRate      = rate{300, 50} // HTTP requests of an address without a key
	logRate       = rate{20, 0.2} // lines about refused sign-ins of an address
	queryRate     = rate{60, 10}  // questions of an account about its calls and notes
	tokenRate     = rate{200, 50} // tokens that are made for an account
	manageRate    = rate{200, 5}  // looks at a session or an account and changes of it, by its operators
	handshakeRate = rate{512, 50} // TLS handshakes of an address; one after which somebody signs in does not count
)

// Numbers, for an address; IPv6 addresses of one /64 count as one.
const (
	maxConns    = 512      // connections on which nobody has signed in, and that are older than newGrace
	maxRequests = 256      // HTTP requests at once, WebSockets before the sign-in among them, older than newGrace
	maxSockets  = 20       // WebSockets that have not said hello for helloGrace
	maxAllConns = 16 << 10 // connections on which nobody has signed in, of all addresses
	maxPassed   = 16 << 10 // the same of all trusted proxies, whose connections are of many
)

// Times.
const (
	newGrace     = 3 * time.Second  // that a connection and a request have to show a key, however many there are
	helloGrace   = time.Second      // that a WebSocket has for its hello, however many there are
	requestTime  = 10 * time.Second // for a whole request, and for a TLS handshake
	answerTime   = 30 * time.Second // for a whole answer
	idleTime     = 75 * time.Second // between two requests on a connection
	writeTime    = 10 * time.Second // for each write
	farewellTime = 2 * time.Second  // for the other end to close too
	slowest      = 4 * time.Second  // that the answer to a wrong key waits
	wrongForgets = time.Minute      // after the last wrong key
)

// tooOften is the error for who has to wait.
func tooOften(wait time.Duration) *fault.Error {
	f := fault.New(fault.RateLimited)
	f.RetryAfterMS = max(1, wait.Milliseconds())
	return f
}
