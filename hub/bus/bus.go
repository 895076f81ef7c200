// Package bus is what a bus between hubs and the hub that uses it must both know: who is told, which errors mean what,
// and how long a lease lasts. The interface itself is hub/cluster.Bus; hub/nats has the real bus, hub/hubtest one in
// memory.
package bus

import (
	"errors"
	"time"
)

// Handler is told what other hubs say, by one goroutine, in the order in which each of the others spoke. It must return
// at once.
type Handler interface {
	Heard(m []byte)
	Asked(m []byte, reply func([]byte)) // reply may be called later; what is asked of all need not be answered
	Undelivered(to, token string)       // nobody of that name was there to hear what was sent with the token
}

// Errors of a bus.
var (
	ErrTaken  = errors.New("taken by another")
	ErrNobody = errors.New("no hub of that name")
	ErrFenced = errors.New("the lease had run out")
)

// LeaseTime is how long a hub holds what it has claimed without a word.
const LeaseTime = 20 * time.Second
