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

// wantNoTraces fails the test when files of a killed command are left after the next command.
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

// TestKilledReloadAndScale kills clusterctl at 20 moments spread over a reload, and at 20 moments spread over scales. The
// app must serve all the time, and the next command must either finish or take back what the killed command has begun.
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
			before []string // puts the app into the state for the command
			n      []int    // the possible numbers of instances after the next command
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

// TestReloadSurvivesSIGHUP: a reload goes on after SIGHUP, so that the app is not left half reloaded.
func TestReloadSurvivesSIGHUP(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "hangup", 3, 8606, "--", goWorker)
		before := a.PIDs(t)
		b := kit.DialBus(t, m)
		p := m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "300ms")
		b.Await(t, "the first instance is replaced", kit.RunsOther(before[0]), a.Unit(1))
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != done || !strings.Contains(r.Stderr, "reloaded 3 instances") {
			t.Errorf("after SIGHUP: %v", r)
		}
		kit.WantReplaced(t, before, a.PIDs(t))
		// Ctrl-C ends the reload, and systemd finishes the current restart.
		before = a.PIDs(t)
		p = m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "5s")
		b.Await(t, "the first instance is replaced", kit.RunsOther(before[0]), a.Unit(1))
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != interrupted {
			t.Errorf("after SIGINT: %v", r)
		}
		if m.MainPID(t, a.Unit(3)) != before[2] {
			t.Error("the reload continued after SIGINT")
		}
		wantNoTraces(t, a)
	})
}

// TestConcurrentReloads runs clusterctl and systemctl on one app at the same time. A start during a reload must not
// deadlock.
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
		// Now the other order: a start during a reload by systemctl, and a reload while a start has the lock.
		var all []*lab.Process
		for range 3 {
			all = append(all, m.Start(t, "systemctl", "reload", a.Name), m.Start(t, kit.Ctl, "start", a.Name, "--settle", "0s"))
		}
		for _, p := range all {
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("a reload or a start at the same time as others: %v", r)
			}
		}
		wantNoTraces(t, a)
	})
}
