//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// wantNoTraces fails the test when a killed command has left something that the next one did not sweep up.
func wantNoTraces(t testing.TB, a kit.App) {
	t.Helper()
	a.WantUp(t)
	left := a.Machine.Sh(t, "ls -A /run/clusterctl/.extra 2>/dev/null || true; ls -d /var/lib/clusterctl/"+a.Name+
		"/pending 2>/dev/null || true")
	if left != "" {
		t.Errorf("left behind: %s", left)
	}
	for u, want := range map[string]string{a.Service(): "no", a.Name + "@.service": "no"} {
		if u == a.Name+"@.service" {
			u = a.Unit(1)
		}
		if got := a.Machine.Sh(t, "systemctl show -p NeedDaemonReload --value "+u); got != want {
			t.Errorf("%s: NeedDaemonReload=%s", u, got)
		}
	}
}

// TestKilledReloadAndScale kills clusterctl at moments spread over a reload and over scales. The app serves throughout, and
// the next command completes what was begun or takes it back: 20 moments of a reload, and 20 of scales.
func TestKilledReloadAndScale(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "killed-roll", 2, 8605, "--", goWorker)
		loads := startLoads(t, a)
		timed := func(args ...string) time.Duration {
			begin := time.Now()
			m.Must(t, args...)
			return time.Since(begin)
		}
		reload := []string{"reload", a.Name, "--surge", "1", "--settle", "50ms"}
		up, down := []string{"scale", a.Name, "4", "--settle", "50ms"}, []string{"scale", a.Name, "2"}
		wholeReload, wholeUp, wholeDown := timed(reload...), timed(up...), timed(down...)
		for _, c := range []struct {
			what   string
			args   []string
			kills  int
			whole  time.Duration
			before []string // brings the app to where the command begins
			n      []int    // how many instances there may be after the next command
		}{
			{"reload", reload, 20, wholeReload, nil, []int{2}},
			{"scale up", up, 10, wholeUp, nil, []int{2, 4}},
			{"scale down", down, 10, wholeDown, up, []int{2, 4}},
		} {
			for at := (killSchedule{whole: c.whole, kills: c.kills}); at.more(t); {
				if c.before != nil {
					m.Must(t, c.before...)
				}
				p := m.Start(t, append([]string{kit.Ctl}, c.args...)...)
				at.wait()
				if err := p.Signal(syscall.SIGKILL); err != nil && !p.Ended() {
					t.Fatal(err)
				}
				killed := p.Wait()
				at.record(killed)
				next := m.Must(t, "reload", a.Name, "--settle", "10ms")
				a.Instances = len(kit.Lines(m.Sh(t,
					"sed -n 's/^Wants=//p' /etc/systemd/system/killed-roll.service.d/50-instances.conf | xargs -n 1")))
				t.Logf("%s killed after %v: exit status %d, then %d instances; %s", c.what, at, killed.Code, a.Instances,
					strings.ReplaceAll(next.Stderr, "\n", "; "))
				if a.Instances != c.n[0] && a.Instances != c.n[len(c.n)-1] {
					t.Errorf("%d instances, want one of %v", a.Instances, c.n)
				}
				wantNoTraces(t, a)
				m.Must(t, "scale", a.Name, "2")
				if a.Instances = 2; t.Failed() {
					return
				}
			}
		}
		loads.WantNoneLost(t, "killed reloads and scales")
	})
}

// TestReloadSurvivesSIGHUP: SIGHUP does not leave an app half reloaded.
func TestReloadSurvivesSIGHUP(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "hangup", 3, 8606, "--", goWorker)
		before := a.PIDs(t)
		b := kit.DialBus(t, m)
		p := m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "300ms")
		b.Await(t, "the first is replaced", kit.RunsOther(before[0]), a.Unit(1))
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != done || !strings.Contains(r.Stderr, "3 reloaded") {
			t.Errorf("after SIGHUP: %v", r)
		}
		kit.WantReplaced(t, before, a.PIDs(t))
		// Ctrl-C does end it, and what is under way is finished by systemd.
		before = a.PIDs(t)
		p = m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "5s")
		b.Await(t, "the first is replaced", kit.RunsOther(before[0]), a.Unit(1))
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != interrupted {
			t.Errorf("after SIGINT: %v", r)
		}
		if m.MainPID(t, a.Unit(3)) != before[2] {
			t.Error("the reload went on")
		}
		wantNoTraces(t, a)
	})
}

// TestConcurrentReloads: clusterctl and systemctl, on one app at a time; a start beside a reload does not deadlock.
func TestConcurrentReloads(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "beside", 2, 8607, "--", goWorker)
		b := kit.DialBus(t, m)
		before := a.PIDs(t)
		first := m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "10s")
		b.Await(t, "the first reload has begun", kit.RunsOther(before[0]), a.Unit(1))
		second := m.Start(t, "systemctl", "reload", a.Name)
		m.AwaitJournal(t, fmt.Sprintf("waiting for \"clusterctl reload %s --settle 10s\"", a.Name), "-u", a.Service())
		third := m.Start(t, kit.Ctl, "start", a.Name, "--settle", "0s")
		for what, p := range map[string]*lab.Process{"clusterctl reload": first, "systemctl reload": second, "clusterctl start": third} {
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("%s: %v", what, r)
			}
		}
		// The other way round: a start that comes while systemd reloads, and a reload that comes while a start has the lock.
		var all []*lab.Process
		for range 3 {
			all = append(all, m.Start(t, "systemctl", "reload", a.Name), m.Start(t, kit.Ctl, "start", a.Name, "--settle", "0s"))
		}
		for _, p := range all {
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("beside one another: %v", r)
			}
		}
		wantNoTraces(t, a)
	})
}
