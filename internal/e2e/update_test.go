//go:build lab

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
	"github.com/clusterctl/clusterctl/internal/lab/load"
)

// installArgs returns the arguments of another install of the app, with more flags and another command.
func installArgs(a kit.App, port int, more ...string) []string {
	return slices.Concat([]string{"install", a.Name, "-i", fmt.Sprint(a.Instances), "--listen", fmt.Sprint(port),
		"--activation", "native", "--settle", "200ms"}, more)
}

// reloads returns how often systemd has reloaded its units.
func reloads(t testing.TB, m *kit.Machine) int {
	t.Helper()
	m.Sh(t, "journalctl --sync")
	return strings.Count("\n"+m.Journal(t, "-o", "cat", "_PID=1"), "\nReloading.")
}

// fileTimes lists the files of an app with modification times and inodes, without the revisions.
func fileTimes(t testing.TB, a kit.App) string {
	t.Helper()
	return a.Machine.Sh(t, "find /etc/systemd/system /etc/clusterctl -path '*"+a.Name+"*' -type f -printf '%p %T@ %i\n' | sort")
}

// TestUpdate changes a variable of an app under load. Every worker must be replaced, and no request may fail. A second
// identical install must change nothing.
func TestUpdate(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update", 3, 8600, "--", worker)
		before, read := a.PIDs(t), reloads(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		r := m.Must(t, installArgs(a, 8600, "--env", "RELEASE=2", "--", worker, "new")...)
		t.Logf("an update:\n%s%s", r.Stdout, r.Stderr)
		kit.WantNoneLost(t, "an update", run.Stop())
		if n := reloads(t, m) - read; n != 1 {
			t.Errorf("systemd has reloaded its units %d times", n)
		}
		after := a.PIDs(t)
		for i := range after {
			if after[i] == before[i] {
				t.Errorf("instance %d was not replaced", i+1)
			}
		}
		if about := m.Get(t, a.URL("/about")); !strings.Contains(about, `"RELEASE=2"`) || !strings.Contains(about, `"new"`) {
			t.Errorf("the workers do not have the new variable: %s", about)
		}
		a.WantUp(t)

		files, read := fileTimes(t, a), reloads(t, m)
		r = m.Must(t, installArgs(a, 8600, "--env", "RELEASE=2", "--", worker, "new")...)
		if !strings.Contains(r.Stdout, "nothing has changed") {
			t.Errorf("a second identical install: %v", r)
		}
		if now := fileTimes(t, a); now != files {
			t.Errorf("a second identical install has written files:\n%s\n%s", files, now)
		}
		if n := reloads(t, m) - read; n != 0 {
			t.Errorf("systemd has reloaded its units %d times", n)
		}
		if now := a.PIDs(t); !slices.Equal(now, after) {
			t.Errorf("instances were restarted: %v, then %v", after, now)
		}
	})
}

// fileContents lists the files of an app with their checksums.
func fileContents(t testing.TB, a kit.App) string {
	t.Helper()
	return a.Machine.Sh(t, "find /etc/systemd/system /run/systemd/system /etc/clusterctl -path '*"+a.Name+
		"*' -type f -exec cksum {} + | sort")
}

// wantRead fails the test when systemd needs a daemon-reload for a unit of the app.
func wantRead(t testing.TB, a kit.App) {
	t.Helper()
	units := append(a.Units(), a.Service(), a.Socket())
	if stale := a.Machine.Sh(t, "systemctl show -p NeedDaemonReload --value -- "+strings.Join(units, " ")); strings.Contains(stale, "yes") {
		t.Errorf("systemd needs a daemon-reload for %s", a.Name)
	}
}

// TestUpdateCount changes only the number of instances, which must not restart the remaining instances. Then it changes the
// user, which must replace all instances.
func TestUpdateCount(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-n", 2, 8601, "--", worker)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), KeepAlive: true, Rate: rate})
		for _, n := range []int{4, 1, 2} {
			before, read := a.PIDs(t), reloads(t, m)
			kept := min(a.Instances, n)
			a.Instances = n
			m.Must(t, installArgs(a, 8601, "--", worker)...)
			a.WantUp(t)
			wantRead(t, a)
			if after := a.PIDs(t); !slices.Equal(after[:kept], before[:kept]) {
				t.Errorf("to %d: remaining instances were replaced: %v, then %v", n, before, after)
			}
			if got := reloads(t, m) - read; got != 1 {
				t.Errorf("to %d: systemd has reloaded its units %d times", n, got)
			}
		}
		before := a.PIDs(t)
		m.Must(t, installArgs(a, 8601, "--yes", "--run-as", "nobody:nogroup", "--", worker)...)
		if about := m.Get(t, a.URL("/about")); !strings.Contains(about, `"uid":65534`) {
			t.Errorf("the user has not changed: %s", about)
		}
		m.Must(t, installArgs(a, 8601, "--", worker)...)
		kit.WantNoneLost(t, "updates", run.Stop())
		kit.WantReplaced(t, before, a.PIDs(t))
		a.WantUp(t)
	})
}

// TestUpdateStopped updates a stopped app. apply and rollback change only its files, and install also starts it.
func TestUpdateStopped(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-stopped", 1, 8602, "--", worker)
		m.Must(t, "stop", a.Name)
		m.WriteFile(t, "/opt/e2e/stopped.yaml", "name: update-stopped\ncommand: ["+worker+
			", x]\nlisten: [8602]\nactivation: native\nready: notify\ndrain: off\ninstances: 2\n", 0o644)
		r := m.Must(t, "apply", "-f", "/opt/e2e/stopped.yaml")
		if !strings.Contains(r.Stdout, "it stays stopped") {
			t.Errorf("apply on a stopped app: %v", r)
		}
		a.Instances = 2
		m.WantState(t, "inactive", append(a.Units(), a.Service(), a.Socket())...)
		m.Must(t, "rollback", a.Name)
		m.WantState(t, "inactive", a.Unit(1), a.Service(), a.Socket())
		// A release that does not run leaves the app stopped and its files unchanged.
		before := fileContents(t, a)
		if r := m.Clusterctl(t, installArgs(a, 8602, "--settle", "10s", "--", "/bin/false")...); r.Code != notReached {
			t.Errorf("a broken release on a stopped app: %v", r)
		}
		if now := fileContents(t, a); now != before {
			t.Errorf("the files have changed:\n%s\n%s", before, now)
		}
		m.WantState(t, "inactive", a.Unit(1), a.Service(), a.Socket())
		m.Must(t, installArgs(a, 8602, "--", worker, "x")...)
		a.WantUp(t)
	})
}
