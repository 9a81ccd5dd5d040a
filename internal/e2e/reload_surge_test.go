//go:build lab

package e2e

import (
	"strings"
	"sync"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// watchFewestReady watches units, and returns a function that returns the smallest number of units that were active
// together.
func watchFewestReady(t testing.TB, b *kit.Bus, units ...string) func() int {
	t.Helper()
	var mu sync.Mutex
	last, least := make(map[string]bool), -1
	changes := b.Watch(t, units...)
	go func() {
		for s := range changes {
			mu.Lock()
			last[s.Unit] = s.IsActive()
			up := 0
			for _, is := range last {
				if is {
					up++
				}
			}
			if len(last) == len(units) && (least < 0 || up < least) {
				least = up
			}
			mu.Unlock()
		}
	}()
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return least
	}
}

// TestSurgeKeepsAllInstancesReady: with an extra instance, the number of ready instances never falls below the number of
// instances of the app, even if the number of CPUs would keep the extra instance down. Without the extra instance it does
// fall, which shows that the test can fail.
func TestSurgeKeepsAllInstancesReady(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "surge", 2, 8620, "--", goWorker)
		m.Must(t, "scale", a.Name, "max", "--settle", "50ms")
		a.Instances = len(kit.Lines(m.Sh(t, "nproc | xargs seq")))
		listed := len(strings.Fields(m.Sh(t, "systemctl show -p Wants --value "+a.Service()+" | xargs -n 1 | grep @")))
		if listed <= a.Instances {
			t.Fatalf("%d instances are listed for %d CPUs", listed, a.Instances)
		}
		a.WantUp(t)
		watched := a
		watched.Instances = listed + 2
		loads := startLoads(t, a)
		for _, c := range []struct {
			args []string
			want int
		}{
			{[]string{"--surge", "1"}, a.Instances},
			{[]string{"--surge", "2", "--batch", "2"}, a.Instances},
			{nil, a.Instances - 1},
		} {
			b := kit.DialBus(t, m)
			fewest := watchFewestReady(t, b, watched.Units()...)
			before := a.PIDs(t)
			m.Must(t, append([]string{"reload", a.Name, "--settle", "100ms"}, c.args...)...)
			for i, pid := range a.PIDs(t) {
				if pid == before[i] {
					t.Errorf("%v: instance %d was not replaced", c.args, i+1)
				}
			}
			if got := fewest(); got != c.want {
				t.Errorf("reload %v: the smallest number of ready instances was %d, want %d", c.args, got, c.want)
			}
			wantNoTraces(t, a)
		}
		loads.WantNoneLost(t, "reloads with and without a surge")
		if left := m.Sh(t, "ls /run/clusterctl/surge"); len(kit.Lines(left)) != listed && len(kit.Lines(left)) != a.Instances {
			t.Errorf("files of the extra instances are left: %s", left)
		}
		for u, want := range map[string]int{"surge@0": usage, "surge@2": usage} {
			if r := m.Clusterctl(t, "reload", u, "--surge", "1"); r.Code != want {
				t.Errorf("reload %s --surge 1: %v", u, r)
			}
		}
	})
}
