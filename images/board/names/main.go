// Command names is the only program of a board without a disk: it tries which lines the gpio package finds by name on
// the chips of that board, says so on the console, and switches the board off.
package main

import (
	"fmt"
	"os"
	"syscall"

	"intercom/gpio"
)

func main() {
	_ = syscall.Mount("none", "/dev", "devtmpfs", 0, "") // without it nothing is found, and that is what is said
	_ = syscall.Mount("none", "/proc", "proc", 0, "")
	_ = syscall.Mount("none", "/sys", "sysfs", 0, "")
	for _, line := range os.Args[1:] {
		in, err := gpio.OpenInput(gpio.Wiring{Line: line, Pull: "up"})
		level := false
		if err == nil {
			level, err = in.Read()
		}
		fmt.Printf("NAMES %s: high %v, error %v\r\n", line, level, err)
	}
	for _, line := range []string{"GPIO22", "GPIO17"} {
		out, err := gpio.OpenOutput(gpio.Wiring{Line: line, ActiveLow: true})
		if err == nil {
			err = out.Set(true)
		}
		fmt.Printf("NAMES output %s: error %v\r\n", line, err)
	}
	fmt.Print("NAMES end\r\n")
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // where there is no power to be switched off
}
