package cmdline

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/pm2"
	"github.com/clusterctl/clusterctl/internal/text"
)

// libraryError is a parsed error message about one flag, from cli or from package flag, which cli uses.
type libraryError struct {
	kind mistake
	// The field flag is the name of the flag without dashes.
	flag, value string
}

type mistake int

const (
	other mistake = iota
	unknown
	noValue
	badValue
)

// parseLibraryError parses the error messages of cli v2 and package flag, which have no error types. A test compares each
// message with the message of the library.
func parseLibraryError(err error) libraryError {
	message := strings.TrimSuffix(err.Error(), ".")
	if name, ok := strings.CutPrefix(message, "flag provided but not defined: "); ok {
		return libraryError{kind: unknown, flag: strings.TrimLeft(name, "-")}
	}
	if name, ok := strings.CutPrefix(message, "flag needs an argument: "); ok {
		return libraryError{kind: noValue, flag: strings.TrimLeft(name, "-")}
	}
	m := regexp.MustCompile(`^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-([^:]+): `).FindStringSubmatch(message)
	if m == nil {
		return libraryError{}
	}
	value, err := strconv.Unquote(m[1])
	if err != nil {
		value = m[1]
	}
	return libraryError{kind: badValue, flag: m[2], value: value}
}

// usageError returns a function that replaces an error of cli by our own message. The parameter cmd is nil if cli found no
// command.
func (a *App) usageError(cmd *Command, typed []string) cli.OnUsageErrorFunc {
	known := a.Flags
	if cmd != nil {
		known = a.flagsOf(cmd)
	}
	return func(_ *cli.Context, err error, _ bool) error {
		e := parseLibraryError(err)
		f := Flag{Name: e.flag}
		if found := findFlag(known, e.flag); found != nil {
			f = *found
		}
		switch e.kind {
		case unknown:
			return a.unknownFlag(cmd, known, e.flag, typed)
		case noValue:
			return fault.WithHint(fault.Usagef("--%s needs a value", f.Name), "--%s", f.example())
		case badValue:
			return f.badValue(e.value)
		}
		return fault.Usagef("%s", err)
	}
}

// badValue returns the error for a value that cli could not parse.
func (f Flag) badValue(value string) error {
	switch f.To.(type) {
	case *bool, nil:
		return fault.WithHint(fault.Usagef("--%s: %q is not true or false", f.Name, value), "--%s alone means true", f.Name)
	case *time.Duration:
		if _, err := strconv.ParseUint(value, 10, 32); err == nil {
			return fault.WithHint(fault.Usagef("--%s: %q has no unit", f.Name, value), "--%s %ss, or %[2]sms", f.Name, value)
		}
		return fault.WithHint(fault.Usagef("--%s: %q is not a duration", f.Name, value), "--%s 500ms, 30s or 2m", f.Name)
	}
	return fault.WithHint(fault.Usagef("--%s: %q is not a whole number", f.Name, value), "--%s", f.example())
}

func (a *App) unknownFlag(cmd *Command, known []Flag, name string, typed []string) error {
	dashed := "-" + name
	if len(name) > 1 && !slices.Contains(typed, dashed) {
		dashed = "-" + dashed
	}
	err, line := fault.Usagef("unknown flag %s", dashed), a.Name
	if cmd != nil {
		err, line = fault.Usagef("%s: unknown flag %s", cmd.Name, dashed), a.Name+" "+cmd.Name
	}
	is, _ := pm2.Lookup(pm2.Flag, name)
	switch owners := a.ownersOf(name); {
	case is.Hint != "":
		return fault.WithHint(err, "%s", is.Hint)
	case is.Same != nil:
		return fault.WithHint(err, "use --%s of %s", strings.Join(is.Same, " "), a.ownersOf(is.Same[0]))
	case nearFlag(name, known) != "":
		return fault.WithHint(err, "did you mean --%s?", nearFlag(name, known))
	case owners != "":
		return fault.WithHint(err, "it is a flag of %s", owners)
	}
	return fault.WithHint(err, "%s --help lists the flags", line)
}

// nearFlag returns the name of the known flag that the user probably meant, or "".
func nearFlag(name string, known []Flag) string {
	var names []string
	for _, f := range known {
		names = append(names, f.names()...)
	}
	return text.Nearest(name, names)
}

// ownersOf returns the names of the commands that have a flag, separated by commas.
func (a *App) ownersOf(flag string) string {
	var out []string
	for _, cmd := range a.Commands {
		if !cmd.Hidden && findFlag(cmd.Flags, flag) != nil {
			out = append(out, strconv.Quote(a.Name+" "+cmd.Name))
		}
	}
	return strings.Join(out, ", ")
}

func (a *App) unknownCommand(name string) error {
	err := fault.Usagef("unknown command %q", name)
	if is, _ := pm2.Lookup(pm2.Command, name); is.Hint != "" {
		return fault.WithHint(err, "%s", is.Hint)
	}
	var names []string
	for _, cmd := range a.Commands {
		if !cmd.Hidden {
			names = append(names, cmd.names()...)
		}
	}
	if like := text.Nearest(name, names); like != "" {
		return fault.WithHint(err, "did you mean \"%s %s\"?", a.Name, like)
	}
	return fault.WithHint(err, "%s --help lists the commands", a.Name)
}
