package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// ChallengeBody opens every connection.
type ChallengeBody struct {
	Nonce   string `json:"nonce"` // 128 random bits, hexadecimal; the devices' own keys will sign it
	Version string `json:"version"`
}

// HelloBody signs in, with the API key or a token made from it. Instance is a secret that the device made once and
// keeps: who knows it is the same device. Resume names the session that was lost. Calls are those that the device
// believes to be alive; the hub says of each what it knows.
type HelloBody struct {
	Account  string    `json:"account"`
	APIKey   string    `json:"apikey,omitempty"`
	Token    string    `json:"token,omitempty"`
	CUID     string    `json:"cuid"`
	Name     string    `json:"name,omitempty"`
	Instance string    `json:"instance"`
	Agent    string    `json:"agent,omitempty"`
	Resume   *Resume   `json:"resume,omitempty"`
	Calls    []CallRef `json:"calls,omitempty"`
}

// Resume asks for a session that was lost: its name, and the last number that the client had from the hub.
type Resume struct {
	Session string `json:"session"`
	Seq     uint64 `json:"seq"`
}

// CallRef names a call, with the ticket that came with its answer.
type CallRef struct {
	Call   string `json:"call"`
	Ticket string `json:"ticket,omitempty"`
}

// WelcomeBody ends the sign-in. When the session was resumed, Ack is the last number that the hub had from the client,
// and what the client missed follows.
type WelcomeBody struct {
	Session    string      `json:"session"`
	Resumed    bool        `json:"resumed,omitempty"`
	Ack        uint64      `json:"ack,omitempty"`
	ServerTime time.Time   `json:"server_time"`
	RingMS     int64       `json:"ring_ms"`
	AckMS      int64       `json:"ack_ms,omitempty"` // within which a request is answered
	PingMS     int64       `json:"ping_ms"`
	ICEServers []ICEServer `json:"ice_servers"` // STUN only: TURN has credentials, which belong to a call
}

// ICEServer is a STUN or TURN server, as in the browser's RTCIceServer.
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// GoAwayBody asks all to come back at a random time within the spread.
type GoAwayBody struct {
	SpreadMS int64 `json:"spread_ms"`
}

// ExpiringBody says how much is left of the token with which the client signed in.
type ExpiringBody struct {
	LeftMS int64 `json:"left_ms"`
}

// RenewBody has a new token for the session.
type RenewBody struct {
	Token string `json:"token"`
}

// StateBody is how a device says that it is.
type StateBody struct {
	DND    bool              `json:"dnd,omitempty"`    // do not disturb: calls are declined as busy
	Health string            `json:"health,omitempty"` // healthy or degraded
	Faults map[string]string `json:"faults,omitempty"` // by part, what is wrong
	Codes  map[string]string `json:"codes,omitempty"`  // by part, the code of docs/errors.md
	Light  string            `json:"light,omitempty"`  // what its lamp shows, as in docs/hardware.md

	Settings uint64 `json:"settings,omitempty"` // version of the latest that it took
	// and of a later one that it refused, and need not be offered again
	Refused uint64 `json:"settings_refused,omitempty"`

	Door []string `json:"door,omitempty"` // who may open its door outside a call: cuids, and patterns with *
}

// Check refuses what is too long, or could rewrite the screen that shows it.
func (b StateBody) Check() *fault.Error {
	if Size(b) > MaxState {
		return fault.In(fault.TooLarge, "", "A state has at most %d bytes; say less of each fault.", MaxState)
	}
	if b.Health != "" && b.Health != "healthy" && b.Health != "degraded" {
		return fault.In(fault.BadMessage, "health", "The health is healthy or degraded.")
	}
	if why := text(b.Light, 0, 32); why != "" {
		return fault.In(fault.BadMessage, "light", "The light %s.", why)
	}
	if len(b.Door) > MaxOpeners {
		return fault.In(fault.TooLarge, "door", "At most %d may open a door outside a call.", MaxOpeners)
	}
	for _, one := range b.Door {
		if why := text(one, 1, 50); why != "" {
			return fault.In(fault.BadMessage, "door", "Who may open the door %s.", why)
		}
	}
	if len(b.Codes) > 32 {
		return fault.In(fault.TooLarge, "codes", "At most 32 faults are told.")
	}
	for part, code := range b.Codes {
		if text(part, 1, 64) != "" || text(code, 1, 32) != "" {
			return fault.In(fault.BadMessage, "codes", "A code has at most 32 characters, and its part 64.")
		}
	}
	if len(b.Faults) > 32 {
		return fault.In(fault.TooLarge, "faults", "At most 32 faults are told.")
	}
	for part, what := range b.Faults {
		if why := text(part, 1, 64); why != "" {
			return fault.In(fault.BadMessage, "faults", "The name of a part %s.", why)
		}
		if why := text(what, 1, 500); why != "" {
			return fault.In(fault.BadMessage, "faults", "The text of a fault %s.", why)
		}
	}
	return nil
}

