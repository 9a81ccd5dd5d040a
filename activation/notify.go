package activation

import (
	"fmt"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/internal/sd"
)

// Notify sends the lines of state to systemd in one message, as sd_notify(3) lists
// them: Notify("READY=1", "STATUS=serving"). It does nothing where NOTIFY_SOCKET is not
// set. The error says that systemd could not be told; a line with a newline in it is
// refused. What systemd thinks of a message is not to be learnt.
//
// The unit needs Type=notify or NotifyAccess= (systemd.service(5)).
func Notify(state ...string) error { return sd.Notify(sd.System(), state...) }

// Ready says that the program serves, READY=1: with Type=notify, start jobs wait for
// it, a rolling reload among them. Also ends what [Reloading] began. [Serve] does it.
func Ready() error { return Notify("READY=1") }

// Stopping says that the program has begun to stop, STOPPING=1. [Serve] does it.
func Stopping() error { return Notify("STOPPING=1") }

// Status sets the line that systemctl status shows, STATUS=. Newlines become spaces.
func Status(text string) error {
	clean := strings.ToValidUTF8(text, "\uFFFD") // systemd drops a status that is not UTF-8
	return Notify("STATUS=" + strings.NewReplacer("\n", " ", "\x00", " ").Replace(clean))
}

// Reloading says that the program has begun to reload its configuration, RELOADING=1
// with MONOTONIC_USEC=, which Type=notify-reload (since systemd 253) compares with the
// time of its signal. Call [Ready] when done.
func Reloading() error {
	usec, err := sd.MonotonicUsec()
	if err != nil {
		return err
	}
	return Notify("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", usec))
}

// Watchdog returns WatchdogSec= of the unit (WATCHDOG_USEC), and false when it is not
// set or is meant for another process (WATCHDOG_PID). Send Notify("WATCHDOG=1") at half
// the interval, as sd_watchdog_enabled(3) recommends. [Serve] does it.
func Watchdog() (interval time.Duration, enabled bool) { return sd.Watchdog(sd.System()) }
