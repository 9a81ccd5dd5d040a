package kit

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
)

// Difference compares two lists of lines, without regard to their order. The result more contains the lines that occur
// more often in the list after than in the list before. The result fewer contains the lines that occur more often in the
// list before than in the list after.
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

// WantSameLines fails the test unless both lists contain the same lines. The order of the lines does not matter.
func WantSameLines(t testing.TB, before, after []string) {
	t.Helper()
	more, fewer := Difference(before, after)
	for _, l := range more {
		t.Errorf("this line was added: %s", l)
	}
	for _, l := range fewer {
		t.Errorf("this line was removed: %s", l)
	}
}

// WantOutput fails the test unless the output of a command contains all texts.
func WantOutput(t testing.TB, r lab.Result, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if !strings.Contains(r.Stdout+r.Stderr, s) {
			t.Errorf("%q is missing in the output:\n%v", s, r)
		}
	}
}

// WantReplaced fails the test unless every PID in the list after is new: the PID must not be 0, and must not be in the
// list before. Each element of a list is the PID of one instance.
func WantReplaced(t testing.TB, before, after []int) {
	t.Helper()
	for i, pid := range after {
		if pid == 0 || slices.Contains(before, pid) {
			t.Errorf("instance %d has no new process: the PIDs were %v, and are %v", i+1, before, after)
		}
	}
}

// WantNotReplaced fails the test unless both lists of PIDs are equal. Each element of a list is the PID of one instance.
func WantNotReplaced(t testing.TB, before, after []int) {
	t.Helper()
	if !slices.Equal(before, after) {
		t.Errorf("instances have new processes: the PIDs were %v, and are %v", before, after)
	}
}
