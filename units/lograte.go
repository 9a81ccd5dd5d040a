package units

import (
	"strconv"
	"strings"
	"time"
)

// LogRate is the number of lines that journald accepts from one instance in a period. journald drops and counts the other
// lines (LogRateLimitBurst=, LogRateLimitIntervalSec=). The zero value means [DefaultLogRate], or no limit if the app has a
// private journal.
type LogRate struct {
	Lines int
	Per   time.Duration
	// Off disables the limit.
	Off bool
}

// DefaultLogRate returns a limit that normal use does not reach. systemd allows an ordinary unit 10,000 lines in the same
// period.
//
// journald multiplies the number of lines by a factor for the free space: 1.75 from 8 MiB on, 2.25 from 32 MiB, 4 from 4
// GiB. So an instance may write 100,000 lines at once unless the journal is nearly full. In a journal of 64 MiB, a flood of
// lines still leaves room for the lines of other units: it fills 48 MiB with 120,000 lines (measured on 252 to 262).
//
// The limit counts lines, separately for each of five groups of priorities. A program that writes lines of 48 KiB, or in all
// priorities, can fill more space. Only a private journal has a limit in bytes.
func DefaultLogRate() LogRate { return LogRate{Lines: 60_000, Per: 30 * time.Second} }

// Bounds of [LogRate]. journald multiplies the lines by a factor of up to 12, in 32 bits (journald-rate-limit.c).
const (
	maxLogLines = 10_000_000
	maxLogPer   = 24 * time.Hour
)

const logRateHint = "use 100000/30s, or off"

// ParseLogRate parses LINES/TIME or off.
func ParseLogRate(s string) (LogRate, error) {
	if s == "off" {
		return LogRate{Off: true}, nil
	}
	lines, per, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(lines)
	d, err2 := time.ParseDuration(per)
	r := LogRate{Lines: n, Per: d}
	if err != nil || err2 != nil || !r.valid() {
		return LogRate{}, fieldErrorf("log-rate", logRateHint, "%q is not LINES/TIME (1 to %d lines, 1s to 24h)",
			s, maxLogLines)
	}
	return r, nil
}

func (r LogRate) valid() bool {
	return r.Lines >= 1 && r.Lines <= maxLogLines && r.Per >= time.Second && r.Per <= maxLogPer && r.Per%time.Millisecond == 0
}

// String returns the form that [ParseLogRate] accepts, or "" for the default.
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
		// In a private journal, the app can displace only its own lines.
		return LogRate{Off: true}
	}
	return DefaultLogRate()
}
