//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestUnitsPassSystemdAnalyzeVerify runs systemd-analyze verify on all units of three installed apps.
func TestUnitsPassSystemdAnalyzeVerify(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		kit.InstallNative(t, m, "verify", 2, 8140, "--listen", "admin=127.0.0.1:8141", "--listen", "/run/verify.sock",
			"--listen", "udp:8142", "--env", "A=%h $B \"c\"", "--", worker, "%i", "$HOME", "a b")
		kit.InstallNative(t, m, "verify-max", 0, 8143, "--", goWorker)
		m.Must(t, "install", "verify-bg", "-i", "1", "--no-listen", "--sandbox", "strict", "--", ticker)
		t.Cleanup(func() { m.Must(t, "uninstall", "--yes", "verify-bg") })
		files := m.Sh(t, "cd /etc/systemd/system && ls -d verify*.service verify*.socket clusterctl-verify*.slice")
		var units []string
		for _, f := range kit.Lines(files) {
			units = append(units, "'"+strings.Replace(f, "@.service", "@1.service", 1)+"'")
		}
		// Each of the three apps has a main service, a template unit and a slice. The app verify has three socket units,
		// and verify-max has one.
		if len(units) != 13 {
			t.Errorf("got %d units, want 13:\n%s", len(units), files)
		}
		r := m.Try("systemd-analyze verify --man=no " + strings.Join(units, " "))
		if r.Code != 0 || r.Stdout+r.Stderr != "" {
			t.Errorf("systemd-analyze verify: want exit status 0 and no output: %v", r)
		}
		if log := m.Journal(t, "-b", "-t", "systemd", "-p", "warning"); strings.Contains(log, "verify") {
			t.Errorf("systemd has logged warnings about the units:\n%s", log)
		}
	})
}
