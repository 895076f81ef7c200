// Package systemd tells the service manager how a daemon is, feeds its watchdog on proof of progress, and logs to the
// journal with fields.
//
// Outside systemd everything here does nothing, and logs are lines on stderr. Daemons' wiring (cmd) imports it; only
// here is go-systemd known. The unit files stand beside it.
package systemd

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the start is done: local parts run, whether or not a hub is there.
func Ready() { notify(daemon.SdNotifyReady) }

// Stopping says that the daemon ends by its own will.
func Stopping() { notify(daemon.SdNotifyStopping) }

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
			log.Error("no proof of progress; the watchdog is not fed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
