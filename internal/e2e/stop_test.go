//go:build lab

package e2e

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestStoppedAppStaysStopped stops an app ten times while clients send requests. A request in the queue of the socket
// must not start the app again.
func TestStoppedAppStaysStopped(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "stop", 3, 8110, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Conns: 16, Rate: rate})
		for range 10 {
			m.Sh(t, "systemctl stop "+a.Name)
			a.WantDown(t, b)
			m.Sh(t, "systemctl start "+a.Name)
			a.WantUp(t)
			if t.Failed() {
				break
			}
		}
		r := run.Stop()
		t.Logf("ten stops and starts: %v", r)
		// Between stop and start, the port is closed, so requests are refused. A stop resets the connections in the queue
		// of the socket. No other failure may occur.
		if lost := r.Timeouts + r.BadStatus + r.Other; lost > 0 {
			t.Errorf("%d requests failed for another reason than a refused or reset connection, want 0", lost)
		}
	})
}

// TestStopByClusterctl stops, starts and restarts an app and one instance with clusterctl under load.
func TestStopByClusterctl(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "stop-ctl", 3, 8111, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		m.Must(t, "stop", a.Name)
		m.WantState(t, "inactive", append(a.Units(), a.Service(), a.Socket())...) // clusterctl stop waits for all units
		a.WantDown(t, b)
		m.Must(t, "stop", a.Name) // a stop of a stopped app must succeed
		m.Must(t, "start", a.Name)
		a.WantUp(t)
		run.Stop()

		run = load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		m.Must(t, "stop", a.Name+"@2")
		m.WantState(t, "inactive", a.Unit(2))
		m.WantState(t, "active", a.Socket(), a.Unit(1), a.Unit(3))
		m.Must(t, "start", a.Name+"@2")
		a.WantUp(t)
		before := a.PIDs(t)
		m.Must(t, "restart", a.Name)
		kit.WantReplaced(t, before, a.PIDs(t))
		r := run.Stop()
		t.Logf("stop and start of one instance, and restart of all: %v", r)
		if r.Failed() > 0 {
			t.Errorf("%d requests failed, want 0, because the port stays open and the workers drain", r.Failed())
		}
		a.WantUp(t)
	})
}

// TestReboot reboots the machine. Both the running and the stopped app must run after the boot, with all instances.
func TestReboot(t *testing.T) {
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "reboot", 3, 8112, "--", goWorker)
		stopped := kit.InstallNative(t, m, "reboot-stopped", 2, 8113, "--", goWorker)
		m.Must(t, "stop", stopped.Name)
		m.Reboot(t)
		a.WantUp(t)
		wantNonblocking(t, a, "after the boot")
		// A stopped app is stopped only until the next start or boot.
		stopped.WantUp(t)
		if failed := m.Sh(t, "systemctl --failed --no-legend --plain"); failed != "" {
			t.Errorf("units are failed after the boot, want none:\n%s", failed)
		}
	})
}

// TestStartWhileStopping runs "systemctl stop" and immediately "systemctl start", while the instances still drain.
func TestStartWhileStopping(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "stop-start", 3, 8114, "--", goWorker)
		for range 3 {
			slow := load.Start(t, m, load.Options{URL: a.URL("/slow?ms=500"), Conns: 3, Requests: 3})
			m.Sh(t, "systemctl stop "+a.Name+"; systemctl start "+a.Name)
			a.WantUp(t)
			slow.Wait()
		}
	})
}
