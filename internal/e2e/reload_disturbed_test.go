//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestReloadIsDisturbed disturbs reloads: PID 1 re-executes itself, the bus is down, another job is queued, an instance is
// masked, or instances are stopped. Each reload must succeed or fail with one clear error, and no request may be lost. Each
// step continues with the app as the step before has left it.
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

// wantReloaded fails the test unless all instances were replaced and the reload has left nothing behind.
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
		t.Errorf("%v", r)
	}
	wantReloaded(t, a, before)
}

// reloadWithoutBus reloads the app while the bus stops, and again while the bus is down.
func reloadWithoutBus(t *testing.T, a kit.App) {
	m := a.Machine
	before := a.PIDs(t)
	p := m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "500ms")
	m.Sh(t, "systemctl stop dbus.socket dbus.service")
	// logind requires the socket of the bus, so it has stopped, too.
	t.Cleanup(func() { m.Sh(t, "systemctl start dbus.socket dbus.service systemd-logind.service") })
	if r := p.Wait(); r.Code != 0 {
		t.Errorf("a reload while the bus stops: %v", r)
	}
	before2 := a.PIDs(t)
	wantReloaded(t, a, before)
	m.Must(t, "reload", a.Name, "--settle", "10ms") // while the bus is down
	m.WantState(t, "inactive", "dbus.socket", "dbus.service")
	wantReloaded(t, a, before2)
}

// reloadDuringOtherJob reloads the app while another job stops instance 2. The reload must fail and name that job.
func reloadDuringOtherJob(t *testing.T, a kit.App) {
	m := a.Machine
	b := kit.DialBus(t, m)
	const drop = "/etc/systemd/system/disturbed@2.service.d"
	m.WriteFile(t, drop+"/slow-stop.conf", "[Service]\nExecStop=/bin/sh -c 'until test -e /run/disturbed-go; do sleep 0.1; done'\n", 0o644)
	m.Sh(t, "rm -f /run/disturbed-go; systemctl daemon-reload; systemctl stop --no-block disturbed@2")
	t.Cleanup(func() { m.Sh(t, "rm -rf /run/disturbed-go "+drop+"; systemctl daemon-reload") })
	b.Await(t, "the instance stops", func(s kit.Status) bool { return s.Active == "deactivating" }, a.Unit(2))
	r := m.Clusterctl(t, "reload", a.Name, "--settle", "10ms")
	if r.Code != notReached {
		t.Errorf("want exit status %d: %v", notReached, r)
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
		t.Errorf("a reload of a stopped instance: %v", r)
	}
	m.Must(t, "start", a.Name+"@2")
	wantReloaded(t, a, before)
}

// reloadWithMaskedInstance reloads the app with a masked instance. That is an error while the instance runs, and a note
// when it is stopped.
func reloadWithMaskedInstance(t *testing.T, a kit.App) {
	m := a.Machine
	before := a.PIDs(t)
	m.Sh(t, "systemctl mask --runtime disturbed@2.service")
	r := m.Clusterctl(t, "reload", a.Name)
	wantError(t, r.Stderr, "disturbed@2.service: it is masked and still runs", hint+"sudo systemctl unmask disturbed@2.service")
	if now := a.PIDs(t); r.Code != notReached || !slices.Equal(now, before) {
		t.Errorf("instances were replaced: %v, then %v: %v", before, now, r)
	}
	m.Sh(t, "systemctl stop disturbed@2")
	r = m.Must(t, "reload", a.Name, "--settle", "10ms")
	wantError(t, "clusterctl: "+r.Stderr, "skipped disturbed@2: it is masked")
	m.Sh(t, "systemctl unmask --runtime disturbed@2.service; systemctl start disturbed@2")
	wantReloaded(t, a, before)
}

// reloadOfStoppedApp reloads a stopped app, which is an error, and then all apps, which leaves the stopped app as it is.
func reloadOfStoppedApp(t *testing.T, a kit.App) {
	m := a.Machine
	stopped := kit.InstallNative(t, m, "disturbed-not", 1, 8611, "--", goWorker)
	m.Must(t, "stop", stopped.Name)
	if r := m.Clusterctl(t, "reload", stopped.Name); r.Code != failed ||
		!strings.Contains(r.Stderr, hint+"sudo clusterctl start disturbed-not") {
		t.Errorf("a reload of a stopped app: %v", r)
	}
	before := a.PIDs(t)
	r := m.Must(t, "reload", "all", "--settle", "10ms")
	wantError(t, "clusterctl: "+r.Stderr, "disturbed-not: skipped, because it is stopped")
	wantReloaded(t, a, before)
}

// TestReloadOfSeveralApps: when one app fails, the reload continues with the next app. An app that is named twice is
// reloaded once.
func TestReloadOfSeveralApps(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		const program = "/opt/e2e/several"
		m.WriteFile(t, program, "#!/bin/sh\n"+goodRelease()+"\n", 0o755)
		bad := kit.InstallNative(t, m, "several-a", 1, 8612, "--ready", "notify", "--", program)
		fine := kit.InstallNative(t, m, "several-b", 2, 8613, "--", goWorker)
		before := fine.PIDs(t)
		m.WriteFile(t, program, "#!/bin/sh\nexit 3\n", 0o755)
		r := m.Clusterctl(t, "reload", bad.Name, fine.Name, fine.Name+"@2", fine.Name, "--settle", "10ms", "--json")
		if r.Code != notReached || strings.Count(r.Stdout, `"several-b@2.service"`) != 1 ||
			!strings.Contains(r.Stdout, `"error": "several-a: no worker serves 8612 now: several-a@1.service: exited with status 3"`) {
			t.Errorf("%v", r)
		}
		kit.WantReplaced(t, before, fine.PIDs(t))
		m.WriteFile(t, program, "#!/bin/sh\n"+goodRelease()+"\n", 0o755)
		m.Must(t, "reload", bad.Name, "--settle", "10ms")
		bad.WantUp(t)

		// A signal goes once to each main process.
		worker_ := kit.InstallNative(t, m, "several-c", 2, 8614, "--", worker)
		pids := worker_.PIDs(t)
		m.Must(t, "signal", "cont", worker_.Name, worker_.Name)
		m.Must(t, "signal", "KILL", worker_.Name+"@2")
		kit.DialBus(t, m).Await(t, "the killed instance is back", kit.RunsOther(pids[1]), worker_.Unit(2))
		if m.MainPID(t, worker_.Unit(1)) != pids[0] {
			t.Error("the other instance was killed")
		}
		for _, bad := range []string{"0", "TREM", "99"} {
			if r := m.Clusterctl(t, "signal", bad, worker_.Name); r.Code != usage || !strings.Contains(r.Stderr, hint) {
				t.Errorf("signal %s: %v", bad, r)
			}
		}
		// A reset of one instance removes only the short runs of that instance.
		remembered := func() string {
			return m.Sh(t, "ls /run/clusterctl/several-c/*.backoff 2>/dev/null | grep -o '[0-9]*.backoff' | sort -u | xargs")
		}
		if got := remembered(); got != "1.backoff 2.backoff" {
			t.Fatalf("state files before the reset: %q", got)
		}
		m.Must(t, "reset", worker_.Name+"@2")
		if got := remembered(); got != "1.backoff" {
			t.Errorf("state files after the reset of instance 2: %q", got)
		}
	})
}
