// Package control is what a station's control socket speaks: the status and the events, as JSON. The station and
// whoever asks it (intercomctl) import it. Only types; docs/operate.md has the requests.
package control

import (
	"maps"
	"slices"
	"strings"
	"time"

	"intercom/call"
	"intercom/internal/fault"
	"intercom/internal/outcome"
)

// Socket is where a station listens unless it is configured otherwise.
const Socket = "/run/intercomd/control.sock"

// Millis is a time as the control API writes it.
func Millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Light is what a station shows of itself.
type Light string

// The lights, in the order of their weight: the first that is so is shown.
const (
	LightDoor        Light = "door"    // the relay is energised
	LightPressed     Light = "pressed" // a button that can call is held; what it means is not known yet
	LightCalling     Light = "calling"
	LightAuto        Light = "auto" // the microphone is about to open by itself
	LightRinging     Light = "ringing"
	LightTalking     Light = "talking"
	LightIdentify    Light = "identify"    // an operator wants to know which one this is
	LightUnreachable Light = "unreachable" // for a moment after a call that nobody took
	LightOffline     Light = "offline"
	LightFault       Light = "fault"
	LightMissed      Light = "missed"
	LightDND         Light = "do_not_disturb"
	LightPrivacy     Light = "privacy"
	LightWarning     Light = "warning" // somebody should look; the station does what it is for
	LightIdle        Light = "idle"
)

// Event is one line of "intercomctl events".
type Event struct {
	At      time.Time       `json:"at"`
	Event   string          `json:"event"` // state, ended, light, press, health, door, mode
	Phase   call.Phase      `json:"phase,omitempty"`
	Call    string          `json:"call,omitempty"`
	Peer    string          `json:"peer,omitempty"`
	Name    string          `json:"name,omitempty"`    // of a caller
	Context string          `json:"context,omitempty"` // why it calls
	Image   string          `json:"image,omitempty"`   // URL of its picture
	Online  *bool           `json:"online,omitempty"`
	Light   Light           `json:"light,omitempty"`
	Button  string          `json:"button,omitempty"`
	Press   string          `json:"press,omitempty"`   // down, up, short, long, double, stuck
	HeldMS  float64         `json:"held_ms,omitempty"` // for how long it was down so far
	Door    *Door           `json:"door,omitempty"`
	Who     string          `json:"who,omitempty"` // opened the door, or tried to
	Why     string          `json:"why,omitempty"`
	Done    string          `json:"done,omitempty"` // opened, held, released, refused, forced, ...
	Mode    string          `json:"mode,omitempty"` // do_not_disturb, privacy
	On      *bool           `json:"on,omitempty"`
	Part    string          `json:"part,omitempty"`
	Trouble string          `json:"trouble,omitempty"`
	Result  *outcome.Result `json:"result,omitempty"`
	Error   *fault.Error    `json:"error,omitempty"`
}

// Status is what "intercomctl status" shows.
type Status struct {
	CUID         string            `json:"cuid"`
	Name         string            `json:"name,omitempty"`
	Health       string            `json:"health"` // healthy, degraded
	Faults       map[string]string `json:"faults,omitempty"`
	Troubles     []Trouble         `json:"troubles,omitempty"` // the same, and the hub, with codes; what is worst first
	Phase        call.Phase        `json:"phase"`
	Call         string            `json:"call,omitempty"`
	Peer         string            `json:"peer,omitempty"`
	PeerName     string            `json:"peer_name,omitempty"` // of a caller
	Context      string            `json:"context,omitempty"`   // why the call is
	Image        string            `json:"image,omitempty"`     // URL of the caller's picture
	Light        Light             `json:"light"`
	Hub          HubStatus         `json:"hub"`
	Sound        SoundStatus       `json:"sound"`
	Quality      *Quality          `json:"quality,omitempty"`
	Lines        map[string]bool   `json:"lines,omitempty"` // levels, with the virtual driver
	Buttons      map[string]Button `json:"buttons,omitempty"`
	Door         *Door             `json:"door,omitempty"`     // of a station that has one
	DND          bool              `json:"do_not_disturb"`     // calls are declined as busy
	Privacy      bool              `json:"privacy"`            // nobody is answered automatically
	Schedule     string            `json:"schedule,omitempty"` // that holds now
	Restart      string            `json:"restart,omitempty"`  // why it starts again as soon as it is idle
	Untold       int               `json:"untold"`             // visits and openings that the hub has not heard of
	LastCall     *outcome.Result   `json:"last_call,omitempty"`
	StartedAt    time.Time         `json:"started_at"`
	RegisteredMS float64           `json:"registered_ms,omitempty"` // from start to the first sign-in
}

// Button is what was seen on a button's line since the start.
type Button struct {
	Presses  int64 `json:"presses"`
	Glitches int64 `json:"glitches"` // levels that did not hold
	Stuck    bool  `json:"stuck"`
}

// Door is how the door is.
type Door struct {
	Open    bool   `json:"open"` // the relay is energised
	Held    bool   `json:"held"`
	Locked  bool   `json:"locked"`
	Ajar    bool   `json:"ajar"` // the contact says that it stands open
	Trouble string `json:"trouble,omitempty"`
}

// HubStatus is how the link to the hub is.
type HubStatus struct {
	Online  bool       `json:"online"`
	URL     string     `json:"url"`
	CAFile  string     `json:"ca_file,omitempty"` // with the authority that the station trusts; empty for the system's
	Trouble string     `json:"trouble,omitempty"`
	Code    fault.Code `json:"code,omitempty"` // of the trouble, where it is an error with one
}

