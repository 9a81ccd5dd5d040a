package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRoll(t *testing.T) {
	for _, c := range []struct {
		instances           []int
		above, batch, surge int
		want                []Step
	}{
		{nil, 3, 1, 1, nil},
		{[]int{1, 2, 3}, 3, 1, 0, []Step{{Restart, []int{1}}, {Restart, []int{2}}, {Restart, []int{3}}}},
		{[]int{1, 2, 3}, 3, 0, 0, []Step{{Restart, []int{1}}, {Restart, []int{2}}, {Restart, []int{3}}}},
		{[]int{1, 2, 3}, 3, 2, 1, []Step{{Start, []int{4}}, {Restart, []int{1, 2}}, {Restart, []int{3}}, {Stop, []int{4}}}},
		{[]int{2, 9, 4}, 12, 9, 2, []Step{{Start, []int{13, 14}}, {Restart, []int{2, 9, 4}}, {Stop, []int{13, 14}}}},
	} {
		if d := cmp.Diff(c.want, Roll(c.instances, c.above, c.batch, c.surge)); d != "" {
			t.Errorf("instances %v, batch %d, surge %d (-want +got):\n%s", c.instances, c.batch, c.surge, d)
		}
	}
}

// TestRollInvariants checks that a plan restarts each instance once and in order, at most batch at a time, and that the
// capacity does not fall if batch <= surge.
func TestRollInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		batch, surge := rapid.IntRange(-1, 50).Draw(t, "batch"), rapid.IntRange(-1, 5).Draw(t, "surge")
		var instances []int
		for i := range n {
			instances = append(instances, i+1)
		}
		running, restarted := n, 0
		for _, s := range Roll(instances, n, batch, surge) {
			switch s.Op {
			case Start:
				running += len(s.Instances)
			case Stop:
				running -= len(s.Instances)
			case Restart:
				if len(s.Instances) > max(batch, 1) {
					t.Fatalf("a step restarts %d instances", len(s.Instances))
				}
				if max(batch, 1) <= surge && running-len(s.Instances) < n {
					t.Fatalf("only %d of %d instances run during a step", running-len(s.Instances), n)
				}
				for _, i := range s.Instances {
					if restarted++; i != restarted {
						t.Fatalf("instance %d is restarted where %d must be", i, restarted)
					}
				}
			}
		}
		if restarted != n || running != n {
			t.Fatalf("%d instances are restarted and %d run at the end, want %d", restarted, running, n)
		}
	})
}
