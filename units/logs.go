package units

import (
	"strconv"
	"strings"
	"time"
)

// Logs configures the app's private journal, if it has one, and how fast an instance may write.
type Logs struct {
	// Namespace gives the app a private journal (LogNamespace=, since 245). It has its own limits, and needs one more
	// journald process.
	Namespace bool
	// MaxSize is the maximum size of the journal's files in bytes (SystemMaxUse=, RuntimeMaxUse=), and MaxAge the maximum
	// age of a line (MaxRetentionSec=). 0 means journald's default: a tenth of the file system, at most 4 GiB, and no
	// maximum age.
	MaxSize uint64
	MaxAge  time.Duration
	// Rate limits how fast an instance may write, to a private or a shared journal.
	Rate LogRate
}

// Bounds of [Logs]. journald needs two files of at least 512 KiB.
const (
	minLogSize = 2 << 20
	maxLogSize = 1 << 50
	minLogAge  = time.Minute
	maxLogAge  = 100 * 365 * 24 * time.Hour
)

// LogNamespace returns the name of the app's private journal. The prefix distinguishes it from journals of other programs.
func (n Name) LogNamespace() string { return "clusterctl-" + string(n) }

// JournalConf returns the name of the file with the limits of the private journal (journald.conf(5)). It is next to the
// directory of units.
func (n Name) JournalConf() string { return "journald@" + n.LogNamespace() + ".conf" }

// JournalUnits returns the units of the private journal. The first one is the service. systemd creates them for
// LogNamespace=; the sync service exists since 258.
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
	switch c {
	case 'w':
		return 7 * 24 * time.Hour
	case 'd':
		return 24 * time.Hour
	case 'h':
		return time.Hour
	case 'm':
		return time.Minute
	case 's':
		return time.Second
	}
	return 0
}

// FormatAge returns a form that [ParseAge] parses to the same duration.
func FormatAge(d time.Duration) string {
	var b strings.Builder
	for _, c := range "dhms" {
		if n := d / ageUnit(byte(c)); n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10))
			b.WriteRune(c)
			d -= n * ageUnit(byte(c))
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
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
