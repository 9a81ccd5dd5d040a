//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestExitStatusAfterAStop runs programs that exit with 128 plus the number of their stop signal. After a stop, a unit
// with this exit status must not be failed. Without a stop, the same exit status must count as a crash, and systemd must
// restart the program.
func TestExitStatusAfterAStop(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const crash = "/srv/crash-status"
		b := kit.DialBus(t, m)
		for _, c := range []struct {
			name, signal string
			status       int
			flags        []string
		}{
			{"ends-143", "TERM", 143, nil},
			{"ends-130", "INT", 130, []string{"--restart", "on-failure"}},
		} {
			program := "/opt/e2e/" + c.name
			m.WriteFile(t, program, fmt.Sprintf(`#!/usr/bin/python3
import os, signal, sys, time
signal.signal(signal.SIG%s, lambda *_: sys.exit(%d))
while not os.path.exists(%q):
    time.sleep(0.05)
sys.exit(%[2]d)
`, c.signal, c.status, crash), 0o755)
			a := kit.App{Machine: m, Name: c.name, Instances: 2}
			t.Cleanup(func() {
				a.Uninstall(t)
				m.Sh(t, "rm -rf "+crash+" "+program+" /etc/systemd/system/"+c.name+"@.service.d; systemctl daemon-reload")
			})
			m.Must(t, append(append([]string{"install", c.name, "-i", "2", "--settle", "200ms", "--no-listen"}, c.flags...),
				"--", program)...)
			m.WriteFile(t, "/etc/systemd/system/"+c.name+"@.service.d/signal.conf", "[Service]\nKillSignal=SIG"+c.signal+"\n", 0o644)
			m.Sh(t, "systemctl daemon-reload")

			m.Sh(t, "systemctl stop "+c.name)
			b.Await(t, "all units are stopped", func(s kit.Status) bool { return s.Active == "inactive" }, a.Units()...)
			if failed := m.Sh(t, "systemctl --failed --no-legend --plain"); strings.Contains(failed, c.name) {
				t.Errorf("units are failed after a stop, want none:\n%s", failed)
			}
			if got := m.Sh(t, "systemctl show -p ExecMainStatus --value "+a.Unit(1)); got != fmt.Sprint(c.status) {
				t.Errorf("the program has exited with status %s, want %d", got, c.status)
			}
			for _, i := range listApps(t, m, c.name)[0].Instances {
				if i.State != "stopped" || i.Problem != "" {
					t.Errorf("clusterctl ls after a stop: want the state stopped and no problem: %+v", i)
				}
			}

			m.Sh(t, "systemctl start "+c.name)
			m.WriteFile(t, crash, "", 0o644)
			b.Await(t, "the instances have restarted several times", func(s kit.Status) bool { return s.Restarts > 2 }, a.Units()...)
			if runs := m.Sh(t, "cat /run/clusterctl/"+c.name+"/1.backoff"); strings.Contains(runs, "failures=0") ||
				!strings.Contains(runs, fmt.Sprintf("status=exited/%d", c.status)) {
				t.Errorf("the backoff file: want failures and status=exited/%d, got:\n%s", c.status, runs)
			}
			m.Sh(t, "rm "+crash)
			b.Await(t, "the instances run again", kit.Status.IsActive, a.Units()...)
		}
	})
}
