package manage

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/clusterctl/clusterctl/units"
)

func TestScaleSteps(t *testing.T) {
	for _, c := range []struct {
		from, to, listed int
		up, down         []int
	}{
		{2, 4, 2, []int{3, 4}, nil},
		{4, 1, 4, nil, []int{4, 3, 2}},
		{2, 4, 4, []int{3, 4}, nil}, // from max, with more listed instances than CPUs
		{2, 2, 4, nil, []int{4, 3}}, // from max to the same number
		{4, 2, 4, nil, []int{4, 3}}, // to max, on fewer CPUs
		{3, 3, 3, nil, nil},         // no change
		{2, 6, 8, nil, []int{8, 7}}, // more instances, and a shorter list
	} {
		up, down := scaleSteps(c.from, c.to, c.listed)
		if c.from == 2 && c.to == 6 {
			c.up = []int{3, 4, 5, 6}
		}
		if d := cmp.Diff([][]int{c.up, c.down}, [][]int{up, down}); d != "" {
			t.Errorf("%+v: the instances differ (-want +got):\n%s", c, d)
		}
	}
}

// TestToday checks that "max" depends on the current CPUs, and that a percentage or -1 means the number of listed instances.
func TestToday(t *testing.T) {
	two := units.CPUs{Affinity: 2}
	for _, c := range []struct {
		count        units.Count
		cpus         units.CPUs
		listed, want int
	}{
		{units.Count{N: 3}, two, 3, 3},
		{units.Count{Max: true}, two, 4, 2},
		{units.Count{Max: true}, two, 1, 1},
		{units.Count{}, two, 1, 1},
		{units.Count{Percent: 50}, two, 4, 4}, // installed on a larger machine
		{units.Count{Max: true}, units.CPUs{Affinity: 4, Quota: 2}, 2, 2},
		{units.Count{N: -1}, two, 3, 3},
	} {
		if got := c.count.Today(c.cpus, c.listed); got != c.want {
			t.Errorf("%v with %d listed instances and %+v: got %d, want %d", c.count, c.listed, c.cpus, got, c.want)
		}
	}
}