// DeviceState is how a device is, in a word; the first that is true of: offline, ringing, busy, dnd, degraded, idle.
type DeviceState string

// The states of a device.
const (
	Offline      DeviceState = "offline"
	Rings        DeviceState = "ringing"
	Busy         DeviceState = "busy"
	DoNotDisturb DeviceState = "dnd"
	Degraded     DeviceState = "degraded"
	Idle         DeviceState = "idle"
)

// Device is one device as those who watch see it.
type Device struct {
	CUID     string            `json:"cuid"`
	Name     string            `json:"name,omitempty"`
	State    DeviceState       `json:"state"`
	Health   string            `json:"health,omitempty"`
	Faults   map[string]string `json:"faults,omitempty"`
	Codes    map[string]string `json:"codes,omitempty"`
	Light    string            `json:"light,omitempty"`
	Settings uint64            `json:"settings,omitempty"`
	Refused  uint64            `json:"settings_refused,omitempty"`
	Agent    string            `json:"agent,omitempty"`
	Hub      string            `json:"hub,omitempty"`
	Since    time.Time         `json:"since,omitzero"`     // of its sign-in
	LastSeen time.Time         `json:"last_seen,omitzero"` // of one that is offline, as far as this hub knows
	Door     bool              `json:"door,omitempty"`     // who is told may open its door now, outside a call
	Openers  []string          `json:"openers,omitempty"`  // between hubs only: who may, as the device says
}

// PresenceBody tells of devices. Whole begins a list of all that there are; it may go on in further messages.
type PresenceBody struct {
	Whole   bool     `json:"whole,omitempty"`
	Devices []Device `json:"devices"`
}

// InviteBody starts a call; the caller chose the call id. To is one cuid, the name of a group, or a list of cuids. Mode
// and EachMS are about lists; a group has its own. MaxDurationMS asks for a limit, and the hub's is the lower one.
type InviteBody struct {
	To             Receivers `json:"to"`
	Context        string    `json:"context"`
	InitiatorImage string    `json:"initiator_image,omitempty"`
	Mode           Mode      `json:"mode,omitempty"`
	EachMS         int64     `json:"each_ms,omitempty"`
	MaxDurationMS  int64     `json:"max_duration_ms,omitempty"`
}

// Mode is how several are called.
type Mode string

// The modes; "" is parallel.
const (
	Parallel Mode = "parallel" // all ring at once
	Sequence Mode = "sequence" // one after the other
)

// Receivers is one cuid or a list; one is a plain string in JSON.
type Receivers []string

// MarshalJSON writes a string for one, and a list for more.
func (r Receivers) MarshalJSON() ([]byte, error) {
	if len(r) == 1 {
		return json.Marshal(r[0])
	}
	return json.Marshal([]string(r))
}

// UnmarshalJSON reads a string or a list.
func (r *Receivers) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, (*[]string)(r))
	}
	*r = make(Receivers, 1)
	return json.Unmarshal(b, &(*r)[0])
}

// String joins the cuids as results show them.
func (r Receivers) String() string { return strings.Join(r, ",") }

// InvitedBody is the reply to an invite: for how long it will ring at most, and how long the caller waits for a result.
type InvitedBody struct {
	RingMS   int64 `json:"ring_ms"`
	CallerMS int64 `json:"caller_ms,omitempty"`
}

