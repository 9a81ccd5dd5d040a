package drain_test

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// TestAsleep: a thread in state D, which continues without an event, may still call accept, even after a long time. A thread
// that computes is awake, but has moved on after a while.
func TestAsleep(t *testing.T) {
	c := newCluster(t, nil)
	start := func(argument, state string) []int {
		w := &worker{cgroup: c.cgroup()}
		w.cmd = c.command(w.cgroup, "/proc/self/exe", argument)
		if err := w.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.kill)
		await(t, func() bool { return slices.Contains(states(w.cmd.Process.Pid), state) })
		return []int{w.cmd.Process.Pid}
	}
	waits := start("wait", "D")
	before := drain.RanSoFar(waits)
	for range 100 {
		if drain.Asleep(waits) || drain.MovedOn(waits, before) {
			t.Fatalf("asleep or movedOn returned true with threads in state %v", states(waits[0]))
		}
	}
	computes := start("compute", "R")
	before = drain.RanSoFar(computes)
	await(t, func() bool { return drain.MovedOn(computes, before) })
	if drain.Asleep(computes) {
		t.Errorf("asleep returned true with threads in state %v", states(computes[0]))
	}
}
