package journal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusterctl/clusterctl/activation/shim/contract"
	"golang.org/x/sys/unix"
)

// Tail returns the last n lines of a unit since a time, including the messages of systemd about the unit, oldest first.
// The parameter namespace is the journal namespace of the unit, or "". Before these lines, Tail returns up to n earlier
// lines of clusterctl-shim from the last 10 * n messages, because lines of the shim give the cause of a failure, and the
// program may write a long stack trace after them.
//
// The parameter since must be a result of [time.Now]. Tail compares the monotonic time of the entries of this boot, so a
// change of the clock does not change the result.
//
// Only root and the members of the groups adm and systemd-journal can read the system journal. For other users, Tail
// returns no lines and no error.
func Tail(ctx context.Context, unit, namespace string, n int, since time.Time) ([]string, error) {
	from, err := monotonicTime(since)
	if err != nil {
		return nil, err
	}
	// journald may not have read the last lines of a worker yet.
	syncJournald(ctx, unit, namespace)
	out, err := output(ctx, tailArguments(unit, namespace, 10*n)...)
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", unit, err)
	}
	lines, err := tailLines(out, from)
	if err != nil {
		return nil, fmt.Errorf("reading the journal of %s: %w", unit, err)
	}
	return lastLines(lines, n), nil
}

func lastLines(lines []string, n int) []string {
	last := max(len(lines)-n, 0)
	own := slices.DeleteFunc(slices.Clone(lines[:last]), func(l string) bool { return !strings.HasPrefix(l, contract.LogPrefix) })
	return append(own[max(len(own)-n, 0):], lines[last:]...)
}

// monotonicTime returns the time of t on CLOCK_MONOTONIC, which journald stores with each entry. The result
// may be slightly too early, but never too late.
func monotonicTime(t time.Time) (time.Duration, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0, fmt.Errorf("reading the clock: %w", err)
	}
	return time.Duration(now.Nano()) - time.Since(t), nil
}

// tailArguments returns the arguments of journalctl(1) for the last n entries of this boot.
func tailArguments(unit, namespace string, n int) []string {
	return append([]string{
		"--unit=" + unit, "--lines=" + strconv.Itoa(n), "--boot",
		"--output=export", "--output-fields=MESSAGE", "--no-pager", "--quiet",
	}, Query{Scopes: []Scope{{Namespace: namespace}}}.namespaces()...)
}

// tailLines returns the lines of the messages that are not older than the parameter from, a time on CLOCK_MONOTONIC.
func tailLines(export string, from time.Duration) (lines []string, err error) {
	for e, err := range Entries(strings.NewReader(export)) {
		if err != nil {
			return nil, err
		}
		at, err := strconv.ParseInt(string(e.Get("__MONOTONIC_TIMESTAMP")), 10, 64)
		if err == nil && time.Duration(at)*time.Microsecond < from.Truncate(time.Microsecond) {
			continue
		}
		if m := strings.TrimRight(string(e.Get("MESSAGE")), "\n"); m != "" {
			lines = append(lines, strings.Split(m, "\n")...)
		}
	}
	return lines, nil
}

// Suppressed returns how many messages of units journald has dropped since boot because of LogRateLimitBurst=. journald
// logs the number of dropped messages with the next message after the interval, so the newest dropped messages may be
// missing in the result. The parameter namespace is the journal namespace of the units, or empty. Suppressed counts the
// messages of a unit only if the function is returns true.
//
// Suppressed needs the same rights as [Tail]. Without these rights, the result is 0.
func Suppressed(ctx context.Context, namespace string, is func(unit string) bool) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // a journal may be large, and the disk slow
	defer cancel()
	// Any process can send a message with this ID, but only messages of journald have the transport "driver".
	out, err := output(ctx, append(namespaceArgument(namespace), "--boot", "--output=cat", "--no-pager", "--quiet",
		"_TRANSPORT=driver", "MESSAGE_ID="+suppressedID)...)
	if err != nil {
		return 0, fmt.Errorf("reading the number of suppressed messages: %w", err)
	}
	return countSuppressed(out, is), nil
}

// countSuppressed returns the sum of lines such as "Suppressed 123 messages from web@1.service".
func countSuppressed(text string, is func(unit string) bool) int64 {
	total := int64(0)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != "Suppressed" || f[3] != "from" || !is(f[4]) {
			continue
		}
		if n, err := strconv.ParseInt(f[1], 10, 64); err == nil && n > 0 {
			total += n
		}
	}
	return total
}
