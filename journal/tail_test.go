package journal

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTailArguments(t *testing.T) {
	got := tailArguments("shop@1.service", "", 10)
	want := []string{"--unit=shop@1.service", "--lines=10", "--boot", "--output=export", "--output-fields=MESSAGE", "--no-pager", "--quiet"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTailAfterStep checks that a change of the clock does not change the result. A change of the clock changes the
// real time of later entries, but not their monotonic time.
func TestTailAfterStep(t *testing.T) {
	at := func(realtime, monotonic time.Duration, message string) Entry {
		return entry("__CURSOR", "s=1", "__REALTIME_TIMESTAMP", fmt.Sprint(realtime.Microseconds()),
			"__MONOTONIC_TIMESTAMP", fmt.Sprint(monotonic.Microseconds()), "MESSAGE", message)
	}
	const start = 500 * time.Second
	export := encode(
		at(9000*time.Second, start-time.Microsecond, "an earlier run"),
		at(9000*time.Second, start, "starting"),
		at(100*time.Second, start+time.Second, "after a step back\nof two lines\n"),
		at(99000*time.Second, start+2*time.Second, "after a step forward"),
		at(99000*time.Second, start+3*time.Second, ""),
		at(99000*time.Second, start+4*time.Second, "no text \x00 \xff"),
	)
	got, err := tailLines(string(export), start+999*time.Nanosecond)
	want := []string{"starting", "after a step back", "of two lines", "after a step forward", "no text \x00 \xff"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, error %v, want %q", got, err, want)
	}
}

// TestLastLines checks that lastLines also returns earlier lines of the shim.
func TestLastLines(t *testing.T) {
	lines := []string{"starting", "clusterctl-shim: cannot read", "clusterctl-shim: hint: x", "Error", "at 1", "at 2",
		"clusterctl-shim: ends", "Stopped"}
	for n, want := range map[int][]string{
		9: lines,
		8: lines,
		7: lines[1:],
		3: {"clusterctl-shim: cannot read", "clusterctl-shim: hint: x", "at 2", "clusterctl-shim: ends", "Stopped"},
		1: {"clusterctl-shim: ends", "Stopped"},
	} {
		if got := lastLines(lines, n); !slices.Equal(got, want) {
			t.Errorf("the last %d lines: got %q, want %q", n, got, want)
		}
	}
}

// TestMonotonic checks that monotonicTime converts a result of time.Now to the monotonic clock.
func TestMonotonic(t *testing.T) {
	var clock [4]time.Duration
	read := func(i int) {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
			t.Fatal(err)
		}
		clock[i] = time.Duration(now.Nano())
	}
	read(0)
	moment := time.Now()
	read(1)
	read(2)
	got, err := monotonicTime(moment)
	read(3)
	// monotonicTime reads two clocks one after the other, so the result may be too early by at most the
	// duration of the call.
	if earliest := clock[0] - (clock[3] - clock[2]); err != nil || got < earliest || got > clock[1] {
		t.Errorf("got %v, error %v, want a time between %v and %v", got, err, earliest, clock[1])
	}
}

func TestCountSuppressed(t *testing.T) {
	const text = "Suppressed 120 messages from web@1.service\nSuppressed 3 messages from web@12.service\n" +
		"Suppressed 7 messages from other@1.service\n" +
		"Suppressed -4 messages from web@1.service\nSuppressed x messages from web@1.service\nSuppressed 5 messages\n\n"
	if got := countSuppressed(text, func(unit string) bool { return strings.HasPrefix(unit, "web@") }); got != 123 {
		t.Errorf("got %d suppressed messages, want 123", got)
	}
	if got := countSuppressed("", nil); got != 0 {
		t.Errorf("no lines: got %d suppressed messages, want 0", got)
	}
}
