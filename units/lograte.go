package units

import (
	"strconv"
	"strings"
	"time"
)

// LogRate is how many lines of one instance the journal takes in a time; it drops and counts the rest
// (LogRateLimitBurst=, LogRateLimitIntervalSec=). The zero value means [DefaultLogRate], and no limit in a journal of the
// app's own.
type LogRate struct {
	Lines int
	Per   time.Duration
	// Off means that no line is dropped.
	Off bool
}

// DefaultLogRate returns a limit that normal use does not reach: systemd allows an ordinary unit 10,000 lines in that time.
//
// journald multiplies the lines by the space that is left: by 1.75 from 8 MiB on, 2.25 from 32 MiB, 4 from 4 GiB. So an
// instance may write 100,000 lines at once in all but a nearly full journal; and a flood leaves room for the lines of others
// in one of 64 MiB: it takes 120,000 lines and 48 MiB (measured on 252 to 262).
//
// The limit is on lines, for each of five groups of priorities: a program that writes lines of 48 KiB, or in all priorities,
// can fill more. Only a journal of the app's own is limited in bytes.
func DefaultLogRate() LogRate { return LogRate{Lines: 60_000, Per: 30 * time.Second} }

// Bounds of [LogRate]. journald multiplies the lines by up to 12 in 32 bits, while it has space (journald-rate-limit.c).
const (
	maxLogLines = 10_000_000
	maxLogPer   = 24 * time.Hour
)

const logRateHint = "use 100000/30s, or off"

// ParseLogRate reads LINES/TIME or off.
func ParseLogRate(s string) (LogRate, error) {
	if s == "off" {
		return LogRate{Off: true}, nil
	}
	lines, per, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(lines)
	d, err2 := time.ParseDuration(per)
	r := LogRate{Lines: n, Per: d}
	if err != nil || err2 != nil || !r.valid() {
		return LogRate{}, fieldErrorf("log-rate", logRateHint, "%q is not a number of lines (1 to %d) in a time (1s to 24h)",
			s, maxLogLines)
	}
	return r, nil
}

func (r LogRate) valid() bool {
	return r.Lines >= 1 && r.Lines <= maxLogLines && r.Per >= time.Second && r.Per <= maxLogPer && r.Per%time.Millisecond == 0
}

// String writes the rate as [ParseLogRate] reads it, or "" for the default.
func (r LogRate) String() string {
	switch {
	case r.Off:
		return "off"
	case r == LogRate{}:
		return ""
	}
	return strconv.Itoa(r.Lines) + "/" + string(seconds(r.Per, 0))
}

// LogRate returns the rate with its default filled in.
func (a App) LogRate() LogRate {
	switch {
	case a.Logs.Rate != LogRate{}:
		return a.Logs.Rate
	case a.Logs.Namespace:
		// It can push out only its own lines.
		return LogRate{Off: true}
	}
	return DefaultLogRate()
}
