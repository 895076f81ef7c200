package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"intercom/internal/ear"
	"intercom/internal/stage"
)

// live shows both stations on the terminal until the user has enough.
func live(ctx context.Context, dir, bin string) error {
	own := !haveSound(ctx, dir)
	var start stage.StartsSound
	if own {
		start = stage.StartSound
	}
	fmt.Println("Starting the hub and two stations …")
	s, err := open(ctx, dir, bin, start, 30*time.Second)
	defer s.close()
	if err != nil {
		return err
	}
	if own {
		ctx, quiet := context.WithCancel(ctx)
		defer quiet()
		go murmur(ctx, s.sound, "door_mic", 1)
		go murmur(ctx, s.sound, "reception_mic", 2)
	}
	old, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		return err
	}
	fmt.Print("\x1b[?1049h\x1b[?25l") // the other screen, no cursor
	defer func() {
		fmt.Print("\x1b[?25h\x1b[?1049l")
		_ = term.Restore(int(os.Stdin.Fd()), old)
	}()
	keys := make(chan byte)
	go func() {
		b := make([]byte, 1)
		for {
			if n, err := os.Stdin.Read(b); err != nil || n == 0 {
				close(keys)
				return
			}
			keys <- b[0]
		}
	}()
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	last := ""
	for {
		draw(ctx, s, own, last)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case k, ok := <-keys:
			if !ok || k == 'q' || k == 3 { // Ctrl-C is a key in raw mode
				return nil
			}
			last = press(ctx, s, k)
		}
	}
}

// press does what a key stands for, and says what it did.
func press(ctx context.Context, s *scene, key byte) string {
	do := func(t *stage.Station, button string) string {
		go t.Press(ctx, button)
		return fmt.Sprintf("pressed %s of %s", button, t.CUID)
	}
	switch key {
	case '1':
		return do(s.door, "toggle")
	case '2':
		return do(s.reception, "toggle")
	case '3':
		return do(s.door, "hangup")
	case '4':
		return do(s.reception, "hangup")
	}
	return ""
}

func draw(ctx context.Context, s *scene, own bool, last string) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\x1b[K\r\n", args...) }
	b.WriteString("\x1b[H")
	line("\x1b[1mIntercom\x1b[0m   a hub on %s and two stations, each a process of its own", s.hub.Addr)
	line("  in a browser, for the account demo: %s", s.hub.SetupURL())
	line("")
	for _, t := range []*stage.Station{s.door, s.reception} {
		st, err := t.Status(ctx)
		if err != nil {
			line("  \x1b[1m%-12s\x1b[0m does not answer: %v", t.CUID, err)
			continue
		}
		lamp := "\x1b[90m○\x1b[0m"
		if st.Lines["status"] {
			lamp = "\x1b[93m●\x1b[0m"
		}
		mic := "microphone closed"
		if st.Sound.MicOpen {
			mic = fmt.Sprintf("\x1b[91mmicrophone open\x1b[0m %s", meter(st.Sound.MicDBFS))
		}
		line("  %s \x1b[1m%-12s\x1b[0m %-12s %s", lamp, t.CUID, st.Phase, st.Peer)
		line("      light        %s", st.Light)
		line("      sound        %s", mic)
		line("      loudspeaker  %s", meter(st.Sound.SpkDBFS))
		voice := "–"
		if q := st.Quality; q != nil {
			voice = fmt.Sprintf("%s, about %.0f ms from mouth to ear, round trip %.1f ms, loss %.0f %%", q.Codec,
				q.DelayMS, q.RoundTripMS, 100*q.Loss)
		}
		line("      voice        %s", voice)
		for part, text := range st.Faults {
			line("      \x1b[91m%s\x1b[0m %s", part, text)
		}
		line("")
	}
	line("  \x1b[7m 1 \x1b[0m front_door's button   \x1b[7m 2 \x1b[0m reception's button   (call, answer, hang up)")
	line("  \x1b[7m 3 \x1b[0m front_door hangs up   \x1b[7m 4 \x1b[0m reception hangs up or declines   \x1b[7m q " +
		"\x1b[0m quit")
	line("")
	if own {
		line("  No sound server was found, so a private one with silent devices is used; chirps stand for voices.")
	} else {
		line("  Your own microphone and loudspeaker are used, by both stations: wear headphones.")
	}
	line("  %s", last)
	b.WriteString("\x1b[J")
	fmt.Print(b.String())
}

// murmur gives a silent microphone something to hear, so that the levels move.
func murmur(ctx context.Context, s *stage.Sound, sink string, seed uint64) {
	for ctx.Err() == nil {
		p, err := ear.Play(s.Server, sink, ear.Bursts(60, seed))
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, p.Stop)
		p.Wait()
		stop()
	}
}

// meter draws a level from -60 to 0 dBFS.
func meter(dbfs float64) string {
	n := max(0, min(20, int((dbfs+60)/3)))
	return strings.Repeat("█", n) + strings.Repeat("·", 20-n) + fmt.Sprintf(" %4.0f dBFS", dbfs)
}
