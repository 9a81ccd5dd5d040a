//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// again describes an app anew, as install did, with more flags and another command.
func (a app) again(port int, more ...string) []string {
	return slices.Concat([]string{"install", a.name, "-i", fmt.Sprint(a.n), "--listen", fmt.Sprint(port), "--activation", "native", "--settle", "200ms"}, more)
}

// reloads counts how often systemd has read its units.
func reloads(t testing.TB, m *lab.Machine) int {
	t.Helper()
	m.Sh(t, "journalctl --sync")
	return strings.Count("\n"+m.Journal(t, "-o", "cat", "_PID=1"), "\nReloading.")
}

// written are the files of an app with their times, revisions left out.
func (a app) written(t testing.TB) string {
	t.Helper()
	return a.m.Sh(t, "find /etc/systemd/system /etc/clusterctl -path '*"+a.name+"*' -type f -printf '%p %T@ %i\n' | sort")
}

// TestUpdate changes a variable of an app under load: every worker is replaced, no request fails; the same again changes
// nothing at all.
func TestUpdate(t *testing.T) {
	onAllAtOnce(t, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "update", 3, 8600, "--", worker)
		before, read := a.pids(t), reloads(t, m)
		run := load.Start(t, m, load.Options{URL: a.url, Rate: rate})
		r := must(t, m, a.again(8600, "--env", "RELEASE=2", "--", worker, "new")...)
		report := run.Stop()
		t.Logf("an update: %v\n%s%s", report, r.Stdout, r.Stderr)
		if report.Failed() > 0 || report.OK == 0 {
			t.Errorf("requests failed: %v", report)
		}
		if n := reloads(t, m) - read; n != 1 {
			t.Errorf("systemd has read its units %d times", n)
		}
		after := a.pids(t)
		for i := range after {
			if after[i] == before[i] {
				t.Errorf("instance %d was not replaced", i+1)
			}
		}
		if about := m.Sh(t, "curl -fsS "+a.url+"about"); !strings.Contains(about, `"RELEASE=2"`) || !strings.Contains(about, `"new"`) {
			t.Errorf("the workers are the old ones: %s", about)
		}
		a.wantUp(t)

		files, read := a.written(t), reloads(t, m)
		r = must(t, m, a.again(8600, "--env", "RELEASE=2", "--", worker, "new")...)
		if !strings.Contains(r.Stdout, "nothing has changed") {
			t.Errorf("the same again: %v", r)
		}
		if now := a.written(t); now != files {
			t.Errorf("files were written:\n%s\n%s", files, now)
		}
		if n := reloads(t, m) - read; n != 0 {
			t.Errorf("systemd has read its units %d times", n)
		}
		if now := a.pids(t); !slices.Equal(now, after) {
			t.Errorf("instances were restarted: %v, then %v", after, now)
		}
	})
}

// contents are the same files with their checksums.
func (a app) contents(t testing.TB) string {
	t.Helper()
	return a.m.Sh(t, "find /etc/systemd/system /run/systemd/system /etc/clusterctl -path '*"+a.name+"*' -type f -exec cksum {} + | sort")
}

// wantRead fails the test when systemd has not read what is on disk.
func (a app) wantRead(t testing.TB) {
	t.Helper()
	units := append(a.instances(), a.service(), a.socket())
	if stale := a.m.Sh(t, "systemctl show -p NeedDaemonReload --value -- "+strings.Join(units, " ")); strings.Contains(stale, "yes") {
		t.Errorf("systemd has not read the files of %s", a.name)
	}
}

// TestUpdateCount changes nothing but the number: those that stay are not touched. Then the user, which replaces all.
func TestUpdateCount(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "update-n", 2, 8601, "--", worker)
		run := load.Start(t, m, load.Options{URL: a.url, KeepAlive: true, Rate: rate})
		for _, n := range []int{4, 1, 2} {
			before, read := a.pids(t), reloads(t, m)
			kept := min(a.n, n)
			a.n = n
			must(t, m, a.again(8601, "--", worker)...)
			a.wantUp(t)
			a.wantRead(t)
			if after := a.pids(t); !slices.Equal(after[:kept], before[:kept]) {
				t.Errorf("to %d: those that stay were touched: %v, then %v", n, before, after)
			}
			if got := reloads(t, m) - read; got != 1 {
				t.Errorf("to %d: systemd has read its units %d times", n, got)
			}
		}
		before := a.pids(t)
		must(t, m, a.again(8601, "--yes", "--run-as", "nobody:nogroup", "--", worker)...)
		if about := m.Sh(t, "curl -fsS "+a.url+"about"); !strings.Contains(about, `"uid":65534`) {
			t.Errorf("the user has not changed: %s", about)
		}
		must(t, m, a.again(8601, "--", worker)...)
		if r := run.Stop(); r.Failed() > 0 || r.OK == 0 {
			t.Errorf("requests failed: %v", r)
		}
		for i, pid := range a.pids(t) {
			if pid == before[i] {
				t.Errorf("instance %d was not replaced", i+1)
			}
		}
		a.wantUp(t)
	})
}

// TestUpdateStopped: an app that is stopped is updated on disk; apply and rollback leave it stopped, install starts it.
func TestUpdateStopped(t *testing.T) {
	on(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *lab.Machine) {
		a := install(t, m, "update-stopped", 1, 8602, "--", worker)
		must(t, m, "stop", a.name)
		m.WriteFile(t, "/opt/e2e/stopped.yaml", "name: update-stopped\ncommand: ["+worker+", x]\nlisten: [8602]\nactivation: native\nready: notify\ndrain: off\ninstances: 2\n", 0o644)
		r := must(t, m, "apply", "-f", "/opt/e2e/stopped.yaml")
		if !strings.Contains(r.Stdout, "it is stopped") {
			t.Errorf("apply on a stopped app: %v", r)
		}
		a.n = 2
		wantState(t, m, "inactive", append(a.instances(), a.service(), a.socket())...)
		must(t, m, "rollback", a.name)
		wantState(t, m, "inactive", a.instance(1), a.service(), a.socket())
		// A release that does not run leaves it as it was, on disk and stopped.
		before := a.contents(t)
		if r := run(t, m, a.again(8602, "--settle", "10s", "--", "/bin/false")...); r.Code != notReached {
			t.Errorf("a broken release on a stopped app: %v", r)
		}
		if now := a.contents(t); now != before {
			t.Errorf("the files are not as before:\n%s\n%s", before, now)
		}
		wantState(t, m, "inactive", a.instance(1), a.service(), a.socket())
		must(t, m, a.again(8602, "--", worker, "x")...)
		a.wantUp(t)
	})
}
