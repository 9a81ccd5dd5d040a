//go:build lab

package e2e

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestDaemonReloadLosesNoRequest runs systemctl daemon-reload and daemon-reexec under load. No request may be lost, and
// no worker may be restarted.
func TestDaemonReloadLosesNoRequest(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "reloads", 3, 8130, "--", goWorker)
		before := a.PIDs(t)
		for _, command := range []string{"daemon-reload", "daemon-reexec"} {
			loads := startLoads(t, a)
			for range 3 {
				m.Sh(t, "systemctl "+command)
			}
			a.WantUp(t)
			loads.WantNoneLost(t, "three runs of systemctl "+command)
		}
		kit.WantNotReplaced(t, before, a.PIDs(t))
		wantNonblocking(t, a, "after daemon-reload and daemon-reexec")
		// PID 1 must pass the same socket to a new worker.
		m.Sh(t, "systemctl restart "+a.Unit(1))
		a.WantUp(t)
		wantNonblocking(t, a, "after the restart of a worker")
	})
}

// TestJournaldRestartLosesNoRequest restarts journald under load. Every worker must continue to run, and the lines that
// the worker writes after the restarts must be in the journal.
func TestJournaldRestartLosesNoRequest(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "journal", 3, 8131, "--", worker)
		before := a.PIDs(t)
		run := load.Start(t, m, load.Options{URL: a.URL("/log?line=during"), Rate: rate})
		for range 3 {
			m.Sh(t, "systemctl restart systemd-journald")
		}
		kit.WantNoneLost(t, "three restarts of journald", run.Stop())
		kit.WantNotReplaced(t, before, a.PIDs(t))
		// 3000 requests are enough to reach every worker.
		load.Start(t, m, load.Options{URL: a.URL("/log?line=afterwards"), Conns: 16, Requests: 3000}).Wait()
		for _, u := range a.Units() {
			m.AwaitJournal(t, "afterwards", "-u", u)
		}
	})
}
