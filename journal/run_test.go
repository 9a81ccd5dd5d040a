package journal

import (
	"errors"
	"os/exec"
	"testing"
)

// ended gives the error of a program that ends with this status.
func ended(t *testing.T, script string) error {
	t.Helper()
	return exec.Command("sh", "-c", script).Run()
}

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		script, stderr, want string
		argument             bool
	}{
		"all is well":        {"exit 0", "", "", false},
		"grep found nothing": {"exit 1", "", "", false},
		"a wrong time":       {"exit 1", "\x1b[0;1;31mFailed to parse timestamp: foo\x1b[0m\n", "Failed to parse timestamp: foo", true},
		"a wrong pattern":    {"exit 1", "Bad pattern \"a(\": missing closing parenthesis\nmore\n", "Bad pattern \"a(\": missing closing parenthesis", true},
		"a failure":          {"exit 1", "Failed to open journal: Input/output error\n", "journalctl: Failed to open journal: Input/output error", false},
		"killed":             {"kill -9 $$", "", "journalctl ended: signal: killed", false},
	} {
		err := explain(ended(t, c.script), c.stderr)
		var wrong *ArgumentError
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want || errors.As(err, &wrong) != c.argument {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
