package rtp

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"intercom/audio/codec"
)

func types(kind uint8) string { return map[uint8]string{0: "PCMU", 111: "opus"}[kind] }

// loudest is the level of what is played in the next so many frames.
func loudest(r *Receiver, frames int) (most int16) {
	out := make([]int16, codec.Frame)
	for range frames {
		r.Read(out)
		most = max(most, slices.Max(out))
	}
	return most
}

// What the sender makes, the receiver plays, whatever the codec's clock and its first timestamp are.
func TestWhatOneSendsTheOtherPlays(t *testing.T) {
	for _, c := range codec.All() {
		if c.Send {
			synctest.Test(t, func(t *testing.T) { sendAndPlay(t, c) })
		}
	}
}

func sendAndPlay(t *testing.T, c codec.Info) {
	s, r := NewSender(SenderSettings{Frame: 20 * time.Millisecond}), NewReceiver(0, types)
	s.Agree(Link{Codec: c.Name, Type: c.Type})
	at := uint32(math.MaxUint32 - 2000) // it wraps
	var seq uint16
	for i := range 100 {
		time.Sleep(10 * time.Millisecond)
		f, ok, err := s.Block(block(i))
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		if want := uint64(c.Rate) * 20 / 1000; uint64(f.Ticks) != want {
			t.Fatalf("%s: a frame of %d ticks, want %d", c.Name, f.Ticks, want)
		}
		r.Packet(Packet{Codec: c.Name, Seq: seq, Timestamp: at, Payload: f.Payload})
		seq, at = seq+1, at+f.Ticks
		if seq > 5 && loudest(r, 1) < 4000 {
			t.Fatalf("%s: packet %d is not heard", c.Name, seq)
		}
	}
	if j := r.Stats(); r.Codec() != c.Name || j.Concealed > 0 || j.Unreadable > 0 || j.Late > 0 || j.Restarts > 0 {
		t.Errorf("%s: %+v", c.Name, j)
	}
}

// Every second packet is lost; its frame comes with the next one.
func TestWhatIsLostComesAgain(t *testing.T) {
	if !codec.All()[0].Send {
		t.Skip("this build cannot encode Opus")
	}
	synctest.Test(t, everySecondIsLost)
}

func everySecondIsLost(t *testing.T) {
	s, r := NewSender(SenderSettings{}), NewReceiver(0, types)
	s.Agree(Link{Codec: "opus", Type: 111, RED: true})
	s.Report(0.05)
	var at uint32
	for i := range uint16(200) {
		time.Sleep(10 * time.Millisecond)
		f, ok, err := s.Block(block(int(i)))
		if err != nil || !ok || !f.RED {
			t.Fatalf("%+v %v %v", f, ok, err)
		}
		if i%2 == 0 || i < 20 {
			r.Packet(Packet{Codec: RED, Seq: i, Timestamp: at, Payload: f.Payload})
		}
		if at += f.Ticks; i > 10 {
			out := make([]int16, codec.Block)
			r.Read(out)
		}
	}
	if j := r.Stats(); r.Codec() != "opus" || j.Redundant < 70 || j.Concealed > 50*time.Millisecond {
		t.Errorf("%+v", j)
	}
}

func TestPacketsThatAreNone(t *testing.T) {
	r := NewReceiver(0, types)
	for _, p := range []Packet{
		{Codec: RED}, {Codec: RED, Payload: []byte{0xff, 1, 2}}, {Codec: RED, Payload: []byte{13, 1, 2, 3}},
		{Codec: "", Payload: []byte{1}}, {Codec: "G722", Payload: []byte{1, 2}},
		{Codec: "opus", Payload: bytes.Repeat([]byte{0xff}, 1500)},
	} {
		r.Packet(p)
	}
	if most := loudest(r, 10); most != 0 {
		t.Errorf("they are heard, at %d", most)
	}
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	r := NewReceiver(0, types)
	plain := Packet{Codec: "PCMU", Payload: bytes.Repeat([]byte{0xff}, 160)}
	head := []byte{0x80, 160 >> 6, 160 << 2 & 0xff, 160, 0} // a copy of 160 bytes, 160 ticks old, and the packet's own
	wrapped := Packet{Codec: RED, Payload: append(head, make([]byte, 320)...)}
	out := make([]int16, codec.Frame)
	for _, p := range []Packet{plain, wrapped} {
		if n := testing.AllocsPerRun(100, func() {
			p.Seq, p.Timestamp = p.Seq+1, p.Timestamp+160
			r.Packet(p)
			r.Read(out)
		}); n > 0 {
			t.Errorf("%s: %v allocations a packet", p.Codec, n)
		}
	}
}

// The formats that are offered are those that both halves know.
func TestEveryFormatHasAClock(t *testing.T) {
	for _, f := range Formats() {
		if f.Rate == 0 || codec.Rate%f.Rate != 0 || f.Name != RED && ticks(f.Name, codec.Frame) != f.Rate/50 {
			t.Errorf("%+v", f)
		}
	}
}
