package sd

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Notify sends the lines of state to NOTIFY_SOCKET as one message (sd_notify(3)). Notify
// does nothing if NOTIFY_SOCKET is not set. Notify returns an error if a line contains a
// newline or a NUL, because systemd would read such a line as two lines.
func Notify(e Env, state ...string) error {
	socket, ok := e.Lookup("NOTIFY_SOCKET")
	if !ok || socket == "" || len(state) == 0 {
		return nil
	}
	for _, line := range state {
		if strings.ContainsAny(line, "\n\x00") {
			return fmt.Errorf("notifying systemd: %q contains a newline or a NUL", line)
		}
	}
	if err := send(socket, strings.Join(state, "\n")); err != nil {
		return fmt.Errorf("sending %q to systemd at %q: %w", state[0], socket, err)
	}
	return nil
}

// Watchdog returns the interval within which systemd expects WATCHDOG=1
// (sd_watchdog_enabled(3)). Watchdog returns false if systemd does not expect WATCHDOG=1
// from this process.
func Watchdog(e Env) (time.Duration, bool) {
	value, _ := e.Lookup("WATCHDOG_USEC")
	usec, err := strconv.ParseInt(value, 10, 64)
	// The value of "infinity" in systemd does not fit into a time.Duration.
	if err != nil || usec <= 0 || usec > int64(1<<63-1)/int64(time.Microsecond) {
		return 0, false
	}
	if value, ok := e.Lookup("WATCHDOG_PID"); ok {
		if pid, err := strconv.Atoi(value); err != nil || pid != e.Pid() {
			return 0, false
		}
	}
	return time.Duration(usec) * time.Microsecond, true
}
