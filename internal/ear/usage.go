package ear

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Use is what a process needs.
type Use struct {
	CPU     float64 // share of one core, in percent
	RSS     float64 // resident memory, MB (10^6 bytes)
	PSS     float64 // resident memory with its share of what is common, MiB
	Wakeups float64 // context switches of all its threads, a second
}

// Usage watches a process for a time.
func Usage(pid int, d time.Duration) (u Use, err error) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux that Go runs on
	before, err := ticks(pid)
	if err != nil {
		return u, err
	}
	woken, at := switches(pid), time.Now()
	time.Sleep(d)
	after, err := ticks(pid)
	if err != nil {
		return u, err
	}
	took := time.Since(at)
	u.CPU = 100 * float64(time.Duration(after-before)*tick) / float64(took)
	u.Wakeups = float64(switches(pid)-woken) / took.Seconds()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return u, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[1])
	u.RSS = float64(pages*os.Getpagesize()) / 1e6
	u.PSS = float64(field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")) / 1024
	return u, err
}

// ticks is the processor time that a process has used (proc(5), fields 14 and 15 of stat).
func ticks(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return user + system, err
}

// switches counts how often the threads that there are were put on a processor.
func switches(pid int) (n int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, f := range files {
		n += field(f, "voluntary_ctxt_switches:") + field(f, "nonvoluntary_ctxt_switches:")
	}
	return n
}

// field reads a number of a file of proc(5).
func field(path, name string) int {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			n, _ := strconv.Atoi(words[1])
			return n
		}
	}
	return 0
}