// ServersBody has the servers for a party's media path in this call. The caller is told before the first call.ringing,
// and whoever asks; the credentials end with the call.
type ServersBody struct {
	ICEServers []ICEServer `json:"ice_servers"`
}

// IncomingBody tells the callee who calls.
type IncomingBody struct {
	From           string `json:"from"`
	Name           string `json:"name,omitempty"`
	Context        string `json:"context"`
	InitiatorImage string `json:"initiator_image,omitempty"`
	RingMS         int64  `json:"ring_ms"`               // how long it will ring
	AutoAnswer     bool   `json:"auto_answer,omitempty"` // the account's lists allow it; the station must as well

	ICEServers []ICEServer `json:"ice_servers,omitempty"` // for this call, as in call.servers
}

// Check refuses what no hub would say, or could rewrite the screen that shows it.
func (b IncomingBody) Check(call string) *fault.Error {
	if err := CheckCUID(b.From); err != nil || call == "" {
		return fault.In(fault.BadMessage, "from", "A call that comes in has an id, and the cuid of its caller.")
	}
	if why := text(b.Name, 0, 50); why != "" {
		return fault.In(fault.BadMessage, "name", "The name %s.", why)
	}
	if err := CheckContext(b.Context); err != nil {
		return err
	}
	if err := CheckImage(b.InitiatorImage); err != nil {
		return err
	}
	return CheckServers(b.ICEServers)
}

// Check refuses more servers than a call can use.
func (b ServersBody) Check() *fault.Error { return CheckServers(b.ICEServers) }

// CheckServers allows as many STUN and TURN servers as a call can use.
func CheckServers(all []ICEServer) *fault.Error {
	if len(all) > MaxServers {
		return fault.In(fault.TooLarge, "ice_servers", "At most %d servers are told.", MaxServers)
	}
	for _, s := range all {
		if len(s.URLs) > MaxServers || len(s.Username) > MaxServerText || len(s.Credential) > MaxServerText {
			return fault.In(fault.TooLarge, "ice_servers", "A server has at most %d addresses, and names of %d bytes.",
				MaxServers, MaxServerText)
		}
		for _, u := range s.URLs {
			if len(u) > MaxServerText {
				return fault.In(fault.TooLarge, "ice_servers", "The address of a server has at most %d bytes.",
					MaxServerText)
			}
		}
	}
	return nil
}

// SDPBody is a session description (RFC 8866). In call.ringing it is the ringing side's offer, and From says whose; in
// call.sdp it is the answer. Of several who ring, the caller is told the offer of one; a further call.ringing replaces
// it. In an answered call, call.sdp is an offer that restarts ICE, or its answer.
type SDPBody struct {
	SDP     string `json:"sdp,omitempty"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`      // from the caller: whose offer this answers
	Answers string `json:"answers,omitempty"` // the user name of the offer that this answers; see Fragment
}

// Check refuses a description that is larger than any real one.
func (b SDPBody) Check() *fault.Error {
	if Size(b) > MaxDescription {
		return fault.In(fault.TooLarge, "sdp", "A session description has at most %d bytes.", MaxDescription)
	}
	return nil
}

// Fragment is the ICE user name of a description (ice-ufrag: RFC 8839, section 5.4). It tells one media path, and one
// restart of it, from another.
func Fragment(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=ice-ufrag:")
	name, _, _ := strings.Cut(rest, "\r\n")
	return name
}

// ICEBody is a candidate as in the browser's RTCIceCandidateInit; an empty one ends the gathering.
type ICEBody struct {
	Candidate string `json:"candidate"`
	To        string `json:"to,omitempty"` // from the caller: for whom it is
}

// Check refuses a candidate that is larger than any real one.
func (b ICEBody) Check() *fault.Error {
	if Size(b) > MaxCandidateBody {
		return fault.In(fault.TooLarge, "candidate", "A candidate has at most %d bytes.", MaxCandidateBody)
	}
	return nil
}

