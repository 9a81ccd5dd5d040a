package journal

import (
	"errors"
	"os/exec"
	"testing"
)

// exitError runs a script with sh, and returns the error.
func exitError(t *testing.T, script string) error {
	t.Helper()
	return exec.Command("sh", "-c", script).Run()
}

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		script, stderr, want string
		argument             *ArgumentError
	}{
		"success":            {"exit 0", "", "", nil},
		"grep found nothing": {"exit 1", "", "", nil},
		"a wrong time": {"exit 1", "\x1b[0;1;31mFailed to parse timestamp: foo\x1b[0m\n",
			"Failed to parse timestamp: foo", &ArgumentError{Flag: "since"}},
		"a wrong pattern": {"exit 1", "Bad pattern \"a(\": missing closing parenthesis\nmore\n",
			"Bad pattern \"a(\": missing closing parenthesis", &ArgumentError{Flag: "grep", Reason: "missing closing parenthesis"}},
		"a wrong boot": {
			"exit 1", "No journal boot entry found for the specified boot (-5)\n",
			"No journal boot entry found for the specified boot (-5)",
			&ArgumentError{Flag: "boot"},
		},
		"a pattern without a reason": {"exit 1", "Failed to compile pattern\n", "Failed to compile pattern", &ArgumentError{Flag: "grep"}},
		"a failure": {"exit 1", "Failed to open journal: Input/output error\n",
			"journalctl: Failed to open journal: Input/output error", nil},
		"killed": {"kill -9 $$", "", "journalctl ended: signal: killed", nil},
	} {
		err := explain(exitError(t, c.script), c.stderr)
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		var wrong *ArgumentError
		switch found := errors.As(err, &wrong); {
		case found != (c.argument != nil):
			t.Errorf("%s: got an error of type %T, want an ArgumentError: %v", name, err, c.argument != nil)
		case found && (wrong.Flag != c.argument.Flag || wrong.Reason != c.argument.Reason):
			t.Errorf("%s: got %+v, want %+v", name, *wrong, *c.argument)
		}
	}
}
