//go:build lab

package e2e

import (
	"strings"
	"sync"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// watchFewestReady watches units. The returned function returns the smallest number of units that were active at the same
// time.
func watchFewestReady(t testing.TB, b *kit.Bus, units ...string) func() int {
	t.Helper()
	var mu sync.Mutex
	active, fewest := make(map[string]bool), -1
	changes := b.Watch(t, units...)
	go func() {
		for s := range changes {
			mu.Lock()
			active[s.Unit] = s.IsActive()
			n := 0
			for _, is := range active {
				if is {
					n++
				}
			}
			if len(active) == len(units) && (fewest < 0 || n < fewest) {
				fewest = n
			}
			mu.Unlock()
		}
	}()
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return fewest
	}
}

// TestSurgeKeepsAllInstancesReady reloads an app that was scaled to max. With --surge, the number of ready instances must
// never be lower than the number of instances of the app. Without --surge, one instance must be missing during the
// reload, which shows that the test can fail.
func TestSurgeKeepsAllInstancesReady(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "surge", 2, 8620, "--", goWorker)
		m.Must(t, "scale", a.Name, "max", "--settle", "50ms")
		a.Instances = len(kit.Lines(m.Sh(t, "nproc | xargs seq")))
		listed := len(strings.Fields(m.Sh(t, "systemctl show -p Wants --value "+a.Service()+" | xargs -n 1 | grep @")))
		if listed <= a.Instances {
			t.Fatalf("the main service lists %d instances for %d CPUs, want more instances than CPUs", listed, a.Instances)
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
			kit.WantReplaced(t, before, a.PIDs(t))
			if got := fewest(); got != c.want {
				t.Errorf("reload %v: the smallest number of ready instances was %d, want %d", c.args, got, c.want)
			}
			wantNoTraces(t, a)
		}
		loads.WantNoneLost(t, "reloads with and without --surge")
		files := m.Sh(t, "ls /run/clusterctl/surge")
		if n := len(kit.Lines(files)); n != listed && n != a.Instances {
			t.Errorf("/run/clusterctl/surge has %d files, want %d or %d: %s", n, listed, a.Instances, files)
		}
		for _, u := range []string{"surge@0", "surge@2"} {
			if r := m.Clusterctl(t, "reload", u, "--surge", "1"); r.Code != usage {
				t.Errorf("reload %s --surge 1: got exit status %d, want %d: %v", u, r.Code, usage, r)
			}
		}
	})
}
