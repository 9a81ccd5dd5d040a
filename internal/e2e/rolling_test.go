//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestRollingRestart replaces one worker after the other, 50 times, under the load of clients that never retry. No
// request may fail: neither one that a worker has accepted at the moment it is told to stop, nor one on a
// connection that is kept open.
func TestRollingRestart(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "rolling", 3, 8150, "--", goWorker)
		loads := a.bothLoads(t)
		// One shell does it all: entering the machine takes as long as a restart.
		m.Sh(t, "for i in $(seq 50); do systemctl restart rolling@$((i % 3 + 1)); done")
		loads.wantNoneLost(t, "50 restarts, one at a time")
		a.wantNoShortRuns(t)
		a.wantUp(t)
	})
}

// wantNoShortRuns: a run that somebody ends is no crash, however short it was, so the start that follows does not wait.
func (a app) wantNoShortRuns(t testing.TB) {
	t.Helper()
	for i := range a.n {
		if b := a.m.Sh(t, fmt.Sprintf("cat /run/clusterctl/%s/%d.backoff", a.name, i+1)); !strings.Contains(b, "failures=0\n") {
			t.Errorf("after restarts by hand the backoff of instance %d has noted\n%s", i+1, b)
		}
	}
}

// TestReload is the rolling restart as an administrator does it: systemctl reload, on the app as a whole.
func TestReload(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "reload", 3, 8151, "--", goWorker)
		before := a.pids(t)
		loads := a.bothLoads(t)
		m.Sh(t, "systemctl reload "+a.name)
		loads.wantNoneLost(t, "a reload")
		for i, pid := range a.pids(t) {
			if pid == before[i] {
				t.Errorf("instance %d was not replaced", i+1)
			}
		}
		a.wantNoShortRuns(t)
		a.wantUp(t)
	})
}

// TestReloadStopsAtABrokenInstance: the first instance that does not come back ends the reload, and the others run on.
func TestReloadStopsAtABrokenInstance(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		const program = "/opt/e2e/breaks"
		m.WriteFile(t, program, fmt.Sprintf("#!/bin/sh\nexec %s\n", goWorker), 0o755)
		a := install(t, m, "breaks", 3, 8152, "--ready", "notify", "--", program)
		before := a.pids(t)
		run := load.Start(t, m, load.Options{URL: a.url, Rate: rate})
		m.WriteFile(t, program, "#!/bin/sh\necho broken release\nexit 3\n", 0o755)
		if r := m.Try("systemctl reload " + a.name); r.Code == 0 {
			t.Error("a reload to a broken program succeeds")
		}
		r := run.Stop()
		t.Logf("a reload to a broken program: %v", r)
		if r.Failed() > 0 {
			t.Error("requests were lost")
		}
		wantState(t, m, "active", a.socket(), a.service(), a.instance(2), a.instance(3))
		if after := []int{m.MainPID(t, a.instance(2)), m.MainPID(t, a.instance(3))}; after[0] != before[1] || after[1] != before[2] {
			t.Errorf("the other instances were touched: %v, then %v", before, after)
		}
		// The program is mended, and the broken instance, which systemd keeps trying, comes back without help.
		m.WriteFile(t, program, fmt.Sprintf("#!/bin/sh\nexec %s\n", goWorker), 0o755)
		dialBus(t, m).await(t, "the broken instance is back", running, a.instance(1))
		a.wantUp(t)
	})
}
