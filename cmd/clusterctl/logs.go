package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/guard"
	"github.com/clusterctl/clusterctl/internal/text"
	"github.com/clusterctl/clusterctl/journal"
	"github.com/clusterctl/clusterctl/units"
)

// defaultLines is pm2's.
const defaultLines = 15

type logsOptions struct {
	lines                         string
	since, until, grep, priority  string
	follow, noFollow              bool
	asJSON, raw, fields, noSystem bool
	out, err, diskUsage           bool
	boot, timestamp               optionalValue
	highlight                     cli.StringSlice
	format                        journal.TimeFormat
	linesWanted                   int
	priorities                    []int
}

func logsCommand(e *env) *cli.Command {
	var o logsOptions
	return &cli.Command{
		Name: "logs", Aliases: []string{"log"}, Usage: "Show what the workers wrote, and follow it on a terminal",
		UsageText: "logs [" + operandForms + "] [FLAGS]",
		Description: "The lines of all instances, merged in the order of time, and what systemd says about the instances. They come\n" +
			"from journald; \"journalctl CLUSTERCTL_APP=NAME\" shows them too. On a terminal the command goes on with new\n" +
			"lines, also of instances that appear later, until Ctrl-C; elsewhere it ends after the last line.\n\n" +
			"EXAMPLES:\n" +
			"   clusterctl logs shop\n" +
			"   clusterctl logs shop@2 -n 100 --no-follow\n" +
			"   clusterctl logs --since 10m --priority warning --timestamp\n" +
			"   clusterctl logs shop --grep 'timeout|refused' --since yesterday\n" +
			"   clusterctl logs shop --json --no-follow | jq -r .message",
		Flags: o.flags(),
		Action: func(c *cli.Context) error {
			args, err := operands(c, 0, -1, "")
			if err == nil {
				err = o.check(e)
			}
			if err != nil {
				return err
			}
			return runLogs(c.Context, e, o, args)
		},
	}
}

func (o *logsOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "lines", Aliases: []string{"n"}, Destination: &o.lines,
			Usage: "show the last `N` lines of all together, or all; 15 if not given, all with --since, --until or --boot"},
		&cli.BoolFlag{Name: "follow", Aliases: []string{"f"}, Destination: &o.follow, Usage: "go on with new lines; the default on a terminal"},
		&cli.BoolFlag{Name: "no-follow", Aliases: []string{"nostream"}, Destination: &o.noFollow, Usage: "end after the last line"},
		&cli.StringFlag{Name: "since", Destination: &o.since, Usage: "lines from this `TIME` on: 10m (ago), 2h, yesterday, 09:30, \"2026-01-31 12:00\""},
		&cli.StringFlag{Name: "until", Destination: &o.until, Usage: "lines up to this `TIME`"},
		&cli.StringFlag{Name: "grep", Aliases: []string{"g"}, Destination: &o.grep, Usage: "lines that match the `PATTERN` of journalctl; without capitals, the case does not matter"},
		&cli.StringFlag{Name: "priority", Aliases: []string{"p"}, Destination: &o.priority,
			Usage: "lines of this `PRIORITY` and worse (emerg, alert, crit, err, warning, notice, info, debug), or a range: err..warning"},
		&cli.GenericFlag{Name: "boot", Aliases: []string{"b"}, Value: &o.boot, Usage: "lines of the current boot, or of another one: --boot=-1"},
		&cli.BoolFlag{Name: "no-system", Destination: &o.noSystem, Usage: "leave out what systemd says about the instances"},
		&cli.GenericFlag{Name: "timestamp", Value: &o.timestamp,
			Usage: "the time in front of each line; --timestamp=FORMAT: iso, date, time, unix, utc, %H:%M:%S or HH:mm:ss"},
		&cli.StringSliceFlag{Name: "highlight", Destination: &o.highlight, Usage: "mark this `TEXT`, on a terminal; may repeat"},
		&cli.BoolFlag{Name: "fields", Destination: &o.fields, Usage: "show the fields that a program added to its messages"},
		&cli.BoolFlag{Name: "raw", Destination: &o.raw, Usage: "the lines as the workers wrote them, byte for byte: no prefix, nothing of systemd, nothing made harmless"},
		&cli.BoolFlag{Name: "json", Destination: &o.asJSON, Usage: "for programs: one object a line"},
		&cli.BoolFlag{Name: "out", Destination: &o.out, Usage: "refused: journald does not record the stream; see --priority"},
		&cli.BoolFlag{Name: "err", Destination: &o.err, Usage: "refused, as --out is"},
		&cli.BoolFlag{Name: "disk-usage", Destination: &o.diskUsage, Usage: "show how much the journals take, and nothing else"},
	}
}

