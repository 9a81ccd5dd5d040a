//go:build lab

package e2e

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestManagerReloads reloads and re-executes PID 1 under load: nothing is lost, nobody is restarted.
func TestManagerReloads(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "reloads", 3, 8130, "--", goWorker)
		before := a.pids(t)
		for _, command := range []string{"daemon-reload", "daemon-reexec"} {
			loads := a.bothLoads(t)
			for range 3 {
				m.Sh(t, "systemctl "+command)
			}
			a.wantUp(t)
			loads.wantNoneLost(t, command+" three times")
		}
		wantSame(t, before, a.pids(t))
		a.wantNonblocking(t, "after the reloads")
		// PID 1 still has the socket and gives it to the next worker.
		m.Sh(t, "systemctl restart "+a.instance(1))
		a.wantUp(t)
		a.wantNonblocking(t, "after the reloads and a restart")
	})
}

func wantSame(t testing.TB, before, after []int) {
	t.Helper()
	for i := range before {
		if after[i] != before[i] {
			t.Errorf("instance %d was restarted: pid %d, then %d", i+1, before[i], after[i])
		}
	}
}

// TestJournalRestarts restarts journald under load: every worker lives, and what it writes afterwards is in the journal.
func TestJournalRestarts(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "journal", 3, 8131, "--", worker)
		before := a.pids(t)
		run := load.Start(t, m, load.Options{URL: a.url + "log?line=during", Rate: rate})
		for range 3 {
			m.Sh(t, "systemctl restart systemd-journald")
		}
		r := run.Stop()
		t.Logf("three restarts of journald: %v", r)
		if r.Failed() > 0 || r.OK == 0 {
			t.Error("requests were lost")
		}
		wantSame(t, before, a.pids(t))
		// Each worker gets some of these requests: they are many more than the workers.
		load.Start(t, m, load.Options{URL: a.url + "log?line=afterwards", Conns: 16, Requests: 3000}).Wait()
		for _, u := range a.instances() {
			m.AwaitJournal(t, "afterwards", "-u", u)
		}
	})
}
