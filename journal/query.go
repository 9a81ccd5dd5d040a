package journal

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AllLines means that the number of lines is not limited.
const AllLines = -1

// Query selects lines.
type Query struct {
	Scopes []Scope
	// Lines is the number of existing lines to read, for all scopes together.
	Lines int
	// Since and Until are times in the format of journalctl; see [Moment].
	Since, Until string
	// Grep is a regular expression of journalctl (PCRE2). A pattern without capitals ignores the case.
	Grep string
	// Priorities are the priorities to read. If the list is empty, all priorities are read. See [ParsePriority].
	Priorities []int
	// Boot is a boot in the format of journalctl ("0", "-1", an ID), or "" for all boots.
	Boot string
	// If System is true, the query also selects systemd's own messages about the instances.
	System bool
	// If AllFields is true, journalctl prints all fields of each entry, not only the fields that a line needs.
	AllFields bool
	// If Follow is true, Read waits for new lines until the context ends.
	Follow bool
}

// neededFields are the fields that [Line] and [Formatter] use. If journalctl prints only these fields, it needs half
// the time.
const neededFields = "MESSAGE,MESSAGE_ID,PRIORITY,UNIT,N_DROPPED,OBJECT_SYSTEMD_UNIT,CLUSTERCTL_APP,CLUSTERCTL_INSTANCE," +
	"CLUSTERCTL_SENDER,_PID,_UID,_EXE,_SYSTEMD_UNIT,_SYSTEMD_SLICE,_TRANSPORT,_STREAM_ID,_LINE_BREAK"

// The type part describes which part of the journal one run of journalctl reads.
type part struct {
	// The directory contains links to the journals to read (see waker). If this field is empty, journalctl reads the
	// journals of the query's namespaces.
	directory string
	// cursor is the cursor of the first entry to read.
	cursor string
	// lines is the number of lines to read, counted from the end. If reverse is true, the newest line comes first.
	lines   int
	reverse bool
	follow  bool
}

// The method arguments returns the arguments of journalctl(1).
func (q Query) arguments(p part) []string {
	args := []string{"--output=export", "--quiet", "--no-pager"}
	switch {
	case p.reverse:
		args = append(args, "--output-fields=_TRANSPORT")
	case !q.AllFields:
		args = append(args, "--output-fields="+neededFields)
	}
	if p.directory != "" {
		args = append(args, "--directory="+p.directory)
	} else {
		args = append(args, q.namespaces()...)
	}
	add := func(flag, value string) {
		if value != "" {
			args = append(args, flag+"="+value)
		}
	}
	if p.lines != AllLines {
		add("--lines", strconv.Itoa(p.lines))
	}
	if p.reverse {
		args = append(args, "--reverse")
	}
	if p.follow {
		args = append(args, "--follow", "--no-tail")
	} else {
		add("--until", q.Until)
		add("--boot", q.Boot)
	}
	// journalctl does not accept --cursor together with --since. With a cursor, --since is not needed, because the
	// entries after the cursor are newer.
	if add("--cursor", p.cursor); p.cursor == "" {
		add("--since", q.Since)
	}
	if q.Grep != "" {
		// The second pattern selects journald's messages about dropped messages. It contains no capital letter, because a
		// capital letter would make q.Grep case-sensitive.
		args = append(args, "--grep=(?:"+q.Grep+`)|^.uppressed \d+ messages from `)
	}
	return append(args, q.matchArguments(p.follow)...)
}

// The method namespaces returns the argument of journalctl that selects the journals. The journal of the machine needs
// no argument. --namespace=+NAME adds one namespace (since 245), and --namespace=* selects all journals.
func (q Query) namespaces() []string {
	switch names := q.namespaceNames(); len(names) {
	case 1:
		return nil
	case 2:
		// With "+", journalctl also reads the journal of the machine, which has the messages of PID 1.
		return []string{"--namespace=+" + names[1]}
	}
	return []string{"--namespace=*"}
}

// matchArguments returns the matches (journalctl(1)) of all scopes. The matches are groups of FIELD=VALUE, separated
// by "+". An entry matches a group if, for each field of the group, the entry has one of the values. journalctl prints
// the entries that match at least one group.
func (q Query) matchArguments(follow bool) []string {
	var groups [][]string
	for _, s := range q.Scopes {
		groups = append(groups, s.workerTerms()...)
		if q.System && !follow {
			groups = append(groups, s.systemTerms()...)
		}
	}
	if q.System && follow {
		// New instances may appear, so read all messages of PID 1. The sorter drops messages about other units.
		groups = append(groups, []string{"_PID=1", "_TRANSPORT=journal"})
	}
	for _, p := range q.Priorities {
		for i := range groups {
			groups[i] = append(groups[i], "PRIORITY="+strconv.Itoa(p))
		}
	}
	for _, s := range q.Scopes {
		groups = append(groups, s.suppressedTerm())
	}
	var args []string
	for i, g := range groups {
		if i > 0 {
			args = append(args, "+")
		}
		args = append(args, g...)
	}
	return args
}

// priorityNames are the names of the priorities of syslog(3), the most severe first.
var priorityNames = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Priorities returns the names of the priorities, the most severe first.
func Priorities() []string { return slices.Clone(priorityNames) }

// ParsePriority returns the priorities that s selects. "warning" or "4" selects this priority and all more severe
// priorities. "err..warning" selects a range.
func ParsePriority(s string) ([]int, error) {
	from, to, isRange := strings.Cut(s, "..")
	if !isRange {
		from, to = "0", from
	}
	a, b := priority(from), priority(to)
	if a < 0 || b < 0 {
		return nil, fmt.Errorf("%q is not a priority (%s, or 0 to 7)", s, strings.Join(priorityNames, ", "))
	}
	var all []int
	for i := min(a, b); i <= max(a, b); i++ {
		all = append(all, i)
	}
	return all, nil
}

func priority(s string) int {
	s = cmp.Or(map[string]string{"error": "err", "warn": "warning"}[s], s)
	if len(s) == 1 && s[0] >= '0' && s[0] <= '7' {
		return int(s[0] - '0')
	}
	return slices.Index(priorityNames, s)
}

// The expression ago matches a time span of systemd.time(7) without a sign: 10m, 1h30m, 2days.
var ago = regexp.MustCompile(`^([0-9]+(\.[0-9]+)? ` +
	`?(us|usec|ms|msec|s|sec|second|seconds|m|min|minute|minutes|h|hr|hour|hours|d|day|days|w|week|weeks|M|month|months|y|year|years) ?)+$`)

// Moment converts a time into a form that all versions of journalctl accept. "10m" becomes "-10m", which means 10 minutes
// ago. A time in RFC 3339 becomes a Unix time, because journalctl accepts RFC 3339 only since 255. Other times are
// returned unchanged: yesterday, -1h, 09:30, "2026-01-31 12:00".
func Moment(s string) string {
	if ago.MatchString(s) {
		return "-" + s
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		// The time is rounded down, because journalctl accepts a fraction after "@" only since 255.
		return "@" + strconv.FormatInt(t.Unix(), 10)
	}
	return s
}
