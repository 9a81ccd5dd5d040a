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

// TestBusCallsGrowLinearly counts the calls that commands send to systemd. For twice as many instances, a command may
// send at most twice as many calls. No command may list all units of the machine.
func TestBusCallsGrowLinearly(t *testing.T) {
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
					t.Errorf("%q calls %s %d times, want no call", args, member, calls[member])
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
			t.Errorf("clusterctl ls of 32 units: got %d calls, want at most 36", one[0])
		}
		sleeper("many-e", 8323)
		for i, c := range commands {
			if two := count(c...); two > 2*one[i]+8 { // a command may send 8 more calls for new connections to the bus
				t.Errorf("%q: %d calls for 30 instances and %d for 60, want at most %d for 60", c, one[i], two, 2*one[i]+8)
			}
		}
	})
}
