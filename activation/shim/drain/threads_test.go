package drain_test

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// TestAsleep: a thread that waits for the kernel, not for an event, goes on by
// itself, and may be on its way to accept, however long that takes; one that
// computes is not.
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
			t.Fatalf("no accept can follow, with threads in %v", states(waits[0]))
		}
	}
	computes := start("compute", "R")
	before = drain.RanSoFar(computes)
	await(t, func() bool { return drain.MovedOn(computes, before) })
	if drain.Asleep(computes) {
		t.Errorf("asleep, with threads in %v", states(computes[0]))
	}
}
