package activation

import (
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// Notify sends lines to systemd in one message (sd_notify(3)), for example
// Notify("READY=1", "STATUS=serving"). It does nothing if NOTIFY_SOCKET is not set. It
// returns an error if the message could not be sent, or if a line contains a newline.
// systemd does not answer, so Notify cannot know whether systemd accepted the message.
//
// The unit needs Type=notify or NotifyAccess= (systemd.service(5)).
func Notify(state ...string) error { return sd.Notify(sd.System(), state...) }

// Ready sends READY=1: the program serves. With Type=notify, start jobs and rolling reloads
// wait for it. It also ends a [Reloading]. [Serve] calls it.
func Ready() error { return Notify("READY=1") }

// Stopping sends STOPPING=1: the program has begun to stop. [Serve] calls it.
func Stopping() error { return Notify("STOPPING=1") }

// Status sends STATUS=, the line that systemctl status shows. Newlines become spaces.
func Status(text string) error {
	clean := strings.ToValidUTF8(text, "\uFFFD") // systemd drops a status that is not UTF-8
	return Notify("STATUS=" + strings.NewReplacer("\n", " ", "\x00", " ").Replace(clean))
}

// Reloading sends RELOADING=1: the program has begun to reload its configuration. It also
// sends MONOTONIC_USEC=, which systemd compares with the time of its signal
// (Type=notify-reload, since systemd 253). Call [Ready] after the reload.
func Reloading() error {
	usec, err := sd.MonotonicUsec()
	if err != nil {
		return err
	}
	return Notify("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", usec))
}

// Watchdog returns WatchdogSec= of the unit (WATCHDOG_USEC). It returns false if the value is
// not set, or is for another process (WATCHDOG_PID). Call Notify("WATCHDOG=1") at half the
// interval, as sd_watchdog_enabled(3) recommends. [Serve] does that.
func Watchdog() (interval time.Duration, enabled bool) { return sd.Watchdog(sd.System()) }
