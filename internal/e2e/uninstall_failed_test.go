//go:build lab

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestFailedUninstallKeepsRunning runs uninstall with a read-only directory. The uninstall must fail before it stops an
// instance or changes a file.
func TestFailedUninstallKeepsRunning(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "kept", 3, 8163, "--", goWorker)
		m.Sh(t, "systemctl stop kept@3")
		a.Instances = 2 // instance 3 must remain stopped
		before, pids := kit.Lines(m.Sh(t, traces)), a.PIDs(t)
		for _, dir := range []string{"/etc", "/etc/clusterctl", "/etc/systemd/system"} {
			t.Run("read-only "+dir, func(t *testing.T) {
				m.Sh(t, "mount --bind "+dir+" "+dir+" && mount -o remount,bind,ro "+dir)
				t.Cleanup(func() {
					m.Sh(t, "umount "+dir)
					wantUntouched(t, m, before)
				})
				r := m.Clusterctl(t, "uninstall", "--yes", a.Name)
				if r.Code != failed || !strings.Contains(r.Stderr, "read-only file system") {
					t.Errorf("uninstall with a read-only %s: want exit status %d and the reason: %v", dir, failed, r)
				}
				if strings.Contains(r.Stderr, "stopping") {
					t.Errorf("clusterctl uninstall prints that it stops the app, want an error before that: %v", r)
				}
				a.WantUp(t)
				kit.WantNotReplaced(t, pids, a.PIDs(t))
			})
		}
	})
}

// TestInterruptedUninstall sends SIGINT to an uninstall that has stopped some instances. The uninstall must be rolled
// back: it must start the stopped instances again.
func TestInterruptedUninstall(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const slow = "/opt/e2e/slow-stop"
		// Instance 2 stops only after /run/interrupted exists. The test creates this file after the rollback has begun.
		m.WriteFile(t, slow, `#!/bin/sh
[ "$INSTANCE" = 2 ] || exec sleep infinity
trap 'echo stopping; until [ -e /run/interrupted ]; do sleep 0.1; done; exit 0' TERM
while :; do sleep 1 & wait; done
`, 0o755)
		bg := kit.App{Machine: m, Name: "slow", Instances: 2}
		t.Cleanup(func() {
			m.Sh(t, "touch /run/interrupted")
			bg.Uninstall(t)
			m.Sh(t, "rm -f /run/interrupted")
		})
		m.Must(t, "install", "slow", "-i", "2", "--no-listen", "--drain-timeout", "1h", "--settle", "200ms", "--", slow)
		units := slices.Concat(bg.Units(), []string{bg.Service()})
		before := kit.Lines(m.Sh(t, traces))
		p := m.Start(t, "sh", "-c", "{ "+kit.Ctl+
			" uninstall --yes slow & echo pid $!; wait $!; echo status $?; } 2>&1 | systemd-cat -t undoing")
		m.AwaitJournal(t, "stopping", "-u", bg.Unit(2))
		m.Sh(t, "kill -INT $(journalctl -t undoing -o cat | sed -n 's/^pid //p')")
		m.AwaitJournal(t, "putting everything back", "-t", "undoing")
		m.Sh(t, "touch /run/interrupted")
		p.Wait()
		m.AwaitJournal(t, "status 130", "-t", "undoing")
		wantUntouched(t, m, before)
		m.WantState(t, "active", units...)
		if s := m.Sh(t, "systemctl is-enabled slow"); s != "enabled" {
			t.Errorf("systemctl is-enabled prints %s, want enabled", s)
		}
	})
}
