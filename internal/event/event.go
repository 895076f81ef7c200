// Package event lists what others may rely on in a program's log: kinds of events, each with a MESSAGE_ID that never
// changes, and the names of attributes, each with one meaning.
//
// A call that logs such an event uses the constant of its kind as the text; the journal finds the id by it. A text may
// change, here and for all calls at once. docs/log-fields.md is made from both tables. Everybody may import this
// package; it imports the standard library only.
package event

import (
	"log/slog"
	"slices"
)

// The kinds of events, by their text.
const (
	AnsweringAutomatically = "answering automatically"
	ButtonPressed          = "button pressed"
	CallEnded              = "call ended"
	Door                   = "door"
	Mode                   = "mode"
	NoMicrophone           = "cannot answer without a microphone"
	NoProgress             = "no proof of progress; the watchdog is not fed"
	Note                   = "note"
	PartBroken             = "a part is not well"
	PartRestarted          = "a part ended and is started again, for ever"
	PartStalled            = "a part makes no progress and is started again alone"
	PartStuck              = "a part would not stop"
	PartWell               = "a part is well again"
	RequestRefused         = "the hub refused a request"
	SignedIn               = "signed in"
	SoundBack              = "sound is back"
	SoundDegraded          = "sound is degraded; trying again for ever"
	SoundServerFound       = "sound server found"
	Started                = "started"
	State                  = "state"
)

// Kind is a kind of event.
type Kind struct {
	Text string
	ID   string // its MESSAGE_ID (systemd.journal-fields(7)): 128 bits in hexadecimal
}

// Kinds returns all of them.
func Kinds() []Kind {
	return []Kind{
		{PartBroken, "e761ec16cb63475491708b956214b0b6"},
		{PartWell, "fef1954422704949b258b9655f9021e7"},
		{PartRestarted, "1225e42ec7f133acacd2762531cb42c6"},
		{PartStalled, "4a6455afd3262829b87f1c6d11f08912"},
		{PartStuck, "cc7ec27f2ec2407499ad06746926c690"},
		{AnsweringAutomatically, "237ea19e9b20e94af2a525adc0dab7e7"},
		{ButtonPressed, "608a248a927198e18e03e2bda832d1eb"},
		{CallEnded, "ea4659953cdfd4ba5c3ce3323c96ec3c"},
		{NoMicrophone, "3c24148b5f3661006e298bc471cf9f95"},
		{Door, "1cabf186e52536753828424ab4353a0e"},
		{Mode, "c8a2aa7fbfec26d5c26efd3878f7c049"},
		{NoProgress, "c5370f782c824e1e585d0c202dec83fd"},
		{Note, "738ee9bb969d49153eab10d9aa5e8d5d"},
		{SignedIn, "226ad03239273ebbb18dcfbd1f788d2c"},
		{SoundBack, "11fd4279c49f8d292a3251a9876e7e9e"},
		{SoundDegraded, "c64039762a7a9107125a0972c3624e85"},
		{SoundServerFound, "80c67ca39a6a70e43bcc6fc09b219a9b"},
		{Started, "9aa45266cd6ad4aa01376ba2005204b5"},
		{State, "be0c9ef786dcbd8af937152155717ebf"},
		{RequestRefused, "7b3158d2078e330d46264c6a05bd9b03"},
	}
}

// ID returns the MESSAGE_ID for a line's text; empty for a line that nobody is to rely on.
func ID(text string) string {
	all := Kinds()
	i := slices.IndexFunc(all, func(k Kind) bool { return k.Text == text })
	if i < 0 {
		return ""
	}
	return all[i].ID
}

// What an event is about. These attributes are made here only, so that each means the same in every line.

// Account is the account of the devices in the line.
func Account(id string) slog.Attr { return slog.String("account", id) }

// CUID is the device that the line is about; of a call, at the hub, the caller.
func CUID(cuid string) slog.Attr { return slog.String("cuid", cuid) }

// Peer is the device at the other end of a call or a request; before a call is answered it may be several.
func Peer(cuid string) slog.Attr { return slog.String("peer", cuid) }

// Hub is another hub, by its name.
func Hub(name string) slog.Attr { return slog.String("hub", name) }

// Part is a part of the program, which runs, fails and is started again by itself.
func Part(name string) slog.Attr { return slog.String("part", name) }

// Call is the id of a call, the same on both devices and at the hub.
func Call(id string) slog.Attr { return slog.String("call", id) }

// Attribute is a name that a log line may have.
type Attribute struct {
	Key   string
	Means string
	Shown bool // also in the text, for readers of the plain journal
}

// Attributes returns all that there are.
func Attributes() []Attribute {
	return []Attribute{
		{"account", "the account that the devices belong to", false},
		{"cuid", "the device: a station or a browser; of a call, at the hub, the caller", false},
		{"call", "the call's id, the same on both stations and at the hub", false},
		{"part", "a part of the program, which runs, fails and is started again by itself", true},
		{"what", "which piece of a part: a stream or a device of the sound; the files or the stream of records", true},
		{"button", "a button's name", true},
		{"phase", "where the call stands", true},
		{"online", "true while the station is signed in", false},
		{"peer", "the device at the other end of the call or the request; several while a group is called", true},
		{"hub", "another hub", true},
		{"status", "how a call ended: see [errors.md](errors.md)", true},
		{"reason", "how a call ended, in detail", true},
		{"who", "who wanted something of a door, or visited", true},
		{"why", "the reason, for people", true},
		{"done", "what became of a wish to open a door", true},
		{"mode", "do_not_disturb or privacy", true},
		{"on", "true when a mode was switched on", false},
		{"url", "an address", true},
		{"err", "what was wrong", true},
		{"code", "an error's code, or that of a part that is not well: see [errors.md](errors.md)", false},
		{"severity", "of a part that is not well: error or warning", false},
		{"do", "what to do about a part that is not well", false},
		{"name", "an operator", false},
		{"request", "what an operator asked for, over HTTP", false},
		{"address", "in the network: of a client, of a proxy, or that the relay was to reach", false},
		{"agent", "the program that signed in, with its version", false},
		{"resumed", "true when the session goes on where the connection was lost", false},
		{"since", "when a station was heard last", false},
		{"kind", "of a note: visit, door, or call", false},
		{"at", "of a note: when it happened", false},
		{"to", "the receivers that were called", false},
		{"result", "of a note: what became of it", false},
		{"type", "a message's type: see [protocol.md](protocol.md)", false},
		{"event", "a webhook's event: see [integrate.md](integrate.md)", false},
		{"command", "a command of the MQTT broker", false},
		{"waits", "keys of the configuration that wait for a restart", false},
		{"wait", "the time until the next try", false},
		{"try", "the number of tries so far", false},
		{"stun_code", "of a refusal by the relay: an error of STUN (RFC 8489, section 14.8)", false},
		{"count", "how many", false},
		{"more", "how many more since the last such line", false},
		{"accounts", "how many accounts there are", false},
		{"server", "the sound server", false},
		{"path", "a file", false},
		{"until", "when a certificate expires", false},
		{"header", "the header that a proxy is to set: see `proxy_header`", false},
		{"key", "a key in the store that hubs share", false},
		{"listen", "where the program listens", false},
		{"tls", "where the relay listens for TURN over TLS", false},
		{"public", "the relay's addresses as clients see them", false},
		{"control", "where the control socket is", false},
	}
}
