package gpio_test

import (
	"context"
	"fmt"
	"time"

	"intercom/gpio"
)

// A button between GPIO17 and ground. Watch runs until ctx ends or the line fails.
func ExampleButton_Watch() {
	line, err := gpio.OpenInput(gpio.Wiring{Line: "GPIO17", Pull: "up", ActiveLow: true})
	if err != nil {
		fmt.Println(err) // it says what to do
		return
	}
	button := &gpio.Button{Stable: 20 * time.Millisecond, Times: gpio.Times{Long: time.Second}}
	err = button.Watch(context.Background(), line, func(g gpio.Gesture) { fmt.Println(g.Kind, g.Held) })
	fmt.Println(err)
}

// A virtual panel stands for a board: in tests, in the demo, and for a kiosk without lines.
func ExamplePanel() {
	panel := gpio.NewPanel()
	led := panel.Output("led")
	_ = led.Set(true)
	fmt.Println(panel.Lit("led"))
	// Output: true
}

// The contact bounces for 3 ms; only a level that holds counts.
func ExampleFilter() {
	filter := gpio.Filter{Stable: 20 * time.Millisecond}
	filter.Start(false)
	for _, sample := range []struct {
		at    time.Duration
		level bool
	}{
		{1 * time.Millisecond, true},
		{2 * time.Millisecond, false},
		{3 * time.Millisecond, true},
		{22 * time.Millisecond, true},
		{23 * time.Millisecond, true},
	} {
		if filter.Sample(sample.at, sample.level) {
			fmt.Println("pressed at", sample.at)
		}
	}
	// Output: pressed at 23ms
}

func ExampleParsePattern() {
	pattern, err := gpio.ParsePattern("on 100ms off 900ms")
	fmt.Println(pattern, err)
	_, err = gpio.ParsePattern("flicker")
	fmt.Println(err)
	// Output:
	// [{true 100ms} {false 900ms}] <nil>
	// "flicker" is not a pattern; write "on", "off", "blink 500ms", "pulse 200ms" or steps like "on 100ms off 900ms"
}
