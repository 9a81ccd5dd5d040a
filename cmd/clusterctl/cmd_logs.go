package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/clusterctl/clusterctl/internal/cmdline"
	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
)

// defaultLines is the default number of lines. PM2 has the same default.
const defaultLines = 15

type logsOptions struct {
	lines                         string
	since, until, grep, priority  string
	follow, noFollow              bool
	asJSON, raw, fields, noSystem bool
	diskUsage                     bool
	boot, timestamp               cmdline.Optional
	highlight                     []string
	format                        journal.TimeFormat
	linesWanted                   int
	priorities                    []int
}

func logsCommand(e *env) *cmdline.Command {
	var o logsOptions
	return &cmdline.Command{
		Name: "logs", Aliases: []string{"log"}, Usage: "Show the log lines of the workers, and follow them on a terminal",
		Operands: []cmdline.Operand{cmdline.OptionalApps()},
		Description: []string{"Prints the lines of all instances in order of time, with the messages of systemd about the " +
			"instances. The lines are in the journal: \"journalctl CLUSTERCTL_APP=NAME\" shows them, too. On a terminal, " +
			"logs then waits for new lines until Ctrl-C. If its output is not a terminal, it ends after the last line."},
		Examples: []string{
			"clusterctl logs shop",
			"clusterctl logs shop@2 -n 100 --no-follow",
			"clusterctl logs --since 10m --priority warning --timestamp",
			"clusterctl logs shop --grep 'timeout|refused' --since yesterday",
			"clusterctl logs shop --json --no-follow | jq -r .message",
		},
		Flags: o.flags(),
		Run:   bind(e, &o, runLogs),
	}
}

func (o *logsOptions) flags() []cmdline.Flag {
	return []cmdline.Flag{
		{Name: "lines", Short: "n", To: &o.lines, Takes: "N", Words: []string{"all"},
			Usage: "number of last lines, or all (default: 15; all with --since)"},
		{Name: "follow", Short: "f", To: &o.follow, Usage: "wait for new lines; the default on a terminal"},
		{Name: "no-follow", To: &o.noFollow, Usage: "end after the last line"},
		{Name: "since", To: &o.since, Takes: "TIME", Usage: "lines since 10m (ago), yesterday, 09:30 or \"2026-01-31 12:00\""},
		{Name: "until", To: &o.until, Takes: "TIME", Usage: "lines before this time"},
		{Name: "grep", Short: "g", To: &o.grep, Takes: "PATTERN", Usage: "lines that match; a pattern in lower case ignores case"},
		{Name: "priority", Short: "p", To: &o.priority, Takes: "PRIORITY", Words: journal.Priorities(),
			Usage: "lines of this priority or worse, such as err, or of err..warning"},
		{Name: "boot", Short: "b", To: &o.boot, Takes: "ID", Usage: "lines since the last boot; --boot=-1 means the " +
			"previous boot"},
		{Name: "no-system", To: &o.noSystem, Usage: "omit messages of systemd about the instances"},
		{Name: "timestamp", To: &o.timestamp, Takes: "FORMAT",
			Usage: "print the time of each line: iso, date, time, unix, utc or %H:%M:%S"},
		{Name: "highlight", To: &o.highlight, Takes: "TEXT", Usage: "highlight this text on a terminal"},
		{Name: "fields", To: &o.fields, Usage: "print the fields that programs add to their messages"},
		{Name: "raw", To: &o.raw, Usage: "print only what the workers wrote, byte for byte"},
		{Name: "json", To: &o.asJSON, Usage: "print one JSON object per line"},
		{Name: "disk-usage", To: &o.diskUsage, Usage: "print only the disk usage of the journals"},
	}
}

