package journal

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// suppressedTime bounds the search: the messages are found by an index, but a journal may be large and the disk slow.
const suppressedTime = 10 * time.Second

// Suppressed counts the messages of units that the journal has dropped since the machine was booted, because there were
// more than LogRateLimitBurst= allows. The journal says how many only when the next message comes after the interval, so
// the last ones may not be counted yet. namespace names the units' own journal, or is empty. is reports which units count.
//
// It takes the same rights as [Tail]; without them the result is 0.
func Suppressed(ctx context.Context, namespace string, is func(unit string) bool) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, suppressedTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", append(suppressedArguments(), namespaceArgument(namespace)...)...).Output()
	if err != nil {
		return 0, fmt.Errorf("reading what the journal has suppressed: %w", err)
	}
	return countSuppressed(string(out), is), nil
}

// suppressedArguments asks for the journal's own message about it (sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED). Everybody
// can send a message with that ID, but only journald is its driver.
func suppressedArguments() []string {
	return []string{"--boot", "--output=cat", "--no-pager", "--quiet", "_TRANSPORT=driver", "MESSAGE_ID=" + suppressedID}
}

// countSuppressed reads lines of "Suppressed 123 messages from web@1.service".
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
