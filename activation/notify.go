package activation

import (
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// Notify sends lines to systemd in one message (sd_notify(3)), for example Notify("READY=1",
// "STATUS=serving"). Notify does nothing if NOTIFY_SOCKET is not set. Notify returns an error
// if the message could not be sent, or if a line contains a newline. systemd does not reply,
// so Notify cannot report whether systemd accepted the message.
//
// The unit needs Type=notify or NotifyAccess= (systemd.service(5)).
func Notify(state ...string) error { return sd.Notify(sd.System(), state...) }

// Ready sends READY=1: the program is ready to serve. In a unit with Type=notify, a start job
// and a rolling reload wait for this message. After [Reloading], the message means that the
// reload has ended. [Serve] sends READY=1 itself.
func Ready() error { return Notify("READY=1") }

// Stopping sends STOPPING=1: the program has begun to stop. [Serve] sends STOPPING=1 itself.
func Stopping() error { return Notify("STOPPING=1") }

// Status sends STATUS= with a text, which "systemctl status" shows. Newlines in the text
// become spaces.
func Status(text string) error {
	clean := strings.ToValidUTF8(text, "\uFFFD") // systemd drops a status that is not UTF-8
	return Notify("STATUS=" + strings.NewReplacer("\n", " ", "\x00", " ").Replace(clean))
}

// Reloading sends RELOADING=1: the program has begun to reload its configuration. Reloading
// also sends MONOTONIC_USEC=, which systemd compares with the time of its reload signal
// (Type=notify-reload, since systemd 253). Call [Ready] after the reload.
func Reloading() error {
	usec, err := sd.MonotonicUsec()
	if err != nil {
		return err
	}
	return Notify("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", usec))
}

// Watchdog returns WatchdogSec= of the unit (WATCHDOG_USEC). enabled is false if the unit has
// no watchdog, or if the variable is meant for another process (WATCHDOG_PID). Call
// Notify("WATCHDOG=1") at half the interval, as sd_watchdog_enabled(3) recommends. [Serve]
// sends WATCHDOG=1 itself.
func Watchdog() (interval time.Duration, enabled bool) { return sd.Watchdog(sd.System()) }
