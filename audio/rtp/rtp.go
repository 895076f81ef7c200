// Package rtp is a call's voice between the sound and the network (RFC 3550): a [Sender] makes payloads of the
// microphone's blocks, a [Receiver] makes of the peer's packets what the loudspeaker plays.
//
// Whatever the two have to agree on is here once: the payload formats ([Formats]), the clock rates of timestamps, and
// the copies of earlier payloads that go along where the link loses some (RED, RFC 2198), wrapped by the one and
// unwrapped by the other. How packets travel is not its business: headers, encryption and sockets are those of
// call/rtc. Neither half allocates once it runs. The device's voice imports it.
package rtp

import "intercom/audio/codec"

// RED is the name of the format that wraps payloads of another with copies of earlier ones.
const RED = "red"

// Formats are the payload formats of this build, the best first. RED is around Opus.
func Formats() []codec.Info {
	return append(codec.All(), codec.Info{Name: RED, Rate: codec.Rate, Channels: 2, Fmtp: "111/111", Type: 63})
}

// rates has how many samples, at the sound's rate, a tick of a codec's RTP clock lasts.
var rates = func() map[string]uint32 {
	all := map[string]uint32{}
	for _, c := range codec.All() {
		all[c.Name] = codec.Rate / c.Rate
	}
	return all
}()

func perTick(name string) uint32 { return max(1, rates[name]) } // of an unknown codec nothing is played

// ticks that samples last, of the codec's RTP clock.
func ticks(name string, samples int) uint32 { return uint32(samples) / perTick(name) }

// samples that ticks of the codec's RTP clock last. Both wrap at 32 bits.
func samples(name string, ticks uint32) uint32 { return ticks * perTick(name) }
