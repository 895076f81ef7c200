package audio

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// realtime asks for a real-time policy for all threads that there are; those to come inherit it. (A Go program has no
// thread of its own for the sound: any may carry it.) A kiosk that also runs a browser would else break the sound. The
// kernel leaves 5 % of each core to the others (sched(7)), so that even a thread that never stops cannot lock the
// board.
func realtime() error {
	const roundRobin, priority = 2, 1 // SCHED_RR; the sound server has a higher one
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	param := int32(priority)
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		_, _, no := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), roundRobin,
			uintptr(unsafe.Pointer(&param)))
		if no != 0 && !errors.Is(no, syscall.ESRCH) { // a thread may have ended
			return fmt.Errorf("no real-time priority for the sound (%w); the unit grants it with LimitRTPRIO=", no)
		}
	}
	return nil
}
