package cmdline

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/clusterctl/clusterctl/internal/fault"
)

// TestLibraryErrors checks each error message of cli v2 and of package flag that parseLibraryError parses.
func TestLibraryErrors(t *testing.T) {
	for _, c := range []struct {
		args     []string
		sentence string
		want     libraryError
	}{
		{[]string{"--nope"}, "flag provided but not defined: -nope", libraryError{unknown, "nope", ""}},
		{[]string{"--nope=1"}, "flag provided but not defined: -nope", libraryError{unknown, "nope", ""}},
		{[]string{"-x"}, "flag provided but not defined: -x", libraryError{unknown, "x", ""}},
		{[]string{"--text"}, "flag needs an argument: -text", libraryError{noValue, "text", ""}},
		{[]string{"--time"}, "flag needs an argument: -time", libraryError{noValue, "time", ""}},
		{[]string{"--yes=maybe"}, `invalid boolean value "maybe" for -yes: parse error`, libraryError{badValue, "yes", "maybe"}},
		{[]string{"--number", "3x"}, `invalid value "3x" for flag -number: parse error`, libraryError{badValue, "number", "3x"}},
		{[]string{"--time", "soon"}, `invalid value "soon" for flag -time: parse error`, libraryError{badValue, "time", "soon"}},
		{[]string{"--time", "a\"b: c"}, `invalid value "a\"b: c" for flag -time: parse error`, libraryError{badValue, "time", `a"b: c`}},
		{[]string{"--time", "a\nb"}, "invalid value \"a\\nb\" for flag -time: parse error", libraryError{badValue, "time", "a\nb"}},
		{[]string{"---"}, "bad flag syntax: ---", libraryError{}},
		{[]string{"--=x"}, "bad flag syntax: --=x", libraryError{}},
	} {
		var (
			text   string
			number int
			yes    bool
			after  time.Duration
			got    error
		)
		app := &cli.App{
			Name: "x", Writer: io.Discard, ErrWriter: io.Discard, HideHelp: true,
			Flags: libraryFlags([]Flag{
				{Name: "text", To: &text}, {Name: "number", To: &number}, {Name: "yes", To: &yes}, {Name: "time", To: &after},
			}),
			OnUsageError: func(_ *cli.Context, err error, _ bool) error {
				got = err
				return err
			},
		}
		_ = app.RunContext(context.Background(), append([]string{"x"}, c.args...))
		if got == nil || got.Error() != c.sentence || parseLibraryError(got) != c.want {
			t.Errorf("%q: got %v, %+v, want %s, %+v", c.args, got, parseLibraryError(errors.Join(got)), c.sentence, c.want)
		}
	}
}

// TestFlagOwners checks the list of the commands that have a flag. It does not contain hidden commands.
func TestFlagOwners(t *testing.T) {
	for flag, want := range map[string]string{
		"keep-logs": `"clusterctl uninstall"`, "json": `"clusterctl install", "clusterctl ls"`, "nope": "",
	} {
		if got := appTemplate().ownersOf(flag); got != want {
			t.Errorf("%s: got %s, want %s", flag, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for typed, want := range map[string][2]string{
		"install --settle -5m":      {"--settle must not be negative", "--settle 30s"},
		"install --instances=":      {"--instances: the value is empty", ""},
		"install --name":            {"--name needs a value", "--name NAME"},
		"install --restart":         {"--restart needs a value", "--restart always"},
		"install --max-restarts":    {"--max-restarts needs a value", "--max-restarts 4"},
		"install --yes=no-way":      {`--yes: "no-way" is not true or false`, "--yes alone means true"},
		"install --kill-timeout 1x": {`--stop-timeout: "1x" is not a duration`, "--stop-timeout 500ms, 30s or 2m"},
		"start --kill-timeout 1":    {"start: unknown flag --kill-timeout", `use --stop-timeout of "clusterctl install"`},
		"start --no-autorestart":    {"start: unknown flag --no-autorestart", `use --restart no of "clusterctl install"`},
		"start --keep-logs":         {"start: unknown flag --keep-logs", `it is a flag of "clusterctl uninstall"`},
		"--keep-logs":               {"unknown flag --keep-logs", `it is a flag of "clusterctl uninstall"`},
		"--zzz":                     {"unknown flag --zzz", "clusterctl --help lists the flags"},
		"unintsall":                 {`unknown command "unintsall"`, `did you mean "clusterctl uninstall"?`},
		"save":                      {`unknown command "save"`, "not needed: an installed app is enabled, and systemd starts it at boot"},
		"hiden":                     {`unknown command "hiden"`, "clusterctl --help lists the commands"},
		"help nope":                 {`unknown command "nope"`, "clusterctl --help lists the commands"},
	} {
		err := appTemplate().Run(context.Background(), append([]string{"clusterctl"}, strings.Fields(typed)...))
		var usage *fault.UsageError
		if !errors.As(err, &usage) || err.Error() != want[0] || fault.Hint(err) != want[1] {
			t.Errorf("%s: got %v (hint: %s), want %q", typed, err, fault.Hint(err), want)
		}
	}
}
