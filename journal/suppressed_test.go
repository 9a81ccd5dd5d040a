package journal

import (
	"strings"
	"testing"
)

func TestCountSuppressed(t *testing.T) {
	const text = "Suppressed 120 messages from web@1.service\nSuppressed 3 messages from web@12.service\n" +
		"Suppressed 7 messages from other@1.service\n" +
		"Suppressed -4 messages from web@1.service\nSuppressed x messages from web@1.service\nSuppressed 5 messages\n\n"
	if got := countSuppressed(text, func(unit string) bool { return strings.HasPrefix(unit, "web@") }); got != 123 {
		t.Errorf("got %d", got)
	}
	if got := countSuppressed("", nil); got != 0 {
		t.Errorf("got %d", got)
	}
}
