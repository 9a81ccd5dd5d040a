package journal

import (
	"regexp"
	"strconv"
	"time"
)

// ago matches a time span of systemd.time(7) without a sign: 10m, 1h30m, 2days.
var ago = regexp.MustCompile(`^([0-9]+(\.[0-9]+)? ` +
	`?(us|usec|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|week|weeks|M|month|months|y|year|years) ?)+$`)

// Moment converts a time into a form that all versions of journalctl accept. A span without a sign is a time in the
// past. A time in RFC 3339 becomes a Unix time, because journalctl accepts RFC 3339 only since 255. Other times are
// returned unchanged: yesterday, -1h, 09:30, "2026-01-31 12:00".
func Moment(s string) string {
	if ago.MatchString(s) {
		return "-" + s
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		// Rounded down: before 255, "@" does not accept a fraction.
		return "@" + strconv.FormatInt(t.Unix(), 10)
	}
	return s
}
