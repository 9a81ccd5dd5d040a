//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestReloadIsDisturbed runs reloads while PID 1 re-executes itself, while the bus is down, while another job is queued,
// and with masked or stopped instances. Each reload must either succeed or print an error with the reason, and no
// request may be lost. All steps use the same app, so each step depends on the previous step.
func TestReloadIsDisturbed(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "disturbed", 3, 8610, "--", goWorker)
		loads := startLoads(t, a)
		for _, s := range []struct {
			name string
			step func(t *testing.T, a kit.App)
		}{
			{"systemd is re-executed", reloadWhileSystemdReexecutes},
			{"the bus goes down", reloadWithoutBus},
			{"another job is queued", reloadDuringOtherJob},
			{"one instance is stopped", reloadWithStoppedInstance},
			{"one instance is masked", reloadWithMaskedInstance},
			{"all instances are stopped", reloadOfStoppedApp},
		} {
			kit.Step(t, s.name, func(t *testing.T) { s.step(t, a) })
		}
		loads.WantNoneLost(t, "disturbed reloads")
	})
}

// wantReloaded fails the test unless all instances have new processes and no temporary file of the reload exists.
func wantReloaded(t *testing.T, a kit.App, before []int) {
	t.Helper()
	kit.WantReplaced(t, before, a.PIDs(t))
	wantNoTraces(t, a)
}

// reloadWhileSystemdReexecutes reloads the app while PID 1 re-executes itself.
func reloadWhileSystemdReexecutes(t *testing.T, a kit.App) {
	m := a.Machine
	before := a.PIDs(t)
	p := m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "200ms")
	for range 3 {
		m.Sh(t, "systemctl daemon-reexec")
	}
	if r := p.Wait(); r.Code != 0 {
		t.Errorf("a reload while PID 1 re-executes itself: want exit status 0: %v", r)
	}
	wantReloaded(t, a, before)
}

// reloadWithoutBus reloads the app while the bus stops, and again while the bus is down.
func reloadWithoutBus(t *testing.T, a kit.App) {
	m := a.Machine
	before := a.PIDs(t)
	p := m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "500ms")
	m.Sh(t, "systemctl stop dbus.socket dbus.service")
	// systemd-logind requires dbus.socket, so systemd has stopped it, too.
	t.Cleanup(func() { m.Sh(t, "systemctl start dbus.socket dbus.service systemd-logind.service") })
	if r := p.Wait(); r.Code != 0 {
		t.Errorf("a reload while the bus stops: want exit status 0: %v", r)
	}
	before2 := a.PIDs(t)
	wantReloaded(t, a, before)
	m.Must(t, "reload", a.Name, "--settle", "10ms") // while the bus is down
	m.WantState(t, "inactive", "dbus.socket", "dbus.service")
	wantReloaded(t, a, before2)
}

// reloadDuringOtherJob reloads the app while a stop job of another command stops instance 2. The error of the reload must
// name the stop job.
func reloadDuringOtherJob(t *testing.T, a kit.App) {
	m := a.Machine
	b := kit.DialBus(t, m)
	const drop = "/etc/systemd/system/disturbed@2.service.d"
	m.WriteFile(t, drop+"/slow-stop.conf", "[Service]\nExecStop=/bin/sh -c 'until test -e /run/disturbed-go; do sleep 0.1; done'\n", 0o644)
	m.Sh(t, "rm -f /run/disturbed-go; systemctl daemon-reload; systemctl stop --no-block disturbed@2")
	t.Cleanup(func() { m.Sh(t, "rm -rf /run/disturbed-go "+drop+"; systemctl daemon-reload") })
	b.Await(t, "the instance is stopping", func(s kit.Status) bool { return s.Active == "deactivating" }, a.Unit(2))
	r := m.Clusterctl(t, "reload", a.Name, "--settle", "10ms")
	if r.Code != notReached {
		t.Errorf("a reload during a stop job: got exit status %d, want %d: %v", r.Code, notReached, r)
	}
	wantError(t, r.Stderr, "restart of disturbed@2.service: another command has queued a stop", hint+"systemctl list-jobs")
	m.WantState(t, "deactivating", a.Unit(2))
	m.Sh(t, "touch /run/disturbed-go")
	b.Await(t, "the instance is stopped", func(s kit.Status) bool { return s.Active == "inactive" }, a.Unit(2))
}

// reloadWithStoppedInstance reloads the app while instance 2 is stopped. The reload must leave instance 2 stopped.
func reloadWithStoppedInstance(t *testing.T, a kit.App) {
	m := a.Machine
	before := []int{m.MainPID(t, a.Unit(1)), m.MainPID(t, a.Unit(3))}
	r := m.Must(t, "reload", a.Name, "--settle", "10ms")
	wantError(t, "clusterctl: "+r.Stderr, "skipped disturbed@2: it is stopped")
	m.WantState(t, "inactive", a.Unit(2))
	if r := m.Clusterctl(t, "reload", a.Name+"@2"); r.Code != failed ||
		!strings.Contains(r.Stderr, hint+"sudo clusterctl start disturbed@2") {
		t.Errorf("a reload of a stopped instance: want exit status %d and a hint: %v", failed, r)
	}
	m.Must(t, "start", a.Name+"@2")
	wantReloaded(t, a, before)
}

