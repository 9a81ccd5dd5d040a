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

// installArgs returns the arguments of an install that updates the app. The parameter extraFlags contains flags, "--" and the
// command.
func installArgs(a kit.App, port int, extraFlags ...string) []string {
	return slices.Concat([]string{"install", a.Name, "-i", fmt.Sprint(a.Instances), "--listen", fmt.Sprint(port),
		"--activation", "native", "--settle", "200ms"}, extraFlags)
}

// daemonReloads returns the number of daemon-reloads since the boot.
func daemonReloads(t testing.TB, m *kit.Machine) int {
	t.Helper()
	m.Sh(t, "journalctl --sync")
	return strings.Count("\n"+m.Journal(t, "-o", "cat", "_PID=1"), "\nReloading.")
}

// fileTimes returns a list of the unit and configuration files of an app with their modification times and inodes.
func fileTimes(t testing.TB, a kit.App) string {
	t.Helper()
	return a.Machine.Sh(t, "find /etc/systemd/system /etc/clusterctl -path '*"+a.Name+"*' -type f -printf '%p %T@ %i\n' | sort")
}

// TestUpdate changes a variable and an argument of an app under load. Every worker must be replaced, and no request may
// fail. A second install with the same arguments must not change a file or a process.
func TestUpdate(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update", 3, 8600, "--", worker)
		before, read := a.PIDs(t), daemonReloads(t, m)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), Rate: rate})
		r := m.Must(t, installArgs(a, 8600, "--env", "RELEASE=2", "--", worker, "new")...)
		t.Logf("an update:\n%s%s", r.Stdout, r.Stderr)
		kit.WantNoneLost(t, "an update", run.Stop())
		if n := daemonReloads(t, m) - read; n != 1 {
			t.Errorf("the update needed %d daemon-reloads, want 1", n)
		}
		after := a.PIDs(t)
		kit.WantReplaced(t, before, after)
		if about := m.Get(t, a.URL("/about")); !strings.Contains(about, `"RELEASE=2"`) || !strings.Contains(about, `"new"`) {
			t.Errorf("a worker does not have the variable RELEASE=2 and the argument \"new\": %s", about)
		}
		a.WantUp(t)

		files, read := fileTimes(t, a), daemonReloads(t, m)
		r = m.Must(t, installArgs(a, 8600, "--env", "RELEASE=2", "--", worker, "new")...)
		if !strings.Contains(r.Stdout, "nothing has changed") {
			t.Errorf("a second install with the same arguments: want \"nothing has changed\": %v", r)
		}
		if now := fileTimes(t, a); now != files {
			t.Errorf("a second install with the same arguments has written files, which were\n%s\nand are\n%s", files, now)
		}
		if n := daemonReloads(t, m) - read; n != 0 {
			t.Errorf("the second install needed %d daemon-reloads, want 0", n)
		}
		kit.WantNotReplaced(t, after, a.PIDs(t))
	})
}

// fileContents returns a list of the unit and configuration files of an app with their checksums.
func fileContents(t testing.TB, a kit.App) string {
	t.Helper()
	return a.Machine.Sh(t, "find /etc/systemd/system /run/systemd/system /etc/clusterctl -path '*"+a.Name+
		"*' -type f -exec cksum {} + | sort")
}

// wantNoDaemonReload fails the test if a unit of the app needs a daemon-reload.
func wantNoDaemonReload(t testing.TB, a kit.App) {
	t.Helper()
	units := append(a.Units(), a.Service(), a.Socket())
	got := a.Machine.Sh(t, "systemctl show -p NeedDaemonReload --value -- "+strings.Join(units, " "))
	if strings.Contains(got, "yes") {
		t.Errorf("NeedDaemonReload of the units %q is %q, want no", units, got)
	}
}

// TestUpdateCount changes only the number of instances. The remaining instances must not be restarted. Then the test
// changes the user of the app, and all instances must be replaced.
func TestUpdateCount(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-n", 2, 8601, "--", worker)
		run := load.Start(t, m, load.Options{URL: a.URL("/"), KeepAlive: true, Rate: rate})
		for _, n := range []int{4, 1, 2} {
			before, read := a.PIDs(t), daemonReloads(t, m)
			remaining := min(a.Instances, n)
			a.Instances = n
			m.Must(t, installArgs(a, 8601, "--", worker)...)
			a.WantUp(t)
			wantNoDaemonReload(t, a)
			kit.WantNotReplaced(t, before[:remaining], a.PIDs(t)[:remaining])
			if got := daemonReloads(t, m) - read; got != 1 {
				t.Errorf("an update to %d instances needed %d daemon-reloads, want 1", n, got)
			}
		}
		before := a.PIDs(t)
		m.Must(t, installArgs(a, 8601, "--yes", "--run-as", "nobody:nogroup", "--", worker)...)
		if about := m.Get(t, a.URL("/about")); !strings.Contains(about, `"uid":65534`) {
			t.Errorf("the worker does not have the user ID 65534: %s", about)
		}
		m.Must(t, installArgs(a, 8601, "--", worker)...)
		kit.WantNoneLost(t, "updates of the instance count and the user", run.Stop())
		kit.WantReplaced(t, before, a.PIDs(t))
		a.WantUp(t)
	})
}

// TestUpdateStopped updates a stopped app. clusterctl apply and rollback must change only the files of the app.
// clusterctl install must also start the app.
func TestUpdateStopped(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "update-stopped", 1, 8602, "--", worker)
		m.Must(t, "stop", a.Name)
		m.WriteFile(t, "/opt/e2e/stopped.yaml", "name: update-stopped\ncommand: ["+worker+
			", x]\nlisten: [8602]\nactivation: native\nready: notify\ndrain: off\ninstances: 2\n", 0o644)
		r := m.Must(t, "apply", "-f", "/opt/e2e/stopped.yaml")
		if !strings.Contains(r.Stdout, "it stays stopped") {
			t.Errorf("clusterctl apply of a stopped app does not print that it stays stopped: %v", r)
		}
		a.Instances = 2
		m.WantState(t, "inactive", append(a.Units(), a.Service(), a.Socket())...)
		m.Must(t, "rollback", a.Name)
		m.WantState(t, "inactive", a.Unit(1), a.Service(), a.Socket())
		// An update to a failing program must not change the files, and must leave the app stopped.
		before := fileContents(t, a)
		if r := m.Clusterctl(t, installArgs(a, 8602, "--settle", "10s", "--", "/bin/false")...); r.Code != notReached {
			t.Errorf("an update of a stopped app to a failing program: got exit status %d, want %d: %v",
				r.Code, notReached, r)
		}
		if now := fileContents(t, a); now != before {
			t.Errorf("the files were\n%s\nand are\n%s", before, now)
		}
		m.WantState(t, "inactive", a.Unit(1), a.Service(), a.Socket())
		m.Must(t, installArgs(a, 8602, "--", worker, "x")...)
		a.WantUp(t)
	})
}
