package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"slices"
)

// others is what programs of the same kind reach in the same laboratory on a clean link, in milliseconds from mouth to
// ear. Measured in 2026 with their own settings for calls.
var others = []struct {
	name string
	ms   float64
}{
	{"baresip 4.10, no jitter buffer", 62}, {"baresip 4.10, adaptive", 72}, {"talkkonnect and murmurd", 102},
	{"linphone 5.1", 114}, {"Chromium 156", 117}, {"baresip 4.10, defaults", 144},
}

// draw makes the picture of the delays, for light and dark pages.
func draw(figures map[string]float64) []byte {
	type bar struct {
		name string
		ms   float64
		ours bool
	}
	var bars []bar
	for _, one := range []struct{ name, figure string }{{"intercom, frames of 10 ms", "mouth_to_ear_10ms_median_ms"},
		{"intercom", "mouth_to_ear_median_ms"}, {"intercom on PipeWire", "pipewire_median_ms"}} {
		if v := figures[one.figure]; v > 0 {
			bars = append(bars, bar{one.name, v, true})
		}
	}
	for _, o := range others {
		bars = append(bars, bar{o.name, o.ms, false})
	}
	if v := figures["baresip_median_ms"]; v > 0 {
		bars = append(bars, bar{"baresip of Debian, same run", v, false})
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(a.ms, b.ms) })
	const left, row, wide = 230, 30, 460.0
	scale := wide / max(bars[len(bars)-1].ms, wide/3)
	var b bytes.Buffer
	height := 46 + row*len(bars)
	fmt.Fprintf(&b,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 %d" font-family="system-ui, sans-serif" font-size="14" role="img" aria-label="Delay from mouth to ear">`+"\n", height)
	b.WriteString(
		`<style>text{fill:#1c1f24}.q{fill:#5b6370}.o{fill:#0b5fbf}.p{fill:#a9b2bf}@media(prefers-color-scheme:dark){text{fill:#e8eaee}.q{fill:#a3abb8}.o{fill:#7db8ff}.p{fill:#545d6b}}</style>` + "\n")
	b.WriteString(`<text x="0" y="18" font-weight="600">From mouth to ear on a clean link, milliseconds</text>` + "\n")
	for i, one := range bars {
		y, class := 34+i*row, "p"
		if one.ours {
			class = "o"
		}
		fmt.Fprintf(&b,
			`<text x="0" y="%d">%s</text><rect class="%s" x="%d" y="%d" width="%.1f" height="20" rx="3"/><text class="q" x="%.1f" y="%d">%.0f</text>`+"\n",
			y+15, html.EscapeString(one.name), class, left, y, one.ms*scale, left+one.ms*scale+8, y+15, one.ms)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
