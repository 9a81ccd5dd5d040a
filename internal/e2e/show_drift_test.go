//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestShowReportsEditedUnits edits a unit file, adds a drop-in, sets limits, and removes a unit file. clusterctl show
// must report each of these changes.
func TestShowReportsEditedUnits(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "drift", 2, 8315, "--", goWorker)
		show := func() appStatus {
			t.Helper()
			return parseApp(t, m.Must(t, "show", "drift", "--json").Stdout)
		}
		if s := show(); len(s.Drift)+len(s.DropIns)+len(s.NeedReload) > 0 || s.Limits == nil || s.Limits.MemoryMaxBytes != 0 ||
			s.Limits.TasksMax == 0 {
			t.Errorf("clusterctl show after the install: want no changes, no drop-ins and the default limits: %+v", s)
		}
		m.Sh(t, `cp -a /etc/systemd/system/drift.socket /root/
			sed -i 's/^Backlog=.*/Backlog=77/' /etc/systemd/system/drift.socket`)
		t.Cleanup(func() {
			m.Sh(t, "rm -rf /etc/systemd/system/drift@.service.d /etc/systemd/system/drift@1.service.d "+
				"/etc/systemd/system.control/clusterctl-drift.slice.d; systemctl daemon-reload")
		})
		s := show()
		if fmt.Sprint(s.Drift) != "[{/etc/systemd/system/drift.socket changed}]" || fmt.Sprint(s.NeedReload) != "[drift.socket]" {
			t.Errorf("clusterctl show --json with an edited socket unit: got %+v and %q, want the unit in drift and in needReload",
				s.Drift, s.NeedReload)
		}
		if out := m.Must(t, "show", "drift").Stdout; !strings.Contains(out, "changed: /etc/systemd/system/drift.socket\n") ||
			!strings.Contains(out, "drift.socket (sudo systemctl daemon-reload)") {
			t.Errorf("clusterctl show with an edited socket unit does not print the unit and daemon-reload:\n%s", out)
		}
		if s := parseApp(t, m.MustAsNobody(t, "show", "drift", "--json").Stdout); len(s.Drift) != 1 || len(s.NeedReload) != 1 {
			t.Errorf("clusterctl show as an unprivileged user: want one unit in drift and in needReload: %+v", s)
		}
		m.Sh(t, "systemctl daemon-reload")
		if s := show(); len(s.Drift) != 1 || len(s.NeedReload) != 0 {
			t.Errorf("clusterctl show after a daemon-reload: want one unit in drift and none in needReload: %+v", s)
		}
		m.Sh(t, "cp -a /root/drift.socket /etc/systemd/system/; rm /root/drift.socket")
		m.WriteFile(t, "/etc/systemd/system/drift@.service.d/override.conf", "[Service]\nNice=5\n", 0o644)
		m.Sh(t, "systemctl daemon-reload; systemctl set-property clusterctl-drift.slice MemoryMax=512M TasksMax=77")
		s = show()
		if len(s.Drift) > 0 || !strings.Contains(fmt.Sprint(s.DropIns), "/etc/systemd/system/drift@.service.d/override.conf") {
			t.Errorf("clusterctl show with a drop-in: got drift %+v and the drop-ins %q, want only override.conf", s.Drift, s.DropIns)
		}
		if s.Limits == nil || s.Limits.MemoryMaxBytes != 512<<20 || s.Limits.TasksMax != 77 {
			t.Errorf("clusterctl show with limits: got %+v, want 512 MiB and 77 tasks", s.Limits)
		}
		m.Sh(t, "mv /etc/systemd/system/drift@.service /root/; systemctl daemon-reload")
		s = show()
		m.Sh(t, "mv /root/drift@.service /etc/systemd/system/; systemctl daemon-reload")
		if fmt.Sprint(s.Drift) != "[{/etc/systemd/system/drift@.service missing}]" || s.Ready != 2 {
			t.Errorf("clusterctl show without the template unit: got drift %+v and %d ready, want the missing file and 2 ready",
				s.Drift, s.Ready)
		}
	})
}

// TestShowCountsSuppressedLines sets a low rate limit for log lines. clusterctl show must print the number of lines that
// journald has dropped.
func TestShowCountsSuppressedLines(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "chatty", 1, 8316, "--", worker)
		quiet := kit.InstallNative(t, m, "chatty-not", 1, 8317, "--", worker)
		m.WriteFile(t, "/etc/systemd/system/chatty@.service.d/limit.conf",
			"[Service]\nLogRateLimitIntervalSec=1s\nLogRateLimitBurst=1\n", 0o644)
		t.Cleanup(func() { m.Sh(t, "rm -rf /etc/systemd/system/chatty@.service.d; systemctl daemon-reload") })
		m.Sh(t, "systemctl daemon-reload; systemctl restart "+a.Unit(1))
		// journald reports dropped lines when the first line after the interval arrives. So the loop logs lines until the
		// report is in the journal. One curl command sends 60 requests, because 60 curl commands may be too slow to
		// exceed the limit.
		burst := `curl -fsS "http://127.0.0.1:8316/log?line=[1-60]"`
		kit.Poll(t, "journald has reported dropped lines", func() bool {
			m.Sh(t, burst)
			return m.Try("journalctl --sync; journalctl -q -b -o cat MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e | grep chatty@1").Code == 0
		})
		s := parseApp(t, m.Must(t, "show", "chatty", "--json").Stdout)
		if s.SuppressedLogLines == nil || *s.SuppressedLogLines < 1 {
			t.Errorf("clusterctl show --json: suppressedLogLines is %v, want at least 1", s.SuppressedLogLines)
		}
		if out := m.Must(t, "show", "chatty").Stdout; !strings.Contains(out, " since boot, because of the rate limit of the journal\n") {
			t.Errorf("clusterctl show does not print the number of dropped lines since boot:\n%s", out)
		}
		if s := parseApp(t, m.Must(t, "show", quiet.Name, "--json").Stdout); s.SuppressedLogLines == nil || *s.SuppressedLogLines != 0 {
			t.Errorf("clusterctl show of an app without dropped lines: suppressedLogLines is %v, want 0", s.SuppressedLogLines)
		}
	})
}
