package kit

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// Difference returns the lines that occur only in after, and the lines that occur only in before. A line that occurs
// several times is matched that many times.
func Difference(before, after []string) (more, fewer []string) {
	fewer = slices.Clone(before)
	for _, l := range after {
		if i := slices.Index(fewer, l); i >= 0 {
			fewer = slices.Delete(fewer, i, i+1)
			continue
		}
		more = append(more, l)
	}
	return more, fewer
}

// WantSameLines fails the test when the two lists, taken on a machine before and after a test, differ in more than their
// order.
func WantSameLines(t testing.TB, before, after []string) {
	t.Helper()
	more, fewer := Difference(before, after)
	for _, l := range more {
		t.Errorf("only after the test: %s", l)
	}
	for _, l := range fewer {
		t.Errorf("only before the test: %s", l)
	}
}

// WantOutput fails the test when one of the texts is missing in the output of a command.
func WantOutput(t testing.TB, r lab.Result, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(r.Stdout+r.Stderr, s) {
			t.Errorf("%q is missing in the output:\n%v", s, r)
		}
	}
}

// WantReplaced fails the test when an instance has no main process or still has a main process from before.
func WantReplaced(t testing.TB, before, after []int) {
	t.Helper()
	for i, pid := range after {
		if pid == 0 || slices.Contains(before, pid) {
			t.Errorf("instance %d was not replaced: PIDs %v, then %v", i+1, before, after)
		}
	}
}

// WantNotReplaced fails the test when the main process of an instance has changed.
func WantNotReplaced(t testing.TB, before, after []int) {
	t.Helper()
	if !slices.Equal(before, after) {
		t.Errorf("instances were replaced: PIDs %v, then %v", before, after)
	}
}