// SoundStatus is how the sound devices are; Trouble is empty when all is well.
type SoundStatus struct {
	Sink       string  `json:"sink"`
	Source     string  `json:"source"`
	PlaybackMS float64 `json:"playback_ms"` // buffer, as achieved
	CaptureMS  float64 `json:"capture_ms"`  // block, as achieved
	AskedMS    struct {
		Playback float64 `json:"playback"`
		Capture  float64 `json:"capture"`
	} `json:"asked_ms"`
	Underflows int     `json:"underflows"` // times that the loudspeaker had nothing to play
	Overflows  int     `json:"overflows"`
	MicOpen    bool    `json:"mic_open"`
	MicDBFS    float64 `json:"mic_dbfs"`
	SpkDBFS    float64 `json:"speaker_dbfs"`
	Rebuilt    int     `json:"rebuilt"`
	Muted      bool    `json:"muted"`
	TalkVolume int     `json:"talk_volume"` // percent
	RingVolume int     `json:"ring_volume"`
	Echo       string  `json:"echo"`               // cancelled, half duplex, or off
	Realtime   string  `json:"realtime,omitempty"` // why the sound has no real-time priority
	Trouble    string  `json:"trouble,omitempty"`
	Code       Code    `json:"code,omitempty"`        // of the trouble
	MicTrouble string  `json:"mic_trouble,omitempty"` // why nothing can be recorded
}

// Fault is what is wrong with the sound, or that it is well.
func (s SoundStatus) Fault() Fault { return Fault{Code: s.Code, Part: PartAudio, Text: s.Trouble} }

// SelfTest is what a test of the sound found: a chirp out of the loudspeaker, and into the microphone.
type SelfTest struct {
	At          time.Time `json:"at"`
	Heard       bool      `json:"heard"`         // the microphone hears the loudspeaker
	RoundTripMS float64   `json:"round_trip_ms"` // through both devices
	LevelDBFS   float64   `json:"level_dbfs"`    // of the chirp in the microphone
	LossDB      float64   `json:"echo_loss_db"`  // how much quieter it came back
	CancelledDB float64   `json:"echo_loss_cancelled_db,omitempty"`
	Problem     string    `json:"problem,omitempty"`
}

// Fault is what the test found, or that it found nothing.
func (t SelfTest) Fault() Fault {
	return Fault{Code: SelfTestFailed, Part: PartSelfTest, Text: t.Problem}
}

// Quality is how well a call is heard.
type Quality struct {
	Codec       string  `json:"codec"`
	Route       string  `json:"route"` // direct, relay, or empty while there is none
	RoundTripMS float64 `json:"round_trip_ms"`
	Loss        float64 `json:"loss"` // of what we send, 0 to 1
	JitterMS    float64 `json:"jitter_ms"`
	DelayMS     float64 `json:"delay_ms"` // from the other microphone to our ear, estimated

	Sending   Sending   `json:"sending"`
	Receiving Receiving `json:"receiving"`
}

// Sending is how our voice is sent just now.
type Sending struct {
	Codec      string  `json:"codec"`
	FrameMS    float64 `json:"frame_ms"`
	Bitrate    int     `json:"bitrate"`     // bit/s, without copies
	Complexity int     `json:"complexity"`  // of the encoder, 0 to 10
	FEC        int     `json:"fec_percent"` // of loss that the codec's own redundancy is made for
	Copies     int     `json:"copies"`      // of each frame that follow it (RED)
	Load       float64 `json:"load"`        // share of the time that encoding takes, 0 to 1
}

// Receiving is what became of the packets that came, and of those that did not.
type Receiving struct {
	Received    int     `json:"received"`
	Late        int     `json:"late"`
	Duplicate   int     `json:"duplicate"`
	Reordered   int     `json:"reordered"`
	Unreadable  int     `json:"unreadable"`
	Redundant   int     `json:"redundant"` // frames played from a copy (RED)
	Recovered   int     `json:"recovered"` // frames played from the codec's own redundancy
	ConcealedMS float64 `json:"concealed_ms"`
	ComfortMS   float64 `json:"comfort_noise_ms"`
	StretchedMS float64 `json:"stretched_ms"`
	SqueezedMS  float64 `json:"squeezed_ms"`
	Restarts    int     `json:"restarts"`
	DelayMS     float64 `json:"delay_ms"`  // that the jitter buffer holds
	JitterMS    float64 `json:"jitter_ms"` // of what comes
	DriftPPM    float64 `json:"drift_ppm"` // by which it is played faster
}

// Sentence is how a station is, for systemd's status line.
func (s Status) Sentence() string {
	text := map[call.Phase]string{
		call.Idle:         "Idle",
		call.Calling:      "Calling " + s.Peer,
		call.Ringback:     "Ringing at " + s.Peer,
		call.Ringing:      s.Peer + " is calling",
		call.Answering:    "Answering " + s.Peer,
		call.Connecting:   "Connecting with " + s.Peer,
		call.Talking:      "Talking with " + s.Peer,
		call.Reconnecting: "Reconnecting with " + s.Peer,
		call.Ending:       "Ending the call",
	}[s.Phase]
	if s.Hub.Online {
		text += "; registered as " + s.CUID
	} else {
		text += "; the hub is away: " + s.Hub.Trouble
	}
	if len(s.Faults) > 0 {
		text += "; broken: " + strings.Join(slices.Sorted(maps.Keys(s.Faults)), ", ")
	}
	return text
}
