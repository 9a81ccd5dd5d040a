//go:build lab

package e2e

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestStopStaysStopped stops an app ten times while clients go on asking: a request that waits in the socket must not
// start it again (facts: systemd 0, 4).
func TestStopStaysStopped(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "stop", 3, 8110, "--", goWorker)
		b := dialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.url, Conns: 16, Rate: rate})
		for range 10 {
			m.Sh(t, "systemctl stop "+a.name)
			a.wantDown(t, b)
			m.Sh(t, "systemctl start "+a.name)
			a.wantUp(t)
			if t.Failed() {
				break
			}
		}
		r := run.Stop()
		t.Logf("ten stops and starts: %v", r)
		// Between stop and start the port is closed; at the stop, requests in the socket's queue are reset. Nothing hangs.
		if lost := r.Timeouts + r.BadStatus + r.Other; lost > 0 {
			t.Errorf("%d requests failed in another way than refused or reset", lost)
		}
	})
}

// TestStopByClusterctl is the same through our own commands, which also know single instances.
func TestStopByClusterctl(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "stop-ctl", 3, 8111, "--", goWorker)
		b := dialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.url, Rate: rate})
		must(t, m, "stop", a.name)
		wantState(t, m, "inactive", append(a.instances(), a.service(), a.socket())...) // at once: this stop waits for all
		a.wantDown(t, b)
		must(t, m, "stop", a.name) // again: nothing to do is no error
		must(t, m, "start", a.name)
		a.wantUp(t)
		run.Stop()

		run = load.Start(t, m, load.Options{URL: a.url, Rate: rate})
		must(t, m, "stop", a.name+"@2")
		wantState(t, m, "inactive", a.instance(2))
		wantState(t, m, "active", a.socket(), a.instance(1), a.instance(3))
		must(t, m, "start", a.name+"@2")
		a.wantUp(t)
		before := a.pids(t)
		must(t, m, "restart", a.name)
		for i, pid := range a.pids(t) {
			if slices.Contains(before, pid) {
				t.Errorf("instance %d was not restarted", i+1)
			}
		}
		r := run.Stop()
		t.Logf("an instance stopped, started, and all restarted at once: %v", r)
		if r.Failed() > 0 {
			t.Error("a restart of all at once leaves the port open, and the worker drains: no request may fail")
		}
		a.wantUp(t)
	})
}

// TestReboot reboots the machine: the app runs again, with as many instances.
func TestReboot(t *testing.T) {
	for _, r := range lab.All() {
		t.Run(string(r), func(t *testing.T) {
			t.Parallel()
			m := lab.Boot(t, r)
			equip(t, m)
			a := install(t, m, "reboot", 3, 8112, "--", goWorker)
			stopped := install(t, m, "reboot-stopped", 2, 8113, "--", goWorker)
			must(t, m, "stop", stopped.name)
			m.Reboot(t)
			a.wantUp(t)
			a.wantNonblocking(t, "after the boot")
			// "stop" says until the next start or boot.
			stopped.wantUp(t)
			if failed := m.Sh(t, "systemctl --failed --no-legend --plain"); failed != "" {
				t.Errorf("failed units after the boot:\n%s", failed)
			}
		})
	}
}

// TestStartWhileStopping starts an app whose instances still drain, as "systemctl stop app; systemctl start app" does.
func TestStartWhileStopping(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "stop-start", 3, 8114, "--", goWorker)
		for range 3 {
			slow := load.Start(t, m, load.Options{URL: a.url + "slow?ms=500", Conns: 3, Requests: 3})
			m.Sh(t, "systemctl stop "+a.name+"; systemctl start "+a.name)
			a.wantUp(t)
			slow.Wait()
		}
	})
}