// check reads what needs no machine.
func (o *logsOptions) check(e *env) error {
	var err error
	switch {
	case o.out || o.err:
		return fault.WithHint(fault.Usagef("journald does not record whether a line came from stdout or from stderr"),
			"clusterctl logs --priority warning shows what the programs marked, with \"<4>\" in front (sd-daemon(3)) or through syslog")
	case o.follow && o.noFollow:
		return fault.Usagef("--follow and --no-follow cannot both be given")
	case o.follow && o.until != "":
		return fault.Usagef("--follow and --until cannot both be given")
	case o.raw && o.asJSON:
		return fault.Usagef("--raw and --json cannot both be given")
	case o.raw && (o.fields || o.timestamp.given):
		return fault.Usagef("--raw adds nothing to the lines: leave --fields and --timestamp away")
	}
	if o.linesWanted, err = o.countLines(); err != nil {
		return err
	}
	if o.priority != "" {
		if o.priorities, err = journal.ParsePriority(o.priority); err != nil {
			return meant("priority", o.priority, fault.Usagef("--priority: %v", err))
		}
	}
	if o.timestamp.given {
		if o.format, err = journal.ParseTimeFormat(cmp.Or(o.timestamp.value, "iso")); err != nil {
			return fault.Usagef("--timestamp: %v", err)
		}
	}
	o.follow = o.follow || e.stdoutTTY && !o.noFollow && o.until == ""
	return nil
}

func (o *logsOptions) countLines() (int, error) {
	switch {
	case o.lines == "all", o.lines == "" && (o.since != "" || o.until != "" || o.boot.given):
		return journal.AllLines, nil
	case o.lines == "":
		return defaultLines, nil
	}
	n, err := strconv.Atoi(o.lines)
	if err != nil || n < 0 {
		return 0, fault.Usagef("--lines %q is not a number of lines, or all", o.lines)
	}
	return n, nil
}

func runLogs(ctx context.Context, e *env, o logsOptions, args []string) error {
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
		return nil // which resolve has said
	}
	if err := e.mayReadJournal(); err != nil {
		return err
	}
	q := journal.Query{
		Lines: o.linesWanted, Since: journal.Moment(o.since), Until: journal.Moment(o.until), Grep: o.grep, Priorities: o.priorities,
		System: !o.noSystem && !o.raw, AllFields: o.fields, Follow: o.follow,
	}
	if o.boot.given {
		q.Boot = cmp.Or(o.boot.value, "0")
	}
	width := 0
	for _, t := range targets {
		scope := scopeOf(t)
		scope.UID = e.workerUID(ctx, t.app)
		q.Scopes = append(q.Scopes, scope)
		width = max(width, len(fmt.Sprintf("%s@%d", t.app.Name, max(t.listed, t.instance))))
	}
	out := &logWriter{e: e, w: bufio.NewWriterSize(e.stdout, 64<<10), json: o.asJSON, fields: o.fields, limited: map[string]bool{}}
	out.format = journal.Formatter{
		Raw: o.raw, Colour: e.colours, Fields: o.fields, Time: o.format, Zone: time.Local, Width: width,
		Highlight: highlighter(o.highlight.Value(), o.grep),
	}
	return logsError(journal.Read(ctx, q, out), o)
}

// scopeOf says what the journal has to know of an operand.
func scopeOf(t target) journal.Scope {
	n := t.app.Name
	return journal.Scope{
		App: string(n), Instance: t.instance, Instances: t.listed, Slice: n.Slice(), Namespace: t.app.LogNamespace(),
		Units: append([]string{n.Service()}, t.app.Sockets()...),
	}
}

// workerUID returns the user of the workers as a number, or "" where there is none: a dynamic user exists only while its
// app runs. Without it, a line is missing whose process ended before journald found its unit.
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

// mayReadJournal tells a user without access how to get it: journalctl itself would show nothing, and no error.
func (e *env) mayReadJournal() error {
	if e.euid == 0 {
		return nil
	}
	err := journal.CheckAccess()
	if err == nil {
		return nil
	}
	name := e.getenv("USER")
	if u, userErr := user.Current(); userErr == nil {
		name = u.Username
	}
	return fault.WithHint(err, "sudo usermod -aG systemd-journal %s\nit counts from the next login on; until then: %s", text.Shell(name), e.sudoHint())
}

// logsError leaves out that nobody reads any more, as with "| head", and makes of what journalctl did not understand an
// error of usage.
func logsError(err error, o logsOptions) error {
	var wrong *journal.ArgumentError
	switch {
	case errors.Is(err, syscall.EPIPE):
		return nil
	case errors.As(err, &wrong):
		return refused(wrong, o)
	}
	return err
}

// refused returns the error of usage for a flag that journalctl has refused.
func refused(err *journal.ArgumentError, o logsOptions) error {
	switch err.Flag {
	case "grep":
		return fault.WithHint(fault.Usagef("--grep %q is not a pattern: %s", o.grep, cmp.Or(err.Reason, "journalctl refuses it")), "man 3 pcre2pattern")
	case "boot":
		return fault.WithHint(fault.Usagef("--boot: %v", err), "journalctl --list-boots")
	}
	return fault.WithHint(fault.Usagef("%v", err), "--since 10m, --since yesterday, --since \"2026-01-31 12:00\": see man 7 systemd.time")
}

// highlighter finds the texts, and what the pattern of --grep matches as far as Go understands it.
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
