//go:build lab

package e2e

import (
	"slices"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestStoppedAppStaysStopped stops an app ten times while clients send requests. A request that waits in the socket must
// not start the app again.
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
		// The port is closed between stop and start, and requests in the socket's queue are reset at the stop. No request
		// hangs.
		if lost := r.Timeouts + r.BadStatus + r.Other; lost > 0 {
			t.Errorf("%d requests failed in another way than refused or reset", lost)
		}
	})
}

// TestStopByClusterctl stops and starts an app and single instances with clusterctl.
func TestStopByClusterctl(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "stop-ctl", 3, 8111, "--", goWorker)
		b := kit.DialBus(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		m.Must(t, "stop", a.Name)
		m.WantState(t, "inactive", append(a.Units(), a.Service(), a.Socket())...) // at once, because this stop waits for all units
		a.WantDown(t, b)
		m.Must(t, "stop", a.Name) // a second stop does nothing
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
		for i, pid := range a.PIDs(t) {
			if slices.Contains(before, pid) {
				t.Errorf("instance %d was not restarted", i+1)
			}
		}
		r := run.Stop()
		t.Logf("one instance stopped and started, and then all restarted: %v", r)
		if r.Failed() > 0 {
			t.Error("requests failed, although the port stays open in a restart and the workers drain")
		}
		a.WantUp(t)
	})
}

// TestReboot reboots the machine. The app must run again with the same number of instances.
func TestReboot(t *testing.T) {
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "reboot", 3, 8112, "--", goWorker)
		stopped := kit.InstallNative(t, m, "reboot-stopped", 2, 8113, "--", goWorker)
		m.Must(t, "stop", stopped.Name)
		m.Reboot(t)
		a.WantUp(t)
		wantNonblocking(t, a, "after the boot")
		// "stop" is in force until the next start or boot.
		stopped.WantUp(t)
		if failed := m.Sh(t, "systemctl --failed --no-legend --plain"); failed != "" {
			t.Errorf("failed units after the boot:\n%s", failed)
		}
	})
}

// TestStartWhileStopping starts an app whose instances still drain, as "systemctl stop app; systemctl start app" does.
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
