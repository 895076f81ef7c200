// Package systemd tells the service manager how a daemon is, feeds its watchdog on proof of progress, and logs to the
// journal with fields.
//
// Outside systemd everything here does nothing, and logs are lines on stderr. Daemons' wiring (cmd) imports it; only
// here is go-systemd known. The unit files stand beside it.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
	"intercom/internal/event"
)

// Ready says that the start is done: local parts run, whether or not a hub is there.
func Ready() { notify(daemon.SdNotifyReady) }

// Managed reports whether a manager waits for what this service says, and would start it again.
func Managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Stopping says that the daemon ends by its own will, and for how long that may take at most.
func Stopping(most time.Duration) {
	notify(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, most.Microseconds()))
}

// Reloading says that the configuration is being read again; Ready ends it (sd_notify(3)).
func Reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it is always there
	notify(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// Listener is the socket of that name that the service manager listens on for us (sd_listen_fds(3)); nil for none.
func Listener(name string) net.Listener {
	all, err := activation.ListenersWithNames()
	if err != nil || len(all[name]) == 0 {
		return nil
	}
	return all[name][0]
}

// Status is a sentence that a person understands, shown by systemctl status.
func Status(text string) { notify("STATUS=" + text) }

func notify(state string) { _, _ = daemon.SdNotify(false, state) } // not under systemd, or it is gone: nobody to tell

// Watchdog pings the service manager while alive proves progress, until ctx ends. alive is asked three times in each
// interval and must return within it; when it says no, or nothing, systemd restarts the daemon.
func Watchdog(ctx context.Context, log *slog.Logger, alive func(context.Context) error) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(interval / 3)
	defer t.Stop()
	for {
		actx, cancel := context.WithTimeout(ctx, interval/3)
		err := alive(actx)
		cancel()
		if err == nil {
			notify(daemon.SdNotifyWatchdog)
		} else if ctx.Err() == nil {
			log.Error(event.NoProgress, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