// reloadWithMaskedInstance reloads the app with a masked instance. While the masked instance runs, the reload must fail.
// When the masked instance is stopped, the reload must skip the instance.
func reloadWithMaskedInstance(t *testing.T, a kit.App) {
	m := a.Machine
	before := a.PIDs(t)
	m.Sh(t, "systemctl mask --runtime disturbed@2.service")
	r := m.Clusterctl(t, "reload", a.Name)
	wantError(t, r.Stderr, "disturbed@2.service: it is masked and still runs", hint+"sudo systemctl unmask disturbed@2.service")
	if r.Code != notReached {
		t.Errorf("a reload with a masked instance: got exit status %d, want %d: %v", r.Code, notReached, r)
	}
	kit.WantNotReplaced(t, before, a.PIDs(t))
	m.Sh(t, "systemctl stop disturbed@2")
	r = m.Must(t, "reload", a.Name, "--settle", "10ms")
	wantError(t, "clusterctl: "+r.Stderr, "skipped disturbed@2: it is masked")
	m.Sh(t, "systemctl unmask --runtime disturbed@2.service; systemctl start disturbed@2")
	wantReloaded(t, a, before)
}

// reloadOfStoppedApp reloads a stopped app, and this reload must fail. Then it reloads all apps, and this reload must
// skip the stopped app.
func reloadOfStoppedApp(t *testing.T, a kit.App) {
	m := a.Machine
	stopped := kit.InstallNative(t, m, "disturbed-not", 1, 8611, "--", goWorker)
	m.Must(t, "stop", stopped.Name)
	if r := m.Clusterctl(t, "reload", stopped.Name); r.Code != failed ||
		!strings.Contains(r.Stderr, hint+"sudo clusterctl start disturbed-not") {
		t.Errorf("a reload of a stopped app: want exit status %d and a hint: %v", failed, r)
	}
	before := a.PIDs(t)
	r := m.Must(t, "reload", "all", "--settle", "10ms")
	wantError(t, "clusterctl: "+r.Stderr, "disturbed-not: skipped, because it is stopped")
	wantReloaded(t, a, before)
}

// TestReloadOfSeveralApps reloads two apps, of which the first fails. The reload must continue with the second app, and
// must reload it only once although its name occurs several times in the command line. The test also runs the commands
// signal and reset.
func TestReloadOfSeveralApps(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/several"
		m.WriteFile(t, program, "#!/bin/sh\n"+workingRelease()+"\n", 0o755)
		bad := kit.InstallNative(t, m, "several-a", 1, 8612, "--ready", "notify", "--", program)
		working := kit.InstallNative(t, m, "several-b", 2, 8613, "--", goWorker)
		before := working.PIDs(t)
		m.WriteFile(t, program, "#!/bin/sh\nexit 3\n", 0o755)
		r := m.Clusterctl(t, "reload", bad.Name, working.Name, working.Name+"@2", working.Name, "--settle", "10ms", "--json")
		if r.Code != notReached || strings.Count(r.Stdout, `"several-b@2.service"`) != 1 ||
			!strings.Contains(r.Stdout, `"error": "several-a: no worker serves 8612 now: several-a@1.service: exited with status 3"`) {
			t.Errorf("want exit status %d, the error of several-a, and instance 2 of several-b once: %v", notReached, r)
		}
		kit.WantReplaced(t, before, working.PIDs(t))
		m.WriteFile(t, program, "#!/bin/sh\n"+workingRelease()+"\n", 0o755)
		m.Must(t, "reload", bad.Name, "--settle", "10ms")
		bad.WantUp(t)

		// clusterctl signal must send the signal only to the main processes of the named instances.
		signalled := kit.InstallNative(t, m, "several-c", 2, 8614, "--", worker)
		pids := signalled.PIDs(t)
		m.Must(t, "signal", "cont", signalled.Name, signalled.Name)
		m.Must(t, "signal", "KILL", signalled.Name+"@2")
		kit.DialBus(t, m).Await(t, "the killed instance runs again", kit.RunsOther(pids[1]), signalled.Unit(2))
		if m.MainPID(t, signalled.Unit(1)) != pids[0] {
			t.Error("instance 1 has a new process, want a signal only to instance 2")
		}
		for _, bad := range []string{"0", "TREM", "99"} {
			if r := m.Clusterctl(t, "signal", bad, signalled.Name); r.Code != usage || !strings.Contains(r.Stderr, hint) {
				t.Errorf("signal %s: want exit status %d and a hint: %v", bad, usage, r)
			}
		}
		// A reset of one instance must delete only the backoff file of this instance.
		backoffFiles := func() string {
			return m.Sh(t, "ls /run/clusterctl/several-c/*.backoff 2>/dev/null | grep -o '[0-9]*.backoff' | sort -u | xargs")
		}
		if got := backoffFiles(); got != "1.backoff 2.backoff" {
			t.Fatalf("before the reset: got the backoff files %q, want 1.backoff and 2.backoff", got)
		}
		m.Must(t, "reset", signalled.Name+"@2")
		if got := backoffFiles(); got != "1.backoff" {
			t.Errorf("after the reset of instance 2: got the backoff files %q, want 1.backoff", got)
		}
	})
}
