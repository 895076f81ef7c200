package wire

import (
	"encoding/hex"

	"intercom/internal/fault"
)

// MaxOpeners is how many cuids and patterns a station names that may open its door outside a call.
const MaxOpeners = 64

// What became of a wish to open a door.
const (
	DoorOpened  = "opened"
	DoorRefused = "refused"
)

// DoorReason is why a station refused to open its door.
type DoorReason string

// The reasons.
const (
	DoorNotAllowed   DoorReason = "not_allowed"   // the station's own list does not have who asks
	DoorLocked       DoorReason = "locked"        // the case was opened
	DoorNone         DoorReason = "no_door"       // there is none
	DoorNotConnected DoorReason = "not_connected" // the voices of the call are not there yet
	DoorNotInCall    DoorReason = "not_in_call"   // not with who asks
	DoorTooOften     DoorReason = "too_often"
)

// CapabilitiesBody says what the other side of an answered call may do here. The hub leaves out what the account's
// rules do not let it.
type CapabilitiesBody struct {
	Door bool `json:"door"` // open the door
}

// DoorBody asks the other side of a call to open its door, or says what became of that. From is filled in by the hub.
type DoorBody struct {
	From   string     `json:"from,omitempty"`
	Result string     `json:"result,omitempty"` // opened or refused
	Reason DoorReason `json:"reason,omitempty"` // of refused
}

// Check refuses what is too long, or could rewrite the screen that shows it.
func (b DoorBody) Check() *fault.Error {
	if len(b.Result) > MaxIDLen || len(b.Reason) > MaxIDLen {
		return fault.New(fault.TooLarge)
	}
	if text(b.Result, 0, MaxIDLen) != "" || text(string(b.Reason), 0, MaxIDLen) != "" {
		return fault.In(fault.BadMessage, "result", "What became of a door is a word, like opened or refused.")
	}
	return nil
}

// OpenDoorBody asks a station to open its door outside a call, or says what became of that. The client makes ID, 128
// random bits as 32 hexadecimal digits, and names the station in CUID. The station gets From and By instead, which the
// hub fills in; it answers to the one in CUID, and that client is told From.
type OpenDoorBody struct {
	ID     string     `json:"id"`
	CUID   string     `json:"cuid,omitempty"`
	From   string     `json:"from,omitempty"`
	By     string     `json:"by,omitempty"` // name of the operator
	Result string     `json:"result,omitempty"`
	Reason DoorReason `json:"reason,omitempty"`
}

// Check refuses what names nobody, is too long, or could rewrite the screen or the record that shows it.
func (b OpenDoorBody) Check() *fault.Error {
	if raw, err := hex.DecodeString(b.ID); err != nil || len(raw) != 16 {
		return fault.In(fault.BadMessage, "id", "The id must be 128 random bits as 32 hexadecimal digits.")
	}
	other := b.CUID
	if other == "" {
		other = b.From
	}
	if CheckCUID(other) != nil {
		return fault.In(fault.BadMessage, "cuid", "Name the cuid, for example front_door.")
	}
	if why := text(b.By, 0, 50); why != "" {
		return fault.In(fault.BadMessage, "by", "The name %s.", why)
	}
	return DoorBody{Result: b.Result, Reason: b.Reason}.Check()
}
