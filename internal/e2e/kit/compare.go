package kit

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// Difference returns the lines that only after has, and the lines that only before has. Lines that occur several times are
// counted.
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

// WantSameLines fails the test when a machine does not hold what it held before.
func WantSameLines(t testing.TB, before, after []string) {
	t.Helper()
	more, fewer := Difference(before, after)
	for _, l := range more {
		t.Errorf("left behind: %s", l)
	}
	for _, l := range fewer {
		t.Errorf("gone: %s", l)
	}
}

// WantOutput fails the test when the output of a command lacks one of the texts.
func WantOutput(t testing.TB, r lab.Result, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(r.Stdout+r.Stderr, s) {
			t.Errorf("the output lacks %q:\n%v", s, r)
		}
	}
}

// WantReplaced fails the test when an instance still has the main process that it had before, or has none.
func WantReplaced(t testing.TB, before, after []int) {
	t.Helper()
	for i, pid := range after {
		if pid == 0 || slices.Contains(before, pid) {
			t.Errorf("instance %d of these was not replaced: the PIDs were %v, and are %v", i+1, before, after)
		}
	}
}

// WantNotReplaced fails the test when an instance has another main process than before.
func WantNotReplaced(t testing.TB, before, after []int) {
	t.Helper()
	if !slices.Equal(before, after) {
		t.Errorf("instances were replaced: the PIDs were %v, and are %v", before, after)
	}
}
