package journal

import (
	"regexp"
	"strconv"
	"time"
)

// ago is a span of systemd.time(7) without a sign: 10m, 1h30m, 2days.
var ago = regexp.MustCompile(`^([0-9]+(\.[0-9]+)? ` +
	`?(us|usec|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|week|weeks|M|month|months|y|year|years) ?)+$`)

// Moment turns a time as people write it into one that every journalctl reads: a span alone is that long ago, and a time
// of RFC 3339 is understood by journalctl itself only since 255. All else is journalctl's own: yesterday, -1h, 09:30,
// "2026-01-31 12:00".
func Moment(s string) string {
	if ago.MatchString(s) {
		return "-" + s
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		// Rounded down: "@" takes no fraction before 255.
		return "@" + strconv.FormatInt(t.Unix(), 10)
	}
	return s
}
