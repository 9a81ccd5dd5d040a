package units

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Logs holds the limits of the app's private journal, if the app has one, and of the log lines of an instance.
type Logs struct {
	// The field Namespace gives the app a private journal (LogNamespace=, since 245). The private journal has its own
	// limits, and needs one more journald process.
	Namespace bool
	// MaxSize is the maximum size of the journal's files in bytes (SystemMaxUse=, RuntimeMaxUse=), and MaxAge is the maximum
	// age of a line (MaxRetentionSec=). 0 means journald's default: a tenth of the file system, at most 4 GiB, and no
	// maximum age.
	MaxSize uint64
	MaxAge  time.Duration
	// The field Rate is the limit of log lines per instance, in a private or a shared journal.
	Rate LogRate
}

// These are the bounds of [Logs]. journald needs two files of at least 512 KiB.
const (
	minLogSize = 2 << 20
	maxLogSize = 1 << 50
	minLogAge  = time.Minute
	maxLogAge  = 100 * 365 * 24 * time.Hour
)

// LogNamespace returns the name of the app's private journal. The prefix avoids conflicts with the journals of other
// programs.
func (n Name) LogNamespace() string { return "clusterctl-" + string(n) }

// JournalConf returns the name of the file with the limits of the private journal (journald.conf(5)). The file is in
// /etc/systemd.
func (n Name) JournalConf() string { return "journald@" + n.LogNamespace() + ".conf" }

// JournalUnits returns the units of the private journal. The first unit is the service. systemd creates these units for
// LogNamespace=. The sync service exists since 258.
func (n Name) JournalUnits() []string {
	ns := n.LogNamespace()
	return []string{
		"systemd-journald@" + ns + ".service", "systemd-journald@" + ns + ".socket", "systemd-journald-varlink@" + ns + ".socket",
		"systemd-journald-sync@" + ns + ".service",
	}
}

// LogNamespace returns the private journal that the app writes to, or "" if it writes to the shared journal of the machine.
func (a App) LogNamespace() string {
	if a.Logs.Namespace {
		return a.Name.LogNamespace()
	}
	return ""
}

func (a App) validateLogs(add func(error)) {
	if l := a.Logs; !l.Namespace && (l.MaxSize != 0 || l.MaxAge != 0) {
		field := "log-max-size"
		if l.MaxSize == 0 {
			field = "log-max-age"
		}
		add(fieldErrorf(field, "add --log-namespace", "needs a private journal: the shared journal has one limit for all units"))
	}
	if s := a.Logs.MaxSize; s != 0 && (s < minLogSize || s > maxLogSize) {
		add(fieldErrorf("log-max-size", "use 100M", "%s must be between %s and %s", FormatSize(s), FormatSize(minLogSize),
			FormatSize(maxLogSize)))
	}
	if r := a.Logs.Rate; r != (LogRate{}) && r != (LogRate{Off: true}) && (r.Off || !r.valid()) {
		add(fieldErrorf("log-rate", logRateHint, "%+v is not a valid rate", r))
	}
	if d := a.Logs.MaxAge; d != 0 && (d < minLogAge || d > maxLogAge) {
		add(fieldErrorf("log-max-age", "use 30d", "%s must be between 1 minute and 100 years", FormatAge(d)))
	}
}

// sizeUnits are the size suffixes of systemd, to the base of 1024, largest first.
var sizeUnits = []struct {
	suffix string
	bytes  uint64
}{{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}}

// ParseSize parses a number of bytes as systemd does, with suffixes to the base of 1024: 500M, 1.5G, 1048576.
func ParseSize(s string) (uint64, error) {
	number, unit := strings.TrimSuffix(strings.TrimSuffix(s, "B"), "i"), uint64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(strings.ToUpper(number), u.suffix); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n*float64(unit) <= 1<<62) || strings.ContainsAny(number, "eExXpP_+-") {
		return 0, fieldErrorf("log-max-size", "use 500M or 2G", "%q is not a size", s)
	}
	return uint64(n * float64(unit)), nil
}

// FormatSize returns the shortest form that [ParseSize] parses to the same number.
func FormatSize(n uint64) string {
	for _, u := range sizeUnits {
		if n != 0 && n%u.bytes == 0 {
			return strconv.FormatUint(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatUint(n, 10)
}

// ParseAge parses a time span with days and weeks: 30d, 2w, 12h, 1d12h.
func ParseAge(s string) (time.Duration, error) {
	bad := fieldErrorf("log-max-age", "use 30d, 2w or 12h", "%q is not a span of time", s)
	var total time.Duration
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, bad
		}
		n, err := strconv.ParseInt(rest[:i], 10, 32)
		unit := ageUnit(rest[i])
		if err != nil || unit == 0 || time.Duration(n) > (2*maxLogAge-total)/unit {
			return 0, bad
		}
		total, rest = total+time.Duration(n)*unit, rest[i+1:]
	}
	if total <= 0 {
		return 0, bad
	}
	return total, nil
}

func ageUnit(c byte) time.Duration {
	const day = 24 * time.Hour
	return map[byte]time.Duration{'w': 7 * day, 'd': day, 'h': time.Hour, 'm': time.Minute, 's': time.Second}[c]
}

// FormatAge returns a form that [ParseAge] parses to the same duration.
func FormatAge(d time.Duration) string {
	var b strings.Builder
	for _, c := range "dhms" {
		if n := d / ageUnit(byte(c)); n > 0 {
			fmt.Fprintf(&b, "%d%c", n, c)
			d -= n * ageUnit(byte(c))
		}
	}
	return cmp.Or(b.String(), "0s")
}

type journalView struct {
	header
	MaxSize, MaxAge value
}

func (r *renderer) journal() journalView {
	v := journalView{header: r.header(r.app.Name.JournalConf())}
	if s := r.app.Logs.MaxSize; s != 0 {
		v.MaxSize = fixed(FormatSize(s))
	}
	if d := r.app.Logs.MaxAge; d != 0 {
		v.MaxAge = seconds(d, 0)
	}
	return v
}

// LogRate is the number of lines that journald accepts from one instance in a period. journald drops and counts further
// lines (LogRateLimitBurst=, LogRateLimitIntervalSec=). The zero value means [DefaultLogRate], or no limit if the app has a
// private journal.
type LogRate struct {
	Lines int
	Per   time.Duration
	// The field Off disables the limit.
	Off bool
}

// DefaultLogRate returns a limit that normal use does not reach. The default of systemd is 10,000 lines in 30 s.
//
// journald multiplies the number of lines by a factor for the free space: 1.75 from 8 MiB on, 2.25 from 32 MiB, 4 from 4
// GiB. So an instance may write 100,000 lines at once unless the journal is nearly full. An endless flood of lines fills 48
// MiB of a journal of 64 MiB with 120,000 lines (measured on 252 to 262). The remaining 16 MiB are free for the lines of
// other units.
//
// The limit counts lines, separately for each of five groups of priorities. A program that writes lines of 48 KiB, or in all
// priorities, can fill more space. Only a private journal has a limit in bytes.
func DefaultLogRate() LogRate { return LogRate{Lines: 60_000, Per: 30 * time.Second} }

// These are the bounds of [LogRate]. journald multiplies the lines by a factor of up to 12, in 32 bits
// (journald-rate-limit.c).
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

// LogRate returns the rate of the app, or the default.
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
