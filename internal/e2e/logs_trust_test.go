//go:build lab

package e2e

import (
	"strings"
	"testing"

	"github.com/clusterctl/clusterctl/internal/e2e/kit"
	"github.com/clusterctl/clusterctl/internal/lab"
)

// TestForgedLinesOfUsers: a local user cannot add a line to the logs of an app, neither as its worker, nor as systemd, nor
// as journald. Lines of the worker's children are shown, although journald records only their user.
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
			// The path of this program ends like the path of systemd.
			m.Sh(t, "mkdir -p /tmp/x/systemd && cp \"$(readlink -f \"$(command -v python3)\")\" /tmp/x/systemd/systemd && "+
				"chmod -R a+rX /tmp/x /opt/e2e")
			m.Sh(t, "PYTHONHOME=/usr setpriv --reuid=nobody --regid=nogroup --clear-groups /tmp/x/systemd/systemd "+forger+" "+c.name)
			m.AwaitJournal(t, "FORGED from one that lives", "CLUSTERCTL_APP="+c.name)

			var stdout, native int
			for _, l := range logs(t, m, c.name, "-n", "all") {
				switch {
				case strings.Contains(l.Message, "FORGED") || strings.HasPrefix(l.Message, "Suppressed"):
					t.Errorf("a forged line is shown as a line of %s: %v", l.Source, l)
				case strings.HasPrefix(l.Message, "stdout "):
					stdout++
				case strings.HasPrefix(l.Message, "native "):
					native++
				}
			}
			t.Logf("%s: logs has %d of 200 lines from stdout, and %d of 200 lines from the native protocol", c.user, stdout, native)
			if native != 200 || stdout != 200 {
				t.Errorf("%s: logs has %d of 200 lines from stdout, and %d of 200 lines from the native protocol", c.user, stdout, native)
			}
			if r := m.Must(t, "show", c.name); strings.Contains(r.Stdout, "4711") {
				t.Errorf("show counts dropped lines that a local user has claimed:\n%s", r.Stdout)
			}
		}
	})
}
