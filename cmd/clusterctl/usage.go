package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
	"github.com/clusterctl/clusterctl/internal/status"
	"github.com/clusterctl/clusterctl/internal/text"
)

// onUsageError says what is wrong with a command line in our own words. cli has one sentence for each kind of mistake.
func onUsageError(c *cli.Context, err error, _ bool) error {
	message := strings.TrimSuffix(err.Error(), ".")
	flags := c.App.Flags
	// The context of a flag in front of the command has a command too, with the name of the program.
	cmd := c.App.Command(c.Command.Name)
	if cmd != nil {
		flags = slices.Concat(cmd.Flags, flags)
	}
	if name, unknown := strings.CutPrefix(message, "flag provided but not defined: "); unknown {
		return unknownFlag(c.App, cmd, flags, strings.TrimLeft(name, "-"))
	}
	if name, missing := strings.CutPrefix(message, "flag needs an argument: "); missing {
		name = strings.TrimLeft(name, "-")
		return fault.WithHint(fault.Usagef("--%s has no value", name), "--%s", exampleOf(flags, name))
	}
	if m := regexp.MustCompile(`^invalid (?:boolean )?value ("(?:[^"\\]|\\.)*") for (?:flag )?-([^:]+): `).FindStringSubmatch(message); m != nil {
		return badValue(flags, m[2], m[1])
	}
	return fault.Usagef("%s", message)
}

// exampleOf is a flag with a value that it may have.
func exampleOf(flags []cli.Flag, name string) string {
	switch f := findFlag(flags, name).(type) {
	case *cli.BoolFlag:
		return name
	case *cli.DurationFlag:
		return name + " 30s"
	case *cli.IntFlag:
		return name + " 4"
	case cli.DocGenerationFlag:
		if values := valuesOf(name); len(values) > 0 {
			return name + " " + values[0]
		}
		if _, rest, ok := strings.Cut(f.GetUsage(), "`"); ok {
			word, _, _ := strings.Cut(rest, "`")
			return name + " " + word
		}
	}
	return name + " VALUE"
}

// badValue is for numbers and times, which cli reads itself.
func badValue(flags []cli.Flag, name, quoted string) error {
	value, err := strconv.Unquote(quoted)
	if err != nil {
		value = quoted
	}
	switch findFlag(flags, name).(type) {
	case *cli.BoolFlag:
		return fault.WithHint(fault.Usagef("--%s: %q is not true or false", name, value), "--%s alone means true", name)
	case *cli.DurationFlag:
		if _, err := strconv.ParseUint(value, 10, 32); err == nil {
			return fault.WithHint(fault.Usagef("--%s: %q has no unit", name, value), "--%s %ss, or %[2]sms", name, value)
		}
		return fault.WithHint(fault.Usagef("--%s: %q is not a time", name, value), "--%s 500ms, 30s or 2m", name)
	}
	return fault.WithHint(fault.Usagef("--%s: %q is not a whole number", name, value), "--%s", exampleOf(flags, name))
}

// noNegativeTimes is for every command: no flag means anything by less than no time.
func noNegativeTimes(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		if d, ok := f.(*cli.DurationFlag); ok && c.Duration(d.Name) < 0 {
			return fault.WithHint(fault.Usagef("--%s %v is less than nothing", d.Name, c.Duration(d.Name)), "--%s 30s", d.Name)
		}
	}
	return nil
}

func unknownFlag(app *cli.App, cmd *cli.Command, flags []cli.Flag, name string) error {
	dashed := "-" + name
	typed, _ := app.Metadata[asTyped].([]string)
	if len(name) > 1 && !slices.Contains(typed, dashed) {
		dashed = "-" + dashed
	}
	err := fault.Usagef("there is no flag %s", dashed)
	of := "clusterctl"
	if cmd != nil {
		of += " " + cmd.Name
		err = fault.Usagef("%s has no flag %s", cmd.Name, dashed)
	}
	if hint := pm2FlagHint(name); hint != "" {
		return fault.WithHint(err, "%s", hint)
	}
	if like := nearFlag(name, flags); like != "" {
		return fault.WithHint(err, "did you mean --%s?", like)
	}
	if owners := commandsWith(app, name); len(owners) > 0 {
		return fault.WithHint(err, "it is a flag of %s", strings.Join(owners, ", "))
	}
	return fault.WithHint(err, "%s --help lists the flags", of)
}

// nearFlag gives the flag that a mistyped name may have been meant to be.
func nearFlag(name string, flags []cli.Flag) string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	return text.Nearest(name, names)
}

// commandsWith are the commands that know a flag.
func commandsWith(app *cli.App, flag string) []string {
	var out []string
	for _, cmd := range app.Commands {
		if !cmd.Hidden && findFlag(cmd.Flags, flag) != nil {
			out = append(out, "\"clusterctl "+cmd.Name+"\"")
		}
	}
	return out
}

func unknownCommand(app *cli.App, name string) error {
	err := fault.Usagef("there is no command %q", name)
	if hint := pm2CommandHint(name); hint != "" {
		return fault.WithHint(err, "%s", hint)
	}
	var names []string
	for _, cmd := range app.Commands {
		if !cmd.Hidden {
			names = append(names, cmd.Names()...)
		}
	}
	if like := text.Nearest(name, names); like != "" {
		return fault.WithHint(err, "did you mean \"clusterctl %s\"?", like)
	}
	return fault.WithHint(err, "clusterctl --help lists the commands")
}

// valuesOf are the words that a flag takes; the first is the default. For flags that take other values too, those are the
// words among them.
func valuesOf(flag string) []string {
	switch flag {
	case "instances", "i":
		return []string{"max"}
	case "activation":
		return []string{"auto", "native", "adopt"}
	case "ready":
		return []string{"notify", "exec"}
	case "restart":
		return []string{"always", "on-failure", "no"}
	case "sandbox":
		return []string{"default", "strict", "off"}
	case "allow":
		return allowWords()
	case "drain":
		return []string{"auto", "epoll", "accept", "off"}
	case "run-as":
		return []string{"dynamic"}
	case "priority":
		return []string{"err", "emerg", "alert", "crit", "warning", "notice", "info", "debug"}
	case "sort":
		return status.SortKeys
	case "arch":
		return []string{"amd64", "arm64", "all"}
	}
	return nil
}
