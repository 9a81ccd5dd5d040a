//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestShowNamesEditedUnits edits units by hand and adds drop-ins, and expects them in show.
func TestShowNamesEditedUnits(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "drift", 2, 8315, "--", goWorker)
		show := func() appStatus {
			t.Helper()
			return parseApp(t, m.Must(t, "show", "drift", "--json").Stdout)
		}
		if s := show(); len(s.Drift)+len(s.DropIns)+len(s.NeedReload) > 0 || s.Limits == nil || s.Limits.MemoryMaxBytes != 0 ||
			s.Limits.TasksMax == 0 {
			t.Errorf("show after the install: %+v", s)
		}
		m.Sh(t, `cp -a /etc/systemd/system/drift.socket /root/
			sed -i 's/^Backlog=.*/Backlog=77/' /etc/systemd/system/drift.socket`)
		t.Cleanup(func() {
			m.Sh(t, "rm -rf /etc/systemd/system/drift@.service.d /etc/systemd/system/drift@1.service.d "+
				"/etc/systemd/system.control/clusterctl-drift.slice.d; systemctl daemon-reload")
		})
		s := show()
		if fmt.Sprint(s.Drift) != "[{/etc/systemd/system/drift.socket changed}]" || fmt.Sprint(s.NeedReload) != "[drift.socket]" {
			t.Errorf("show with an edited socket: %+v, %q", s.Drift, s.NeedReload)
		}
		if out := m.Must(t, "show", "drift").Stdout; !strings.Contains(out, "changed: /etc/systemd/system/drift.socket\n") ||
			!strings.Contains(out, "drift.socket (sudo systemctl daemon-reload)") {
			t.Errorf("show:\n%s", out)
		}
		if s := parseApp(t, m.MustAsNobody(t, "show", "drift", "--json").Stdout); len(s.Drift) != 1 || len(s.NeedReload) != 1 {
			t.Errorf("as nobody: %+v", s)
		}
		m.Sh(t, "systemctl daemon-reload")
		if s := show(); len(s.Drift) != 1 || len(s.NeedReload) != 0 {
			t.Errorf("show after a daemon-reload: %+v", s)
		}
		m.Sh(t, "cp -a /root/drift.socket /etc/systemd/system/; rm /root/drift.socket")
		m.WriteFile(t, "/etc/systemd/system/drift@.service.d/override.conf", "[Service]\nNice=5\n", 0o644)
		m.Sh(t, "systemctl daemon-reload; systemctl set-property clusterctl-drift.slice MemoryMax=512M TasksMax=77")
		s = show()
		if len(s.Drift) > 0 || !strings.Contains(fmt.Sprint(s.DropIns), "/etc/systemd/system/drift@.service.d/override.conf") {
			t.Errorf("show with a drop-in: %+v, %q", s.Drift, s.DropIns)
		}
		if s.Limits == nil || s.Limits.MemoryMaxBytes != 512<<20 || s.Limits.TasksMax != 77 {
			t.Errorf("show with limits: %+v", s.Limits)
		}
		m.Sh(t, "mv /etc/systemd/system/drift@.service /root/; systemctl daemon-reload")
		s = show()
		m.Sh(t, "mv /root/drift@.service /etc/systemd/system/; systemctl daemon-reload")
		if fmt.Sprint(s.Drift) != "[{/etc/systemd/system/drift@.service missing}]" || s.Ready != 2 {
			t.Errorf("show without the template: %+v, %d ready", s.Drift, s.Ready)
		}
	})
}

// TestShowCountsSuppressedLines: show counts the log lines that the journal drops because of a rate limit.
func TestShowCountsSuppressedLines(t *testing.T) {
	suite().Sequential(t, []lab.Release{lab.Bullseye, lab.Bookworm}, func(t *testing.T, m *kit.Machine) {
		a := kit.InstallNative(t, m, "chatty", 1, 8316, "--", worker)
		quiet := kit.InstallNative(t, m, "chatty-not", 1, 8317, "--", worker)
		m.WriteFile(t, "/etc/systemd/system/chatty@.service.d/limit.conf",
			"[Service]\nLogRateLimitIntervalSec=1s\nLogRateLimitBurst=1\n", 0o644)
		t.Cleanup(func() { m.Sh(t, "rm -rf /etc/systemd/system/chatty@.service.d; systemctl daemon-reload") })
		m.Sh(t, "systemctl daemon-reload; systemctl restart "+a.Unit(1))
		// The journal reports dropped lines when it gets the next line after the interval, so send lines until it has. One
		// curl sends many lines at once, because with one curl per line, too few lines would fall into an interval on a
		// slow machine.
		burst := `curl -fsS "http://127.0.0.1:8316/log?line=[1-60]"`
		kit.Poll(t, "the journal has counted dropped lines", func() bool {
			m.Sh(t, burst)
			return m.Try("journalctl --sync; journalctl -q -b -o cat MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e | grep chatty@1").Code == 0
		})
		s := parseApp(t, m.Must(t, "show", "chatty", "--json").Stdout)
		if s.SuppressedLogLines == nil || *s.SuppressedLogLines < 1 {
			t.Errorf("suppressed lines in show --json: %v", s.SuppressedLogLines)
		}
		if out := m.Must(t, "show", "chatty").Stdout; !strings.Contains(out, " since boot, because of the rate limit of the journal\n") {
			t.Errorf("show:\n%s", out)
		}
		if s := parseApp(t, m.Must(t, "show", quiet.Name, "--json").Stdout); s.SuppressedLogLines == nil || *s.SuppressedLogLines != 0 {
			t.Errorf("suppressed lines of the other app: %v", s.SuppressedLogLines)
		}
	})
}