// The method check parses the flags and returns an error for invalid combinations. It does not access the machine.
func (o *logsOptions) check(e *env) error {
	var err error
	switch {
	case o.follow && o.noFollow:
		return fault.Usagef("--follow cannot be combined with --no-follow")
	case o.follow && o.until != "":
		return fault.Usagef("--follow cannot be combined with --until")
	case o.raw && o.asJSON:
		return fault.Usagef("--raw cannot be combined with --json")
	case o.raw && (o.fields || o.timestamp.Given):
		return fault.Usagef("--raw cannot be combined with --fields or --timestamp")
	}
	if o.linesWanted, err = o.countLines(); err != nil {
		return err
	}
	if o.priority != "" {
		if o.priorities, err = journal.ParsePriority(o.priority); err != nil {
			return suggest(fault.Usagef("--priority: %v", err), "priority", o.priority, journal.Priorities())
		}
	}
	if o.timestamp.Given {
		if o.format, err = journal.ParseTimeFormat(cmp.Or(o.timestamp.Value, "iso")); err != nil {
			return fault.Usagef("--timestamp: %v", err)
		}
	}
	o.follow = o.follow || e.stdoutTTY && !o.noFollow && o.until == ""
	return nil
}

func (o *logsOptions) countLines() (int, error) {
	switch {
	case o.lines == "all", o.lines == "" && (o.since != "" || o.until != "" || o.boot.Given):
		return journal.AllLines, nil
	case o.lines == "":
		return defaultLines, nil
	}
	n, err := strconv.Atoi(o.lines)
	if err != nil || n < 0 {
		return 0, fault.Usagef("--lines: %q is not a whole number or \"all\"", o.lines)
	}
	return n, nil
}

func runLogs(ctx context.Context, e *env, o logsOptions, in cmdline.Input) error {
	args := in.Args
	if err := o.check(e); err != nil {
		return err
	}
	if len(args) == 0 {
		args = []string{"all"}
	}
	targets, err := e.targets(args)
	if err != nil {
		return err
	}
	if o.diskUsage {
		return e.diskUsage(targets, o.asJSON)
	}
	if len(targets) == 0 {
		return nil // e.targets has printed a note
	}
	if err := e.mayReadJournal(); err != nil {
		return err
	}
	q := journal.Query{
		Lines: o.linesWanted, Since: journal.Moment(o.since), Until: journal.Moment(o.until), Grep: o.grep, Priorities: o.priorities,
		System: !o.noSystem && !o.raw, AllFields: o.fields, Follow: o.follow,
	}
	if o.boot.Given {
		q.Boot = cmp.Or(o.boot.Value, "0")
	}
	width := 0
	for _, t := range targets {
		n := t.app.Name
		q.Scopes = append(q.Scopes, journal.Scope{
			App: string(n), Instance: t.instance, Instances: t.listed, Slice: n.Slice(), Namespace: t.app.LogNamespace(),
			Units: append([]string{n.Service()}, t.app.Sockets()...), UID: e.workerUID(ctx, t.app),
		})
		width = max(width, len(fmt.Sprintf("%s@%d", t.app.Name, max(t.listed, t.instance))))
	}
	out := &logWriter{e: e, w: bufio.NewWriterSize(e.stdout, 64<<10), json: o.asJSON, fields: o.fields, limited: map[string]bool{}}
	out.format = journal.Formatter{
		Raw: o.raw, Colour: e.colours, Fields: o.fields, Time: o.format, Zone: time.Local, Width: width,
		Highlight: highlighter(o.highlight, o.grep),
	}
	return logsError(journal.Read(ctx, q, out), o)
}

// workerUID returns the user ID of the workers, or "" if the user does not exist. A dynamic user exists only while its app
// runs. If a process ends before journald has found its unit, journald stores the line without the unit. "logs" finds such a
// line only by the user ID.
func (e *env) workerUID(ctx context.Context, a units.App) string {
	if !a.RunAs.Dynamic() {
		u, err := guard.LookupUser(a.RunAs.User)
		if err != nil {
			return ""
		}
		return u.Uid
	}
	conn, err := e.dial(ctx)
	if err != nil {
		return ""
	}
	defer conn.Close()
	uid, err := conn.DynamicUser(ctx, a.Name.DynamicUser())
	if err != nil {
		return ""
	}
	return strconv.FormatUint(uint64(uid), 10)
}

