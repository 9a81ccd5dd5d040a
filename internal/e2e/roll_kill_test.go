//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// wantSound fails the test when a killed command has left something that the next one did not sweep up.
func (a app) wantSound(t testing.TB) {
	t.Helper()
	a.wantUp(t)
	left := a.m.Sh(t, "ls -A /run/clusterctl/.extra 2>/dev/null || true; ls -d /var/lib/clusterctl/"+a.name+"/pending 2>/dev/null || true")
	if left != "" {
		t.Errorf("left behind: %s", left)
	}
	for u, want := range map[string]string{a.service(): "no", a.name + "@.service": "no"} {
		if u == a.name+"@.service" {
			u = a.instance(1)
		}
		if got := a.m.Sh(t, "systemctl show -p NeedDaemonReload --value "+u); got != want {
			t.Errorf("%s: NeedDaemonReload=%s", u, got)
		}
	}
}

// TestKilledReloadAndScale kills clusterctl at moments spread over a reload and over scales. The app serves throughout, and the
// next command completes what was begun or takes it back: 20 moments of a reload, and 20 of scales.
func TestKilledReloadAndScale(t *testing.T) {
	alone(t, lab.Bookworm, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "killed-roll", 2, 8605, "--", goWorker)
		run_ := load.Start(t, m, load.Options{URL: a.url, Conns: 4, Rate: 200})
		kept := load.Start(t, m, load.Options{URL: a.url, Conns: 4, Rate: 200, KeepAlive: true})
		timed := func(args ...string) time.Duration {
			begin := time.Now()
			must(t, m, args...)
			return time.Since(begin)
		}
		reload := []string{"reload", a.name, "--surge", "1", "--settle", "50ms"}
		up, down := []string{"scale", a.name, "4", "--settle", "50ms"}, []string{"scale", a.name, "2"}
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
			for at := (moments{whole: c.whole, kills: c.kills}); at.more(t); {
				if c.before != nil {
					must(t, m, c.before...)
				}
				p := m.Start(t, append([]string{ctl}, c.args...)...)
				at.wait()
				if err := p.Signal(syscall.SIGKILL); err != nil && !p.Ended() {
					t.Fatal(err)
				}
				killed := p.Wait()
				at.note(killed)
				next := must(t, m, "reload", a.name, "--settle", "10ms")
				a.n = len(lines(m.Sh(t, "sed -n 's/^Wants=//p' /etc/systemd/system/killed-roll.service.d/50-instances.conf | xargs -n 1")))
				t.Logf("%s killed after %v: exit status %d, then %d instances; %s", c.what, at, killed.Code, a.n, strings.ReplaceAll(next.Stderr, "\n", "; "))
				if a.n != c.n[0] && a.n != c.n[len(c.n)-1] {
					t.Errorf("%d instances, want one of %v", a.n, c.n)
				}
				a.wantSound(t)
				must(t, m, "scale", a.name, "2")
				if a.n = 2; t.Failed() {
					return
				}
			}
		}
		for _, l := range []*load.Run{run_, kept} {
			if r := l.Stop(); r.Failed() > 0 || r.OK == 0 {
				t.Errorf("requests were lost: %v", r)
			}
		}
	})
}

// TestReloadOutlivesItsTerminal: SIGHUP does not leave an app half reloaded.
func TestReloadOutlivesItsTerminal(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "hangup", 3, 8606, "--", goWorker)
		before := a.pids(t)
		b := dialBus(t, m)
		p := m.Start(t, ctl, "reload", a.name, "--settle", "300ms")
		b.await(t, "the first is replaced", func(s status) bool { return running(s) && int(s.pid) != before[0] && s.pid != 0 }, a.instance(1))
		if err := p.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != done || !strings.Contains(r.Stderr, "3 reloaded") {
			t.Errorf("after SIGHUP: %v", r)
		}
		for i, pid := range a.pids(t) {
			if pid == before[i] {
				t.Errorf("instance %d was not replaced", i+1)
			}
		}
		// Ctrl-C does end it, and what is under way is finished by systemd.
		before = a.pids(t)
		p = m.Start(t, ctl, "reload", a.name, "--settle", "5s")
		b.await(t, "the first is replaced", func(s status) bool { return running(s) && int(s.pid) != before[0] && s.pid != 0 }, a.instance(1))
		if err := p.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Code != interrupted {
			t.Errorf("after SIGINT: %v", r)
		}
		if m.MainPID(t, a.instance(3)) != before[2] {
			t.Error("the reload went on")
		}
		a.wantSound(t)
	})
}

// TestReloadsWaitForEachOther: clusterctl and systemctl, on one app at a time; a start beside a reload does not deadlock.
func TestReloadsWaitForEachOther(t *testing.T) {
	alone(t, lab.Bookworm, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "beside", 2, 8607, "--", goWorker)
		b := dialBus(t, m)
		before := a.pids(t)
		first := m.Start(t, ctl, "reload", a.name, "--settle", "10s")
		b.await(t, "the first reload has begun", func(s status) bool { return running(s) && int(s.pid) != before[0] && s.pid != 0 }, a.instance(1))
		second := m.Start(t, "systemctl", "reload", a.name)
		m.AwaitJournal(t, fmt.Sprintf("waiting for \"clusterctl reload %s --settle 10s\"", a.name), "-u", a.service())
		third := m.Start(t, ctl, "start", a.name, "--settle", "0s")
		for what, p := range map[string]*lab.Process{"clusterctl reload": first, "systemctl reload": second, "clusterctl start": third} {
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("%s: %v", what, r)
			}
		}
		// The other way round: a start that comes while systemd reloads, and a reload that comes while a start has the lock.
		var all []*lab.Process
		for range 3 {
			all = append(all, m.Start(t, "systemctl", "reload", a.name), m.Start(t, ctl, "start", a.name, "--settle", "0s"))
		}
		for _, p := range all {
			if r := p.Wait(); r.Code != 0 {
				t.Errorf("beside one another: %v", r)
			}
		}
		a.wantSound(t)
	})
}
