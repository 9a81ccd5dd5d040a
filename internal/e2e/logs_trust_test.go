//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestForgedLinesOfUsers: a local user cannot put a line into the logs of an app, neither as its worker, nor as systemd, nor
// as journald. Lines of the worker's own children are shown, although journald finds only their user.
func TestForgedLinesOfUsers(t *testing.T) {
	suite().Parallel(t, lab.All(), func(t *testing.T, m *kit.Machine) {
		const children, forger = "/opt/e2e/children.py", "/opt/e2e/forger.py"
		m.CopyIn(t, "testdata/children.py", children)
		m.CopyIn(t, "testdata/forger.py", forger)
		for _, c := range []struct{ name, user string }{{"forged", "daemon"}, {"forged-dyn", "dynamic"}} {
			t.Cleanup(func() { kit.App{Machine: m, Name: c.name}.Uninstall(t) })
			m.Must(t, "install", c.name, "-i", "1", "--no-listen", "--run-as", c.user, "--env", "APP="+c.name,
				"--settle", "1ms", "--", "python3", children)
			m.AwaitJournal(t, "end", "_SYSTEMD_UNIT="+c.name+"@1.service")
			// A path that ends as systemd's does.
			m.Sh(t, "mkdir -p /tmp/x/systemd && cp \"$(readlink -f \"$(command -v python3)\")\" /tmp/x/systemd/systemd && "+
				"chmod -R a+rX /tmp/x /opt/e2e")
			m.Sh(t, "PYTHONHOME=/usr setpriv --reuid=nobody --regid=nogroup --clear-groups /tmp/x/systemd/systemd "+forger+" "+c.name)
			m.AwaitJournal(t, "FORGED from one that lives", "CLUSTERCTL_APP="+c.name)

			var stdout, native int
			for _, l := range logs(t, m, c.name, "-n", "all") {
				switch {
				case strings.Contains(l.Message, "FORGED") || strings.HasPrefix(l.Message, "Suppressed"):
					t.Errorf("shown as %s: %v", l.Source, l)
				case strings.HasPrefix(l.Message, "stdout "):
					stdout++
				case strings.HasPrefix(l.Message, "native "):
					native++
				}
			}
			t.Logf("%s: %d lines of 200 by stdout, %d of 200 by the journal's protocol", c.user, stdout, native)
			if native != 200 || stdout != 200 {
				t.Errorf("%s: %d lines of 200 by stdout, %d of 200 by the journal's protocol", c.user, stdout, native)
			}
			if r := m.Must(t, "show", c.name); strings.Contains(r.Stdout, "4711") {
				t.Errorf("show counts what a local user claims:\n%s", r.Stdout)
			}
		}
	})
}
