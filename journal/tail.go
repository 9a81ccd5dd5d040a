package journal

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Tail gives the last n messages of a unit and of systemd about it, oldest first, that are not older than since. The
// namespace is that of the unit's own journal, or "".
//
// Reading the system journal takes root or a member of the groups adm or systemd-journal; without that the result is
// empty, not an error (journalctl(1)).
func Tail(ctx context.Context, unit, namespace string, n int, since time.Time) ([]string, error) {
	// What a worker wrote just before it ended may still be on its way.
	settle(ctx, unit, namespace)
	out, err := output(ctx, tailArguments(unit, namespace, n, since)...)
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", unit, err)
	}
	text := strings.TrimRight(out, "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// tailArguments asks for plain messages. The time is in seconds and rounded down: "@" takes no fraction before 255.
func tailArguments(unit, namespace string, n int, since time.Time) []string {
	args := []string{
		"--unit=" + unit, "--lines=" + strconv.Itoa(n), "--since=@" + strconv.FormatInt(since.Unix(), 10),
		"--output=cat", "--no-pager", "--quiet", "--all",
	}
	if namespace != "" {
		// "+": with that of the machine, where systemd's own messages are.
		args = append(args, "--namespace=+"+namespace)
	}
	return args
}
