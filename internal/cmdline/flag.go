package cmdline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
)

// Flag is one flag of a command.
type Flag struct {
	// Name is the name without dashes. Short is one letter, or empty.
	Name, Short string
	// To points to the variable that gets the value: a *bool, *string, *[]string, *int, *time.Duration or *[Optional]. Its
	// initial value is the default. [App] itself handles a Flag without To.
	To any
	// Takes is the form of the value. It is empty for a flag without a value.
	Takes Form
	// Words are values that completion offers, with the default first. The flag may accept other values.
	Words []string
	// NotEmpty means that an empty value is an error. A shell passes an empty value for "$X" if X is not set, and commands
	// treat an empty value like an omitted flag.
	NotEmpty bool
	// Group is the heading of the flag in the help. Usage is one line about the flag.
	Group, Usage string
}

// Group sets the heading of flags in the help.
func Group(heading string, flags []Flag) []Flag {
	for i := range flags {
		flags[i].Group = heading
	}
	return flags
}

// The method names returns the long name of the flag and, if the flag has one, its letter.
func (f Flag) names() []string {
	return slices.DeleteFunc([]string{f.Name, f.Short}, func(name string) bool { return name == "" })
}

// wantsValue reports whether the word after the flag is its value.
func (f Flag) wantsValue() bool {
	_, optional := f.To.(*Optional)
	return f.Takes != "" && !optional
}

// isRepeatable reports whether the flag may be given several times.
func (f Flag) isRepeatable() bool {
	_, ok := f.To.(*[]string)
	return ok
}

// The method example returns the name of the flag and a valid value, such as "instances 4".
func (f Flag) example() string {
	switch f.To.(type) {
	case *bool, nil:
		return f.Name
	case *time.Duration:
		return f.Name + " 30s"
	case *int:
		return f.Name + " 4"
	}
	return f.Name + " " + cmp.Or(strings.Join(f.Words[:min(len(f.Words), 1)], ""), string(f.Takes))
}

// The method fallback returns the default value as the help shows it, or "" if the help shows no default value.
func (f Flag) fallback() string {
	switch to := f.To.(type) {
	case *string:
		return *to
	case *int:
		if *to != 0 {
			return fmt.Sprint(*to)
		}
	case *time.Duration:
		if *to != 0 {
			return strings.Replace(strings.Replace(to.String(), "m0s", "m", 1), "h0m", "h", 1)
		}
	}
	return ""
}

// library converts the flag to a flag of cli.
func (f Flag) library() cli.Flag {
	switch to := f.To.(type) {
	case *string:
		return &cli.StringFlag{Name: f.Name, Value: *to, Destination: to}
	case *int:
		return &cli.IntFlag{Name: f.Name, Value: *to, Destination: to}
	case *time.Duration:
		return &cli.DurationFlag{Name: f.Name, Value: *to, Destination: to}
	case *[]string:
		return &cli.GenericFlag{Name: f.Name, Value: (*list)(to)}
	case *Optional:
		return &cli.GenericFlag{Name: f.Name, Value: to}
	case *bool:
		return &cli.BoolFlag{Name: f.Name, Value: *to, Destination: to}
	}
	return &cli.BoolFlag{Name: f.Name}
}

func libraryFlags(flags []Flag) []cli.Flag {
	var out []cli.Flag
	for _, f := range flags {
		out = append(out, f.library())
	}
	return out
}

// The method check returns an error if the value is invalid in a way that cli does not detect. The parameter isGiven means
// that the flag was given.
func (f Flag) check(isGiven bool) error {
	switch to := f.To.(type) {
	case *time.Duration:
		if *to < 0 {
			return fault.WithHint(fault.Usagef("--%s must not be negative", f.Name), "--%s 30s", f.Name)
		}
	case *string:
		if f.NotEmpty && isGiven && *to == "" {
			return fault.Usagef("--%s: the value is empty", f.Name)
		}
	}
	return nil
}

// findFlag returns the flag for a word such as --name, --name=value or -n, or nil if no known flag has this name.
func findFlag(known []Flag, word string) *Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for i := range known {
		if slices.Contains(known[i].names(), name) {
			return &known[i]
		}
	}
	return nil
}

// The type list is the value of a flag that may repeat. Unlike the list type of cli, it does not split a value at commas.
type list []string

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

func (l *list) String() string { return strings.Join(*l, " ") }

// Optional is the value of a flag whose value may be omitted: --boot or --boot=-1.
type Optional struct {
	Given bool
	Value string
}

// Set sets the value. Package flag calls it with "true" if the value is omitted.
func (o *Optional) Set(s string) error {
	o.Given, o.Value = true, s
	if s == "true" {
		o.Value = ""
	}
	return nil
}

// String returns the value.
func (o *Optional) String() string { return o.Value }

// IsBoolFlag returns true, so that package flag does not read the next argument as the value.
func (o *Optional) IsBoolFlag() bool { return true }
