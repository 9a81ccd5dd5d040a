package drain_test

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/activation/shim/drain"
)

// TestAsleep: a thread in state D is awake and does not run, so it may still call accept, even after a long time. A thread
// that computes is awake too, but after a while it has run for long enough.
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
	before := drain.CPUUsages(waits)
	for range 100 {
		if drain.Asleep(waits) || drain.AllHaveRun(waits, before) {
			t.Fatalf("asleep or allHaveRun returned true with threads in state %v", states(waits[0]))
		}
	}
	computes := start("compute", "R")
	before = drain.CPUUsages(computes)
	await(t, func() bool { return drain.AllHaveRun(computes, before) })
	if drain.Asleep(computes) {
		t.Errorf("asleep returned true with threads in state %v", states(computes[0]))
	}
}
