//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// TestReloadIsDisturbed disturbs reloads: PID 1 re-executes itself, the bus is down, another job is in the way, an instance is
// masked, instances are stopped. Each time the right thing happens, or one clear error, and no request is lost.
func TestReloadIsDisturbed(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "disturbed", 3, 8610, "--", goWorker)
		runs := []*load.Run{
			load.Start(t, m, load.Options{URL: a.url, Conns: 4, Rate: 200}),
			load.Start(t, m, load.Options{URL: a.url, Conns: 4, Rate: 200, KeepAlive: true}),
		}
		wantReplaced := func(t *testing.T, before []int) {
			t.Helper()
			for i, pid := range a.pids(t) {
				if slices.Contains(before, pid) {
					t.Errorf("instance %d was not replaced", i+1)
				}
			}
			a.wantSound(t)
		}
		t.Run("systemd is re-executed", func(t *testing.T) {
			before := a.pids(t)
			p := m.Start(t, ctl, "reload", a.name, "--settle", "200ms")
			for range 3 {
				m.Sh(t, "systemctl daemon-reexec")
			}
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("%v", r)
			}
			wantReplaced(t, before)
		})
		t.Run("the bus goes down", func(t *testing.T) {
			before := a.pids(t)
			p := m.Start(t, ctl, "reload", a.name, "--settle", "500ms")
			m.Sh(t, "systemctl stop dbus.socket dbus.service")
			// logind requires the socket, and has stopped with it.
			t.Cleanup(func() { m.Sh(t, "systemctl start dbus.socket dbus.service systemd-logind.service") })
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("while it goes: %v", r)
			}
			before2 := a.pids(t)
			wantReplaced(t, before)
			must(t, m, "reload", a.name, "--settle", "10ms") // while it is down
			wantState(t, m, "inactive", "dbus.socket", "dbus.service")
			wantReplaced(t, before2)
		})
		t.Run("a job of somebody else", func(t *testing.T) {
			b := dialBus(t, m)
			const drop = "/etc/systemd/system/disturbed@2.service.d"
			m.WriteFile(t, drop+"/slow-stop.conf", "[Service]\nExecStop=/bin/sh -c 'until test -e /run/disturbed-go; do sleep 0.1; done'\n", 0o644)
			m.Sh(t, "rm -f /run/disturbed-go; systemctl daemon-reload; systemctl stop --no-block disturbed@2")
			t.Cleanup(func() { m.Sh(t, "rm -rf /run/disturbed-go "+drop+"; systemctl daemon-reload") })
			b.await(t, "it stops", func(s status) bool { return s.active == "deactivating" }, a.instance(2))
			r := run(t, m, "reload", a.name, "--settle", "10ms")
			if r.Code != notReached {
				t.Errorf("want exit status %d: %v", notReached, r)
			}
			wantError(t, r.Stderr, "restart of disturbed@2.service: somebody else has queued a stop of it", hint+"systemctl list-jobs")
			wantState(t, m, "deactivating", a.instance(2))
			m.Sh(t, "touch /run/disturbed-go")
			b.await(t, "it is stopped", func(s status) bool { return s.active == "inactive" }, a.instance(2))
		})
		t.Run("one is stopped", func(t *testing.T) {
			before := []int{m.MainPID(t, a.instance(1)), m.MainPID(t, a.instance(3))}
			r := must(t, m, "reload", a.name, "--settle", "10ms")
			wantError(t, "clusterctl: "+r.Stderr, "left alone: disturbed@2: it is stopped")
			wantState(t, m, "inactive", a.instance(2))
			if r := run(t, m, "reload", a.name+"@2"); r.Code != failed || !strings.Contains(r.Stderr, hint+"sudo clusterctl start disturbed@2") {
				t.Errorf("a reload of what is stopped: %v", r)
			}
			must(t, m, "start", a.name+"@2")
			wantReplaced(t, before)
		})
		t.Run("one is masked", func(t *testing.T) {
			before := a.pids(t)
			m.Sh(t, "systemctl mask --runtime disturbed@2.service")
			r := run(t, m, "reload", a.name)
			wantError(t, r.Stderr, "disturbed@2.service: it is masked, and still runs", hint+"sudo systemctl unmask disturbed@2.service")
			if now := a.pids(t); r.Code != notReached || !slices.Equal(now, before) {
				t.Errorf("%v then %v: %v", before, now, r)
			}
			m.Sh(t, "systemctl stop disturbed@2")
			r = must(t, m, "reload", a.name, "--settle", "10ms")
			wantError(t, "clusterctl: "+r.Stderr, "left alone: disturbed@2: it is masked")
			m.Sh(t, "systemctl unmask --runtime disturbed@2.service; systemctl start disturbed@2")
			wantReplaced(t, before)
		})
		t.Run("all is stopped", func(t *testing.T) {
			stopped := install(t, m, "disturbed-not", 1, 8611, "--", goWorker)
			must(t, m, "stop", stopped.name)
			if r := run(t, m, "reload", stopped.name); r.Code != failed || !strings.Contains(r.Stderr, hint+"sudo clusterctl start disturbed-not") {
				t.Errorf("a reload of what is stopped: %v", r)
			}
			before := a.pids(t)
			r := must(t, m, "reload", "all", "--settle", "10ms")
			wantError(t, "clusterctl: "+r.Stderr, "disturbed-not: stopped, and left alone")
			wantReplaced(t, before)
		})
		for _, l := range runs {
			if r := l.Stop(); r.Failed() > 0 || r.OK == 0 {
				t.Errorf("requests were lost: %v", r)
			}
		}
	})
}

