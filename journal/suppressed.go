package journal

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// suppressedTime limits the search. An index finds the messages, but a journal may be large and the disk slow.
const suppressedTime = 10 * time.Second

// Suppressed returns how many messages of units the journal has dropped since boot because of LogRateLimitBurst=. The
// journal reports a number only with the next message after the interval, so the last dropped messages may not be counted
// yet. namespace is the units' journal namespace, or empty. is reports which units count.
//
// Suppressed needs the same rights as [Tail]; without them, the result is 0.
func Suppressed(ctx context.Context, namespace string, is func(unit string) bool) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, suppressedTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", append(suppressedArguments(), namespaceArgument(namespace)...)...).Output()
	if err != nil {
		return 0, fmt.Errorf("reading the number of suppressed messages: %w", err)
	}
	return countSuppressed(string(out), is), nil
}

// suppressedArguments selects the journal's own message (sd-messages.h, SD_MESSAGE_JOURNAL_DROPPED). Any process can send
// a message with this ID, but only journald has the transport "driver".
func suppressedArguments() []string {
	return []string{"--boot", "--output=cat", "--no-pager", "--quiet", "_TRANSPORT=driver", "MESSAGE_ID=" + suppressedID}
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