// mayReadJournal returns an error with a hint if the user may not read the journal. Without this check, journalctl would
// succeed and print nothing.
func (e *env) mayReadJournal() error {
	if e.euid == 0 {
		return nil
	}
	err := journal.CheckAccess()
	if err == nil {
		return nil
	}
	name := e.getenv("USER")
	if u, userErr := guard.LookupUser(strconv.Itoa(e.uid)); userErr == nil {
		name = u.Username
	}
	return fault.WithHint(err, "sudo usermod -aG systemd-journal %s\nthe group is active after the next login; until then: %s",
		text.Shell(name), sudoHint(e.args))
}

// logsError returns nil if the reader of stdout has ended, as in "logs | head". It returns a usage error for an argument
// that journalctl refused, and any other error unchanged.
func logsError(err error, o logsOptions) error {
	refused, ok := errors.AsType[*journal.ArgumentError](err)
	switch {
	case errors.Is(err, syscall.EPIPE):
		return nil
	case !ok:
		return err
	case refused.Flag == "grep":
		return fault.WithHint(fault.Usagef("--grep: invalid pattern %q: %s", o.grep, cmp.Or(refused.Reason, "journalctl refuses it")),
			"man 3 pcre2pattern")
	case refused.Flag == "boot":
		return fault.WithHint(fault.Usagef("--boot: %v", refused), "journalctl --list-boots")
	}
	return fault.WithHint(fault.Usagef("%v", refused),
		"--since 10m, --since yesterday, --since \"2026-01-31 12:00\": see man 7 systemd.time")
}

// highlighter returns a function that finds the positions of the texts, and of the matches of grep if this pattern is valid
// in Go. It returns nil if there is nothing to find.
func highlighter(texts []string, grep string) func([]byte) [][]int {
	var parts []string
	for _, t := range texts {
		if t != "" {
			parts = append(parts, regexp.QuoteMeta(t))
		}
	}
	if grep != "" {
		flags := ""
		if strings.ToLower(grep) == grep {
			flags = "(?i)"
		}
		if _, err := regexp.Compile(flags + grep); err == nil {
			parts = append(parts, flags+"(?:"+grep+")")
		}
	}
	if len(parts) == 0 {
		return nil
	}
	re, err := regexp.Compile("(?:" + strings.Join(parts, ")|(?:") + ")")
	if err != nil {
		return nil
	}
	return func(text []byte) [][]int { return re.FindAllIndex(text, -1) }
}

// logWriter writes log lines to stdout in the format of the flags.
type logWriter struct {
	e            *env
	w            *bufio.Writer
	format       journal.Formatter
	json, fields bool
	line         []byte
	// The field limited contains the apps for which the method Line has printed logRateAdvice.
	limited map[string]bool
}

// logRateAdvice names the flags of install that prevent journald from dropping lines.
const logRateAdvice = "--log-namespace gives the app a private journal, --log-rate sets another limit"

// Line writes one line. With --raw, it writes messages of journald to stderr. The first time that journald reports dropped
// lines of an app, Line also prints a hint.
func (w *logWriter) Line(l *journal.Line) error {
	if l.Source == journal.Journald && !w.limited[l.App] {
		w.limited[l.App] = true
		if err := w.w.Flush(); err != nil {
			return err
		}
		w.e.note("hint: %s has reached its limit of log lines; %s", l.App, logRateAdvice)
	}
	switch {
	case w.json:
		w.line = journal.AppendJSON(w.line[:0], l, w.fields)
	case w.format.Raw && l.Source == journal.Journald:
		if err := w.w.Flush(); err != nil {
			return err
		}
		w.e.note("%s: %s", l.Label(), journal.SuppressedText(l.Suppressed))
		return nil
	default:
		w.line = w.format.Append(w.line[:0], l)
	}
	_, err := w.w.Write(w.line)
	return err
}

func (w *logWriter) Idle() error { return w.w.Flush() }
