//go:build lab

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestBusCallsGrowWithInstances: for every command, twice the instances cost at most twice the calls to systemd, and no
// command lists all units.
func TestBusCallsGrowWithInstances(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		sleeper := func(name string, port int) {
			kit.InstallNative(t, m, name, 30, port, "--sandbox", "off", "--ready", "exec", "--settle", "0s", "--", "/bin/sleep", "infinity")
		}
		count := func(args ...string) int {
			t.Helper()
			calls := countCalls(t, m, func() { m.Must(t, args...) })
			total := 0
			for _, member := range slices.Sorted(maps.Keys(calls)) {
				total += calls[member]
				if member == "ListUnits" || member == "ListUnitsFiltered" || member == "Introspect" {
					t.Errorf("%q: %d calls of %s", args, calls[member], member)
				}
			}
			t.Logf("%d calls: clusterctl %s: %v", total, strings.Join(args, " "), calls)
			return total
		}
		commands := [][]string{{"ls"}, {"ls", "-a", "--no-cpu"}, {"show", "all"}, {"env", "all"}, {"stop", "all"},
			{"start", "all", "--settle", "0s"}}
		sleeper("many-d", 8322)
		var one []int
		for _, c := range commands {
			one = append(one, count(c...))
		}
		if one[0] > 32+4 {
			t.Errorf("ls of 32 units: %d calls", one[0])
		}
		sleeper("many-e", 8323)
		for i, c := range commands {
			if two := count(c...); two > 2*one[i]+8 { // plus a few calls for each new connection
				t.Errorf("%q: %d calls for 30 instances, but %d for 60", c, one[i], two)
			}
		}
	})
}