// TestSeveralApps: the failure of one app does not keep the next from its turn, and what is named twice is done once.
func TestSeveralApps(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		const program = "/opt/e2e/several"
		m.WriteFile(t, program, "#!/bin/sh\n"+good()+"\n", 0o755)
		bad := install(t, m, "several-a", 1, 8612, "--ready", "notify", "--", program)
		fine := install(t, m, "several-b", 2, 8613, "--", goWorker)
		before := fine.pids(t)
		m.WriteFile(t, program, "#!/bin/sh\nexit 3\n", 0o755)
		r := run(t, m, "reload", bad.name, fine.name, fine.name+"@2", fine.name, "--settle", "10ms", "--json")
		if r.Code != notReached || strings.Count(r.Stdout, `"several-b@2.service"`) != 1 || !strings.Contains(r.Stdout, `"error": "several-a: no worker serves 8612 now: several-a@1.service: exited with status 3"`) {
			t.Errorf("%v", r)
		}
		for i, pid := range fine.pids(t) {
			if pid == before[i] {
				t.Errorf("instance %d was not replaced", i+1)
			}
		}
		m.WriteFile(t, program, "#!/bin/sh\n"+good()+"\n", 0o755)
		must(t, m, "reload", bad.name, "--settle", "10ms")
		bad.wantUp(t)

		// Signals: the main processes get it, once each.
		worker_ := install(t, m, "several-c", 2, 8614, "--", worker)
		pids := worker_.pids(t)
		must(t, m, "signal", "cont", worker_.name, worker_.name)
		must(t, m, "signal", "KILL", worker_.name+"@2")
		dialBus(t, m).await(t, "the killed one is back", func(s status) bool { return running(s) && s.pid != 0 && int(s.pid) != pids[1] }, worker_.instance(2))
		if m.MainPID(t, worker_.instance(1)) != pids[0] {
			t.Error("the other instance was killed")
		}
		for _, bad := range []string{"0", "TREM", "99"} {
			if r := run(t, m, "signal", bad, worker_.name); r.Code != usage || !strings.Contains(r.Stderr, hint) {
				t.Errorf("signal %s: %v", bad, r)
			}
		}
		// A reset of one instance forgets the short runs of that one alone.
		remembered := func() string {
			return m.Sh(t, "ls /run/clusterctl/several-c/*.backoff 2>/dev/null | grep -o '[0-9]*.backoff' | sort -u | xargs")
		}
		if got := remembered(); got != "1.backoff 2.backoff" {
			t.Fatalf("before the reset: %q", got)
		}
		must(t, m, "reset", worker_.name+"@2")
		if got := remembered(); got != "1.backoff" {
			t.Errorf("after the reset of 2: %q", got)
		}
	})
}
