//go:build lab

package e2e

import (
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestManualRestartIsNotCanceled runs systemctl restart while an instance is starting. The program exits with status 1
// when systemd stops it. The shim must not treat the new start as an automatic restart after a failure.
func TestManualRestartIsNotCanceled(t *testing.T) {
	t.Parallel()
	suite().OwnMachines(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const fail = "/srv/fail"
		m.WriteFile(t, "/opt/e2e/slow", "#!/bin/sh\nif [ -e "+fail+" ]; then trap 'exit 1' TERM; sleep infinity & wait; fi\n"+
			"sleep 2\nexec python3 -m http.server --bind 127.0.0.1 8450\n", 0o755)
		m.Must(t, "install", "slow", "-i", "1", "--settle", "0s", "--listen", "127.0.0.1:8450", "--no-probe", "--", "/opt/e2e/slow")
		m.WriteFile(t, fail, "", 0o644)
		m.Sh(t, "systemctl restart --no-block slow@1 && until systemctl show -p SubState slow@1 | "+
			"grep -qx SubState=start; do sleep 0.1; done; sleep 1; rm "+fail)
		if r := m.Try("systemctl restart slow@1"); r.Code != 0 {
			t.Errorf("a manual restart: want exit status 0: %v\n%s", r, m.Sh(t, "systemctl status slow@1 || :"))
		}
		m.WantState(t, "active", "slow@1.service")
	})
}
