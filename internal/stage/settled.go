package stage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"time"
)

// Settled waits until a network namespace no longer changes by itself: each interface that is up has its carrier, and
// no IPv6 address is tentative. Duplicate address detection (RFC 4862, section 5.4) ends 1 to 2 s after a link has come
// up. That is a change of the network like any other, and Chromium aborts requests at such (ERR_NETWORK_CHANGED).
// within is the command that runs another in the namespace; none is for this one.
func Settled(within ...string) error {
	show := slices.Concat(within, []string{"ip", "-json", "addr"})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		out, err := exec.Command(show[0], show[1:]...).Output()
		if err != nil {
			return fmt.Errorf("%v: %w", show, err)
		}
		moving, err := unsettled(out)
		if err != nil || moving == "" {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("after 30 s the network has not settled: %s", moving)
		}
	}
}

// unsettled names an interface that is about to change, from what "ip -json addr" says.
func unsettled(links []byte) (string, error) {
	var all []struct {
		Ifname    string
		Flags     []string
		Addr_info []struct {
			Local     string
			Tentative bool
		}
	}
	if err := json.NewDecoder(bytes.NewReader(links)).Decode(&all); err != nil {
		return "", fmt.Errorf("ip -json addr: %w", err)
	}
	for _, l := range all {
		if slices.Contains(l.Flags, "UP") && !slices.Contains(l.Flags, "LOWER_UP") {
			return l.Ifname + " has no carrier", nil
		}
		for _, a := range l.Addr_info {
			if a.Tentative {
				return l.Ifname + "'s address " + a.Local + " is tentative", nil
			}
		}
	}
	return "", nil
}
