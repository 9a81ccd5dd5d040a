//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestRollingRestart restarts the workers one after the other, 50 times, under the load of clients that never retry. No
// request may fail, neither a request that a worker has accepted before its stop signal, nor a request on a kept
// connection.
func TestRollingRestart(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "rolling", 3, 8150, "--", goWorker)
		loads := startLoads(t, a)
		// Run all restarts in one shell, because entering the machine takes as long as a restart.
		m.Sh(t, "for i in $(seq 50); do systemctl restart rolling@$((i % 3 + 1)); done")
		loads.WantNoneLost(t, "50 restarts, one at a time")
		wantNoShortRuns(t, a)
		a.WantUp(t)
	})
}

// wantNoShortRuns fails the test when the backoff has counted a short run. A manual stop is not a crash, even after a short
// run, so the next start must not wait.
func wantNoShortRuns(t testing.TB, a kit.App) {
	t.Helper()
	for i := range a.Instances {
		if b := a.Machine.Sh(t, fmt.Sprintf("cat /run/clusterctl/%s/%d.backoff", a.Name, i+1)); !strings.Contains(b, "failures=0\n") {
			t.Errorf("the backoff file of instance %d after manual restarts:\n%s", i+1, b)
		}
	}
}

// TestReload replaces all workers with "systemctl reload", as an administrator does.
func TestReload(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "reload", 3, 8151, "--", goWorker)
		before := a.PIDs(t)
		loads := startLoads(t, a)
		m.Sh(t, "systemctl reload "+a.Name)
		loads.WantNoneLost(t, "a reload")
		kit.WantReplaced(t, before, a.PIDs(t))
		wantNoShortRuns(t, a)
		a.WantUp(t)
	})
}

// TestReloadStopsAtABrokenInstance: a reload ends at the first instance that does not come back, and the other instances
// continue to run.
func TestReloadStopsAtABrokenInstance(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/breaks"
		m.WriteFile(t, program, fmt.Sprintf("#!/bin/sh\nexec %s\n", goWorker), 0o755)
		a := kit.InstallNative(t, m, "breaks", 3, 8152, "--ready", "notify", "--", program)
		before := a.PIDs(t)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		m.WriteFile(t, program, "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
		if r := m.Try("systemctl reload " + a.Name); r.Code == 0 {
			t.Error("a reload to a broken program succeeds")
		}
		r := run.Stop()
		t.Logf("a reload to a broken program: %v", r)
		if r.Failed() > 0 {
			t.Error("requests were lost")
		}
		m.WantState(t, "active", a.Socket(), a.Service(), a.Unit(2), a.Unit(3))
		if after := []int{m.MainPID(t, a.Unit(2)), m.MainPID(t, a.Unit(3))}; after[0] != before[1] || after[1] != before[2] {
			t.Errorf("other instances were replaced: %v, then %v", before, after)
		}
		// When the program is fixed, the broken instance comes back without help, because systemd keeps restarting it.
		m.WriteFile(t, program, fmt.Sprintf("#!/bin/sh\nexec %s\n", goWorker), 0o755)
		kit.DialBus(t, m).Await(t, "the broken instance is back", kit.Status.IsActive, a.Unit(1))
		a.WantUp(t)
	})
}
