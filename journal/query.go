package journal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// AllLines is a number of lines that is not bounded.
const AllLines = -1

// Query says which lines are wanted.
type Query struct {
	Scopes []Scope
	// Lines is how many of the last lines before now are wanted, of all scopes together.
	Lines int
	// Since and Until are times as journalctl reads them; see [Moment].
	Since, Until string
	// Grep is a regular expression of journalctl, PCRE2: one without capitals ignores the case.
	Grep string
	// Priorities are those that are wanted, or none for all; see [ParsePriority].
	Priorities []int
	// Boot is a boot of journalctl ("0", "-1", an ID), or "" for all of them.
	Boot string
	// System says that systemd's own messages about the instances are wanted too.
	System bool
	// AllFields says that all fields of each entry are wanted, not only those that a line needs.
	AllFields bool
	// Follow goes on with new lines when there are no more, until the context ends.
	Follow bool
}

// neededFields are those that [Line] and [Formatter] look at; asking for no others spares journalctl half its work.
const neededFields = "MESSAGE,MESSAGE_ID,PRIORITY,UNIT,N_DROPPED,OBJECT_SYSTEMD_UNIT,CLUSTERCTL_APP,CLUSTERCTL_INSTANCE," +
	"CLUSTERCTL_SENDER,_PID,_UID,_EXE,_SYSTEMD_UNIT,_SYSTEMD_SLICE,_TRANSPORT,_STREAM_ID,_LINE_BREAK"

// span is which part of the journal one run of journalctl reads.
type part struct {
	// directory holds links to the journals that are read (see waker). journalctl reads it in place of the journals of the query.
	directory string
	// cursor is the entry to begin at, itself included.
	cursor string
	// lines is how many of the last lines are read, reverse whether the last one comes first.
	lines   int
	reverse bool
	follow  bool
}

// arguments are those of journalctl(1).
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
	// journalctl takes either; and what follows a cursor is not older than a time before it.
	if add("--cursor", p.cursor); p.cursor == "" {
		add("--since", q.Since)
	}
	if q.Grep != "" {
		// What journald says about dropped messages is wanted anyway. Without a capital letter, for the rule on case.
		args = append(args, "--grep=(?:"+q.Grep+`)|^.uppressed \d+ messages from `)
	}
	return append(args, q.matches(p.follow)...)
}

// namespaces chooses the journals: that of the machine, one beside it (since 245), or all that there are.
func (q Query) namespaces() []string {
	var names []string
	for _, s := range q.Scopes {
		if s.Namespace != "" && !slices.Contains(names, s.Namespace) {
			names = append(names, s.Namespace)
		}
	}
	switch len(names) {
	case 0:
		return nil
	case 1:
		// PID 1's messages are in that of the machine.
		return []string{"--namespace=+" + names[0]}
	}
	return []string{"--namespace=*"}
}

// matches are the terms of all scopes. An entry matches if it has, of one group of terms, one value for each field.
func (q Query) matches(follow bool) []string {
	var groups [][]string
	for _, s := range q.Scopes {
		groups = append(groups, s.workerTerms()...)
		if q.System && !follow {
			groups = append(groups, s.systemTerms()...)
		}
	}
	if q.System && follow {
		// An instance that appears later has a name that cannot be listed; the rest of PID 1's messages is left out later.
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

// priorityNames are those of syslog(3), in order.
var priorityNames = []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}

// Priorities returns the names of the priorities, the worst first.
func Priorities() []string { return slices.Clone(priorityNames) }

// ParsePriority reads a priority, which stands for itself and all that are worse, or a range: "warning", "4",
// "err..warning".
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
	switch s {
	case "error":
		s = "err"
	case "warn":
		s = "warning"
	}
	if len(s) == 1 && s[0] >= '0' && s[0] <= '7' {
		return int(s[0] - '0')
	}
	return slices.Index(priorityNames, s)
}
