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

// TestRollingRestart restarts one worker after another, 50 times, while clients send requests. The clients do not repeat
// failed requests. No request may fail, on a new or on a keep-alive connection.
func TestRollingRestart(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "rolling", 3, 8150, "--", goWorker)
		loads := startLoads(t, a)
		// All restarts run in one shell, because each m.Sh takes as long as a restart.
		m.Sh(t, "for i in $(seq 50); do systemctl restart rolling@$((i % 3 + 1)); done")
		loads.WantNoneLost(t, "50 restarts, one at a time")
		wantNoShortRuns(t, a)
		a.WantUp(t)
	})
}

// wantNoShortRuns fails the test unless every backoff file counts 0 failures. A worker that an administrator restarts
// after a short run has not crashed, so the run must not delay the next start.
func wantNoShortRuns(t testing.TB, a kit.App) {
	t.Helper()
	for i := range a.Instances {
		if b := a.Machine.Sh(t, fmt.Sprintf("cat /run/clusterctl/%s/%d.backoff", a.Name, i+1)); !strings.Contains(b, "failures=0\n") {
			t.Errorf("the backoff file of instance %d after manual restarts: want failures=0, got:\n%s", i+1, b)
		}
	}
}

// TestReload replaces all workers with "systemctl reload" under load.
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

// TestReloadStopsAtABrokenInstance runs "systemctl reload" with a broken version of the program. The reload must end when
// the first instance fails, and the other instances must continue to run.
func TestReloadStopsAtABrokenInstance(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/breaks"
		m.WriteFile(t, program, fmt.Sprintf("#!/bin/sh\nexec %s\n", goWorker), 0o755)
		a := kit.InstallNative(t, m, "breaks", 3, 8152, "--ready", "notify", "--", program)
		before := a.PIDs(t)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		m.WriteFile(t, program, "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
		if r := m.Try("systemctl reload " + a.Name); r.Code == 0 {
			t.Error("systemctl reload to a broken program succeeded, want an error")
		}
		r := run.Stop()
		t.Logf("a reload to a broken program: %v", r)
		if r.Failed() > 0 {
			t.Errorf("%d requests were lost, want 0", r.Failed())
		}
		m.WantState(t, "active", a.Socket(), a.Service(), a.Unit(2), a.Unit(3))
		kit.WantNotReplaced(t, before[1:], []int{m.MainPID(t, a.Unit(2)), m.MainPID(t, a.Unit(3))})
		// After the program is fixed, the broken instance must run again without a command, because systemd restarts it
		// repeatedly.
		m.WriteFile(t, program, fmt.Sprintf("#!/bin/sh\nexec %s\n", goWorker), 0o755)
		kit.DialBus(t, m).Await(t, "the broken instance runs again", kit.Status.IsActive, a.Unit(1))
		a.WantUp(t)
	})
}