// AnsweredBody tells both sides that they may speak. The ticket proves the call to any hub; LimitMS is how long it may
// last, 0 for no limit.
type AnsweredBody struct {
	Peer    string `json:"peer"`
	Ticket  string `json:"ticket"`
	LimitMS int64  `json:"limit_ms,omitempty"`
}

// WarningBody says how much is left of a metered call.
type WarningBody struct {
	LeftMS int64 `json:"left_ms"`
}

// DeclineBody says why a callee refuses: declined, busy, not_allowed or mic_unavailable.
type DeclineBody struct {
	Reason outcome.Reason `json:"reason"`
}

// CancelBody says why a caller gives up: cancelled (by hand) or ring_timeout (its own limit).
type CancelBody struct {
	Reason outcome.Reason `json:"reason"`
}

// HangUpBody says why a party of an answered call ends it: hangup, max_duration, lost, shutdown or media_failed. What a
// hub did not hear in time is said later, with the ticket and the time of the end.
type HangUpBody struct {
	Reason  outcome.Reason `json:"reason"`
	Ticket  string         `json:"ticket,omitempty"`
	EndedAt *time.Time     `json:"ended_at,omitempty"`
}

// EndedBody is the final result; Error says more where the contract has a code for it (404, ERR_USER_BUSY, …).
type EndedBody struct {
	outcome.Result
	Error *fault.Error `json:"error,omitempty"`
}

// NoteKind is what a note is about.
type NoteKind string

// The kinds.
const (
	Visit    NoteKind = "visit" // somebody pressed a button while nobody could be reached
	DoorNote NoteKind = "door"  // the door was opened, or was not, or something was wrong with it
	CallNote NoteKind = "call"  // how well an answered call was heard at the station
)

// Quality is how a call was heard at a station, at its end.
type Quality struct {
	Codec       string  `json:"codec"`
	Route       string  `json:"route"`         // direct or relay
	DelayMS     float64 `json:"delay_ms"`      // from the other microphone to this loudspeaker, estimated
	RoundTripMS float64 `json:"round_trip_ms"` // of the network
	JitterMS    float64 `json:"jitter_ms"`
	Loss        float64 `json:"loss"`         // of what the station sent, 0 to 1
	ConcealedMS float64 `json:"concealed_ms"` // that were made up in place of lost ones
}

// IdentifyBody names the station that is to blink and to sound, so that somebody can find it.
type IdentifyBody struct {
	CUID string `json:"cuid,omitempty"` // empty from the hub to the station
}

// NoteBody is something that happened at a station and is to be on record. The hub takes it when it is written down;
// until then the station keeps it, and may say it again: ID, 128 random bits as 32 hexadecimal digits, is the same
// then.
type NoteBody struct {
	ID     string    `json:"id"`
	Kind   NoteKind  `json:"kind"`
	At     time.Time `json:"at"` // by the station's clock
	Who    string    `json:"who,omitempty"`
	Why    string    `json:"why,omitempty"`
	Result string    `json:"result,omitempty"`
	To     string    `json:"to,omitempty"`   // of a visit: who was called
	Call   string    `json:"call,omitempty"` // during which it happened

	Quality *Quality `json:"quality,omitempty"` // of a call
}

// Check refuses what is too long, or could rewrite the screen that shows it.
func (b NoteBody) Check() *fault.Error {
	if raw, err := hex.DecodeString(b.ID); err != nil || len(raw) != 16 {
		return fault.In(fault.BadMessage, "id", "The id of a note must be 128 random bits as 32 hexadecimal digits.")
	}
	if b.Kind != Visit && b.Kind != DoorNote && b.Kind != CallNote {
		return fault.In(fault.BadMessage, "kind", "The kind of a note is visit, door or call.")
	}
	q := b.Quality
	if q == nil {
		q = &Quality{}
	}
	for field, s := range map[string]string{"who": b.Who, "why": b.Why, "result": b.Result, "to": b.To, "call": b.Call,
		"codec": q.Codec, "route": q.Route} {
		if why := text(s, 0, 500); why != "" {
			return fault.In(fault.BadMessage, field, "A note's text %s.", why)
		}
	}
	return nil
}
