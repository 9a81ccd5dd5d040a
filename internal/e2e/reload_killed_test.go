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

// wantNoTraces fails the test if the app does not answer, if temporary files of a command exist, or if PID 1 has not read
// the current unit files.
func wantNoTraces(t testing.TB, a kit.App) {
	t.Helper()
	a.WantUp(t)
	files := a.Machine.Sh(t, "ls -A /run/clusterctl/.extra 2>/dev/null || true; ls -d /var/lib/clusterctl/"+a.Name+
		"/pending 2>/dev/null || true")
	if files != "" {
		t.Errorf("temporary files of a command still exist: %s", files)
	}
	for _, u := range []string{a.Service(), a.Unit(1)} {
		if got := a.Machine.Property(t, u, "NeedDaemonReload"); got != "no" {
			t.Errorf("%s: NeedDaemonReload is %s, want no", u, got)
		}
	}
}

// TestKilledReloadAndScale kills clusterctl at 20 moments during reloads, and at 20 moments during scales. The next
// command must complete or roll back the change of the killed command. No request may be lost.
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
			before []string // a command that runs before the killed command
			n      []int    // the allowed numbers of instances after the next command
		}{
			{"reload", reload, 20, wholeReload, nil, []int{2}},
			{"scale up", up, 10, wholeUp, nil, []int{2, 4}},
			{"scale down", down, 10, wholeDown, up, []int{2, 4}},
		} {
			for at := (killSchedule{whole: c.whole, kills: c.kills}); at.needsKill(t); {
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
				t.Logf("%s, %v: exit status %d; after the next reload: %d instances; its output: %s",
					c.what, at, killed.Code, a.Instances,
					strings.ReplaceAll(next.Stderr, "\n", "; "))
				if a.Instances != c.n[0] && a.Instances != c.n[len(c.n)-1] {
					t.Errorf("got %d instances, want one of %v", a.Instances, c.n)
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

// TestReloadSurvivesSIGHUP sends SIGHUP to a reload, as a closed terminal does. The reload must continue. After SIGINT,
// the reload must end after the current instance.
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
			t.Errorf("a reload after SIGHUP: want exit status %d and 3 reloaded instances: %v", done, r)
		}
		kit.WantReplaced(t, before, a.PIDs(t))
		// SIGINT must end the reload. systemd finishes the restart of the current instance.
		before = a.PIDs(t)
		p = m.Start(t, kit.Ctl, "reload", a.Name, "--settle", "5s")
		b.Await(t, "the first instance is replaced", kit.RunsOther(before[0]), a.Unit(1))
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != interrupted {
			t.Errorf("a reload after SIGINT: got exit status %d, want %d: %v", r.Code, interrupted, r)
		}
		if m.MainPID(t, a.Unit(3)) != before[2] {
			t.Error("the reload has replaced instance 3 after SIGINT, want the same process")
		}
		wantNoTraces(t, a)
	})
}

// TestConcurrentReloads runs reload and start of one app at the same time, with clusterctl and with systemctl. All
// commands must succeed, and no two commands may wait for each other.
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
				t.Errorf("%s: want exit status 0: %v", what, r)
			}
		}
		// Run several reloads with systemctl and several starts with clusterctl at the same time.
		var all []*lab.Process
		for range 3 {
			all = append(all, m.Start(t, "systemctl", "reload", a.Name), m.Start(t, kit.Ctl, "start", a.Name, "--settle", "0s"))
		}
		for _, p := range all {
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("a concurrent reload or start: want exit status 0: %v", r)
			}
		}
		wantNoTraces(t, a)
	})
}
