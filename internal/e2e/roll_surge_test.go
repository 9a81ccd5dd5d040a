//go:build lab

package e2e

import (
	"strings"
	"sync"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// fewest watches units and remembers the smallest number of them that were up at the same time.
func (b *bus) fewest(t testing.TB, units ...string) func() int {
	t.Helper()
	var mu sync.Mutex
	last, least := make(map[string]bool), -1
	changes := b.watch(t, units...)
	go func() {
		for s := range changes {
			mu.Lock()
			last[s.unit] = running(s)
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

// TestSurge: with an extra instance there are never fewer ready instances than the app has, also where the number of CPUs
// would keep the extra one down; and without it there are, so that the count can fail.
func TestSurge(t *testing.T) {
	on(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "surge", 2, 8620, "--", goWorker)
		must(t, m, "scale", a.name, "max", "--settle", "50ms")
		a.n = len(lines(m.Sh(t, "nproc | xargs seq")))
		listed := len(strings.Fields(m.Sh(t, "systemctl show -p Wants --value "+a.service()+" | xargs -n 1 | grep @")))
		if listed <= a.n {
			t.Fatalf("%d instances are listed for %d CPUs", listed, a.n)
		}
		a.wantUp(t)
		watched := a
		watched.n = listed + 2
		run_ := load.Start(t, m, load.Options{URL: a.url, Conns: 4, Rate: 200})
		kept := load.Start(t, m, load.Options{URL: a.url, Conns: 4, Rate: 200, KeepAlive: true})
		for _, c := range []struct {
			args []string
			want int
		}{
			{[]string{"--surge", "1"}, a.n},
			{[]string{"--surge", "2", "--batch", "2"}, a.n},
			{nil, a.n - 1},
		} {
			b := dialBus(t, m)
			fewest := b.fewest(t, watched.instances()...)
			before := a.pids(t)
			must(t, m, append([]string{"reload", a.name, "--settle", "100ms"}, c.args...)...)
			for i, pid := range a.pids(t) {
				if pid == before[i] {
					t.Errorf("%v: instance %d was not replaced", c.args, i+1)
				}
			}
			if got := fewest(); got != c.want {
				t.Errorf("reload %v: there were as few as %d ready, want %d", c.args, got, c.want)
			}
			a.wantSound(t)
		}
		for _, l := range []*load.Run{run_, kept} {
			if r := l.Stop(); r.Failed() > 0 || r.OK == 0 {
				t.Errorf("requests were lost: %v", r)
			}
		}
		if left := m.Sh(t, "ls /run/clusterctl/surge"); len(lines(left)) != listed && len(lines(left)) != a.n {
			t.Errorf("of the extra instances something is left: %s", left)
		}
		for u, want := range map[string]int{"surge@0": usage, "surge@2": usage} {
			if r := run(t, m, "reload", u, "--surge", "1"); r.Code != want {
				t.Errorf("reload %s --surge 1: %v", u, r)
			}
		}
	})
}
